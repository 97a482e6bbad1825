// From one state of a task to the next: admission, times, stopping, retries, the end.
#include <algorithm>
#include <utility>

#include "daemon/scheduler/mutants.hpp"
#include "daemon/scheduler/scheduler.hpp"

namespace futured::scheduler {

namespace {
constexpr std::size_t kTimerPortion = 2048;  // deadlines looked at per turn

/// Seconds with up to three decimals.
std::string seconds(Time ns) {
  std::string text = std::to_string(ns / 1'000'000'000);
  if (Time ms = ns / 1'000'000 % 1000; ms != 0) {
    std::string decimals = std::to_string(1000 + ms).substr(1);
    while (decimals.back() == '0') decimals.pop_back();
    text += "." + decimals;
  }
  return text + " s";
}

Failure deadline_passed(const Spec& spec, const std::string& when) {
  Failure f;
  f.kind = ErrorKind::deadline;
  f.permanent = true;
  f.message = "its deadline of " + seconds(spec.deadline_ns) + " passed " + when;
  return f;
}

Failure timed_out(const Spec& spec) {
  Failure f;
  f.kind = ErrorKind::timeout;
  f.message = "the attempt took longer than its timeout of " + seconds(spec.timeout_ns);
  return f;
}

Time later(Time now, Time by) { return by > kNever - 1 - now ? kNever - 1 : now + by; }
}  // namespace

std::uint64_t* Scheduler::bucket(Phase phase) {
  switch (phase) {
    case Phase::free:
      return nullptr;
    case Phase::waiting:
      return &counts_.waiting;
    case Phase::queued:
    case Phase::assigned:
      return &counts_.queued;
    case Phase::running:
      return &counts_.running;
    case Phase::succeeded:
      return &counts_.succeeded;
    case Phase::failed:
      return &counts_.failed;
    case Phase::cancelled:
      return &counts_.cancelled;
    case Phase::expired:
      return &counts_.expired;
  }
  return nullptr;
}

void Scheduler::enter(TaskRecord& t, Phase phase) {
  const bool tell = watched_ && state_of(t.phase) != state_of(phase);
  if (std::uint64_t* from = bucket(t.phase)) --*from;
  t.phase = phase;
  if (std::uint64_t* to = bucket(phase)) ++*to;
  if (tell) changes_.push_back({t.number, state_of(phase), t.attempt, false});
}

/// An attempt has failed and another comes, of which the state alone may tell nothing: a short call goes from queued to
/// queued.
void Scheduler::tell_again(TaskSlot slot) {
  if (!watched_) return;
  const TaskRecord& t = tasks_[slot];
  const TaskState state = state_of(t.phase);
  if (changes_.empty() || changes_.back().task != t.number || changes_.back().state != state) {
    changes_.push_back({t.number, state, t.attempt, false});
  }
  changes_.back().again = true;
}

/// A new task, placed: it waits for what it has to wait for, or is queued.
void Scheduler::admit(TaskSlot slot, Time now) {
  TaskRecord& t = tasks_[slot];
  const SpecTable::Entry& entry = specs_[t.spec];
  const Spec& s = entry.spec;
  if (!entry.timed && s.after.empty()) return requeue(slot, now);
  enter(t, Phase::waiting);
  if (s.delay_ns > 0 && !FUTURED_MUTANT(delay_ignored)) tasks_.side(slot).due = later(now, s.delay_ns);
  if (!s.after.empty()) {
    tasks_.side(slot).unmet = 1;
    linkings_.push_back({t.number, 0, 0});
  }
  wake_if_free(slot, now);
}

void Scheduler::wake_if_free(TaskSlot slot, Time now) {
  if (tasks_[slot].side != kNone) {
    SideRecord& side = tasks_.side(slot);
    if (side.due <= now) side.due = 0;
    if (side.unmet != 0 || side.due != 0) return rearm(slot);
  }
  requeue(slot, now);
}

/// It could run now.
void Scheduler::requeue(TaskSlot slot, Time now) {
  tasks_[slot].eligible = moment(now);
  enqueue(slot, false);
}

/// It comes back without having had its turn.
void Scheduler::requeue_in_front(TaskSlot slot) {
  tasks_[slot].eligible = moment(tasks_.side(slot).attempts.back().sent);
  enqueue(slot, true);
}

void Scheduler::enqueue(TaskSlot slot, bool front) {
  TaskRecord& t = tasks_[slot];
  enter(t, Phase::queued);
  const SpecTable::Entry& entry = specs_[t.spec];
  ready_.push(entry.flow, slot, front);
  table_.pools[table_.classes[entry.cls].pool].ready = true;
  rearm(slot);
}

/// Of the queue, if it is in there.
void Scheduler::take_out(TaskSlot slot) {
  const TaskRecord& t = tasks_[slot];
  if (t.phase == Phase::queued) ready_.remove(specs_[t.spec].flow, slot);
}

Time Scheduler::next_timer(TaskSlot slot) const {
  const TaskRecord& t = tasks_[slot];
  if (is_terminal(t.phase)) return kNever;
  const SideRecord* side = tasks_.side_if(slot);
  if ((t.flags & kStopSent) != 0) return side->stop_until;
  const Spec& s = spec(slot);
  const Time submitted = tasks_.extent_of(slot).submitted;
  Time at = kNever;
  const bool overlooked = FUTURED_MUTANT(deadline_ignored_in_queue) && t.phase == Phase::queued;
  if (s.deadline_ns > 0 && !overlooked) at = later(submitted, s.deadline_ns);
  const bool may_expire = t.phase == Phase::waiting || t.phase == Phase::queued ||
                          (t.phase == Phase::assigned && (t.flags & kRecallSent) == 0);
  if (s.expires_ns > 0 && may_expire && (t.flags & kRan) == 0) at = std::min(at, later(submitted, s.expires_ns));
  if (t.phase == Phase::waiting && side != nullptr && side->due != 0) at = std::min(at, side->due);
  if (t.phase == Phase::running && s.timeout_ns > 0) {
    at = std::min(at, later(side->attempts.back().started, s.timeout_ns));
  }
  return at;
}

void Scheduler::rearm(TaskSlot slot) {
  const TaskRecord& t = tasks_[slot];
  if (FUTURED_MUTANT(forgotten_timer) && t.phase == Phase::running) return;
  if (!specs_[t.spec].timed && t.phase != Phase::waiting && (t.flags & kStopSent) == 0 && !timers_.has(slot)) return;
  timers_.set(slot, t.number, next_timer(slot));
}

void Scheduler::fire_timers(Time now, Actions& actions) {
  for (std::size_t n = 0; timers_.next() <= now; ++n) {
    if (n == kTimerPortion) {
      more_now_ = true;
      return;
    }
    timer_fired(timers_.first(), now, actions);
  }
}

void Scheduler::timer_fired(TaskSlot slot, Time now, Actions& actions) {
  TaskRecord& t = tasks_[slot];
  if ((t.flags & kStopSent) != 0) return grace_over(slot, now, actions);
  const Spec& s = spec(slot);
  const Time submitted = tasks_.extent_of(slot).submitted;
  // The order of precedence: deadline, expires, timeout.
  if (s.deadline_ns > 0 && later(submitted, s.deadline_ns) <= now) {
    return stop(slot, Stop::deadline, limits_.stop_grace, now, actions);
  }
  if (s.expires_ns > 0 && later(submitted, s.expires_ns) <= now && t.phase != Phase::running && (t.flags & kRan) == 0) {
    if (t.phase == Phase::assigned) {
      return recall(slot, actions);  // if it has not started it comes back to the queue, and expires there
    }
    take_out(slot);
    return finish(slot, Phase::expired, std::nullopt, {}, now, actions);
  }
  if (t.phase == Phase::running) return stop(slot, Stop::timeout, limits_.stop_grace, now, actions);
  wake_if_free(slot, now);
}

void Scheduler::recall(TaskSlot slot, Actions& actions) {
  TaskRecord& t = tasks_[slot];
  if ((t.flags & (kRecallSent | kStopSent)) != 0) return;
  Worker& w = table_.workers[t.worker];
  t.flags |= kRecallSent;
  ++w.recalled[static_cast<std::size_t>(class_of(slot).lane)];
  rearm(slot);  // it expires when it is back, not before
  if (w.connection != 0) actions.recalls.push_back({w.id, token(slot), 0});
}

/// Ends a task from outside: at once if it is not at a worker; else the call is told, and has `grace` to end. A worker
/// that is away is told when it is back, and the grace counts from there; but it is not waited for for ever.
void Scheduler::stop(TaskSlot slot, Stop why, Time grace, Time now, Actions& actions) {
  TaskRecord& t = tasks_[slot];
  if (!is_at_worker(t.phase)) {
    take_out(slot);
    if (why == Stop::cancel) return finish(slot, Phase::cancelled, std::nullopt, {}, now, actions);
    return finish(slot, Phase::failed,
                  deadline_passed(spec(slot), (t.flags & kRan) != 0 ? "between two attempts" : "before it ran"), {},
                  now, actions);
  }
  SideRecord& side = tasks_.side(slot);
  Time until = later(now, std::max<Time>(grace, 0));
  // However long somebody gives it, its deadline is kept.
  if (const Spec& s = spec(slot); s.deadline_ns > 0) {
    const Time deadline = later(tasks_.extent_of(slot).submitted, s.deadline_ns);
    until = std::min(until, later(std::max(deadline, now), limits_.stop_grace));
  }
  const Worker& w = table_.workers[t.worker];
  if ((t.flags & kStopSent) == 0) side.stop_until = side.stop_grace = side.stop_latest = kNever;
  side.stop_grace = std::min(side.stop_grace, until - now);
  side.stop_latest = std::min(side.stop_latest, later(until, limits_.worker_return));
  side.stop_until = std::min(side.stop_until, w.connection != 0 ? until : side.stop_latest);
  side.stop = std::max(side.stop, why);
  t.flags |= kStopSent;
  if (w.connection != 0) actions.stops.push_back({w.id, token(slot), side.stop_until - now});
  rearm(slot);
}

/// Their worker went away and may not have heard it: what it was told to stop has time until it is back.
void Scheduler::suspend_graces(WorkerIndex w) {
  for (TaskSlot slot = table_.workers[w].oldest; slot != kNoSlot; slot = tasks_[slot].next) {
    if ((tasks_[slot].flags & kStopSent) == 0) continue;
    SideRecord& side = tasks_.side(slot);
    if (side.stop_until == kNever) continue;  // it waits for the end of the process
    side.stop_until = side.stop_latest;
    rearm(slot);
  }
}

void Scheduler::stop_again(TaskSlot slot, Time now, Actions& actions) {
  SideRecord& side = tasks_.side(slot);
  if (side.stop_until != kNever) side.stop_until = std::min(later(now, side.stop_grace), side.stop_latest);
  rearm(slot);
  const Time left = side.stop_until == kNever ? 0 : std::max<Time>(side.stop_until - now, 0);
  actions.stops.push_back({table_.workers[tasks_[slot].worker].id, token(slot), left});
}

/// The call of a task that was told to stop is over, or no longer counts: what becomes of the task. It is at no worker.
void Scheduler::stopped(TaskSlot slot, std::string message, Time now, Actions& actions) {
  switch (std::exchange(tasks_.side(slot).stop, Stop::none)) {
    case Stop::deadline:
      end_attempt(slot, Attempt::Ending::timed_out, std::move(message), now);
      return finish(slot, Phase::failed,
                    deadline_passed(spec(slot), (tasks_[slot].flags & kRan) != 0 ? "while it ran" : "before it ran"),
                    {}, now, actions);
    case Stop::timeout:
      end_attempt(slot, Attempt::Ending::timed_out, std::move(message), now);
      return attempt_failed(slot, timed_out(spec(slot)), {}, now, actions);
    case Stop::cancel:
    case Stop::none:
      end_attempt(slot, Attempt::Ending::cancelled, std::move(message), now);
      return finish(slot, Phase::cancelled, std::nullopt, {}, now, actions);
  }
}

/// The call did not stop. Its token counts no more and its slot is written off, so that the process has to go.
void Scheduler::grace_over(TaskSlot slot, Time now, Actions& actions) {
  const WorkerIndex w = tasks_[slot].worker;
  const SideRecord& side = tasks_.side(slot);
  if (side.stop == Stop::timeout && side.spent_retries < spec(slot).retries) {
    // Attempts never overlap: the next one waits for the end of the process.
    tasks_.side(slot).stop_until = kNever;
    rearm(slot);
    return condemn(w, now, actions);
  }
  // Who asked for a cancel before the start cannot be promised that it never ran.
  settle_cancel(slot, Verdict::requested, actions);
  ++table_.workers[w].written_off[static_cast<std::size_t>(class_of(slot).lane)];
  detach_from_worker(slot, now);
  stopped(slot, "it did not stop; its worker process is replaced", now, actions);
  condemn(w, later(now, limits_.neighbour_time), actions);
}

void Scheduler::condemn(WorkerIndex w, Time kill_at, Actions& actions) {
  Worker& worker = table_.workers[w];
  if (worker.kill_sent) return;  // its end is on its way
  worker.kill_at = std::min(worker.kill_at, kill_at);
  if (std::exchange(worker.condemned, true)) return;
  condemned_.push_back(w);
  actions.condemned.push_back(worker.id);
  for (TaskSlot slot = worker.newest; slot != kNoSlot; slot = tasks_[slot].prev) {
    if (tasks_[slot].phase == Phase::assigned) recall(slot, actions);
  }
}

void Scheduler::end_condemned(Time now, Actions& actions) {
  for (const WorkerIndex w : condemned_) {
    Worker& worker = table_.workers[w];
    const bool empty = worker.in_flight[0] + worker.in_flight[1] == 0;
    if (worker.kill_sent || (worker.kill_at > now && !empty)) continue;
    worker.kill_sent = true;
    worker.kill_at = kNever;
    actions.kills.push_back(worker.id);
  }
}

std::uint64_t Scheduler::draw() {  // splitmix64
  std::uint64_t z = (random_ += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

/// Doubles with each retry spent, give or take a quarter by chance, so that what failed together does not come back
/// together; never longer than its maximum, but for what the attempt itself asked for.
Time Scheduler::backoff(TaskSlot slot, Time retry_after) {
  const Spec& s = spec(slot);
  const std::uint32_t spent = tasks_.side(slot).spent_retries;
  Time wait = s.backoff_ns;
  for (std::uint32_t n = 1; n < spent && wait > 0 && wait < kNever / 4; ++n) {
    wait *= 2;
    if (s.backoff_max_ns > 0 && wait >= s.backoff_max_ns) break;
  }
  if (s.backoff_max_ns > 0) wait = std::min(wait, s.backoff_max_ns);
  if (wait > 0) {
    const Time least = wait - wait / 4;
    const Time most = s.backoff_max_ns > 0 ? std::min(wait + wait / 4, s.backoff_max_ns) : wait + wait / 4;
    wait = least + static_cast<Time>(draw() % (static_cast<std::uint64_t>(most - least) + 1));
  }
  return std::max(wait, retry_after);
}

void Scheduler::attempt_failed(TaskSlot slot, Failure failure, Slice reply, Time now, Actions& actions) {
  SideRecord& side = tasks_.side(slot);
  if (failure.permanent || side.spent_retries >= spec(slot).retries) {
    return finish(slot, Phase::failed, std::move(failure), std::move(reply), now, actions);
  }
  if (!FUTURED_MUTANT(retry_not_counted)) ++side.spent_retries;
  const Time wait = backoff(slot, failure.retry_after_ns);
  if (wait <= 0) {
    requeue(slot, now);
  } else {
    side.due = later(now, wait);
    enter(tasks_[slot], Phase::waiting);
    rearm(slot);
  }
  tell_again(slot);
}

void Scheduler::replace_payload(TaskSlot slot, Slice payload) {
  TaskRecord& t = tasks_[slot];
  counts_.bytes -= t.payload.size();
  counts_.bytes += payload.size();
  t.payload = std::move(payload);
}

/// It is refused and never will be taken as it is.
void Scheduler::reject(TaskSlot slot, ErrorKind kind, std::string message, Time now, Actions& actions) {
  Failure f;
  f.kind = kind;
  f.permanent = true;
  f.message = std::move(message);
  finish(slot, Phase::failed, std::move(f), {}, now, actions);
}

/// Likewise, but another try may help.
void Scheduler::refuse_for_now(TaskSlot slot, std::string message, Time now, Actions& actions) {
  Failure f;
  f.kind = ErrorKind::rejected;
  f.message = std::move(message);
  finish(slot, Phase::failed, std::move(f), {}, now, actions);
}

/// It is in no queue and at no worker. `reply`: its result, or what there is of one.
void Scheduler::finish(TaskSlot slot, Phase phase, std::optional<Failure> failure, Slice reply, Time now,
                       Actions& actions) {
  TaskRecord& t = tasks_[slot];
  const SpecTable::Entry& entry = specs_[t.spec];
  const Spec& s = entry.spec;
  enter(t, phase);
  rearm(slot);
  if (phase != Phase::succeeded) {
    if (!s.key.empty() && !FUTURED_MUTANT(key_not_freed)) drop_key(slot);
    if (s.keep_ns > 0 && !t.payload.empty()) {
      tasks_.side(slot).input = t.payload;
      counts_.bytes += t.payload.size();
    }
  }
  replace_payload(slot, std::move(reply));
  if (t.side != kNone) tasks_.side(slot).stop = Stop::none;
  if (failure) tasks_.side(slot).failure = std::make_unique<Failure>(std::move(*failure));
  if (s.keep_ns > 0) {
    tasks_.side(slot).ended = now;
    t.flags |= kKept;
    retention_.keep(t.number, now, s.keep_ns);
  } else if (t.side != kNone) {
    tasks_.side(slot).ended = now;
  }
  settle_cancel(slot, phase == Phase::cancelled ? Verdict::cancelled : Verdict::finished, actions);
  const TaskNumber number = t.number;
  const SessionId owner = tasks_.extent_of(slot).session;
  ++t.watchers;  // ours, so that it stays while it is handed out
  if (t.side != kNone) {
    if (const EdgeId list = std::exchange(tasks_.side(slot).dependants, kNone); list != kNone) {
      ++t.watchers;
      releases_.push_back({list, slot, {}, false});
      more_now_ = true;
    }
  }
  if (entry.group != kNoGroup) group_ended(entry.group, phase);
  if (!s.detached) deliver(owner, slot, tasks_.seq_of(slot));
  if (!attachments_.empty()) {
    if (const auto it = attachments_.find(number); it != attachments_.end()) {
      const std::vector<Attachment> list = std::move(it->second);
      attachments_.erase(it);
      for (const Attachment& a : list) {
        Session& watcher = sessions_[a.session];
        watcher.attached.erase(a.handle);
        --watcher.holds;
        if (watcher.dead) burials_.push_back(a.session);
        if (FUTURED_MUTANT(alias_not_delivered) && a.handle < kAttachBit) {
          release(slot);
          continue;
        }
        deliver(a.session, slot, a.handle);
      }
    }
  }
  if (watched_) {
    ended_.push_back(slot);
  } else {
    release(slot);
  }
}

}  // namespace futured::scheduler
