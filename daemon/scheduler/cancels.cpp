// Cancels: at once, by asking back what was sent ahead, or by telling a call to stop.
#include <utility>

#include "daemon/scheduler/mutants.hpp"
#include "daemon/scheduler/scheduler.hpp"

namespace futured::scheduler {

Verdict Scheduler::cancel(TaskSlot slot, bool running_too, Time grace, Time now, Actions& actions, bool& pending) {
  TaskRecord& t = tasks_[slot];
  if (is_terminal(t.phase)) return Verdict::finished;
  if (!is_at_worker(t.phase)) {
    stop(slot, Stop::cancel, 0, now, actions);
    return Verdict::cancelled;
  }
  if (running_too) {
    if (!FUTURED_MUTANT(cancel_forgotten)) stop(slot, Stop::cancel, grace, now, actions);
    return Verdict::requested;
  }
  if (t.phase == Phase::running || (t.flags & kStopSent) != 0) return Verdict::running;
  t.flags |= kCancelPending;
  recall(slot, actions);
  pending = true;
  return Verdict::none;
}

void Scheduler::on(const event::Cancel& e, Time now, Actions& actions) {
  Session* s = sessions_.find(e.session);
  if (s == nullptr || s->connection == 0) return;
  PendingCancel pending;
  pending.reply = {e.session, e.request, std::vector<Verdict>(e.handles.size(), Verdict::none)};
  for (std::size_t i = 0; i < e.handles.size(); ++i) {
    const std::uint64_t handle = e.handles[i];
    bool issued = false;
    const TaskSlot slot = handle < kAttachBit ? find_seq(*s, handle, issued) : by_handle(e.session, handle);
    if (slot == kNoSlot) {
      pending.reply.verdicts[i] = issued || handle >= kAttachBit ? Verdict::forgotten : Verdict::unknown;
      continue;
    }
    const TaskNumber number = tasks_[slot].number;  // the slot may be free once cancelled
    bool waits = false;
    pending.reply.verdicts[i] = cancel(slot, e.running_too, e.grace, now, actions, waits);
    if (waits) {
      cancel_waiters_[number].emplace_back(next_pending_, i);
      ++pending.open;
    }
  }
  if (pending.open == 0) {
    actions.cancelled.push_back(std::move(pending.reply));
  } else {
    ++s->holds;
    pending_cancels_.emplace(next_pending_++, std::move(pending));
  }
}

void Scheduler::on(const event::CancelTask& e, Time now, Actions& actions) {
  const TaskSlot slot = tasks_.find(e.task);
  bool pending = false;
  if (slot != kNoSlot) (void)cancel(slot, true, e.grace, now, actions, pending);
}

void Scheduler::settle_cancel(TaskSlot slot, Verdict verdict, Actions& actions) {
  if (cancel_waiters_.empty()) return;
  const auto waiters = cancel_waiters_.find(tasks_[slot].number);
  if (waiters == cancel_waiters_.end()) return;
  for (const auto& [id, index] : waiters->second) {
    const auto pending = pending_cancels_.find(id);
    pending->second.reply.verdicts[index] = verdict;
    if (--pending->second.open == 0) {
      const SessionId session = pending->second.reply.session;
      --sessions_[session].holds;
      if (sessions_[session].dead) burials_.push_back(session);
      actions.cancelled.push_back(std::move(pending->second.reply));
      pending_cancels_.erase(pending);
    }
  }
  cancel_waiters_.erase(waiters);
}

}  // namespace futured::scheduler
