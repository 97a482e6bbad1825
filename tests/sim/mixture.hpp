// What a history is made of: sizes, abilities of tasks, faults, orders. Drawn from the seed, so that most histories
// have few kinds of each, and all pairs occur.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/scheduler/event.hpp"
#include "tests/sim/random.hpp"

namespace futured::sim {

using scheduler::Time;
inline constexpr Time kMs = 1'000'000;
inline constexpr std::size_t kLimits = 3, kGroups = 3;  // of each so many names

struct Mixture {
  // world
  std::uint64_t clients = 1, workers = 1, by_hand = 0, tasks = 20;
  std::uint64_t threads = 1, async_slots = 2;
  std::uint64_t second_pool = 0;
  Time delay = kMs;       ///< of a message, at most
  Time turn = kMs / 5;    ///< how long the daemon gathers, at most
  Time faults_until = 0;  ///< then everything heals
  Time session_resume = 0, worker_return = 0, stop_grace = 0, neighbour_time = 0;
  std::uint64_t limit_tasks = 0, window_tasks = 0, result_window_tasks = 0, result_window_bytes = 0;
  std::uint64_t kept_tasks = 0, owed_bytes = 0, payload_bytes = 0;
  std::uint64_t codec = 0;  ///< every message goes through the wire format
  std::uint64_t flood = 0;  ///< many short tasks, of shares with one client and with many
  // tasks: how many have it
  double fails = 0, crashes = 0, long_calls = 0, large_results = 0, priorities = 0, detached = 0, kept = 0,
         cancel_on_disconnect = 0, unknown = 0, async = 0;
  double delays = 0, timeouts = 0, deadlines = 0, expiries = 0, backoffs = 0, retry_afters = 0, deaf = 0, after = 0,
         groups = 0, keys = 0, limits = 0, fair = 0;
  // faults and orders: mean time between two, 0: never
  Time break_client = 0, break_worker = 0, kill_worker = 0, kill_client = 0, leave_client = 0, drain_worker = 0,
       scale = 0, cancel = 0, attach = 0, cancel_number = 0, restart = 0;
  Time leave = 0;  ///< when the daemon is told to stop; then another one comes
  Time pause = 0, set_limit = 0, forget = 0, own = 0, close_group = 0;

  static Mixture of(Random& random);
  /// Calls f(name, member, the value that makes it matter least) for each.
  template <class F>
  void each(F f) {
    f("flood", flood, 0);
    f("clients", clients, 1);
    f("tasks", tasks, 1);
    f("workers", workers, 1);
    f("by_hand", by_hand, 0);
    f("threads", threads, 1);
    f("async_slots", async_slots, 1);
    f("second_pool", second_pool, 0);
    f("codec", codec, 0);
    f("restart", restart, 0);
    f("leave", leave, 0);
    f("break_client", break_client, 0);
    f("break_worker", break_worker, 0);
    f("kill_worker", kill_worker, 0);
    f("kill_client", kill_client, 0);
    f("leave_client", leave_client, 0);
    f("drain_worker", drain_worker, 0);
    f("scale", scale, 0);
    f("cancel", cancel, 0);
    f("attach", attach, 0);
    f("cancel_number", cancel_number, 0);
    f("pause", pause, 0);
    f("set_limit", set_limit, 0);
    f("forget", forget, 0);
    f("own", own, 0);
    f("close_group", close_group, 0);
    f("fails", fails, 0);
    f("crashes", crashes, 0);
    f("long_calls", long_calls, 0);
    f("large_results", large_results, 0);
    f("priorities", priorities, 0);
    f("detached", detached, 0);
    f("kept", kept, 0);
    f("cancel_on_disconnect", cancel_on_disconnect, 0);
    f("unknown", unknown, 0);
    f("async", async, 0);
    f("delays", delays, 0);
    f("timeouts", timeouts, 0);
    f("deadlines", deadlines, 0);
    f("expiries", expiries, 0);
    f("backoffs", backoffs, 0);
    f("retry_afters", retry_afters, 0);
    f("deaf", deaf, 0);
    f("after", after, 0);
    f("groups", groups, 0);
    f("keys", keys, 0);
    f("limits", limits, 0);
    f("fair", fair, 0);
    f("delay", delay, kMs);
    f("turn", turn, 0);
    f("faults_until", faults_until, 50 * kMs);
    f("session_resume", session_resume, 60'000 * kMs);
    f("worker_return", worker_return, 5'000 * kMs);
    f("stop_grace", stop_grace, 10 * kMs);
    f("neighbour_time", neighbour_time, 10 * kMs);
    f("limit_tasks", limit_tasks, 1'000'000);
    f("window_tasks", window_tasks, 65'536);
    f("result_window_tasks", result_window_tasks, 65'536);
    f("result_window_bytes", result_window_bytes, 64 << 20);
    f("kept_tasks", kept_tasks, 1'000'000);
    f("owed_bytes", owed_bytes, 1 << 30);
    f("payload_bytes", payload_bytes, 64 << 20);
  }
  /// What differs from the least, as name=value,...; set() reads it.
  std::string text() const;
  /// False: a name is unknown or a value is none. What is not named is at its least.
  bool set(const std::string& text);
};

}  // namespace futured::sim
