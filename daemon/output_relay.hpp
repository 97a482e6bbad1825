// Live output on its way from workers to clients, without I/O: what has arrived of each call, what its listener has
// taken, and how much its worker may send. Owned and called by the loop thread.
//
//   worker --EMITTED, within its credit--> relay --OUTPUT--> the session that listens
//   worker <--EMIT_CREDIT = taken + kAhead-- relay <--OutputTaken--
//
// What nobody will ever take counts as taken, or the call would wait for ever: output without a listener, what was lost
// on the way here (a gap before what arrives), and what was lost with the connection of a client.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "daemon/scheduler/event.hpp"
#include "proto/ids.hpp"
#include "proto/status.hpp"

namespace futured::daemon {

class OutputRelay {
 public:
  static constexpr std::uint64_t kAhead = 256 << 10;  ///< bytes of a call on their way to a client
  static constexpr std::uint64_t kChunk = 64 << 10;   ///< the most in one EMITTED

  using SessionId = scheduler::SessionId;

  /// What the daemon knows of a call.
  struct Call {
    bool live = false;                           ///< it is at this worker, in this attempt
    SessionId listener = scheduler::kNoSession;  ///< the connected session that follows its output
    std::uint64_t handle = 0;                    ///< by which it knows the call
  };
  /// To be told to the worker: so many bytes of this attempt may be sent in all.
  struct Credit {
    WorkerId worker = 0;
    AttemptToken token;
    std::uint64_t bytes = 0;
  };

  /// `size` bytes of output came; 0: the worker says how far the output has got, after some was lost. To be passed on
  /// to `call.listener` if there is one. Invalid: more than the worker may send; nothing has changed.
  Status emitted(WorkerId worker, const AttemptToken& token, std::uint64_t offset, std::uint64_t size,
                 const Call& call);
  /// The session has taken so many bytes of this attempt in all.
  void taken(SessionId session, TaskNumber task, std::uint32_t attempt, std::uint64_t bytes);
  /// A new connection of the session: what it had not taken of the old one was lost.
  void came_back(SessionId session);
  /// A worker is back and has said what it holds: credit that was told to its last connection may not have arrived.
  void announced(WorkerId worker);
  void ended(WorkerId worker, const AttemptToken& token);
  /// Asks for each call anew who listens to it, and forgets those that are not live.
  void refresh(const std::function<Call(WorkerId, const AttemptToken&)>& find);

  bool empty() const { return streams_.empty(); }
  /// What is to be told; empty afterwards.
  std::vector<Credit> take_credits() { return std::exchange(credits_, {}); }

 private:
  struct Stream {
    WorkerId worker = 0;
    AttemptToken token;
    SessionId listener = scheduler::kNoSession;
    std::uint64_t arrived = 0;    ///< end of what came
    std::uint64_t taken = 0;      ///< end of what was taken or will never be
    std::uint64_t lost_from = 0;  ///< the last gap: whoever has taken all before it has taken it too
    std::uint64_t lost_to = 0;
    std::uint64_t granted = kAhead;  ///< what the worker may send in all
  };

  void listens(Stream& stream, SessionId listener);
  void take(Stream& stream, std::uint64_t end);

  std::map<TaskNumber, Stream> streams_;
  std::vector<Credit> credits_;
};

}  // namespace futured::daemon
