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
    const std::int64_t seconds = rounded(keep_ns);
    queues_[seconds].push_back({now + seconds * kSecond, task});
    ++size_;
  }
  /// Tasks kept.
  std::uint64_t size() const { return size_; }
  /// Calls forget(task) for at most `budget` tasks whose time has come.
  template <class Forget>
  void advance(Time now, std::size_t budget, Forget forget) {
    for (auto it = queues_.begin(); it != queues_.end();) {
      while (!it->second.empty() && it->second.front().at <= now && budget > 0) {
        --budget;
        forget(pop(it->second));
      }
      it = it->second.empty() ? queues_.erase(it) : std::next(it);
    }
  }
  /// The one that ended first, of all; there must be one.
  TaskNumber pop_oldest() {
    auto oldest = queues_.begin();
    for (auto it = queues_.begin(); it != queues_.end(); ++it) {
      if (it->second.front().at - it->first * kSecond < oldest->second.front().at - oldest->first * kSecond)
        oldest = it;
    }
    const TaskNumber task = pop(oldest->second);
    if (oldest->second.empty()) queues_.erase(oldest);
    return task;
  }
  /// A task is kept no longer although its time has not come. `kept(task)` tells those that still are: what is not goes
  /// when it is the greater part.
  template <class Kept>
  void gone(Kept kept) {
    if (++gone_ < kMostGone || gone_ < size_ / 2) return;
    gone_ = 0;
    for (auto it = queues_.begin(); it != queues_.end();) {
      for (std::uint64_t n = it->second.size(); n > 0; --n) {
        const Entry e = it->second.front();
        it->second.pop_front();
        if (kept(e.task)) {
          it->second.push_back(e);
        } else {
          --size_;
        }
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

  static constexpr std::uint64_t kMostGone = 1024;
  static constexpr std::int64_t kSecond = 1'000'000'000;
  static constexpr std::int64_t kMaxSeconds = 10LL * 365 * 86400;
  struct Entry {
    Time at = 0;
    TaskNumber task = 0;
  };
  TaskNumber pop(Ring<Entry>& queue) {
    const TaskNumber task = queue.front().task;
    queue.pop_front();
    --size_;
    return task;
  }
  /// Up, to whole seconds, minutes, hours or days, so that odd values do not make a queue each.
  static std::int64_t rounded(std::int64_t keep_ns) {
    const std::int64_t seconds = std::min(keep_ns / kSecond + (keep_ns % kSecond != 0 ? 1 : 0), kMaxSeconds);
    const std::int64_t unit = seconds <= 60 ? 1 : seconds <= 3600 ? 60 : seconds <= 2 * 86400 ? 3600 : 86400;
    return (seconds + unit - 1) / unit * unit;
  }
  std::map<std::int64_t, Ring<Entry>> queues_;
  std::uint64_t size_ = 0;
  std::uint64_t gone_ = 0;  ///< at most so many of them are kept no longer
};

}  // namespace futured::scheduler
