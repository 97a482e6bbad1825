// The next deadline of each task that has one: a heap that knows where each task stands in it, so that a deadline
// leaves the moment it is not wanted any more. Among equal times the task with the smaller number comes first.
#pragma once

#include <cstdint>
#include <utility>

#include "daemon/scheduler/chunked.hpp"
#include "daemon/scheduler/task.hpp"

namespace futured::scheduler {

class Timers {
 public:
  /// kNever: none. O(log n).
  void set(TaskSlot slot, TaskNumber number, Time at) {
    std::uint32_t place = slot < places_.size() ? places_[slot] : 0;
    if (at == kNever) {
      if (place != 0) remove(place - 1);
      return;
    }
    if (place == 0) {
      while (slot >= places_.size()) places_.push_back(0);
      heap_.push_back({at, number, slot});
      place = static_cast<std::uint32_t>(heap_.size());
    } else if (heap_[place - 1].at == at) {
      return;
    } else {
      heap_[place - 1].at = at;
    }
    settle(place - 1);
  }
  bool has(TaskSlot slot) const { return slot < places_.size() && places_[slot] != 0; }
  Time next() const { return heap_.empty() ? kNever : heap_.front().at; }
  /// Whose deadline is next; there must be one.
  TaskSlot first() const { return heap_.front().slot; }
  std::size_t size() const { return heap_.size(); }

 private:
  friend struct Invariants;

  struct Entry {
    Time at = 0;
    TaskNumber number = 0;
    TaskSlot slot = kNoSlot;
    bool before(const Entry& o) const { return at != o.at ? at < o.at : number < o.number; }
  };
  void put(std::size_t i, Entry e) {
    heap_[i] = e;
    places_[e.slot] = static_cast<std::uint32_t>(i + 1);
  }
  void remove(std::size_t i) {
    places_[heap_[i].slot] = 0;
    const Entry last = heap_.back();
    heap_.pop_back();
    if (i == heap_.size()) return;
    put(i, last);
    settle(i);
  }
  void settle(std::size_t i) {
    const Entry e = heap_[i];
    for (; i > 0 && e.before(heap_[(i - 1) / 2]); i = (i - 1) / 2) put(i, heap_[(i - 1) / 2]);
    for (std::size_t child = 2 * i + 1; child < heap_.size(); child = 2 * i + 1) {
      if (child + 1 < heap_.size() && heap_[child + 1].before(heap_[child])) ++child;
      if (!heap_[child].before(e)) break;
      put(i, heap_[child]);
      i = child;
    }
    put(i, e);
  }

  Chunked<Entry> heap_;
  Chunked<std::uint32_t> places_;  // by slot: index in heap_ + 1; 0: none
};

}  // namespace futured::scheduler
