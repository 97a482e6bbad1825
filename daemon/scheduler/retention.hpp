// When ended tasks that are kept for a while may be forgotten. Tasks with the same `keep` end in order of time, so each
// value has its own queue and nothing is ever sorted.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>

#include "daemon/scheduler/event.hpp"
#include "daemon/scheduler/ring.hpp"

namespace futured::scheduler {

class Retention {
 public:
  void keep(TaskNumber task, Time now, std::int64_t keep_ns) {
    // Whole seconds, so that odd values do not make a queue each.
    const std::int64_t seconds = std::min<std::int64_t>((keep_ns + 999'999'999) / 1'000'000'000, kMaxSeconds);
    queues_[seconds].push_back({now + seconds * 1'000'000'000, task});
  }
  /// Calls forget(task) for at most `budget` tasks whose time has come.
  template <class Forget>
  void advance(Time now, std::size_t budget, Forget forget) {
    for (auto it = queues_.begin(); it != queues_.end();) {
      while (!it->second.empty() && it->second.front().at <= now && budget > 0) {
        const TaskNumber task = it->second.front().task;
        it->second.pop_front();
        --budget;
        forget(task);
      }
      it = it->second.empty() ? queues_.erase(it) : std::next(it);
    }
  }
  Time next_deadline() const {
    Time next = kNever;
    for (const auto& [keep, queue] : queues_) next = std::min(next, queue.front().at);
    return next;
  }

 private:
  friend struct Invariants;

  static constexpr std::int64_t kMaxSeconds = 10LL * 365 * 86400;
  struct Entry {
    Time at = 0;
    TaskNumber task = 0;
  };
  std::map<std::int64_t, Ring<Entry>> queues_;
};

}  // namespace futured::scheduler
