// A turn, and when the next one is wanted.
#include "daemon/scheduler/scheduler.hpp"

#include <algorithm>
#include <utility>

namespace futured::scheduler {

namespace {
constexpr std::size_t kRetentionPortion = 4096;
}  // namespace

void Scheduler::handle(const Event& event, Time now, Actions& actions) {
  std::visit([&](const auto& e) { on(e, now, actions); }, event);
}

void Scheduler::advance(Time now, Actions& actions) {
  more_now_ = false;
  for (const TaskSlot slot : std::exchange(told_, {})) release(slot);
  for (WorkerIndex w = 0; w < table_.workers.size(); ++w) {
    Worker& worker = table_.workers[w];
    if (worker.id != 0 && worker.gives_up <= now) lose(w, {worker.id, false, {}, 0, 0, true}, now, actions);
  }
  fire_timers(now, actions);
  ready_.advance(now, [this](ClassId cls) { table_.pools[table_.classes[cls].pool].ready = true; });
  sweep(now, actions);
  const auto unkeep = [this](TaskNumber task) {
    if (const TaskSlot slot = tasks_.find(task); slot != kNoSlot) this->unkeep(slot);
  };
  retention_.advance(now, kRetentionPortion, unkeep);
  for (std::size_t n = 0; counts_.kept_tasks > limits_.kept_tasks || counts_.kept_bytes > limits_.kept_bytes; ++n) {
    if (n == kRetentionPortion) {
      more_now_ = true;
      break;
    }
    unkeep(retention_.pop_oldest());
  }
  const auto is_kept = [this](TaskNumber task) {
    const TaskSlot slot = tasks_.find(task);
    return slot != kNoSlot && (tasks_[slot].flags & kKept) != 0;
  };
  if (retention_.tidy(kRetentionPortion, is_kept)) more_now_ = true;
  end_condemned(now, actions);
  if (!draining_) dispatch(now, actions);
  flush_deliveries(actions);
  feed_starved(actions);
  actions.changes.insert(actions.changes.end(), changes_.begin(), changes_.end());
  changes_.clear();
  told_ = std::exchange(ended_, {});
  if (!told_.empty()) more_now_ = true;
  actions.forgotten.insert(actions.forgotten.end(), forgotten_.begin(), forgotten_.end());
  forgotten_.clear();
}

/// What could be long, in portions.
void Scheduler::sweep(Time now, Actions& actions) {
  std::size_t portion = kSweepPortion;
  abandon_portion(now, actions);
  sweep_sessions(portion, now, actions);
  link_portion(portion, now, actions);
  release_portion(portion, now, actions);
}

Time Scheduler::next_deadline() const {
  if (more_now_ || !burials_.empty()) return 0;
  Time next = std::min({retention_.next_deadline(), timers_.next(), ready_.next_deadline()});
  for (const WorkerIndex w : condemned_) next = std::min(next, table_.workers[w].kill_at);
  for (const SessionId id : absent_) {
    next = std::min({next, sessions_[id].expires, sessions_[id].cancel_at});
  }
  for (const Worker& worker : table_.workers) {
    if (worker.id != 0) next = std::min(next, worker.gives_up);
  }
  return next;
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
