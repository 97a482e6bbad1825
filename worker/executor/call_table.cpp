#include "worker/executor/call_table.hpp"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>

namespace futured::worker {
namespace {

using namespace call_state;

std::mutex pool_mutex;
std::array<std::atomic<CallTable*>, 1U << kTagBits> pool{};  // never shrinks
std::array<bool, 1U << kTagBits> in_use{};                   // under pool_mutex

thread_local CallTable* ring_table = nullptr;
thread_local DoneRing* ring = nullptr;
thread_local CallId inside_callback = 0;  // the call whose cancel() or on_writable() this thread is in

// Waiting for another thread that holds a record for a few instructions.
class Spin {
 public:
  void wait() {
    if (++turns_ > 32) ::sched_yield();
  }

 private:
  int turns_ = 0;
};

class ArenaBlob final : public Blob {
 public:
  static constexpr std::size_t kSize = 32 * 1024;
  char data[kSize];
};

}  // namespace

Time clock_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Slice keep_reply(const void* data, std::uint64_t size) {
  if (size == 0 || data == nullptr) return {};
  if (size > ArenaBlob::kSize / 8) return Slice::copy({static_cast<const char*>(data), size});
  struct Arena {
    Slice chunk;  // keeps it while it fills
    ArenaBlob* blob = nullptr;
    std::size_t used = ArenaBlob::kSize;
  };
  thread_local Arena arena;
  if (ArenaBlob::kSize - arena.used < size) {
    arena.blob = new ArenaBlob;
    arena.chunk = Slice(arena.blob, arena.blob->data, 0);
    arena.used = 0;
  }
  char* at = arena.blob->data + arena.used;
  std::memcpy(at, data, size);
  arena.used += size;
  return {arena.blob, at, size};
}

Result<CallTable*> CallTable::acquire(std::uint32_t calls) {
  const std::lock_guard lock(pool_mutex);
  for (std::uint32_t i = 0; i < kTables; ++i) {
    if (in_use[i]) continue;
    CallTable* table = pool[i].load(std::memory_order_relaxed);
    if (table == nullptr) {
      table = new CallTable(i);
      if (table->wakeup_.fd() < 0) {
        delete table;
        return Status(Code::internal, "no file descriptor is left for a worker");
      }
      pool[i].store(table, std::memory_order_release);
    }
    while (table->capacity_ < calls) {
      table->chunks_[table->capacity_ / kChunk].store(new CallRecord[kChunk], std::memory_order_release);
      table->capacity_ += kChunk;
    }
    table->set_reply_limit(64ULL << 20);
    in_use[i] = true;
    return table;
  }
  return Status(Code::refused, "a process can have " + std::to_string(kTables) + " workers at once");
}

void CallTable::release(CallTable* table, std::uint64_t next_generation) {
  for (std::uint32_t i = 0; i < table->capacity_; ++i) {
    CallRecord& r = table->chunks_[i / kChunk].load(std::memory_order_relaxed)[i % kChunk];
    Spin spin;
    for (;;) {
      std::uint64_t s = r.state.load(std::memory_order_acquire);
      if (phase(s) == kFree) break;
      if (phase(s) != kPinned && phase(s) != kEnding &&
          r.state.compare_exchange_weak(s, kFree, std::memory_order_acq_rel)) {
        table->free(r);
        break;
      }
      spin.wait();
    }
  }
  std::vector<CallId> ids;
  table->take_done(ids);
  std::vector<Emission> emissions;
  table->take_emissions(emissions, true);
  const std::lock_guard lock(pool_mutex);
  table->emit_queued_.store(0, std::memory_order_relaxed);
  table->first_generation_ = next_generation;
  in_use[table->tag_] = false;
}

void CallTable::prepare(CallId id, const AttemptToken& token, const CallSpec& spec, Slice input) {
  CallRecord& r = at(id);
  r.spec = &spec;
  r.input = std::move(input);
  r.token = token;
  r.id = id;
  r.deadline = 0;
  r.emitted = 0;
  r.emit_room = kEmitAtFirst;
  r.refused_bytes = 0;
  r.state.store(make(id, kReady), std::memory_order_release);
}

bool CallTable::take_back(CallId id) {
  CallRecord& r = at(id);
  std::uint64_t expected = make(id, kReady);
  if (!r.state.compare_exchange_strong(expected, kFree, std::memory_order_acq_rel)) return false;
  r.input = {};
  return true;
}

void CallTable::free(CallRecord& r) {
  r.input = {};
  r.reserved = {};
  r.reply = {};
  r.failure.reset();
  r.progress.reset();
  r.state.store(kFree, std::memory_order_release);
}

bool CallTable::claim(CallRecord& r, CallId id) {
  std::uint64_t expected = make(id, kReady);
  return r.state.compare_exchange_strong(expected, make(id, kRunning), std::memory_order_acq_rel);
}

CallTable* CallTable::of(CallId id) { return pool[(id >> kIndexBits) & (kTables - 1)].load(std::memory_order_acquire); }

CallRecord* CallTable::find(CallId id) {
  CallRecord* chunk = chunks_[index_of(id) / kChunk].load(std::memory_order_acquire);
  return chunk == nullptr ? nullptr : &chunk[index_of(id) % kChunk];
}

bool CallTable::pin(CallRecord& r, CallId id) {
  Spin spin;
  for (;;) {
    std::uint64_t s = r.state.load(std::memory_order_acquire);
    if (generation(s) != generation_of(id)) return false;
    if (phase(s) == kRunning) {
      if (r.state.compare_exchange_weak(s, s ^ kRunning ^ kPinned, std::memory_order_acq_rel)) return true;
    } else if (phase(s) != kPinned) {
      return false;
    }
    spin.wait();
  }
}

void CallTable::unpin(CallRecord& r) { r.state.fetch_xor(kRunning ^ kPinned, std::memory_order_release); }

bool CallTable::begin_end(CallRecord& r, CallId id) {
  Spin spin;
  for (;;) {
    std::uint64_t s = r.state.load(std::memory_order_relaxed);
    if (generation(s) != generation_of(id)) return false;
    if (phase(s) == kRunning) {
      if (!r.state.compare_exchange_weak(s, s ^ kRunning ^ kEnding, std::memory_order_acq_rel)) continue;
      // The plugin may drop what belongs to the call as soon as it has ended, so a callback of it must be over.
      while ((s & kCallback) != 0 && inside_callback != id) {
        spin.wait();
        s = r.state.load(std::memory_order_acquire);
      }
      return true;
    }
    if (phase(s) != kPinned) return false;
    spin.wait();
  }
}

void CallTable::end(CallRecord& r, CallId id) {
  r.state.store(make(id, kEnded), std::memory_order_release);
  if (ring_table == this && ring->push(id)) return;
  CallId first = done_.load(std::memory_order_relaxed);
  do {
    r.next_done = first;
  } while (!done_.compare_exchange_weak(first, id, std::memory_order_acq_rel));
  wakeup_.wake();
}

void CallTable::end_with(CallId id, Slice reply, std::unique_ptr<Failure> failure) {
  CallRecord* r = find(id);
  if (r == nullptr || !begin_end(*r, id)) return;
  r->reply = std::move(reply);
  r->failure = std::move(failure);
  end(*r, id);
}

void CallTable::use_ring(CallTable* table, DoneRing* done) {
  ring_table = table;
  ring = done;
}

void CallTable::take_done(std::vector<CallId>& into) {
  if (!has_done()) return;
  const std::size_t from = into.size();
  for (CallId id = done_.exchange(0, std::memory_order_acq_rel); id != 0; id = at(id).next_done) into.push_back(id);
  std::reverse(into.begin() + static_cast<std::ptrdiff_t>(from), into.end());
}

bool CallTable::should_stop(CallId id) {
  const CallRecord* r = find(id);
  if (r == nullptr) return true;
  const std::uint64_t s = r->state.load(std::memory_order_relaxed);
  return generation(s) != generation_of(id) || (s & kStop) != 0;
}

void CallTable::stop(CallId id) {
  CallRecord& r = at(id);
  Spin spin;
  for (;;) {
    std::uint64_t s = r.state.load(std::memory_order_acquire);
    if (generation(s) != generation_of(id) || (phase(s) != kRunning && phase(s) != kPinned)) return;
    if (phase(s) == kRunning && r.state.compare_exchange_weak(s, s | kStop, std::memory_order_acq_rel)) break;
    spin.wait();
  }
  call_back(r, id, r.spec->type->cancel);
}

void CallTable::call_back(CallRecord& r, CallId id, void (*function)(futured_call)) {
  if (function == nullptr) return;
  Spin spin;
  for (;;) {
    std::uint64_t s = r.state.load(std::memory_order_acquire);
    if (generation(s) != generation_of(id) || (phase(s) != kRunning && phase(s) != kPinned)) return;
    if (phase(s) == kRunning && r.state.compare_exchange_weak(s, s | kCallback, std::memory_order_acq_rel)) break;
    spin.wait();
  }
  inside_callback = id;
  function(id);
  inside_callback = 0;
  r.state.fetch_and(~kCallback, std::memory_order_release);
}

// ---- output and progress

bool CallTable::may_emit(const CallRecord& r, std::uint64_t bytes) const {
  return bytes <= r.emit_room - r.emitted && emit_queued_.load(std::memory_order_relaxed) + bytes <= kEmitQueued;
}

void CallTable::emit(CallRecord& r, std::uint32_t stream, std::string_view chunk) {
  Emission e;
  e.token = r.token;
  e.stream = stream;
  e.offset = r.emitted;
  e.data = chunk;
  r.emitted += chunk.size();
  emit_queued_.fetch_add(chunk.size(), std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  emissions_.push_back(std::move(e));
  has_emissions_.store(true, std::memory_order_release);
}

void CallTable::emit_refused(CallRecord& r, std::uint64_t bytes) {
  if (std::exchange(r.refused_bytes, std::max<std::uint64_t>(bytes, 1)) != 0) return;
  const std::lock_guard lock(mutex_);
  refused_.push_back(r.id);
  has_refused_.store(true, std::memory_order_release);
}

void CallTable::progress(CallRecord& r, double fraction, std::string_view text) {
  if (r.progress != nullptr) {
    *r.progress = {fraction, std::string(text)};
    return;
  }
  r.progress = std::make_unique<std::pair<double, std::string>>(fraction, text);
  const std::lock_guard lock(mutex_);
  progress_.push_back(r.id);
  has_progress_.store(true, std::memory_order_release);
}

void CallTable::take_emissions(std::vector<Emission>& into, bool progress_too) {
  std::vector<CallId> with_progress;
  if (has_emissions() || (progress_too && has_progress())) {
    const std::lock_guard lock(mutex_);
    for (Emission& e : emissions_) into.push_back(std::move(e));
    emissions_.clear();
    has_emissions_.store(false, std::memory_order_relaxed);
    if (progress_too) {
      with_progress.swap(progress_);
      has_progress_.store(false, std::memory_order_relaxed);
    }
  }
  for (const CallId id : with_progress) {
    CallRecord& r = at(id);
    if (!pin(r, id)) continue;  // it has ended: collect() says its last progress
    if (r.progress != nullptr) {
      Emission e;
      e.token = r.token;
      e.has_progress = true;
      e.fraction = r.progress->first;
      e.text = std::move(r.progress->second);
      r.progress.reset();
      into.push_back(std::move(e));
    }
    unpin(r);
  }
}

void CallTable::set_emit_room(CallId id, std::uint64_t bytes) {
  CallRecord& r = at(id);
  if (!pin(r, id)) return;
  if (bytes > r.emit_room) r.emit_room = bytes;
  unpin(r);
}

void CallTable::emit_position(CallId id) {
  CallRecord& r = at(id);
  if (!pin(r, id)) return;
  if (r.emitted > 0) emit(r, 0, {});
  unpin(r);
}

void CallTable::call_writable() {
  if (!has_refused_.load(std::memory_order_acquire)) return;
  std::vector<CallId> ids;
  {
    const std::lock_guard lock(mutex_);
    ids.swap(refused_);
    has_refused_.store(false, std::memory_order_relaxed);
  }
  for (const CallId id : ids) {
    CallRecord& r = at(id);
    if (!pin(r, id)) continue;
    const bool room = may_emit(r, r.refused_bytes);
    if (room) r.refused_bytes = 0;
    unpin(r);
    if (room) {
      call_back(r, id, r.spec->type->on_writable);
    } else {
      const std::lock_guard lock(mutex_);
      refused_.push_back(id);
      has_refused_.store(true, std::memory_order_release);
    }
  }
}

}  // namespace futured::worker
