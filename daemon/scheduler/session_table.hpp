// Client sessions: one per stream. A session outlives its connection, so that a client can come back and resume.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "daemon/scheduler/ring.hpp"
#include "daemon/scheduler/task.hpp"

namespace futured::scheduler {

/// Handles of a session's own tasks are their seqs; from here on they are of tasks that it attached to.
inline constexpr std::uint64_t kAttachBit = std::uint64_t{1} << 40;

/// A terminal outcome on its way to a client; its position in the ring is its delivery number.
struct Delivery {
  TaskSlot task = kNoSlot;
  std::uint64_t handle = 0;
};

/// Where the tasks of one submit batch are.
struct ExtentRef {
  Seq first_seq = 0;
  TaskNumber first_number = 0;
  std::uint32_t count = 0;
  bool live = false;
};

struct Session {
  StreamId stream;
  ConnectionId connection = 0;  ///< 0: disconnected
  bool dead = false;            ///< will not come back: outcomes are not kept for it
  Time expires = kNever;        ///< disconnected: when it is given up
  Time cancel_at = kNever;      ///< disconnected: when its cancel_on_disconnect tasks are cancelled
  Time cancel_grace = -1;       ///< longest disconnect grace of its tasks; < 0: no task asked for it

  // submit window
  Seq accepted_seq = 0;
  std::uint64_t accepted_bytes = 0;
  Seq granted_seq = 0;  ///< submit credits as last told, absolute
  std::uint64_t granted_bytes = 0;
  std::uint64_t window_tasks = 0;  ///< granted ahead of what was accepted, at most; grows as it is used
  Time last_submit = 0;
  bool starved = false;  ///< it has no credit because the daemon is full
  Ring<ExtentRef> extents;
  std::uint64_t closed_extents = 0;  ///< of those: not live
  SpecId last_spec = UINT32_MAX;     ///< used again while batches ask for the same

  // result window; positions below `deliveries.begin()` are taken, below `sent` are sent
  Ring<Delivery> deliveries;
  std::uint64_t sent = 0;
  std::uint64_t sent_bytes = 0;
  std::uint64_t credit_tasks = 0;
  std::uint64_t credit_bytes = 0;
  std::uint64_t processed = 0;  ///< all below are the client's
  bool taking = false;          ///< and are still being let go, see Sweep
  bool in_delivery_list = false;
  std::uint64_t owed_bytes = 0;  ///< results in `deliveries`
  bool held = false;             ///< its tasks wait until it has taken more of its results

  std::map<std::uint64_t, TaskNumber> attached;  ///< by handle: live tasks of anybody that it follows

  std::uint64_t unused_tasks() const { return granted_seq - accepted_seq; }
  std::uint64_t unused_bytes() const { return granted_bytes - accepted_bytes; }

  std::uint32_t holds = 0;  ///< live extents, attachments, cancels and sweeps that name this session

  /// Something came of it: its client has had the welcome.
  bool used() const { return extents.end() != 0 || holds != 0 || !deliveries.empty(); }
};

class SessionTable {
 public:
  Session& operator[](SessionId id) { return *sessions_[id]; }
  const Session& operator[](SessionId id) const { return *sessions_[id]; }
  /// Null if there is none of that id.
  Session* find(SessionId id) { return id < sessions_.size() ? sessions_[id].get() : nullptr; }
  /// The session of the stream, or `end()`.
  SessionId by_stream(const StreamId& stream) const {
    const auto it = by_stream_.find(stream);
    return it == by_stream_.end() ? end() : it->second;
  }
  SessionId add(const StreamId& stream) {
    SessionId id = 0;
    if (free_.empty()) {
      id = static_cast<SessionId>(sessions_.size());
      sessions_.emplace_back();
    } else {
      id = free_.back();
      free_.pop_back();
    }
    sessions_[id] = std::make_unique<Session>();
    sessions_[id]->stream = stream;
    by_stream_.emplace(stream, id);
    return id;
  }
  void remove(SessionId id) {
    by_stream_.erase(sessions_[id]->stream);
    sessions_[id].reset();
    free_.push_back(id);
  }
  SessionId end() const { return static_cast<SessionId>(sessions_.size()); }
  std::size_t live() const { return by_stream_.size(); }

 private:
  friend struct Invariants;

  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<SessionId> free_;
  std::unordered_map<StreamId, SessionId> by_stream_;  // looked up, never walked
};

}  // namespace futured::scheduler
