// The worker side of the scheduler: who is there, what it runs, how attempts end.
#include <algorithm>
#include <utility>

#include "daemon/scheduler/mutants.hpp"
#include "daemon/scheduler/scheduler.hpp"

namespace futured::scheduler {

namespace {
std::size_t index(Lane lane) { return static_cast<std::size_t>(lane); }
}  // namespace

ClassId Scheduler::class_named(std::uint32_t pool, const TypeOffer& type) {
  ClassId cls = table_.find_class(pool, type.name);
  if (cls == kNoClass) {
    cls = ready_.add_class();
    table_.add_class(cls, pool, type);
    table_.classes[cls].paused = table_.pools[pool].paused || paused_types_.count(type.name) != 0;
  }
  return cls;
}

void Scheduler::on(const event::PoolDefined& e, Time, Actions&) {
  const std::uint32_t pool = table_.pool_named(e.name);
  for (const TypeOffer& type : e.types) class_named(pool, type);
  table_.pools[pool].processes = e.processes;
}

void Scheduler::on(const event::PoolScaled& e, Time, Actions&) {
  table_.pools[table_.pool_named(e.name)].processes = e.processes;
}

void Scheduler::offer(WorkerIndex w, const std::vector<TypeOffer>& types) {
  Worker& worker = table_.workers[w];
  for (const ClassId cls : worker.classes) std::erase(table_.classes[cls].offering, w);
  worker.classes.clear();
  for (const TypeOffer& type : types) {
    const ClassId cls = class_named(worker.pool, type);
    Class& c = table_.classes[cls];
    // A type has one lane in a pool: what an earlier worker said, unless nobody offers it any more.
    if (c.offering.empty() && ready_.empty(cls) && c.at_workers == 0) c.lane = type.lane;
    if (c.lane != type.lane || std::find(c.offering.begin(), c.offering.end(), w) != c.offering.end()) continue;
    c.offering.push_back(w);
    worker.classes.push_back(cls);
  }
}

void Scheduler::on(const event::WorkerHello& e, Time now, Actions& actions) {
  WorkerIndex w = kNone;
  if (!e.instance.empty()) {
    for (WorkerIndex i = 0; i < table_.workers.size(); ++i) {
      if (table_.workers[i].id != 0 && table_.workers[i].instance == e.instance) w = i;
    }
  }
  if (w != kNone && table_.workers[w].kill_sent) {
    lose(w, {table_.workers[w].id, false, {}, 0, 0, true}, now, actions);
    actions.breaches.push_back({kNoSession, e.connection, "a call in this worker did not stop when it was told to"});
    return;
  }
  const bool resumed = w != kNone;
  const std::uint32_t pool = table_.pool_named(e.pool);
  if (!resumed) {
    w = table_.add();
    table_.name(w, next_worker_++);
    table_.workers[w].pool = pool;
    table_.pools[pool].workers.push_back(w);
  }
  Worker& worker = table_.workers[w];
  worker.instance = e.instance;
  worker.host = e.host;
  worker.pid = e.pid;
  worker.spawn = e.spawn;
  worker.connection = e.connection;
  worker.gives_up = kNever;
  worker.announcing = resumed;
  suspend_graces(w);  // in case that it is back before it was seen to go
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    worker.slots[lane] = e.slots[lane];
    worker.credit[lane] = e.credit[lane];
    worker.sent[lane] = 0;
  }
  offer(w, e.types);
  actions.worker_welcomes.push_back({e.connection, worker.id, resumed});
  table_.pools[worker.pool].ready = table_.pools[worker.pool].freed = true;
}

void Scheduler::on(const event::WorkerCredit& e, Time, Actions&) {
  const WorkerIndex w = table_.find(e.worker);
  if (w == kNone) return;
  Worker& worker = table_.workers[w];
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    worker.credit[lane] = std::max(worker.credit[lane], e.credit[lane]);
  }
  table_.pools[worker.pool].ready = table_.pools[worker.pool].freed = true;
}

TaskSlot Scheduler::current(WorkerId worker, const AttemptToken& token) const {
  if (token.epoch != epoch_ && !FUTURED_MUTANT(stale_token)) return kNoSlot;
  const TaskSlot slot = tasks_.find(token.task);
  if (slot == kNoSlot) return kNoSlot;
  const TaskRecord& t = tasks_[slot];
  if (!is_at_worker(t.phase) || (t.attempt != token.attempt && !FUTURED_MUTANT(stale_token)) ||
      table_.workers[t.worker].id != worker)
    return kNoSlot;
  return slot;
}

void Scheduler::attach_to_worker(TaskSlot slot, WorkerIndex w) {
  Worker& worker = table_.workers[w];
  TaskRecord& t = tasks_[slot];
  t.worker = w;
  t.prev = worker.newest;
  t.next = kNoSlot;
  (worker.newest == kNoSlot ? worker.oldest : tasks_[worker.newest].next) = slot;
  worker.newest = slot;
  Class& c = table_.classes[specs_[t.spec].cls];
  ++c.at_workers;
  ++worker.in_flight[index(c.lane)];
}

void Scheduler::detach_from_worker(TaskSlot slot, Time now) {
  TaskRecord& t = tasks_[slot];
  Worker& worker = table_.workers[t.worker];
  Class& c = table_.classes[specs_[t.spec].cls];
  const std::size_t lane = index(c.lane);
  --c.at_workers;
  (t.prev == kNoSlot ? worker.oldest : tasks_[t.prev].next) = t.next;
  (t.next == kNoSlot ? worker.newest : tasks_[t.next].prev) = t.prev;
  t.prev = t.next = kNoSlot;
  --worker.in_flight[lane];
  if (t.phase == Phase::running) --worker.running[lane];
  if ((t.flags & kRecallSent) != 0) --worker.recalled[lane];
  if ((t.flags & kCancelPending) != 0) tasks_.side(slot).stop = Stop::cancel;  // goes before a deadline
  t.flags &= static_cast<std::uint8_t>(~(kRecallSent | kStopSent | kCancelPending));
  t.worker = kNone;
  Pool& pool = table_.pools[worker.pool];
  pool.ready = pool.freed = true;
  if (ready_.ended(specs_[t.spec].flow, now)) {
    for (const ClassId cls : ready_.woken()) table_.pools[table_.classes[cls].pool].ready = true;
  }
}

void Scheduler::started(TaskSlot slot, Time now, Actions& actions) {
  TaskRecord& t = tasks_[slot];
  if (t.phase != Phase::assigned) return;
  Worker& worker = table_.workers[t.worker];
  const std::size_t lane = index(class_of(slot).lane);
  enter(t, Phase::running);
  t.flags |= kRan;
  ++worker.running[lane];
  if ((t.flags & kRecallSent) != 0) {
    t.flags &= static_cast<std::uint8_t>(~kRecallSent);
    --worker.recalled[lane];
  }
  if ((t.flags & kCancelPending) != 0) {
    t.flags &= static_cast<std::uint8_t>(~kCancelPending);
    settle_cancel(slot, Verdict::running, actions);
  }
  tasks_.side(slot).attempts.back().started = now;
  rearm(slot);
  table_.pools[worker.pool].freed = true;  // what waits behind it may be better off elsewhere
  if (!spec(slot).detached) {
    const SessionId owner = tasks_.extent_of(slot).session;
    if (sessions_[owner].connection != 0) actions.started.push_back({owner, tasks_.seq_of(slot)});
  }
  if (const auto it = attachments_.find(t.number); it != attachments_.end()) {
    for (const Attachment& a : it->second) {
      if (sessions_[a.session].connection != 0) actions.started.push_back({a.session, a.handle});
    }
  }
}

void Scheduler::on(const event::Running& e, Time now, Actions& actions) {
  for (const AttemptToken& token : e.tokens) {
    if (const TaskSlot slot = current(e.worker, token); slot != kNoSlot) started(slot, now, actions);
  }
}

void Scheduler::end_attempt(TaskSlot slot, Attempt::Ending ending, std::string message, Time now) {
  Attempt& a = tasks_.side(slot).attempts.back();
  a.ended = now;
  a.ending = ending;
  a.message = std::move(message);
}

void Scheduler::on(const event::Ran& e, Time now, Actions& actions) {
  const WorkerIndex w = table_.find(e.worker);
  if (w == kNone) return;
  std::size_t f = 0;
  for (std::size_t i = 0; i < e.tokens.size(); ++i) {
    const event::RanFailure* failed = nullptr;
    if (f < e.failures.size() && e.failures[f].index == i) failed = &e.failures[f++];
    const TaskSlot slot = current(e.worker, e.tokens[i]);
    if (slot == kNoSlot) {
      ++counts_.stale_reports;
      continue;
    }
    ++table_.workers[w].completed;
    TaskRecord& t = tasks_[slot];
    const bool last =
        failed != nullptr && (failed->failure.permanent || tasks_.side(slot).spent_retries >= spec(slot).retries);
    // A cancel comes too late for a task that has ended, and in time for one that would run again.
    const bool told_to_stop = (t.flags & (kStopSent | kCancelPending)) != 0 && !last;
    detach_from_worker(slot, now);
    t.flags |= kRan;
    if (failed == nullptr) {
      end_attempt(slot, Attempt::Ending::succeeded, {}, now);
      finish(slot, Phase::succeeded, std::nullopt, std::move(e.replies[i]), now, actions);
      if (FUTURED_MUTANT(double_completion) && tasks_.find(e.tokens[i].task) == slot && !spec(slot).detached) {
        const SessionId owner = tasks_.extent_of(slot).session;
        if (!sessions_[owner].dead) {
          ++tasks_[slot].watchers;
          deliver(owner, slot, tasks_.seq_of(slot));
        }
      }
    } else if (failed->cancelled || told_to_stop) {
      stopped(slot, failed->failure.message, now, actions);
    } else {
      end_attempt(slot, Attempt::Ending::failed, failed->failure.message, now);
      // What there is of a reply goes with the failure.
      attempt_failed(slot, failed->failure, std::move(e.replies[i]), now, actions);
    }
  }
}

void Scheduler::on(const event::Recalled& e, Time now, Actions& actions) {
  std::vector<std::pair<TaskNumber, TaskSlot>> back;
  for (std::size_t i = 0; i < e.tokens.size(); ++i) {
    const TaskSlot slot = current(e.worker, e.tokens[i]);
    if (slot == kNoSlot) continue;
    TaskRecord& t = tasks_[slot];
    if (!e.returned[i] && !FUTURED_MUTANT(recall_taken_for_returned)) {
      started(slot, now, actions);  // also answers a cancel that waits
      continue;
    }
    const bool cancelled = (t.flags & (kCancelPending | kStopSent)) != 0;
    detach_from_worker(slot, now);
    if (cancelled) {
      stopped(slot, {}, now, actions);
    } else {
      end_attempt(slot, Attempt::Ending::recalled, {}, now);
      enter(t, Phase::queued);  // the same token once more is stale
      back.emplace_back(t.number, slot);
    }
  }
  // The newest first, so that they stand at the front of their queues in their old order.
  std::sort(back.begin(), back.end(), std::greater<>());
  if (FUTURED_MUTANT(lost_requeue) && !back.empty()) back.pop_back();
  for (const auto& [number, slot] : back) requeue_in_front(slot);
}

void Scheduler::on(const event::Announced& e, Time now, Actions& actions) {
  const WorkerIndex w = table_.find(e.worker);
  if (w == kNone) return;
  Worker& worker = table_.workers[w];
  if (!worker.announcing) return;
  for (const auto& tokens : {e.running, e.other}) {
    for (const AttemptToken& token : tokens) {
      if (const TaskSlot slot = current(e.worker, token); slot != kNoSlot) tasks_[slot].flags |= kAnnounced;
    }
  }
  // Newest first, so that those that go back stand at the front of their queues in their old order.
  for (TaskSlot slot = worker.newest; slot != kNoSlot;) {
    const TaskSlot previous = tasks_[slot].prev;
    const bool held = (tasks_[slot].flags & kAnnounced) != 0;
    tasks_[slot].flags &= static_cast<std::uint8_t>(~kAnnounced);
    if (!held) {
      const bool cancelled = (tasks_[slot].flags & (kCancelPending | kStopSent)) != 0;
      detach_from_worker(slot, now);  // it never arrived
      if (cancelled) {
        stopped(slot, "the worker never received it", now, actions);
      } else {
        end_attempt(slot, Attempt::Ending::lost, "the worker never received it", now);
        requeue_in_front(slot);
      }
    } else {
      // Orders that were on their way when the connection broke are given again.
      const TaskRecord& t = tasks_[slot];
      if ((t.flags & kStopSent) != 0) stop_again(slot, now, actions);
      if ((t.flags & kRecallSent) != 0) actions.recalls.push_back({worker.id, token(slot), 0});
    }
    slot = previous;
  }
  worker.announcing = false;
  for (const AttemptToken& token : e.running) {
    if (const TaskSlot slot = current(e.worker, token); slot != kNoSlot) started(slot, now, actions);
  }
  table_.pools[worker.pool].ready = table_.pools[worker.pool].freed = true;
}

void Scheduler::on(const event::WorkerDisconnected& e, Time now, Actions&) {
  const WorkerIndex w = table_.find(e.worker);
  if (w == kNone) return;
  Worker& worker = table_.workers[w];
  worker.connection = 0;
  worker.announcing = false;
  // A process of our own is lost when the supervisor has seen it and its session end, not before.
  worker.gives_up = worker.spawn == 0 ? now + limits_.worker_return : kNever;
  suspend_graces(w);
}

void Scheduler::on(const event::WorkerLost& e, Time now, Actions& actions) {
  if (const WorkerIndex w = table_.find(e.worker); w != kNone) lose(w, e, now, actions);
}

void Scheduler::lose(WorkerIndex w, const event::WorkerLost& why, Time now, Actions& actions) {
  std::vector<AttemptToken> running(why.running.begin(), why.running.end());
  if (!std::is_sorted(running.begin(), running.end())) std::sort(running.begin(), running.end());
  const bool ours = table_.workers[w].kill_sent;  // its end is nobody's fault
  const std::string how = why.given_up      ? "its worker went away and did not come back"
                          : why.signal != 0 ? "its worker process was ended by signal " + std::to_string(why.signal)
                                            : "its worker process ended with status " + std::to_string(why.status);
  // Newest first, as in Announced.
  for (TaskSlot slot = table_.workers[w].newest; slot != kNoSlot;) {
    TaskRecord& t = tasks_[slot];
    const TaskSlot previous = t.prev;
    const bool stop = (t.flags & (kStopSent | kCancelPending)) != 0;
    const bool ran =
        why.knows_running ? std::binary_search(running.begin(), running.end(), token(slot)) : t.phase == Phase::running;
    detach_from_worker(slot, now);
    if (ran) t.flags |= kRan;
    if (stop) {
      stopped(slot, ran ? how : std::string{}, now, actions);
    } else if ((!ran && !FUTURED_MUTANT(neighbour_charged)) || ours) {
      end_attempt(slot, Attempt::Ending::lost,
                  ran ? "its worker process was replaced, because another call in it did not stop" : std::string{},
                  now);
      requeue_in_front(slot);
    } else {
      end_attempt(slot, Attempt::Ending::crashed, how, now);
      if (t.crashes < UINT8_MAX) ++t.crashes;
      const std::int32_t budget = crash_budget(spec(slot).crashes);
      if (t.crashes >= budget) {
        Failure f;
        f.kind = ErrorKind::crashed;
        f.signal = why.signal;
        f.status = why.status;
        f.permanent = true;
        f.message = how + " while this task ran, attempt " + std::to_string(t.attempt) + "; it was given up after " +
                    std::to_string(t.crashes) + (t.crashes == 1 ? " crash" : " crashes");
        finish(slot, Phase::failed, std::move(f), {}, now, actions);
      } else {
        requeue_in_front(slot);
        tell_again(slot);
      }
    }
    slot = previous;
  }
  Worker& worker = table_.workers[w];
  Pool& pool = table_.pools[worker.pool];
  offer(w, {});
  std::erase(pool.workers, w);
  std::erase(condemned_, w);
  pool.ready = true;
  table_.remove(w);
}

void Scheduler::on(const event::WorkerDraining& e, Time, Actions&) {
  if (const WorkerIndex w = table_.find(e.worker); w != kNone) table_.workers[w].draining = true;
}

}  // namespace futured::scheduler
