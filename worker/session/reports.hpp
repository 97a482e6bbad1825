// Ended calls until the daemon has them: a ring by report number, and the rule when a batch leaves. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "proto/ack_clock.hpp"
#include "worker/session/action.hpp"

namespace futured::worker {

struct Report {
  AttemptToken token;
  Slice reply;
  std::unique_ptr<Failure> failure;  ///< null: success
  bool cancelled = false;            ///< it did not succeed after it was told to stop
};

class Reports {
 public:
  // What one message may carry; the wire's own numbers (the translation checks that they agree).
  static constexpr std::uint64_t kMostElements = 4096;
  static constexpr std::uint64_t kMostFrames = 64;
  static constexpr std::uint64_t kFramedFrom = 8192;
  static constexpr std::uint64_t kMostBytes = 1 << 20;  ///< in the body; a single larger element goes alone
  // Above these no further calls are asked for: the daemon does not acknowledge.
  static constexpr std::uint64_t kManyUnacked = 16384;
  static constexpr std::uint64_t kManyUnackedBytes = 256ULL << 20;

  void add(Report&& report);
  bool may_send() const { return clock_.may_send(); }
  /// How many reports the next message carries, beginning with next_to_send(); to be followed by sent().
  std::uint32_t next_batch() const;
  void sent(std::uint32_t count);
  /// False if those were never sent.
  bool acked(std::uint64_t below);
  /// A new connection: everything unacknowledged is to be sent again.
  void rewind();

  std::uint64_t next_to_send() const { return clock_.next_to_send(); }
  std::uint64_t waiting() const { return clock_.waiting(); }
  /// Sent or not.
  std::uint64_t unacked() const { return clock_.next_to_add() - clock_.first_unacked(); }
  /// A report added now would leave at the next flush.
  bool at_once() const { return clock_.at_once(); }
  bool choked() const { return unacked() >= kManyUnacked || bytes_ >= kManyUnackedBytes; }
  /// One of first_unacked() <= number < next_to_add().
  const Report& at(std::uint64_t number) const { return ring_[number & (ring_.size() - 1)]; }
  std::uint64_t first_unacked() const { return clock_.first_unacked(); }
  std::uint64_t end() const { return clock_.next_to_add(); }

 private:
  static std::uint64_t in_body(const Report& r) {
    return 24 + (r.reply.size() < kFramedFrom ? r.reply.size() : 0) + (r.failure ? r.failure->message.size() : 0);
  }
  std::uint64_t in_body(std::uint64_t first, std::uint64_t end) const {
    std::uint64_t bytes = 0;
    for (; first != end; ++first) bytes += payload(at(first));
    return bytes;
  }
  // What counts towards leaving early: the payload in the body, not its framing.
  static std::uint64_t payload(const Report& r) { return in_body(r) - 24; }

  AckClock clock_;
  std::vector<Report> ring_ = std::vector<Report>(64);  // a power of two
  std::uint64_t bytes_ = 0;                             // of all replies held
};

}  // namespace futured::worker
