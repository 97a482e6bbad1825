// What the operator and the daemon itself order: tasks of its own, pauses, limits, groups, the end.
#include <algorithm>
#include <cstring>
#include <utility>

#include "daemon/scheduler/mutants.hpp"
#include "daemon/scheduler/scheduler.hpp"

namespace futured::scheduler {

void Scheduler::on(const event::SubmitOwn& e, Time now, Actions& actions) {
  if (draining_) return;
  if (own_session_ == kNoSession) {
    StreamId stream;
    stream.bytes.fill(0);
    std::memcpy(stream.bytes.data(), &epoch_, sizeof epoch_);
    own_session_ = sessions_.add(stream);
    ++sessions_[own_session_].holds;
  }
  Session& s = sessions_[own_session_];
  Spec own = *e.spec;
  own.detached = true;
  own.live_output = own.live_progress = own.cancel_on_disconnect = false;
  if (own.keep_ns == 0) own.keep_ns = limits_.own_keep;
  if (e.retry_of != 0) own.key.clear();
  if (holder(own) != kNoSlot) return;  // that one is this one
  const Placement placement = place(own);
  const ExtentId extent = tasks_.open_extent(own_session_, s.accepted_seq, 1, now);
  s.extents.push_back({s.accepted_seq, tasks_.next_number(), 1, true});
  ++s.holds;
  ++s.accepted_seq;
  ++counts_.submitted;
  const TaskSlot slot = tasks_.add(extent);
  TaskRecord& t = tasks_[slot];
  t.spec = add_spec(own, placement.cls, own_session_);
  specs_.use(t.spec);
  t.payload = e.payload;
  counts_.bytes += t.payload.size();
  if (e.retry_of != 0) tasks_.side(slot).retry_of = e.retry_of;
  join_group(t.spec);
  const Extent sealed = tasks_.extent(extent);
  if (tasks_.seal(extent)) extent_closed(sealed);
  if (placement.cls == kNoClass) {
    reject(slot, ErrorKind::rejected, placement.refusal, now, actions);
  } else if (room() == 0) {
    refuse_for_now(slot, "the daemon holds as many tasks as it may (max_queued_tasks); submit it when some have ended",
                   now, actions);
  } else {
    if (!own.key.empty()) take_key(slot);
    admit(slot, now);
  }
}

void Scheduler::on(const event::HasOutput& e, Time, Actions&) {
  if (const TaskSlot slot = tasks_.find(e.task); slot != kNoSlot) tasks_[slot].flags |= kHasOutput;
}

void Scheduler::on(const event::Watched& e, Time, Actions&) { watched_ = e.on; }

void Scheduler::on(const event::SetPaused& e, Time, Actions& actions) {
  if (!e.pool.empty()) {
    const std::uint32_t pool = table_.find_pool(e.pool);
    if (pool != WorkerTable::kNoPool) table_.pools[pool].paused = e.paused;
  } else if (e.paused) {
    paused_types_.insert(e.type);
  } else {
    paused_types_.erase(e.type);
  }
  apply_pauses(actions);
}

void Scheduler::apply_pauses(Actions& actions) {
  for (Class& c : table_.classes) {
    const bool paused = table_.pools[c.pool].paused || paused_types_.count(c.type) != 0;
    if (!paused && std::exchange(c.paused, false)) table_.pools[c.pool].ready = true;
    c.paused = paused;
  }
  recall_assigned(false, actions);
}

/// What was sent ahead and has not started comes back: all of it, or what is paused.
void Scheduler::recall_assigned(bool all, Actions& actions) {
  for (const Worker& w : table_.workers) {
    for (TaskSlot slot = w.id == 0 ? kNoSlot : w.newest; slot != kNoSlot; slot = tasks_[slot].prev) {
      if (tasks_[slot].phase == Phase::assigned && (all || class_of(slot).paused)) recall(slot, actions);
    }
  }
}

void Scheduler::on(const event::Drain& e, Time, Actions& actions) {
  draining_ = true;
  if (e.recall) recall_assigned(true, actions);
}

void Scheduler::on(const event::Undrain&, Time, Actions&) {
  draining_ = false;
  for (Pool& pool : table_.pools) pool.ready = true;
}

void Scheduler::on(const event::SetLimit& e, Time now, Actions&) {
  if (!ready_.set_limit(e.name, e.running, e.starts, e.per, !e.remove, now)) return;
  for (const ClassId cls : ready_.woken()) table_.pools[table_.classes[cls].pool].ready = true;
}

void Scheduler::on(const event::CloseGroup& e, Time, Actions&) {
  if (const GroupId group = groups_.find(e.name); group != kNoGroup) groups_[group].closed = true;
}

void Scheduler::on(const event::Abandon&, Time, Actions&) {
  draining_ = true;
  if (abandon_next_ == kNotAbandoned) abandon_next_ = 1;
}

void Scheduler::abandon_portion(Time now, Actions& actions) {
  if (abandon_next_ == kNotAbandoned) return;
  for (std::size_t portion = kSweepPortion; portion > 0 && abandon_next_ < tasks_.next_number(); --portion) {
    const TaskNumber number = tasks_.next_live(abandon_next_);
    abandon_next_ = number == 0 ? tasks_.next_number() : number + 1;
    if (number == 0) break;
    const TaskSlot slot = tasks_.find(number);
    if (is_terminal(tasks_[slot].phase)) continue;
    if (FUTURED_MUTANT(waiting_not_abandoned) && tasks_[slot].phase == Phase::waiting) continue;
    if (is_at_worker(tasks_[slot].phase)) {
      detach_from_worker(slot, now);
      end_attempt(slot, Attempt::Ending::lost, "the daemon was stopped", now);
    } else {
      take_out(slot);
    }
    Failure f;
    f.kind = ErrorKind::lost;
    f.message = "the daemon was stopped before this task ended, and it keeps tasks in memory only";
    finish(slot, Phase::failed, std::move(f), {}, now, actions);
  }
  if (!abandoned()) more_now_ = true;
}

}  // namespace futured::scheduler
