// When a batch may leave: the one rule of batching on every hop. No timer, no clock, no allocation; one thread.
//
// Elements are numbered in order. They may leave at once while at most one message is unacknowledged; otherwise when
// the peer has acknowledged more, or when 256 elements or 16 KiB wait. So an idle system has no delay and a busy one
// has batches as large as a round trip makes them. Two messages and not one, so that the peer may let the
// acknowledgement of a single one wait for company without holding anybody up.
#pragma once

#include <cstdint>

namespace futured {

class AckClock {
 public:
  static constexpr std::uint64_t kElements = 256;
  static constexpr std::uint64_t kBytes = 16 * 1024;

  /// `first`: number of the first element.
  explicit AckClock(std::uint64_t first = 0) : acked_(first), last_(first), sent_(first), added_(first) {}

  /// One more element waits; `bytes` is what it adds to a message.
  void add(std::uint64_t bytes) {
    ++added_;
    waiting_bytes_ += bytes;
  }
  bool may_send() const {
    return added_ != sent_ && (at_once() || added_ - sent_ >= kElements || waiting_bytes_ >= kBytes);
  }
  /// False: what is added now waits for an acknowledgement, or for company.
  bool at_once() const { return last_ <= acked_; }
  /// The next `count` waiting elements, of `bytes` in all, have left.
  void sent(std::uint64_t count, std::uint64_t bytes) {
    last_ = sent_;
    sent_ += count < waiting() ? count : waiting();
    waiting_bytes_ = sent_ == added_ || bytes > waiting_bytes_ ? 0 : waiting_bytes_ - bytes;
  }
  /// The peer has everything below `below`. False, and nothing changes, if that was never sent; an old
  /// acknowledgement is true and changes nothing.
  bool acked(std::uint64_t below) {
    if (below > sent_) return false;
    if (below > acked_) acked_ = below;
    return true;
  }
  /// On a new connection the peer says it has everything below `below`, which may be more than was acknowledged on the
  /// old one. What it does not have waits again: `bytes` of it in all. False if that was never added.
  bool rewind(std::uint64_t below, std::uint64_t bytes) {
    if (below > added_) return false;
    if (below > acked_) acked_ = below;
    last_ = sent_ = acked_;
    waiting_bytes_ = bytes;
    return true;
  }

  std::uint64_t waiting() const { return added_ - sent_; }
  std::uint64_t waiting_bytes() const { return waiting_bytes_; }
  std::uint64_t unacked() const { return sent_ - acked_; }
  /// Number of the first element the peer is not known to have; of the next to leave; of the next to be added.
  std::uint64_t first_unacked() const { return acked_; }
  std::uint64_t next_to_send() const { return sent_; }
  std::uint64_t next_to_add() const { return added_; }

 private:
  std::uint64_t acked_, last_, sent_, added_;  // last_: where the message sent last begins
  std::uint64_t waiting_bytes_ = 0;
};

}  // namespace futured
