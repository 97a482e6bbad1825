// All tasks known: records by slot, slots by number, numbers by (stream, seq). Every look-up is an index, never a hash.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "daemon/scheduler/task.hpp"

namespace futured::scheduler {

class TaskTable {
 public:
  TaskRecord& operator[](TaskSlot slot) { return chunks_[slot >> kChunkBits][slot & kChunkMask]; }
  const TaskRecord& operator[](TaskSlot slot) const { return chunks_[slot >> kChunkBits][slot & kChunkMask]; }

  /// Begins a batch of `count` tasks of a session; then call add() exactly that often, then seal().
  ExtentId open_extent(SessionId session, Seq first_seq, std::uint32_t count, Time now);
  /// The batch is complete: from now on the extent closes with its last task. Returns true if that is now.
  bool seal(ExtentId extent) { return drop_extent(extent); }
  /// The next task of the extent just opened, everything default.
  TaskSlot add(ExtentId extent);
  /// The next number of the extent just opened is another name of a task that there is.
  TaskNumber alias(ExtentId extent, TaskSlot of);
  /// Such a name is gone; closes its extent with its last task. Returns true if it did.
  bool drop_alias(TaskNumber alias, ExtentId extent);
  /// Frees record, side record and index entry; closes the extent with its last task. Returns true if it did.
  bool forget(TaskSlot slot);

  /// kNoSlot if forgotten or never issued.
  TaskSlot find(TaskNumber number) const;
  bool issued(TaskNumber number) const { return number != 0 && number < next_number_; }
  /// The first number >= `from`, or the last <= `from`, that is not forgotten and no alias; 0 if there is none. Skips
  /// thousands of forgotten ones in a step.
  TaskNumber next_live(TaskNumber from) const;
  TaskNumber previous_live(TaskNumber from) const;
  TaskNumber next_number() const { return next_number_; }

  const Extent& extent(ExtentId id) const { return extents_[id]; }
  const Extent& extent_of(TaskSlot slot) const { return extents_[(*this)[slot].extent]; }
  Seq seq_of(TaskSlot slot) const {
    const Extent& e = extent_of(slot);
    return e.first_seq + ((*this)[slot].number - e.first_number);
  }

  /// Creates it if there is none.
  SideRecord& side(TaskSlot slot);
  /// Null if there is none.
  const SideRecord* side_if(TaskSlot slot) const {
    const std::uint32_t s = (*this)[slot].side;
    return s == kNone ? nullptr : &sides_[s >> kSideBits][s & kSideMask];
  }

  std::size_t live() const { return live_; }
  /// Upper bound of slots ever used, for whoever walks all of them.
  TaskSlot slot_end() const { return used_; }

 private:
  friend struct Invariants;

  bool drop_extent(ExtentId extent);
  void enter_number(TaskNumber number, TaskSlot slot);
  void drop_number(TaskNumber number);

  static constexpr unsigned kChunkBits = 12;
  static constexpr std::uint32_t kChunkMask = (1u << kChunkBits) - 1;
  static constexpr unsigned kSideBits = 8;
  static constexpr std::uint32_t kSideMask = (1u << kSideBits) - 1;
  struct NumberChunk {
    std::unique_ptr<TaskSlot[]> slots;
    std::uint32_t live = 0;
  };

  std::vector<std::unique_ptr<TaskRecord[]>> chunks_;
  std::vector<TaskSlot> free_;
  TaskSlot used_ = 0;
  std::size_t live_ = 0;

  std::vector<NumberChunk> numbers_;
  std::unique_ptr<TaskSlot[]> spare_numbers_;
  TaskNumber next_number_ = 1;

  std::vector<Extent> extents_;
  std::vector<ExtentId> free_extents_;

  std::vector<std::unique_ptr<SideRecord[]>> sides_;
  std::vector<std::uint32_t> free_sides_;
  std::uint32_t used_sides_ = 0;
};

}  // namespace futured::scheduler
