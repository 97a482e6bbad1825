// Runs calls: the thread lane, the async lane, and what comes out of them. Owned and driven by the loop thread; plugins
// reach it from any thread through host_table().
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "proto/slots_file.hpp"
#include "worker/executor/call_table.hpp"
#include "worker/executor/thread_lane.hpp"

namespace futured::worker {

struct ExecutorOptions {
  std::uint32_t threads = 1;
  std::uint32_t async_slots = 0;
  std::string slots_file;  ///< empty: none
};

struct Ended {
  CallId call = 0;
  Slice reply;
  std::unique_ptr<Failure> failure;  ///< null: success
};

class Executor {
 public:
  /// Starts the threads. `table` must outlive the executor.
  static Result<std::unique_ptr<Executor>> make(CallTable& table, const ExecutorOptions& options);
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  /// The calling thread is the loop thread from now on, until detach().
  void attach() { CallTable::use_ring(&table_, &ring_); }
  static void detach() { CallTable::use_ring(nullptr, nullptr); }

  /// Before start: what the call is. `spec` and the input live as long as `input`.
  void prepare(CallId call, const AttemptToken& token, const CallSpec& spec, Slice input) {
    table_.prepare(call, token, spec, std::move(input));
  }
  /// The async lane runs them here and now, up to their return; no more than async_slots may run at once.
  void start(Lane lane, std::span<const CallId> calls);
  /// A call of the thread lane that was started here but has not begun. False: too late.
  bool take_back(CallId call) { return table_.take_back(call); }
  void stop(CallId call) { table_.stop(call); }
  void set_emit_room(CallId call, std::uint64_t bytes) { table_.set_emit_room(call, bytes); }

  /// Has the daemon told how far the output of the call has got: some may have been lost on the way.
  void emit_position(CallId call) { table_.emit_position(call); }

  /// Appends what has ended and what was emitted; all output of an ended call is in `emissions` by then. While not
  /// `connected`, progress is left where the last one wins.
  void collect(Time now, bool connected, std::vector<Ended>& ended, std::vector<Emission>& emissions);
  /// These bytes of output have left the process.
  void emissions_sent(std::uint64_t bytes);
  /// Thread lane: calls seen running for the first time, and work done since last time.
  void check(Time now, std::vector<CallId>& running) { threads_->check(now, running); }
  void served(std::uint64_t& calls, Time& busy) { threads_->served(calls, busy); }
  void set_worth_waking(std::uint32_t calls) { threads_->set_worth_waking(calls); }

  /// Something to collect. To be asked after Wakeup::arm(), before sleeping.
  bool has_news() const;
  /// When to look again if nothing wakes the loop.
  Time next_check(Time now) const;

 private:
  Executor(CallTable& table, const ExecutorOptions& options) : table_(table), options_(options) {}

  CallTable& table_;
  ExecutorOptions options_;
  SlotsFile slots_;
  DoneRing ring_;  // calls that end on the loop thread
  std::unique_ptr<ThreadLane> threads_;
  std::vector<std::uint32_t> free_slots_;  // of the async lane
  std::vector<CallId> done_;
  std::vector<const Plugin*> to_flush_;
  Time next_progress_ = 0;
  bool connected_ = false;
};

}  // namespace futured::worker
