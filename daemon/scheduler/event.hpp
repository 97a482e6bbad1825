// All that can happen to the scheduler. Read this and action.hpp first.
//
// Spans and string views are valid during Scheduler::handle only; payload slices are moved out of their span.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "daemon/scheduler/spec.hpp"
#include "proto/bytes.hpp"
#include "proto/ids.hpp"
#include "proto/task_state.hpp"

namespace futured::scheduler {

/// Nanoseconds of the monotonic clock.
using Time = std::int64_t;
inline constexpr Time kNever = INT64_MAX;

/// The transport's name for a connection; the scheduler only hands it back.
using ConnectionId = std::uint64_t;
/// A client session (one stream), dense, reused after the session is forgotten. It outlives connections.
using SessionId = std::uint32_t;
inline constexpr SessionId kNoSession = UINT32_MAX;

/// Why an attempt or a task did not succeed.
struct Failure {
  ErrorKind kind = ErrorKind::error;
  std::string message;
  std::int32_t status = 0;  ///< exit
  std::int32_t signal = 0;  ///< exit, crashed
  bool permanent = false;   ///< another attempt cannot help
  std::int64_t retry_after_ns = 0;
};

struct TypeOffer {
  std::string name;
  Lane lane = Lane::thread;
};

namespace event {

/// Configuration: a pool that will have worker processes, and what they will offer. Order is preference.
struct PoolDefined {
  std::string name;
  std::vector<TypeOffer> types;
  std::uint32_t processes = 0;
};
/// So many worker processes of its own are wanted now: who offers nothing yet is probably starting.
struct PoolScaled {
  std::string name;
  std::uint32_t processes = 0;
};

/// A client said hello, for the first time or again.
struct ClientHello {
  ConnectionId connection = 0;
  StreamId stream;
  Seq first_unacked_seq = 0;
  std::uint64_t processed_delivery = 0;
  std::uint64_t credit_tasks = 0;  ///< result credits, absolute
  std::uint64_t credit_bytes = 0;
};
struct ClientGone {
  SessionId session = 0;
  bool on_purpose = false;  ///< it said goodbye: it will not resume
};
struct Submit {
  SessionId session = 0;
  Seq first_seq = 0;
  std::span<const Spec> specs;             ///< at least one
  std::span<const std::uint32_t> spec_of;  ///< per task, each < specs.size(); empty: all 0
  std::span<Slice> payloads;               ///< one per task
};
struct Delivered {
  SessionId session = 0;
  std::uint64_t processed = 0;  ///< all deliveries below are the client's
  std::uint64_t credit_tasks = 0;
  std::uint64_t credit_bytes = 0;
};
/// Answered by one CancelReply; without running_too a task sent ahead to a worker is recalled first.
struct Cancel {
  SessionId session = 0;
  std::uint64_t request = 0;
  std::span<const std::uint64_t> handles;
  bool running_too = false;
  Time grace = 0;
};
struct TaskRef {
  TaskNumber number = 0;
  TaskId id;  ///< used when number is 0
};
struct Attach {
  SessionId session = 0;
  std::uint64_t request = 0;
  std::uint64_t first_handle = 0;
  std::span<const TaskRef> tasks;
  bool live_output = false;
};

struct WorkerHello {
  ConnectionId connection = 0;
  std::string instance;  ///< 16 bytes; one known and disconnected resumes that worker
  std::string pool;
  std::string host;
  std::uint32_t pid = 0;
  std::uint64_t spawn = 0;  ///< the supervisor's number; 0: started by hand
  std::uint32_t slots[kLanes] = {0, 0};
  std::uint64_t credit[kLanes] = {0, 0};
  std::vector<TypeOffer> types;
};
/// Absolute credits: how many calls of each lane may have been sent in all. 0: unchanged.
struct WorkerCredit {
  WorkerId worker = 0;
  std::uint64_t credit[kLanes] = {0, 0};
};
struct Running {
  WorkerId worker = 0;
  std::span<const AttemptToken> tokens;
};
struct RanFailure {
  std::uint32_t index = 0;
  Failure failure;
  bool cancelled = false;
};
struct Ran {
  WorkerId worker = 0;
  std::span<const AttemptToken> tokens;
  std::span<Slice> replies;              ///< one per token
  std::span<const RanFailure> failures;  ///< ascending by index
};
struct Recalled {
  WorkerId worker = 0;
  std::span<const AttemptToken> tokens;
  std::span<const bool> returned;  ///< one per token
};
struct Announced {
  WorkerId worker = 0;
  std::span<const AttemptToken> running;  ///< all pages together
  std::span<const AttemptToken> other;    ///< waiting or ended-but-unreported
};
/// The connection is gone; the process may come back with another.
struct WorkerDisconnected {
  WorkerId worker = 0;
};
/// The worker will never be heard of again, and nothing of it runs any more.
struct WorkerLost {
  WorkerId worker = 0;
  bool knows_running = false;             ///< `running` is the truth; else what was reported as running is taken for it
  std::span<const AttemptToken> running;  ///< calls that were in progress when it ended
  std::int32_t signal = 0;
  std::int32_t status = 0;
  bool given_up = false;  ///< it may live: it was not heard of for too long
};
/// Nothing more is to be sent to this worker.
struct WorkerDraining {
  WorkerId worker = 0;
};
/// Cancels one task for somebody who is not waiting for a verdict (a selection, a task's own limits).
struct CancelTask {
  TaskNumber task = 0;
  Time grace = 0;
};
/// A task of the daemon itself: of a schedule, or once more what has ended. Nobody waits for it; it is kept. Nothing
/// happens if another task has its key, or during a drain.
struct SubmitOwn {
  const Spec* spec = nullptr;
  Slice payload;
  TaskNumber retry_of = 0;
};
/// An ended task is no longer kept.
struct Forget {
  TaskNumber task = 0;
};
/// Something is kept of this task elsewhere: Actions::forgotten is to name it.
struct HasOutput {
  TaskNumber task = 0;
};
/// Somebody wants to know of every change of state (Actions::changes), or nobody does any more.
struct Watched {
  bool on = false;
};
/// Nothing of a pool, or of a type (one of the two), is started, or is again.
struct SetPaused {
  std::string pool, type;
  bool paused = false;
};
struct SetLimit {
  std::string name;
  std::uint32_t running = 0;  ///< at once; 0: no bound
  std::uint32_t starts = 0;   ///< within `per`; 0: no bound
  Time per = 0;
  bool remove = false;
};
/// Nothing is added to this group any more.
struct CloseGroup {
  std::string name;
};
/// No new dispatches, submits refused: the daemon is leaving, or is to be quiet until Undrain.
struct Drain {
  bool recall = false;  ///< what was sent ahead and has not started comes back, too
};
/// Not after Abandon.
struct Undrain {};
/// After the drain: what has not ended will not; it ends as lost, so that nobody waits for it.
struct Abandon {};

}  // namespace event

using Event = std::variant<event::PoolDefined, event::PoolScaled, event::ClientHello, event::ClientGone, event::Submit,
                           event::Delivered, event::Cancel, event::Attach, event::WorkerHello, event::WorkerCredit,
                           event::Running, event::Ran, event::Recalled, event::Announced, event::WorkerDisconnected,
                           event::WorkerLost, event::WorkerDraining, event::CancelTask, event::SubmitOwn, event::Forget,
                           event::HasOutput, event::Watched, event::SetPaused, event::SetLimit, event::CloseGroup,
                           event::Drain, event::Undrain, event::Abandon>;

}  // namespace futured::scheduler
