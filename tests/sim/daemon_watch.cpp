#include <algorithm>

#include "daemon/scheduler/invariants.hpp"
#include "tests/sim/codec.hpp"
#include "tests/sim/daemon.hpp"
#include "tests/sim/worker.hpp"

namespace futured::sim {

using namespace scheduler;  // NOLINT(google-build-using-namespace): this file speaks to it

void Daemon::watch_deadlines() {
  for (const scheduler::Worker& w : core_.workers().workers) {
    if (w.id == 0 || w.gives_up > world_.now()) continue;
    world_.oracle().worker_lost(w.id);
    world_.note("daemon: worker %llu stayed away for too long", static_cast<unsigned long long>(w.id));
    for (const auto& process : world_.workers()) {
      if (process->instance() != w.instance) continue;
      world_.oracle().process_given_up(process->process());
      if (process->alive()) world_.oracle().saw(Seen::worker_given_up);
    }
  }
  for (SessionId id = 0; id < sessions_seen_; ++id) {
    const Session* s = core_.session(id);
    if (s != nullptr && s->expires <= world_.now() && left_.count(id) == 0) {
      world_.oracle().saw(Seen::session_expired);
    }
  }
}

// ---- what the oracle is told

void Daemon::before(const Event& event) {
  if (world_.covers()) cover(event);
  watch_away(event);
  Oracle& oracle = world_.oracle();
  accepted_before_ = actions_.accepted.size();
  next_before_ = core_.tasks().next_number();
  no_room_ = core_.room() == 0;
  leaving_ = core_.draining();
  if (const auto* submit = std::get_if<event::Submit>(&event)) {
    submitted_.clear();
    for (const Slice& input : submit->payloads) submitted_.push_back(Oracle::key_of(input));
  } else if (const auto* ran = std::get_if<event::Ran>(&event);
             ran != nullptr && core_.worker(ran->worker) != nullptr) {
    auto failure = ran->failures.begin();
    for (std::uint32_t i = 0; i < ran->tokens.size(); ++i) {
      const bool failed = failure != ran->failures.end() && failure->index == i;
      oracle.reported(ran->tokens[i], ran->worker, failed ? &*failure : nullptr, world_.now(), turns_);
      if (failed) ++failure;
    }
  } else if (const auto* recalled = std::get_if<event::Recalled>(&event)) {
    for (std::size_t i = 0; i < recalled->tokens.size(); ++i) {
      if (recalled->tokens[i].epoch != epoch()) continue;
      oracle.returned(recalled->tokens[i].task, recalled->tokens[i].attempt, recalled->worker, recalled->returned[i]);
      const TaskSlot slot = core_.current(recalled->worker, recalled->tokens[i]);
      if (slot != kNoSlot && (core_.tasks()[slot].flags & kStopSent) != 0 &&
          core_.tasks().side_if(slot)->stop == Stop::deadline) {
        oracle.saw(Seen::deadline_while_recalled);
      }
    }
  } else if (const auto* running = std::get_if<event::Running>(&event)) {
    for (const AttemptToken& token : running->tokens) {
      oracle.running(token, running->worker);
      const scheduler::Worker* w = core_.worker(running->worker);
      const TaskSlot slot = core_.current(running->worker, token);
      if (slot != kNoSlot && w->spawn != 0 && core_.spec(slot).timeout_ns > 0) {
        world_.after(core_.spec(slot).timeout_ns + core_.limits().stop_grace + core_.limits().neighbour_time + 5 * kMs,
                     [this, token, &world = world_] {
                       if (world.daemon().epoch() == token.epoch) watch_call(token);
                     });
      }
    }
  } else if (const auto* cancel = std::get_if<event::Cancel>(&event); cancel != nullptr && cancel->running_too) {
    const Session* s = core_.session(cancel->session);
    for (const std::uint64_t handle : cancel->handles) {
      if (s != nullptr && s->connection != 0) watch_cancel(core_.by_handle(cancel->session, handle), cancel->grace);
    }
  } else if (const auto* one = std::get_if<event::CancelTask>(&event)) {
    watch_cancel(core_.tasks().find(one->task), one->grace);
  } else if (const auto* lost = std::get_if<event::WorkerLost>(&event)) {
    oracle.worker_lost(lost->worker);
  }
}

void Daemon::after(const Event& event) {
  Oracle& oracle = world_.oracle();
  const Counts& now = core_.counts();
  if (now.waiting + now.queued + now.running > core_.limits().tasks) {
    throw Violation("more tasks have not ended than the limit allows");
  }
  // Now, not when the turn carries them out: their time is counted from here.
  for (const TokenOrder& s : actions_.stops) oracle.stop_ordered(s.token, world_.now() + s.grace);
  if (const auto* submit = std::get_if<event::Submit>(&event)) {
    if (actions_.accepted.size() == accepted_before_) return;  // all of it was known
    const Session* s = core_.session(submit->session);
    const scheduler::Accepted& a = actions_.accepted.back();
    auto existing = a.existing.begin();
    for (std::uint64_t i = 0; i < a.count; ++i) {
      const Seq seq = a.first_seq + i;
      const Key key = submitted_.at(seq - submit->first_seq);
      const TaskNumber number = a.first_number + i;
      if (existing != a.existing.end() && existing->seq == seq) {
        oracle.taken_as(key, number, existing->number, {s->stream, seq}, world_.now());
        ++existing;
        continue;
      }
      oracle.taken(key, number, {s->stream, seq}, world_.now(), turns_);
      oracle.life_now(number)->may_be_refused = leaving_;
      watch_taken(number);
    }
  } else if (const auto* ran = std::get_if<event::Ran>(&event)) {
    for (const AttemptToken& token : ran->tokens) {
      const TaskSlot slot = core_.tasks().find(token.task);
      if (slot == kNoSlot || core_.tasks()[slot].phase != Phase::waiting) continue;
      const Time most = core_.spec(slot).backoff_max_ns;
      if (most <= 0 || core_.tasks().side_if(slot)->due == 0) continue;
      if (core_.tasks().side_if(slot)->due - world_.now() > std::max(most, oracle.life_now(token.task)->retry_after)) {
        throw Violation("task " + std::to_string(token.task) + " backs off for longer than its maximum");
      }
    }
  } else if (std::holds_alternative<event::SubmitOwn>(event)) {
    const TaskNumber number = next_before_;
    if (core_.tasks().next_number() == number) return;  // it is there already
    const Key key = submitted_.at(0);
    oracle.taken(key, number, {}, world_.now(), turns_);
    oracle.accepted(key, number, epoch());
    oracle.life_now(number)->may_be_refused = no_room_ || leaving_;
    const TaskSlot slot = core_.tasks().find(number);
    if (const SideRecord* side = core_.tasks().side_if(slot); is_terminal(core_.tasks()[slot].phase)) {
      oracle.ended(number, state_of(core_.tasks()[slot].phase), side->failure->kind, {}, world_.now());
    }
    watch_taken(number);
  }
}

void Daemon::watch_away(const Event& event) {
  if (const auto* gone = std::get_if<event::WorkerDisconnected>(&event)) {
    away_[gone->worker] = world_.now();
  } else if (const auto* hello = std::get_if<event::WorkerHello>(&event)) {
    for (const scheduler::Worker& w : core_.workers().workers) {
      if (w.id != 0 && w.instance == hello->instance) away_[w.id] = world_.now();
    }
  } else if (const auto* back = std::get_if<event::Announced>(&event)) {
    for (const AttemptToken& token : back->running) {
      const TaskSlot slot = core_.current(back->worker, token);
      if (slot == kNoSlot || (core_.tasks()[slot].flags & kStopSent) == 0) continue;
      if (core_.tasks().side_if(slot)->stop_until > world_.now()) world_.oracle().saw(Seen::stopped_after_return);
    }
  }
}

/// What a worker that was away may add to the time that a call has to stop: it may not have heard the order.
Time Daemon::patience(TaskSlot slot, Time since) const {
  if (!is_at_worker(core_.tasks()[slot].phase)) return 0;
  const scheduler::Worker& w = core_.workers().workers[core_.tasks()[slot].worker];
  const auto away = away_.find(w.id);
  return away != away_.end() && (w.connection == 0 || away->second >= since) ? core_.limits().worker_return : 0;
}

/// It is to be cancelled, running or not: then it ends in time.
void Daemon::watch_cancel(TaskSlot slot, Time grace) {
  if (slot == kNoSlot || is_terminal(core_.tasks()[slot].phase)) return;
  const TaskNumber number = core_.tasks()[slot].number;
  const Time since = patience(slot, world_.now()) != 0 ? 0 : world_.now();
  const auto check = [number, since, mine = epoch(), &world = world_](bool late) {
    const Daemon& daemon = world.daemon();
    const TaskSlot now = daemon.epoch() == mine ? daemon.core().tasks().find(number) : kNoSlot;
    if (now == kNoSlot || is_terminal(daemon.core().tasks()[now].phase)) return;
    if (!late && daemon.patience(now, since) != 0) return;
    throw Violation("task " + std::to_string(number) + " was to be cancelled, its grace is over, and it has not ended");
  };
  world_.after(grace + 5 * kMs, [check] { check(false); });
  world_.after(grace + core_.limits().worker_return + 5 * kMs, [check] { check(true); });
}

/// Its times will be kept.
void Daemon::watch_taken(TaskNumber number) {
  const Life& life = *world_.oracle().life_now(number);
  const Spec& spec = world_.oracle().task(life.key).spec;
  if (world_.mixture().flood != 0) world_.oracle().quotas.waits(spec, "default", 1);
  const auto live = [this](TaskNumber n) {
    const TaskSlot slot = core_.tasks().find(n);
    return slot != kNoSlot && !is_terminal(core_.tasks()[slot].phase);
  };
  const std::uint32_t mine = epoch();
  if (spec.deadline_ns > 0) {
    // The grace of a call, and then its process is replaced.
    const bool by_hand = world_.mixture().by_hand != 0;
    const Time all = core_.limits().stop_grace + core_.limits().worker_return + 60 * kMs + (by_hand ? 300 * kMs : 0);
    world_.after(spec.deadline_ns + all, [number, live, mine, &world = world_] {
      if (world.daemon().epoch() == mine) world.oracle().deadline_check(number, live(number));
    });
  }
  if (spec.expires_ns > 0) {
    world_.after(spec.expires_ns + kMs, [number, live, mine, &world = world_] {
      if (world.daemon().epoch() != mine || !live(number) || world.oracle().life(mine, number)->sent != 0) return;
      throw Violation("task " + std::to_string(number) + " was never sent, its expiry is over, and it has not ended");
    });
  }
}

/// It began, is timed, and should have been stopped by now.
void Daemon::watch_call(const AttemptToken& token) {
  const Time until = world_.oracle().may_run_until(token.task, token.attempt);
  if (until == kNever) return;
  const Time last =
      until + core_.limits().neighbour_time + 5 * kMs + (away_.empty() ? 0 : core_.limits().worker_return);
  if (last <= world_.now()) world_.oracle().runs_too_long(token.task);
  world_.at(last, [this, token, &world = world_] {
    if (world.daemon().epoch() == token.epoch) watch_call(token);
  });
}

void Daemon::watch_runs() {
  if (core_.draining() && !actions_.runs.empty()) throw Violation("a call was sent while the daemon leaves");
  for (const TokenOrder& s : actions_.stops) world_.oracle().stop_ordered(s.token, world_.now() + s.grace);
  for (const Run& r : actions_.runs) {
    const TaskRecord& t = core_.tasks()[r.task];
    const scheduler::Worker* w = core_.worker(r.worker);
    if (w == nullptr || !w->takes_work()) throw Violation("a call was sent to a worker that takes none");
    if (t.attempt > 500) throw Violation("task " + std::to_string(t.number) + " goes round and round");
    const std::string& pool = core_.workers().pools[w->pool].name;
    world_.oracle().sent(t.number, t.attempt, r.worker, pool, world_.now());
    const Spec& spec = core_.spec(r.task);
    // What had to wait for something is queued when that is over, not when it was submitted.
    if (t.attempt != 1 || spec.delay_ns > 0 || !spec.after.empty()) continue;
    TaskNumber& last = first_dispatches_[{core_.tasks().extent_of(r.task).session, spec.type, pool, spec.priority,
                                          spec.fair.empty() ? std::to_string(spec.owner) : spec.fair, spec.limit}];
    if (t.number <= last) {
      throw Violation("task " + std::to_string(t.number) + " was dispatched after " + std::to_string(last) +
                      ", which came later");
    }
    last = t.number;
  }
}

/// A call at a worker that is away is told to stop without a message.
void Daemon::watch_silent_stops() {
  for (const scheduler::Worker& w : core_.workers().workers) {
    if (w.id == 0 || w.connection != 0) continue;
    for (TaskSlot slot = w.oldest; slot != kNoSlot; slot = core_.tasks()[slot].next) {
      if ((core_.tasks()[slot].flags & kStopSent) == 0) continue;
      world_.oracle().stop_ordered(core_.token(slot), core_.tasks().side_if(slot)->stop_until);
    }
  }
}

void Daemon::watch_orders() {
  Oracle& oracle = world_.oracle();
  for (const TokenOrder& s : actions_.stops) oracle.stop_ordered(s.token, world_.now() + s.grace);
  for (const TokenOrder& r : actions_.recalls) {
    const TaskSlot slot = core_.tasks().find(r.token.task);
    if (slot == kNoSlot || (core_.tasks()[slot].flags & kCancelPending) != 0) continue;
    const ClassId cls =
        core_.workers().find_class(core_.workers().find_pool(core_.pool_of(slot)), core_.spec(slot).type);
    oracle.saw(core_.workers().classes[cls].paused ? Seen::paused_recalled : Seen::recall_for_neighbour);
  }
  for (const auto& [name, id] : core_.ready().limits().names()) {
    if (core_.ready().waiting_for(id) == 0) continue;
    const Limit& l = core_.ready().limits()[id];
    if (l.running != 0 && l.in_use >= l.running) {
      oracle.saw(Seen::limit_full);
    } else if (l.starts != 0 && l.opens(world_.now()) > world_.now()) {
      oracle.saw(Seen::rate_full);
    }
  }
  for (const scheduler::Class& c : core_.workers().classes) {
    const auto id = static_cast<ClassId>(&c - core_.workers().classes.data());
    if (c.paused && core_.ready().size(id) > 0) oracle.saw(Seen::paused);
  }
}

// ---- coverage

/// What happens to a task in which state: kind of event, phase, flags, cause of a stop.
void Daemon::cover(std::size_t event, TaskSlot slot) {
  std::uint32_t state = 0;
  if (slot != kNoSlot) {
    const TaskRecord& t = core_.tasks()[slot];
    const SideRecord* side = core_.tasks().side_if(slot);
    state = (static_cast<std::uint32_t>(t.phase) << 5 | t.flags) << 2 |
            (side == nullptr ? 0 : static_cast<std::uint32_t>(side->stop));
  }
  world_.covered(static_cast<std::uint32_t>(event) << 16 | state);
}

void Daemon::cover(const Event& event) {
  const std::size_t kind = event.index();
  const auto tokens = [&](WorkerId worker, std::span<const AttemptToken> all) {
    for (const AttemptToken& token : all) cover(kind, core_.current(worker, token));
  };
  const auto at_worker = [&](WorkerId id) {
    const scheduler::Worker* w = core_.worker(id);
    for (TaskSlot slot = w == nullptr ? kNoSlot : w->oldest; slot != kNoSlot; slot = core_.tasks()[slot].next) {
      cover(kind, slot);
    }
  };
  if (const auto* cancel = std::get_if<event::Cancel>(&event)) {
    for (const std::uint64_t handle : cancel->handles) cover(kind, core_.by_handle(cancel->session, handle));
  } else if (const auto* running = std::get_if<event::Running>(&event)) {
    tokens(running->worker, running->tokens);
  } else if (const auto* ran = std::get_if<event::Ran>(&event)) {
    tokens(ran->worker, ran->tokens);
  } else if (const auto* recalled = std::get_if<event::Recalled>(&event)) {
    tokens(recalled->worker, recalled->tokens);
  } else if (const auto* lost = std::get_if<event::WorkerLost>(&event)) {
    at_worker(lost->worker);
  } else if (const auto* gone = std::get_if<event::WorkerDisconnected>(&event)) {
    at_worker(gone->worker);
  } else if (const auto* back = std::get_if<event::Announced>(&event)) {
    at_worker(back->worker);
  } else if (const auto* number = std::get_if<event::CancelTask>(&event)) {
    cover(kind, core_.tasks().find(number->task));
  } else if (const auto* forget = std::get_if<event::Forget>(&event)) {
    cover(kind, core_.tasks().find(forget->task));
  } else if (const auto* attach = std::get_if<event::Attach>(&event)) {
    for (const event::TaskRef& ref : attach->tasks) cover(kind, core_.tasks().find(ref.number));
  } else {
    cover(kind, kNoSlot);
  }
}

void Daemon::hash_actions() {
  const auto mix = [this](auto... values) { (world_.mix(static_cast<std::uint64_t>(values)), ...); };
  const Actions& a = actions_;
  for (const auto& x : a.client_welcomes) mix(1, x.connection, x.session, x.resumed, x.accepted_seq);
  for (const auto& x : a.worker_welcomes) mix(2, x.connection, x.worker, x.resumed);
  for (const auto& x : a.accepted) mix(3, x.session, x.first_seq, x.count, x.first_number, x.warning.size());
  for (const auto& x : a.credit) mix(4, x);
  for (const auto& x : a.runs) mix(5, x.worker, core_.tasks()[x.task].number, core_.tasks()[x.task].attempt);
  for (const auto& x : a.stops) mix(6, x.worker, x.token.task, x.token.attempt, x.grace);
  for (const auto& x : a.recalls) mix(7, x.worker, x.token.task, x.token.attempt);
  for (const auto& x : a.started) mix(8, x.session, x.handle);
  for (const auto& x : a.outcomes) mix(9, x.session, x.delivery, x.handle, core_.tasks()[x.task].phase);
  for (const auto& x : a.cancelled) {
    mix(10, x.session, x.request);
    for (const Verdict v : x.verdicts) mix(v);
  }
  for (const auto& x : a.attached) {
    mix(11, x.session, x.request);
    for (const auto& item : x.items) mix(item.known, item.number, item.state);
  }
  for (const WorkerId x : a.kills) mix(13, x);
  for (const auto& x : a.breaches) mix(12, x.session, x.connection);
  for (const auto& x : a.ended_sessions) mix(13, x);
}

}  // namespace futured::sim
