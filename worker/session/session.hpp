// The worker's side of the protocol, sans I/O: what to say to the daemon and which call to start next. It knows ids,
// tokens and sizes; inputs, plugins, sockets and clocks are elsewhere.
//
// One thread. Time is an argument and never goes back. Each event appends orders to actions(); they are carried out and
// cleared before the next event (take_back() answers come in between). After the events of a turn, flush() says what
// has gathered. Nothing fails: an event that does not fit the state is ignored, and a daemon that breaks the protocol
// is disconnected.
//
//   idle --retry time--> greeting --WELCOME--> ready --lost, REHELLO, silence--> idle
//     \---------------------- REFUSED for good, drained, orphaned -------------------> over
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "proto/ack_clock.hpp"
#include "proto/bytes.hpp"
#include "proto/status.hpp"
#include "worker/session/action.hpp"
#include "worker/session/calls.hpp"
#include "worker/session/prefetch.hpp"
#include "worker/session/reports.hpp"

namespace futured::worker {

struct SessionConfig {
  std::uint32_t threads = 1;
  std::uint32_t async_slots = 0;
  Time orphan = 0;                            ///< leave when there was no daemon for this long; 0: try for ever
  std::uint64_t seed = 1;                     ///< of the jitter
  std::uint32_t tag = 0;                      ///< in every CallId
  std::uint64_t first_generation = 1;         ///< of the first CallId
  std::uint64_t payload_limit = 64ULL << 20;  ///< until the daemon says another
};

/// One element of a RUN.
struct NewCall {
  AttemptToken token;
  std::uint32_t type = kNoType;
  CallId id = 0;  ///< set by Session::run(); 0: this call will not run here
};

struct Welcome {
  Time heartbeat = 0;               ///< 0: none
  std::uint64_t payload_limit = 0;  ///< 0: as before
};

enum class Ending : std::uint8_t {
  none,      ///< not over
  drained,   ///< everything done and reported
  refused,   ///< the daemon does not want this worker; ending_text() says why
  orphaned,  ///< no daemon for longer than SessionConfig::orphan
};

class Session {
 public:
  explicit Session(const SessionConfig& config);

  /// What is offered, by type number; to be set before start(). Types may be added at the end later, followed by
  /// reconnect() to tell the daemon.
  void set_types(std::span<const CallType> types);

  // Events of the connection.
  void start(Time now);                   ///< the first event of all
  void lost(Time now);                    ///< the connection is gone
  void reconnect(Time now);               ///< drop the connection and say hello again
  void heard(Time now) { heard_ = now; }  ///< any message of the current connection, before its own event
  void daemon_ended();                    ///< the daemon that started this process is no more
  void tick(Time now);                    ///< at the latest at next_deadline()
  void flush(Time now);                   ///< the end of a turn

  // Messages of the current connection.
  void welcome(const Welcome& welcome, Time now);
  void refused(Code code, std::string message, Time now);
  void rehello(Time now);
  void ping(std::uint64_t id);
  void run(std::span<NewCall> calls, Time now);
  void ran_ack(std::uint64_t below);
  void stop(std::span<const AttemptToken> tokens);
  void recall(std::span<const AttemptToken> tokens);
  void drain(bool at_once, Time now);
  void emit_room(const AttemptToken& token, std::uint64_t bytes);
  void misbehaved(const std::string& what, Time now);  ///< the daemon sent what it must not send

  // Events of the lanes.
  void taken_back(CallId call, bool yes,
                  Time now);            ///< answer to Actions::take_back: it had not started and never will
  void started(CallId call, Time now);  ///< a call of the thread lane is seen running
  void served(Lane lane, std::uint64_t calls, Time busy);
  void ended(CallId call, Slice reply, std::unique_ptr<Failure> failure, Time now);

  /// Leave when what has started is done; what has not goes back. From the operator, not from the daemon.
  void leave(Time now);

  Actions& actions() { return actions_; }
  Time next_deadline() const;
  Ending ending() const { return ending_; }
  const std::string& ending_text() const { return ending_text_; }
  bool ready() const { return phase_ == Phase::ready; }
  std::uint16_t generation() const { return generation_; }
  const Report& report(std::uint64_t number) const { return reports_.at(number); }
  std::uint64_t payload_limit() const { return payload_limit_; }
  /// Token of a call at hand; null if it has ended.
  const AttemptToken* token(CallId call) const;
  /// Connections that ended, or were not answered, since the last WELCOME.
  std::uint32_t failed_tries() const { return tries_; }
  std::size_t in_hand() const { return calls_.size(); }
  std::uint64_t next_generation() const { return calls_.next_generation(); }
  /// f(CallId) for each call at hand.
  template <class F>
  void for_each_call(F&& f) {
    calls_.for_each([&f](const CallEntry& c) { f(c.id); });
  }
  /// So many ended calls are worth waking this session for; more may be collected whenever it is awake.
  std::uint32_t worth_waking() const;
  /// Upper bound of calls at hand, whatever the daemon does.
  static std::uint32_t most_calls(const SessionConfig& config);

 private:
  enum class Phase : std::uint8_t { idle, greeting, ready, over };
  struct Seen {
    CallId call;
    Time since;
  };
  struct LaneState {
    LaneState(Lane lane, std::uint32_t n) : prefetch(lane, n), slots(n) {}
    Prefetch prefetch;
    std::uint32_t slots;
    bool offered = false;        // there is a type of this lane
    std::uint64_t received = 0;  // on this connection
    std::uint64_t credit = 0;    // last said on this connection
  };

  LaneState& lane(Lane l) { return lanes_[static_cast<std::size_t>(l)]; }
  void connect(Time now);
  void disconnect(Time now);
  void reconnect_later(std::string why, Time now);
  void over(Ending ending, std::string text);
  void orphaned(std::string text);
  void announce();
  bool has_room(Lane lane) const;
  void hand_out(CallEntry& call, Time now);
  void hand_out_waiting(Lane lane, Time now);
  void add_report(const AttemptToken& token, Slice reply, std::unique_ptr<Failure> failure, bool cancelled);
  void end_cancelled(CallEntry& call);
  void stop_call(CallEntry& call);
  void recall(std::vector<AttemptToken> tokens, const std::vector<CallEntry*>& found, bool unasked);
  void say_recalled(SayRecalled&& message);
  void give_back_waiting();
  void leave_if_done(Time now);
  std::uint64_t wanted_credit(std::size_t lane) const;
  Credits say_credits();
  void say_running(Time now, Time age);

  SessionConfig config_;
  Calls calls_;
  Reports reports_;
  LaneState lanes_[kLanes];
  Actions actions_;
  std::vector<Seen> seen_;  // started, not yet named in RUNNING; ascending by time from seen_first_
  std::size_t seen_first_ = 0;
  SayRecalled recalled_;  // being answered
  std::size_t recall_open_ = 0;
  bool recall_unasked_ = false;  // giving back: only what does return is said
  Time busy_ = 0;                // since the last RAN

  Phase phase_ = Phase::idle;
  Ending ending_ = Ending::none;
  std::string ending_text_;
  std::uint16_t generation_ = 0;
  std::uint64_t hellos_ = 0;
  bool giving_back_ = false;   // nothing new is started
  Time drain_since_ = kNever;  // no more is asked for; over when nothing is left
  Time retry_at_ = kNever;
  Time greeting_until_ = kNever;
  Time alone_since_ = 0;  // while there is no daemon: since when
  Time heard_ = 0;
  Time next_ping_ = kNever;
  Time heartbeat_ = 0;
  std::uint32_t tries_ = 0;
  std::uint64_t random_;
  std::uint64_t payload_limit_;
};

}  // namespace futured::worker
