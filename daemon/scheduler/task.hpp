// A task as the scheduler keeps it: one 64-byte record, and a side record from its first attempt on.
//
//                    submit
//                      |
//                      v   a time, other tasks            another attempt, later
//                   waiting <-----------------------------+
//                      |                                  |
//                      v   recall, worker lost, retry     |
//                   queued <------------------------------+
//                      |                                  |
//                      |  dispatch                        |
//                      v                                  |
//                  assigned ------------------------------+
//                      |  the worker says it runs         |
//                      v                                  |
//                   running ------------------------------+
//                      |
//                      v   (from all of the above)
//      succeeded | failed | cancelled | expired
//                      |
//                      v  taken by everyone attached, and `keep` has passed
//                  forgotten
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/scheduler/event.hpp"

namespace futured::scheduler {

using TaskSlot = std::uint32_t;
inline constexpr TaskSlot kNoSlot = UINT32_MAX;
using ExtentId = std::uint32_t;
using WorkerIndex = std::uint32_t;
inline constexpr std::uint32_t kNone = UINT32_MAX;

/// A time in milliseconds or so; it goes round in 52 days, so that what is compared must lie within 26.
using Moment = std::uint32_t;
inline constexpr Moment moment(Time at) { return static_cast<Moment>(at >> 20); }
inline constexpr bool earlier(Moment a, Moment b) { return static_cast<std::int32_t>(a - b) < 0; }

enum class Phase : std::uint8_t { free, waiting, queued, assigned, running, succeeded, failed, cancelled, expired };
inline constexpr bool is_terminal(Phase p) { return p >= Phase::succeeded; }
inline constexpr bool is_at_worker(Phase p) { return p == Phase::assigned || p == Phase::running; }
inline constexpr TaskState state_of(Phase p) {
  switch (p) {
    case Phase::free:
      return TaskState::unknown;
    case Phase::waiting:
      return TaskState::waiting;
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
  kHasOutput = 32,     ///< something of it is kept elsewhere
  kAnnounced = 64,     ///< its worker has it, as it says just now
  kRan = 16,           ///< a call of it has started at least once
};

struct TaskRecord {
  TaskNumber number = 0;
  Slice payload;            ///< the input; after a success the result
  TaskSlot prev = kNoSlot;  ///< queued: in its flow; at a worker: in the worker's list, oldest first
  TaskSlot next = kNoSlot;
  SpecId spec = 0;
  ExtentId extent = kNone;
  std::uint32_t side = kNone;  ///< index of the SideRecord
  union {
    WorkerIndex worker = kNone;  ///< at a worker: which
    Moment eligible;             ///< queued: since when it could run
  };
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
    lost,
    timed_out,
  } ending = Ending::none;
  std::string message;
};

/// As people and programs are told it; empty while it goes on.
inline constexpr std::string_view name(Attempt::Ending ending) {
  switch (ending) {
    case Attempt::Ending::none:
      return "";
    case Attempt::Ending::succeeded:
      return "succeeded";
    case Attempt::Ending::failed:
      return "failed";
    case Attempt::Ending::crashed:
      return "crashed";
    case Attempt::Ending::cancelled:
      return "cancelled";
    case Attempt::Ending::recalled:
      return "recalled";
    case Attempt::Ending::timed_out:
      return "timeout";
    case Attempt::Ending::lost:
      return "lost";
  }
  return "";
}

/// Why a call was told to stop; a stronger cause takes the place of a weaker one.
enum class Stop : std::uint8_t { none, timeout, deadline, cancel };

/// Edges of the graph of dependencies, by index; see Dependencies.
using EdgeId = std::uint32_t;

/// What only tasks have that were dispatched, wait for something or failed.
struct SideRecord {
  std::vector<Attempt> attempts;     ///< the last kMaxAttemptsKept
  std::unique_ptr<Failure> failure;  ///< terminal, not succeeded
  Slice input;                       ///< terminal, not succeeded, kept: for another task with the same input
  Time ended = 0;
  Time due = 0;          ///< waiting: not before; 0: not for a time
  Time stop_until = 0;   ///< told to stop: when that is given up
  Time stop_grace = 0;   ///< ... how long it has from when its worker hears it
  Time stop_latest = 0;  ///< ... when it is given up in any case
  TaskNumber retry_of = 0;
  std::uint32_t spent_retries = 0;
  std::uint32_t unmet = 0;  ///< dependencies not met yet, and one while they are being linked
  EdgeId dependants = kNone;
  Stop stop = Stop::none;

  void reset() {
    attempts.clear();  // keeps its memory: the record is used again
    failure.reset();
    input = {};
    ended = due = stop_until = stop_grace = stop_latest = 0;
    retry_of = 0;
    spent_retries = unmet = 0;
    dependants = kNone;
    stop = Stop::none;
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
