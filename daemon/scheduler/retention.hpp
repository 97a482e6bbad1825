// When ended tasks that are kept for a while may be forgotten. Tasks with the same `keep` end in order of time, so each
// value has its own queue and nothing is ever sorted.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

#include "daemon/scheduler/event.hpp"
#include "daemon/scheduler/ring.hpp"

namespace futured::scheduler {

class Retention {
 public:
  void keep(TaskNumber task, Time now, std::int64_t keep_ns) {
    const std::int64_t seconds = rounded(keep_ns);
    queues_[seconds].entries.push_back({now + seconds * kSecond, task});
    ++size_;
  }
  /// Tasks kept, and some that are kept no longer.
  std::uint64_t size() const { return size_; }
  /// Calls forget(task) for at most `budget` tasks whose time has come.
  template <class Forget>
  void advance(Time now, std::size_t budget, Forget forget) {
    for (auto it = queues_.begin(); it != queues_.end();) {
      while (!it->second.entries.empty() && it->second.entries.front().at <= now && budget > 0) {
        --budget;
        forget(pop(it->second));
      }
      it = it->second.entries.empty() ? queues_.erase(it) : std::next(it);
    }
  }
  /// The one that ended first, of all; there must be one.
  TaskNumber pop_oldest() {
    const auto ended = [](const auto& queue) { return queue.second.entries.front().at - queue.first * kSecond; };
    auto oldest = queues_.begin();
    for (auto it = queues_.begin(); it != queues_.end(); ++it) {
      if (ended(*it) < ended(*oldest)) oldest = it;
    }
    const TaskNumber task = pop(oldest->second);
    if (oldest->second.entries.empty()) queues_.erase(oldest);
    return task;
  }
  /// A task is kept no longer although its time has not come.
  void gone() { ++gone_; }
  /// When those that are kept no longer are the greater part they go, at most `steps` of what is kept looked at in a
  /// call. `kept(task)` tells those that still are. True: some is left to be looked at.
  template <class Kept>
  bool tidy(std::size_t steps, Kept kept) {
    if (gone_ < kMostGone || gone_ < size_ / 2) return false;
    for (auto it = queues_.begin(); it != queues_.end();) {
      if (!sift(it->second, steps, kept)) return true;
      it = it->second.entries.empty() ? queues_.erase(it) : std::next(it);
    }
    for (auto& [keep, queue] : queues_) queue.sifted = false;
    gone_ = 0;
    return false;
  }
  Time next_deadline() const {
    Time next = kNever;
    for (const auto& [keep, queue] : queues_) next = std::min(next, queue.entries.front().at);
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
  /// While it is sifted the entries from `to` to `from` have moved to the front: nothing is there.
  struct Queue {
    Ring<Entry> entries;
    std::uint64_t to = 0, from = 0;
    bool sifting = false, sifted = false;
  };
  TaskNumber pop(Queue& queue) {
    const TaskNumber task = queue.entries.front().task;
    queue.entries.pop_front();
    --size_;
    if (queue.sifting && queue.entries.begin() >= queue.to) close_gap(queue);
    return task;
  }
  static void close_gap(Queue& queue) {
    queue.from = std::max(queue.from, queue.entries.begin());
    queue.entries.pop_front_to(queue.from);
    queue.to = queue.from;
  }
  /// Goes on with it for so many steps; true if all that was there when it began is looked through.
  template <class Kept>
  bool sift(Queue& queue, std::size_t& steps, Kept kept) {
    if (queue.sifted) return true;
    Ring<Entry>& entries = queue.entries;
    if (!std::exchange(queue.sifting, true)) queue.to = queue.from = entries.begin();
    for (; queue.from != entries.end(); ++queue.from) {
      if (steps == 0) {
        if (queue.to == entries.begin()) close_gap(queue);
        return false;
      }
      --steps;
      const Entry e = entries[queue.from];
      if (kept(e.task)) {
        entries[queue.to++] = e;
      } else {
        --size_;
      }
    }
    entries.pop_back_to(queue.to);
    queue.sifting = false;
    queue.sifted = true;
    return true;
  }
  /// Up, to whole seconds, minutes, hours or days, so that odd values do not make a queue each.
  static std::int64_t rounded(std::int64_t keep_ns) {
    const std::int64_t seconds = std::min(keep_ns / kSecond + (keep_ns % kSecond != 0 ? 1 : 0), kMaxSeconds);
    const std::int64_t unit = seconds <= 60 ? 1 : seconds <= 3600 ? 60 : seconds <= 2 * 86400 ? 3600 : 86400;
    return (seconds + unit - 1) / unit * unit;
  }
  std::map<std::int64_t, Queue> queues_;
  std::uint64_t size_ = 0;
  std::uint64_t gone_ = 0;  ///< at most so many of them are kept no longer
};

}  // namespace futured::scheduler
