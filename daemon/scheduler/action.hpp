// All that the scheduler can order. The daemon's loop turns each into messages; nothing else does.
//
// Tasks are named by slot: translation reads what it needs from the table during the turn, before the next event.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/scheduler/event.hpp"
#include "daemon/scheduler/task.hpp"

namespace futured::scheduler {

struct ClientWelcome {
  ConnectionId connection = 0;
  SessionId session = 0;
  bool resumed = false;
  Seq accepted_seq = 0;
};
struct WorkerWelcome {
  ConnectionId connection = 0;
  WorkerId worker = 0;
  bool resumed = false;  ///< an ANNOUNCE is expected
};
struct Accepted {
  SessionId session = 0;
  Seq first_seq = 0;
  std::uint64_t count = 0;
  TaskNumber first_number = 0;
  std::string warning;  ///< for the whole batch; empty: none
  /// What is another task's from now on, because that has the same key.
  struct Existing {
    Seq seq = 0;
    TaskNumber number = 0;
    bool input_differs = false;
  };
  std::vector<Existing> existing;
};
/// One call to send to a worker; calls of one worker are adjacent.
struct Run {
  WorkerId worker = 0;
  TaskSlot task = kNoSlot;
};
/// Terminal outcome to deliver; those of one session are in order of delivery and adjacent per turn.
struct Outcome {
  SessionId session = 0;
  std::uint64_t delivery = 0;
  std::uint64_t handle = 0;
  TaskSlot task = kNoSlot;
};
struct Started {
  SessionId session = 0;
  std::uint64_t handle = 0;
};
struct TokenOrder {
  WorkerId worker = 0;
  AttemptToken token;
  Time grace = 0;  ///< stop only
};
enum class Verdict : std::uint8_t { none, cancelled, requested, running, finished, unknown, forgotten };
struct CancelReply {
  SessionId session = 0;
  std::uint64_t request = 0;
  std::vector<Verdict> verdicts;
};
enum class Known : std::uint8_t { yes, unknown, forgotten };
struct AttachReply {
  SessionId session = 0;
  std::uint64_t request = 0;
  struct Item {
    Known known = Known::unknown;
    TaskNumber number = 0;
    TaskId id;
    TaskState state = TaskState::unknown;
  };
  std::vector<Item> items;
};
/// A task is in another state than before, or an attempt of it has failed and there will be another. It is known at
/// least to the end of the turn.
struct Change {
  TaskNumber task = 0;
  TaskState state = TaskState::unknown;
  std::uint32_t attempt = 0;
  bool again = false;  ///< that attempt has failed
};
/// The peer broke the protocol: it is refused with this text and its connection closed.
struct Breach {
  SessionId session = kNoSession;  ///< kNoSession: it never had one
  ConnectionId connection = 0;
  std::string message;
};

/// Filled by one turn, emptied by clear(), which keeps the memory.
struct Actions {
  std::vector<ClientWelcome> client_welcomes;
  std::vector<WorkerWelcome> worker_welcomes;
  std::vector<Accepted> accepted;
  std::vector<SessionId> credit;  ///< sessions whose submit credit grew without an Accepted
  std::vector<Run> runs;
  std::vector<TokenOrder> stops;
  std::vector<TokenOrder> recalls;
  std::vector<Started> started;
  std::vector<Outcome> outcomes;
  std::vector<CancelReply> cancelled;
  std::vector<AttachReply> attached;
  std::vector<Breach> breaches;
  std::vector<WorkerId> condemned;        ///< processes that get no more work and are ended soon: others can take over
  std::vector<WorkerId> kills;            ///< processes to be ended now; WorkerLost tells when they have
  std::vector<Change> changes;            ///< while watched
  std::vector<TaskNumber> forgotten;      ///< of those with output
  std::vector<SessionId> ended_sessions;  ///< forgotten: the id may be reused from the next turn on

  void clear() {
    client_welcomes.clear();
    worker_welcomes.clear();
    accepted.clear();
    credit.clear();
    runs.clear();
    stops.clear();
    recalls.clear();
    started.clear();
    outcomes.clear();
    cancelled.clear();
    attached.clear();
    breaches.clear();
    condemned.clear();
    kills.clear();
    changes.clear();
    forgotten.clear();
    ended_sessions.clear();
  }
};

}  // namespace futured::scheduler
