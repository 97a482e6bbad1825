// Tasks on their way to the daemon: collected in columns, sent when the ack clock and the credits allow, kept until
// they are accepted. Sans-IO, one thread at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/ack_clock.hpp"
#include "proto/bytes.hpp"
#include "proto/ids.hpp"

namespace futured::client {

/// What tasks have in common; opaque here, equal pointers are equal specs.
class SpecRef {
 public:
  SpecRef() = default;
  /// `bytes`: what it takes in a message.
  template <class T>
  SpecRef(std::shared_ptr<T> spec, std::size_t bytes = 0)  // NOLINT(google-explicit-constructor): it is that pointer
      : spec_(std::move(spec)), bytes_(bytes) {}
  const void* get() const { return spec_.get(); }
  std::size_t bytes() const { return bytes_; }
  friend bool operator==(const SpecRef& a, const SpecRef& b) { return a.spec_ == b.spec_; }

 private:
  std::shared_ptr<const void> spec_;
  std::size_t bytes_ = 0;
};

/// Consecutive tasks in columns. Immutable once a range of it was handed out.
struct SubmitBatch {
  struct Framed {
    std::uint32_t index;
    Slice payload;
  };
  Seq first = 0;
  std::vector<std::uint32_t> size;     // of each payload
  std::string blob;                    // the small ones, one after the other
  std::vector<Framed> framed;          // the large ones, ascending
  std::vector<SpecRef> specs;          // at least one
  std::size_t spec_bytes = 0;          // of all of them
  std::vector<std::uint32_t> spec_of;  // empty: all 0
  std::uint64_t bytes = 0;             // of all payloads
};

/// Tasks [from, from + count) of a batch.
struct SubmitRange {
  std::shared_ptr<const SubmitBatch> batch;
  std::size_t from = 0;
  std::size_t count = 0;
  Seq first_seq() const { return batch->first + from; }
};

class SubmitQueue {
 public:
  static constexpr std::size_t kFramedFrom = 8192;
  static constexpr std::size_t kBatchTasks = 1024;  // bounds the time one message takes to encode
  static constexpr std::size_t kBatchFrames = 64;
  static constexpr std::size_t kBatchSpecs = 16;
  static constexpr std::size_t kBatchInlineBytes = 1 << 20;
  static constexpr std::size_t kBatchSpecBytes = 16 << 20;  // one spec alone may be larger

  /// True if a task of `size` bytes fits into the submit credits now.
  bool has_room(std::size_t size) const {
    return clock_.next_to_add() < credit_tasks_ && queued_bytes_ + size <= credit_bytes_;
  }
  /// Appends whatever the credits say; returns its seq.
  Seq add(const SpecRef& spec, std::string_view payload);
  Seq add(const SpecRef& spec, Slice payload);

  bool may_send() const { return clock_.may_send() && sendable(); }
  /// What is to be sent now, if anything; the caller sends it.
  std::optional<SubmitRange> next();

  /// All below `below` are the daemon's. False: it was never sent.
  bool accepted(Seq below);
  void credit(std::uint64_t tasks, std::uint64_t bytes) {
    credit_tasks_ = tasks;
    credit_bytes_ = bytes;
  }
  /// A new connection: the daemon has everything below `below`; the rest is to be sent again. `counts_anew`: the
  /// daemon begins to count bytes here. False if that was never added.
  bool rewind(Seq below, bool counts_anew);

  Seq first_unaccepted() const { return clock_.first_unacked(); }
  Seq next_to_send() const { return clock_.next_to_send(); }
  Seq next_seq() const { return clock_.next_to_add(); }
  std::uint64_t unaccepted() const { return clock_.next_to_add() - clock_.first_unacked(); }

 private:
  SubmitBatch& batch_for(const SpecRef& spec, std::size_t size);
  void note(SubmitBatch& batch, std::size_t size);
  bool sendable() const;
  void drop_below(Seq below);
  std::uint64_t bytes_between(Seq from, Seq to) const;

  AckClock clock_;
  std::deque<std::shared_ptr<SubmitBatch>> batches_;  // those not accepted as a whole
  bool open_ = false;                                 // the last batch takes more
  std::size_t send_index_ = 0;                        // batch that next_to_send() is in
  std::uint64_t accepted_bytes_ = 0;                  // in the daemon's count
  std::uint64_t sent_bytes_ = 0;
  std::uint64_t queued_bytes_ = 0;
  std::uint64_t credit_tasks_ = 0;
  std::uint64_t credit_bytes_ = 0;
};

}  // namespace futured::client
