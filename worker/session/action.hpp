// Everything a worker session can order. Values; no thread, no I/O.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "proto/bytes.hpp"
#include "proto/ids.hpp"
#include "proto/task_state.hpp"

namespace futured::worker {

/// Monotonic time and spans of it, in nanoseconds.
using Time = std::int64_t;
inline constexpr Time kNever = INT64_MAX;

/// One call in this process, also the plugin's futured_call: generation (38 bits, never 0), tag of the call table
/// (6 bits), index in it (20 bits). An id is not used again while anybody could still hold it.
using CallId = std::uint64_t;
inline constexpr unsigned kIndexBits = 20;
inline constexpr unsigned kTagBits = 6;
inline constexpr std::uint32_t kMaxCalls = 1U << kIndexBits;
inline constexpr std::uint32_t index_of(CallId id) { return static_cast<std::uint32_t>(id & (kMaxCalls - 1)); }
inline constexpr std::uint64_t generation_of(CallId id) { return id >> (kIndexBits + kTagBits); }
inline constexpr std::uint64_t kMaxGeneration = (std::uint64_t{1} << (64 - kIndexBits - kTagBits)) - 1;

/// Why a call did not succeed. The members mean what they mean in futured.v1.Error.
struct Failure {
  ErrorKind kind = ErrorKind::error;
  std::string message;
  std::int32_t status = 0;
  std::int32_t signal = 0;
  bool permanent = false;
  Time retry_after = 0;
};

struct Credits {
  std::uint64_t lane[kLanes] = {0, 0};  ///< absolute, by Lane
};

// What to say to the daemon, in this order.
struct SayHello {
  Credits credits;
};
struct SayAnnounce {
  std::vector<AttemptToken> running, waiting, ended;
  bool end = false;
};
struct SayRan {
  std::uint64_t first = 0;  ///< the reports are read with Session::report()
  std::uint32_t count = 0;
  Credits credits;
  Time busy = 0;
};
struct SayRunning {
  std::vector<AttemptToken> tokens;
};
struct SayCredit {
  Credits credits;
};
struct SayRecalled {
  std::vector<AttemptToken> tokens;
  std::vector<bool> returned;
  Credits credits;
};
struct SayPing {
  std::uint64_t id = 0;
};
struct SayPong {
  std::uint64_t id = 0;
};
struct SayGoodbye {
  std::string reason;
};
using Message =
    std::variant<SayHello, SayAnnounce, SayRan, SayRunning, SayCredit, SayRecalled, SayPing, SayPong, SayGoodbye>;

struct EmitRoom {
  CallId call = 0;
  std::uint64_t bytes = 0;  ///< absolute
};

/// The orders of one event, to be carried out from top to bottom before the next event is handed in.
struct Actions {
  std::string note;               ///< for the log; may be empty
  bool disconnect = false;        ///< close the connection
  bool connect = false;           ///< open a new one; Session::generation() stands in all its messages
  std::vector<CallId> take_back;  ///< from the thread lane, if not started: answer each with taken_back()
  std::vector<CallId> stop;       ///< running: tell them to stop
  std::array<std::vector<CallId>, kLanes> start;  ///< hand to the lane, in this order
  std::vector<EmitRoom> emit_room;
  std::vector<Message> say;

  bool empty() const {
    return note.empty() && !disconnect && !connect && take_back.empty() && stop.empty() && start[0].empty() &&
           start[1].empty() && emit_room.empty() && say.empty();
  }
  void clear() {
    note.clear();
    disconnect = connect = false;
    take_back.clear();
    stop.clear();
    for (auto& s : start) s.clear();
    emit_room.clear();
    say.clear();
  }
};

}  // namespace futured::worker
