#include "daemon/scheduler/scheduler.hpp"

#include <algorithm>

namespace futured::scheduler {

namespace {
constexpr std::size_t kRetentionPortion = 4096;
}  // namespace

void Scheduler::handle(const Event& event, Time now, Actions& actions) {
  std::visit([&](const auto& e) { on(e, now, actions); }, event);
}

void Scheduler::advance(Time now, Actions& actions) {
  more_now_ = false;
  for (WorkerIndex w = 0; w < table_.workers.size(); ++w) {
    Worker& worker = table_.workers[w];
    if (worker.id != 0 && worker.gives_up <= now) lose(w, {worker.id, false, {}, 0, 0}, now, actions);
  }
  sweep_sessions(now, actions);
  const auto unkeep = [this](TaskNumber task) {
    const TaskSlot slot = tasks_.find(task);
    if (slot == kNoSlot) return;
    TaskRecord& t = tasks_[slot];
    t.flags &= static_cast<std::uint8_t>(~kKept);
    if (t.watchers == 0) {
      counts_.kept_bytes -= t.payload.size();
      counts_.bytes += t.payload.size();
    }
    forget_if_free(slot);
  };
  retention_.advance(now, kRetentionPortion, unkeep);
  for (std::size_t n = 0; retention_.size() > limits_.kept_tasks || counts_.kept_bytes > limits_.kept_bytes; ++n) {
    if (n == kRetentionPortion) {
      more_now_ = true;
      break;
    }
    unkeep(retention_.pop_oldest());
  }
  if (!draining_) dispatch(now, actions);
  flush_deliveries(actions);
  feed_starved(actions);
}

Time Scheduler::next_deadline() const {
  if (more_now_ || !burials_.empty()) return 0;
  Time next = retention_.next_deadline();
  for (const SessionId id : absent_) {
    next = std::min({next, sessions_[id].expires, sessions_[id].cancel_at});
  }
  for (const Worker& worker : table_.workers) {
    if (worker.id != 0) next = std::min(next, worker.gives_up);
  }
  return next;
}

Reason Scheduler::reason(TaskSlot slot) const {
  const TaskRecord& t = tasks_[slot];
  switch (t.phase) {
    case Phase::queued:
      return class_of(slot).offering.empty() ? Reason::no_worker : Reason::none;
    case Phase::assigned:
      return (t.flags & kStopSent) != 0 ? Reason::cancelling : Reason::assigned;
    case Phase::running:
      return (t.flags & kStopSent) != 0 ? Reason::cancelling : Reason::none;
    default:
      return Reason::none;
  }
}

bool Scheduler::owes_deliveries() const {
  for (SessionId id = 0; id < sessions_.end(); ++id) {
    const Session* s = session(id);
    if (s != nullptr && s->connection != 0 && !s->deliveries.empty()) return true;
  }
  return false;
}

std::uint64_t Scheduler::queued_in(std::uint32_t pool) const {
  std::uint64_t n = 0;
  for (const ClassId cls : table_.pools[pool].classes) n += ready_.size(cls) + ready_.held(cls);
  for (const WorkerIndex w : table_.pools[pool].workers) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      n += table_.workers[w].in_flight[lane] - table_.workers[w].running[lane];
    }
  }
  return n;
}

}  // namespace futured::scheduler
