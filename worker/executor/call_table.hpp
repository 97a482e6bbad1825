// The calls as the lanes and the plugins see them: one record per call, found by the index in its id.
//
// Tables live as long as the process, because a plugin may name a call at any time from any thread, long after its
// worker is gone: such a call is then found to be over. Who may touch a record is decided by its state word alone:
//
//            prepare           claim            end (any thread)         collect
//     free ---------> ready ----------> running ----------> ending -> ended ------> free
//                       \--- take back --> free    \<-> pinned: somebody reads or writes it for a moment
//
// The loop thread prepares, takes back and collects; a lane thread claims.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/bytes.hpp"
#include "proto/ids.hpp"
#include "proto/status.hpp"
#include "worker/plugin/registry.hpp"
#include "worker/session/action.hpp"
#include "worker/wakeup.hpp"

namespace futured::worker {

/// What the calls of a batch have in common, beside their inputs; lives with the batch.
struct CallSpec {
  const TaskType* type = nullptr;
  Time timeout = 0;          ///< from the start; 0: none
  bool live_output = false;  ///< somebody follows it
  bool keep_output = false;  ///< the daemon wants it all the same
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<std::pair<std::string, std::string>> assigned;  ///< resource -> what of it
};

/// Output or progress of a call, on its way to the daemon.
struct Emission {
  AttemptToken token;
  std::uint32_t stream = 0;
  std::uint64_t offset = 0;
  std::string data;
  bool has_progress = false;
  double fraction = 0;
  std::string text;
};

class ReservedBlob final : public Blob {
 public:
  ReservedBlob(char* d, std::size_t n) : data(d), size(n) {}
  ~ReservedBlob() override { delete[] data; }
  char* const data;
  const std::size_t size;
};

struct alignas(64) CallRecord {
  std::atomic<std::uint64_t> state{0};
  // Set by prepare, read while the call lives.
  const CallSpec* spec = nullptr;
  Slice input;  // keeps the batch and so the spec
  AttemptToken token;
  CallId id = 0;
  // Written by the one who ends the call, before it is published.
  Slice reply;
  std::unique_ptr<Failure> failure;
  CallId next_done = 0;
  // Under a pin.
  Slice reserved;
  Time deadline = 0;
  std::uint64_t emitted = 0;
  std::uint64_t emit_room = 0;
  std::uint64_t refused_bytes = 0;  // emit() said AGAIN to a chunk of this size; 0: it did not
  std::unique_ptr<std::pair<double, std::string>> progress;
  // The loop's own.
  std::uint32_t slot = 0;
};

namespace call_state {
inline constexpr std::uint64_t kFree = 0, kReady = 1, kRunning = 2, kPinned = 3, kEnding = 4, kEnded = 5;
inline constexpr std::uint64_t kPhase = 7;
inline constexpr std::uint64_t kStop = 8;       ///< the call should stop
inline constexpr std::uint64_t kCallback = 16;  ///< the loop is inside cancel() or on_writable() of this call
inline constexpr unsigned kShift = 8;
inline constexpr std::uint64_t phase(std::uint64_t s) { return s & kPhase; }
inline constexpr std::uint64_t generation(std::uint64_t s) { return s >> kShift; }
inline constexpr std::uint64_t make(CallId id, std::uint64_t phase) { return generation_of(id) << kShift | phase; }
}  // namespace call_state

/// Ids of ended calls from one thread to the loop, without a lock. A full ring refuses.
class DoneRing {
 public:
  bool push(CallId id) {
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) == kSize) return false;
    ids_[tail % kSize] = id;
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }
  void take(std::vector<CallId>& into) {
    std::uint32_t head = head_.load(std::memory_order_relaxed);
    const std::uint32_t tail = tail_.load(std::memory_order_acquire);
    for (; head != tail; ++head) into.push_back(ids_[head % kSize]);
    head_.store(head, std::memory_order_release);
  }
  std::uint32_t size() const { return tail_.load(std::memory_order_acquire) - head_.load(std::memory_order_acquire); }

 private:
  static constexpr std::uint32_t kSize = 2048;
  alignas(64) std::atomic<std::uint32_t> tail_{0};
  alignas(64) std::atomic<std::uint32_t> head_{0};
  std::array<CallId, kSize> ids_{};
};

class CallTable {
 public:
  static constexpr std::uint64_t kEmitChunk = 64 * 1024;
  static constexpr std::uint64_t kEmitAtFirst = 256 * 1024;  ///< of one call, before the daemon says more
  static constexpr std::uint64_t kEmitQueued = 16ULL << 20;  ///< of all calls, not yet sent
  static constexpr Time kProgressEvery = 50'000'000;

  /// A table for one worker, with room for `calls`. Refused: this process has as many workers as it can have.
  static Result<CallTable*> acquire(std::uint32_t calls);
  /// The worker is done with it: ends every call silently. `next_generation`: of the ids of its next user.
  static void release(CallTable* table, std::uint64_t next_generation);

  std::uint32_t tag() const { return tag_; }
  std::uint64_t first_generation() const { return first_generation_; }
  Wakeup& wakeup() { return wakeup_; }
  void set_reply_limit(std::uint64_t bytes) { reply_limit_.store(bytes, std::memory_order_relaxed); }
  std::uint64_t reply_limit() const { return reply_limit_.load(std::memory_order_relaxed); }

  // The loop thread.
  CallRecord& at(CallId id) {
    return chunks_[index_of(id) / kChunk].load(std::memory_order_acquire)[index_of(id) % kChunk];
  }
  void prepare(CallId id, const AttemptToken& token, const CallSpec& spec, Slice input);
  /// True: it had not been claimed and never will be; the record is free.
  bool take_back(CallId id);
  void free(CallRecord& record);
  /// Calls ended since last time by threads that have no ring.
  void take_done(std::vector<CallId>& into);
  bool has_done() const { return done_.load(std::memory_order_acquire) != 0; }
  /// Appends what was emitted, and what progress was made if `progress_too`.
  void take_emissions(std::vector<Emission>& into, bool progress_too);
  bool has_emissions() const { return has_emissions_.load(std::memory_order_acquire); }
  bool has_progress() const { return has_progress_.load(std::memory_order_acquire); }
  void emissions_sent(std::uint64_t bytes) { emit_queued_.fetch_sub(bytes, std::memory_order_relaxed); }
  void set_emit_room(CallId id, std::uint64_t bytes);
  /// Emits nothing, at the offset that the output of the call has reached.
  void emit_position(CallId id);
  /// Tells the call to stop, by flag and callback. Nothing if it has ended.
  void stop(CallId id);
  /// Calls back who was refused by emit() and would not be now.
  void call_writable();

  // A lane thread, for a call of this table. False: taken back.
  static bool claim(CallRecord& record, CallId id);

  // Any thread.
  /// Null: not a call of this process.
  static CallTable* of(CallId id);
  CallRecord* find(CallId id);
  /// Holds the call running and its record this thread's. False: it is not running (any more).
  static bool pin(CallRecord& record, CallId id);
  static void unpin(CallRecord& record);
  /// Takes the right to end the call; to be followed by end(). False: not running (any more).
  bool begin_end(CallRecord& record, CallId id);
  void end(CallRecord& record, CallId id);
  /// Ends the call if it still runs.
  void end_with(CallId id, Slice reply, std::unique_ptr<Failure> failure);
  bool should_stop(CallId id);
  bool may_emit(const CallRecord& record, std::uint64_t bytes) const;           // pinned
  void emit(CallRecord& record, std::uint32_t stream, std::string_view chunk);  // pinned; may_emit was true
  void emit_refused(CallRecord& record, std::uint64_t bytes);                   // pinned; on_writable when so much fits
  void progress(CallRecord& record, double fraction, std::string_view text);    // pinned

  /// Ends of calls of `table` on this thread go through `ring` from now on; null: no ring any more.
  static void use_ring(CallTable* table, DoneRing* ring);

 private:
  static constexpr std::uint32_t kChunk = 256;
  static constexpr std::uint32_t kTables = 1U << kTagBits;

  explicit CallTable(std::uint32_t tag) : tag_(tag) {}
  void call_back(CallRecord& record, CallId id, void (*function)(futured_call));

  const std::uint32_t tag_;
  std::uint64_t first_generation_ = 1;
  std::uint32_t capacity_ = 0;
  std::array<std::atomic<CallRecord*>, kMaxCalls / kChunk> chunks_{};
  Wakeup wakeup_;
  std::atomic<std::uint64_t> reply_limit_{64ULL << 20};
  alignas(64) std::atomic<CallId> done_{0};  // a stack, linked through next_done
  alignas(64) std::atomic<std::uint64_t> emit_queued_{0};
  std::atomic<bool> has_emissions_{false};
  std::atomic<bool> has_progress_{false};
  std::atomic<bool> has_refused_{false};
  std::mutex mutex_;  // of what follows
  std::vector<Emission> emissions_;
  std::vector<CallId> progress_;
  std::vector<CallId> refused_;
};

/// A copy of a reply, many small ones in one allocation.
Slice keep_reply(const void* data, std::uint64_t size);

/// Monotonic.
Time clock_now();

}  // namespace futured::worker
