#include "daemon/scheduler/task_table.hpp"

#include <algorithm>

namespace futured::scheduler {

ExtentId TaskTable::open_extent(SessionId session, Seq first_seq, std::uint32_t count, Time now) {
  ExtentId id = 0;
  if (free_extents_.empty()) {
    id = static_cast<ExtentId>(extents_.size());
    extents_.emplace_back();
  } else {
    id = free_extents_.back();
    free_extents_.pop_back();
  }
  extents_[id] = Extent{session, 1, count, first_seq, next_number_, now};  // one for the opener, until seal()
  return id;
}

TaskSlot TaskTable::add(ExtentId extent) {
  TaskSlot slot = 0;
  if (free_.empty()) {
    slot = used_++;
    if ((slot >> kChunkBits) == chunks_.size()) chunks_.push_back(std::make_unique<TaskRecord[]>(kChunkMask + 1));
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  const TaskNumber number = next_number_++;
  TaskRecord& t = (*this)[slot];
  t = TaskRecord{};
  t.number = number;
  t.extent = extent;
  ++extents_[extent].live;
  ++live_;
  enter_number(number, slot);
  return slot;
}

void TaskTable::enter_number(TaskNumber number, TaskSlot slot) {
  const std::size_t chunk = number >> kChunkBits;
  if (chunk >= numbers_.size()) numbers_.resize(chunk + 1);
  NumberChunk& n = numbers_[chunk];
  if (n.slots == nullptr) {
    n.slots = spare_numbers_ != nullptr ? std::move(spare_numbers_) : std::make_unique<TaskSlot[]>(kChunkMask + 1);
    std::fill_n(n.slots.get(), kChunkMask + 1, kNoSlot);
  }
  n.slots[number & kChunkMask] = slot;
  ++n.live;
}

void TaskTable::drop_number(TaskNumber number) {
  NumberChunk& n = numbers_[number >> kChunkBits];
  n.slots[number & kChunkMask] = kNoSlot;
  // The chunk that numbers are being issued from stays, so that it is not made again and again.
  if (--n.live == 0 && (next_number_ >> kChunkBits) != (number >> kChunkBits)) spare_numbers_ = std::move(n.slots);
}

TaskNumber TaskTable::alias(ExtentId extent, TaskSlot of) {
  const TaskNumber number = next_number_++;
  ++extents_[extent].live;
  enter_number(number, of);
  return number;
}

bool TaskTable::drop_alias(TaskNumber alias, ExtentId extent) {
  drop_number(alias);
  return drop_extent(extent);
}

bool TaskTable::forget(TaskSlot slot) {
  TaskRecord& t = (*this)[slot];
  drop_number(t.number);
  if (t.side != kNone) {
    sides_[t.side >> kSideBits][t.side & kSideMask].reset();
    free_sides_.push_back(t.side);
  }
  const ExtentId extent = t.extent;
  t = TaskRecord{};
  free_.push_back(slot);
  --live_;
  return drop_extent(extent);
}

bool TaskTable::drop_extent(ExtentId extent) {
  if (--extents_[extent].live != 0) return false;
  free_extents_.push_back(extent);
  return true;
}

TaskSlot TaskTable::find(TaskNumber number) const {
  if (!issued(number)) return kNoSlot;
  const NumberChunk& n = numbers_[number >> kChunkBits];
  return n.slots == nullptr ? kNoSlot : n.slots[number & kChunkMask];
}

TaskNumber TaskTable::next_live(TaskNumber from) const {
  for (TaskNumber n = std::max<TaskNumber>(from, 1); n < next_number_;) {
    const NumberChunk& chunk = numbers_[n >> kChunkBits];
    const TaskNumber end = (n | kChunkMask) + 1;
    for (; chunk.live != 0 && n < end && n < next_number_; ++n) {
      const TaskSlot slot = chunk.slots[n & kChunkMask];
      if (slot != kNoSlot && (*this)[slot].number == n) return n;
    }
    n = end;
  }
  return 0;
}

TaskNumber TaskTable::previous_live(TaskNumber from) const {
  for (TaskNumber n = std::min(from, next_number_ - 1); n != 0;) {
    const NumberChunk& chunk = numbers_[n >> kChunkBits];
    const TaskNumber begin = n & ~TaskNumber{kChunkMask};
    if (chunk.live != 0) {
      for (TaskNumber i = n + 1; i-- > begin;) {
        const TaskSlot slot = chunk.slots[i & kChunkMask];
        if (slot != kNoSlot && (*this)[slot].number == i) return i;
      }
    }
    n = begin == 0 ? 0 : begin - 1;
  }
  return 0;
}

SideRecord& TaskTable::side(TaskSlot slot) {
  TaskRecord& t = (*this)[slot];
  if (t.side == kNone) {
    if (free_sides_.empty()) {
      if ((used_sides_ >> kSideBits) == sides_.size()) {
        sides_.push_back(std::make_unique<SideRecord[]>(kSideMask + 1));
      }
      t.side = used_sides_++;
    } else {
      t.side = free_sides_.back();
      free_sides_.pop_back();
    }
  }
  return sides_[t.side >> kSideBits][t.side & kSideMask];
}

}  // namespace futured::scheduler
