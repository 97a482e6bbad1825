// A task as the scheduler keeps it: one 64-byte record, and a side record from its first attempt on.
//
//                    submit
//                      |
//                      v      recall, worker lost, retry
//                   queued <------------------------------+
//                      |                                  |
//                      |  dispatch                        |
//                      v                                  |
//                  assigned ------------------------------+
//                      |  the worker says it runs         |
//                      v                                  |
//                   running ------------------------------+
//                      |
//                      v
//      succeeded | failed | cancelled      (from queued and assigned too)
//                      |
//                      v  taken by everyone attached, and `keep` has passed
//                  forgotten
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "daemon/scheduler/event.hpp"

namespace futured::scheduler {

using TaskSlot = std::uint32_t;
inline constexpr TaskSlot kNoSlot = UINT32_MAX;
using ExtentId = std::uint32_t;
using WorkerIndex = std::uint32_t;
inline constexpr std::uint32_t kNone = UINT32_MAX;

enum class Phase : std::uint8_t { free, queued, assigned, running, succeeded, failed, cancelled, expired };
inline constexpr bool is_terminal(Phase p) { return p >= Phase::succeeded; }
inline constexpr bool is_at_worker(Phase p) { return p == Phase::assigned || p == Phase::running; }
inline constexpr TaskState state_of(Phase p) {
  switch (p) {
    case Phase::free:
      return TaskState::unknown;
    case Phase::queued:
    case Phase::assigned:
      return TaskState::queued;
    case Phase::running:
      return TaskState::running;
    case Phase::succeeded:
      return TaskState::succeeded;
    case Phase::failed:
      return TaskState::failed;
    case Phase::cancelled:
      return TaskState::cancelled;
    case Phase::expired:
      return TaskState::expired;
  }
  return TaskState::unknown;
}

/// Bits of TaskRecord::flags.
enum : std::uint8_t {
  kRecallSent = 1,     ///< the worker was asked to give it back
  kStopSent = 2,       ///< the worker was told to stop it
  kCancelPending = 4,  ///< cancelled if the recall succeeds
  kKept = 8,           ///< its retention has not passed
};

struct TaskRecord {
  TaskNumber number = 0;
  Slice payload;            ///< the input; after a success the result
  TaskSlot prev = kNoSlot;  ///< queued: in its flow; at a worker: in the worker's list, oldest first
  TaskSlot next = kNoSlot;
  SpecId spec = 0;
  ExtentId extent = kNone;
  std::uint32_t side = kNone;      ///< index of the SideRecord
  WorkerIndex worker = kNone;      ///< at a worker: which
  std::uint32_t attempt : 24 = 0;  ///< number of the current or last attempt
  std::uint32_t crashes : 8 = 0;   ///< saturates
  Phase phase = Phase::free;
  std::uint8_t flags = 0;
  std::uint16_t watchers = 0;  ///< sessions that still have to take its outcome
};
inline constexpr std::uint16_t kMaxWatchers = 60'000;
static_assert(sizeof(TaskRecord) == 64, "a queued task must stay small: a million of them is the normal case");

/// One attempt, kept for whoever asks.
struct Attempt {
  WorkerId worker = 0;
  std::uint32_t number = 0;
  std::uint32_t pid = 0;
  Time sent = 0;
  Time started = 0;  ///< 0: not reported (it ended before a report was due, or did not start)
  Time ended = 0;    ///< 0: goes on
  enum class Ending : std::uint8_t {
    none,
    succeeded,
    failed,
    crashed,
    cancelled,
    recalled,
    lost
  } ending = Ending::none;
  std::string message;
};

/// What only tasks have that were dispatched or failed.
struct SideRecord {
  std::vector<Attempt> attempts;     ///< the last kMaxAttemptsKept
  std::unique_ptr<Failure> failure;  ///< terminal, not succeeded
  Time ended = 0;
  std::uint32_t spent_retries = 0;

  void reset() {
    attempts.clear();  // keeps its memory: the record is used again
    failure.reset();
    ended = 0;
    spent_retries = 0;
  }
};
inline constexpr std::size_t kMaxAttemptsKept = 20;

/// Consecutive tasks of one stream with consecutive numbers: one submit batch.
struct Extent {
  SessionId session = 0;
  std::uint32_t live = 0;  ///< records not yet forgotten, and one while it is being filled
  std::uint32_t count = 0;
  Seq first_seq = 0;
  TaskNumber first_number = 0;
  Time submitted = 0;
};

}  // namespace futured::scheduler
