// The thread lane: blocking calls on a fixed number of threads, handed over in batches.
//
// The loop pushes any number of calls; each thread takes a run of them at once, as long as they are known to be very
// short, and reports their ends through a ring of its own. The loop is woken when a thread has nothing left to do or
// enough has ended to be worth it; in between it may look at any time. A call that turns out to be long does not hold
// the others of its run: check() finds it and puts them back into the queue.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "proto/slots_file.hpp"
#include "worker/executor/call_table.hpp"

namespace futured::worker {

class ThreadLane {
 public:
  /// Starts the threads. `slots` may be closed; thread i uses its slot i.
  ThreadLane(CallTable& table, SlotsFile& slots, std::uint32_t threads);
  /// Stops them: see stop().
  ~ThreadLane();
  ThreadLane(const ThreadLane&) = delete;
  ThreadLane& operator=(const ThreadLane&) = delete;

  // The loop thread.
  void push(std::span<const CallId> calls);
  void take_done(std::vector<CallId>& into);
  bool has_done() const;
  /// Work done since last time.
  void served(std::uint64_t& calls, Time& busy);
  /// Appends the calls that run now and rescues the runs that are stuck behind one.
  void check(Time now, std::vector<CallId>& running);
  /// When check() is to be called again while nothing else happens.
  Time next_check(Time now) const;
  /// From now on threads wake the loop when so many ended calls of theirs wait to be collected.
  void set_worth_waking(std::uint32_t calls) { worth_waking_.store(calls, std::memory_order_relaxed); }
  /// Takes no further call from the queue and waits until the running ones have returned.
  void stop();

 private:
  static constexpr std::uint32_t kMostRun = 64;
  static constexpr Time kRunFor = 20'000;           // a run should not take longer
  static constexpr Time kLook = 1'000'000;          // how long ended calls of an unfinished run may lie
  static constexpr Time kStuck = 2'000'000;         // a call longer than this gives up the rest of its run
  static constexpr std::size_t kMostQueued = 8192;  // beyond: look for entries that were taken back

  struct alignas(64) Thread {
    std::thread thread;
    std::uint32_t number = 0;
    std::vector<void*> plugin_state;  // by plugin number
    std::vector<bool> plugin_ready;
    std::vector<const Plugin*> plugins;
    DoneRing done;
    // Written by the thread, read by the loop.
    alignas(64) std::atomic<CallId> current{0};
    std::atomic<std::uint32_t> run_size{0};
    std::atomic<std::uint32_t> run_at{0};
    std::array<std::atomic<CallId>, kMostRun> run{};
    std::atomic<std::uint64_t> calls{0};
    std::atomic<Time> busy{0};
    // Written by the loop: number of the run that is to be given up.
    std::atomic<std::uint64_t> run_number{0};
    std::atomic<std::uint64_t> give_up{0};
    // The loop's own.
    std::atomic<bool> taken{false};  ///< it has taken calls from the queue and not come back; set under the mutex
    CallId last_seen = 0;
    Time last_seen_at = 0;
    std::uint64_t calls_seen = 0;
    Time busy_seen = 0;
  };

  void main(Thread& self);
  void run_one(Thread& self, CallId id);
  void* state_for(Thread& self, const Plugin& plugin);
  void put_back(std::span<const CallId> calls);
  void forget_taken_back();  // mutex_ held

  CallTable& table_;
  SlotsFile& slots_;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::atomic<std::uint32_t> worth_waking_{1};
  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::deque<CallId> queue_;
  std::uint32_t sleeping_ = 0;
  bool stopping_ = false;
};

}  // namespace futured::worker
