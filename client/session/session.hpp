// The client's side of the protocol, sans-IO: one stream of tasks, its windows, and how it survives lost connections
// and daemons. It holds no future: it says which handles are resolved, once each. The owner calls it on one thread at a
// time, tells it what arrives and what time it is, and carries out what next() orders.
//
//   down --next(): Connect--> opening --connected()--> (next(): Hello) greeting --on_welcome()--> up
//     ^---------- on_lost(), on_refused(not now), a deadline ----------------------------------/
//   ended: refused for good, or given up; nothing is ordered any more.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "client/session/submit_queue.hpp"
#include "client/session/unresolved.hpp"
#include "proto/ids.hpp"
#include "proto/status.hpp"

namespace futured::client {

/// Nanoseconds of a steady clock.
using Time = std::int64_t;
inline constexpr Time kNever = INT64_MAX;
inline constexpr Time kMillisecond = 1'000'000;

/// A seq of the own stream, or a number with bit 40 set for a task attached to.
using Handle = std::uint64_t;
inline constexpr Handle kAttachBit = std::uint64_t{1} << 40;

struct SessionOptions {
  std::uint64_t result_window_tasks = 1 << 16;
  std::uint64_t result_window_bytes = 64 << 20;
  std::uint64_t output_window_bytes = 256 << 10;  ///< as the protocol says; half of it used is told at once
  Time hello_timeout = 1000 * kMillisecond;
  Time backoff_first = 50 * kMillisecond;
  Time backoff_max = 1000 * kMillisecond;
  Time delivered_lag = 100 * kMillisecond;
  Time default_heartbeat = 5000 * kMillisecond;  ///< if the daemon states none
  Time give_up_after = -1;                       ///< without a connection; below 0: never
  std::uint64_t seed = 1;                        ///< of the jitter
};

/// What the owner has to do, in this order.
namespace order {
/// Drop the old connection, open a new one, then call connected().
struct Connect {};
struct Hello {
  StreamId stream;
  Seq first_unacked = 0;
  std::uint64_t processed_delivery = 0;
  std::string daemon_instance;
  std::uint64_t credit_tasks = 0;
  std::uint64_t credit_bytes = 0;
};
struct Submit {
  SubmitRange range;
};
struct OutputTaken {
  Handle handle = 0;
  std::uint32_t attempt = 0;
  std::uint64_t bytes = 0;  ///< of this attempt
};
struct Delivered {
  std::uint64_t processed = 0;
  std::uint64_t credit_tasks = 0;
  std::uint64_t credit_bytes = 0;
  std::vector<OutputTaken> output;
};
struct Cancel {
  std::uint64_t request = 0;
  std::vector<Handle> handles;
  bool running_too = false;
  std::int64_t grace_ns = 0;
  std::string why;
};
struct AttachItem {
  TaskNumber number = 0;
  std::string id;  ///< 16 bytes; used if number is 0
};
struct Attach {
  std::uint64_t request = 0;
  Handle first_handle = 0;
  std::vector<AttachItem> tasks;
  bool live_output = false;
};
struct Pong {
  std::uint64_t id = 0;
};
}  // namespace order
using Order = std::variant<order::Connect, order::Hello, order::Submit, order::Delivered, order::Cancel, order::Attach,
                           order::Pong>;

struct WelcomeFacts {
  std::string daemon_instance;
  Seq accepted_seq = 0;
  std::uint64_t credit_tasks = 0;
  std::uint64_t credit_bytes = 0;
  bool resumed = false;
  Time heartbeat = 0;
};

class Session {
 public:
  enum class Phase : std::uint8_t { down, opening, greeting, up, ended };

  Session(const StreamId& stream, const SessionOptions& options, Time now);

  Phase phase() const { return phase_; }
  /// Of the current connection; messages of another are to be dropped unread.
  std::uint16_t generation() const { return generation_; }
  const StreamId& stream() const { return stream_; }
  /// Only when ended: why.
  const Status& end_reason() const { return end_reason_; }

  // ---- what the user wants
  bool has_room(std::size_t size) const { return submits_.has_room(size); }
  /// The caller has seen has_room(). `awaited`: an outcome will come for it.
  template <class Bytes>
  Seq submit(const SpecRef& spec, Bytes&& payload, bool awaited = true) {
    const Seq seq = submits_.add(spec, std::forward<Bytes>(payload));
    if (awaited) unresolved_.add(seq);
    return seq;
  }
  /// True if submitted tasks are to be sent now.
  bool submit_due() const { return phase_ == Phase::up && submits_.may_send(); }
  /// No word of the daemon that could make room is due: it has said that it is full, it has answered all there is to
  /// answer, or there is no connection. Only of interest without has_room().
  bool stays_full() const { return phase_ != Phase::up || full_ || submits_.unaccepted() == 0; }
  /// Returns its request number; kept and sent again until on_cancelled().
  std::uint64_t cancel(order::Cancel cancel);
  /// Fills in request and first_handle; kept until on_attached(). Handles are consecutive.
  order::Attach attach(order::Attach attach);
  /// Live output has been consumed, up to this offset of this attempt.
  void output_taken(Handle handle, std::uint32_t attempt, std::uint64_t end, Time now);
  /// No outcome of this handle is wanted or can come any more. True if it was awaited.
  bool resolve(Handle handle);

  // ---- what arrives; the owner has checked the generation. A Status that is not ok means: the daemon broke the
  // protocol; the session goes down and connects again.
  void connected(Time now);
  void heard(Time now) { last_heard_ = now; }
  /// `lost`: handles whose tasks this daemon does not know any more, resolved by that.
  Status on_welcome(const WelcomeFacts& facts, Time now, std::vector<Handle>& lost);
  /// For good: Code::version, not_allowed or invalid. Code::forgotten: the stream is finished, go on with `fresh`.
  void on_refused(const Status& why, const StreamId& fresh, Time now, std::vector<Handle>& lost);
  /// The connection is gone, or the daemon asked for a hello.
  void on_lost(Time now);
  void on_ping(std::uint64_t id) { pongs_.push_back(id); }
  /// `full`: the daemon withholds credit because it holds as much as it may.
  Status on_accepted(Seq first_seq, std::uint64_t count, std::uint64_t credit_tasks, std::uint64_t credit_bytes,
                     Time now, bool full = false);
  /// `fresh`: indices of those that resolve their handle now; all others are repetitions.
  Status on_outcomes(std::uint64_t first_delivery, std::span<const Handle> handles,
                     std::span<const std::uint64_t> sizes, Time now, std::vector<std::uint32_t>& fresh);
  /// How many bytes at the front of this chunk were seen before (repeated after a reconnect); all of them if `size`.
  std::uint64_t on_output(Handle handle, std::uint32_t attempt, std::uint64_t offset, std::uint64_t size);
  /// True if the request was open.
  bool on_cancelled(std::uint64_t request);
  /// `unknown`: by index, those that the daemon does not have; their handles are resolved by that, and returned.
  bool on_attached(std::uint64_t request, std::span<const std::uint32_t> unknown, std::vector<Handle>& resolved);

  /// What the daemon calls the task of this handle: from now on it is asked for by that. Its number may be another
  /// task's when the daemon was started again.
  void attached_is(Handle handle, std::string id);

  // ---- time
  Time next_deadline() const;
  /// Call when next_deadline() has come, after everything that has arrived was handed in. When it gives up, `ended`.
  void on_time(Time now);

  /// The next thing to do, until it returns nothing.
  std::optional<Order> next(Time now);
  /// True if next() would return something now.
  bool has_orders(Time now) const;

  // ---- views
  std::uint64_t unaccepted() const { return submits_.unaccepted(); }
  Seq next_seq() const { return submits_.next_seq(); }
  Seq first_unaccepted() const { return submits_.first_unaccepted(); }
  std::uint64_t awaited() const { return unresolved_.count() + attached_.size(); }
  const Unresolved& unresolved() const { return unresolved_; }
  bool awaits(Handle handle) const;

 private:
  struct Attachment {
    order::AttachItem task;
    bool live_output = false;
  };
  struct PendingCancel {
    order::Cancel cancel;
    Seq after = 0;  // not before all seqs below have been sent
  };
  struct OutputState {
    std::uint32_t attempt = 0;
    std::uint64_t offset = 0;  // expected next
    std::uint64_t taken = 0;   // consumed up to here
    std::uint64_t told = 0;
    bool queued = false;
  };

  void go_down(Time now, bool at_once);
  void end(Status why);
  Status broken(std::string what, Time now);
  void lose_acknowledged(std::vector<Handle>& lost);
  bool delivered_due(Time now) const;

  SessionOptions options_;
  StreamId stream_;
  Phase phase_ = Phase::down;
  std::uint16_t generation_ = 0;
  Status end_reason_;
  bool hello_due_ = false;

  Time retry_at_;
  Time greeting_until_ = kNever;
  Time up_since_ = 0;
  Time last_heard_;
  Time down_since_;
  Time backoff_;
  Time silence_limit_ = kNever;
  std::uint64_t jitter_;

  std::string daemon_instance_;
  SubmitQueue submits_;
  bool full_ = false;  // the daemon said so last
  Unresolved unresolved_;
  std::unordered_map<Handle, Attachment> attached_;
  Handle next_attach_ = kAttachBit;

  // result window
  std::uint64_t processed_ = 0;  // deliveries taken
  std::uint64_t processed_bytes_ = 0;
  std::uint64_t told_processed_ = 0;
  std::uint64_t told_bytes_ = 0;
  Time untold_since_ = kNever;
  bool any_first_delivery_ = true;  // this daemon has not delivered anything to this session yet
  std::unordered_map<Handle, OutputState> output_;
  std::vector<Handle> output_to_tell_;
  bool output_urgent_ = false;

  std::uint64_t next_request_ = 1;
  std::map<std::uint64_t, PendingCancel> cancels_;  // not answered
  std::map<std::uint64_t, order::Attach> attaches_;
  std::uint64_t cancels_sent_ = 0;  // requests at or below this were sent on this connection
  std::uint64_t attaches_sent_ = 0;
  std::vector<std::uint64_t> pongs_;
};

}  // namespace futured::client
