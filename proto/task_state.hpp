// The words of a task's life, as users see them. The numbers are those of futured/v1/common.proto and never change.
#pragma once

#include <cstdint>
#include <iterator>
#include <string_view>

namespace futured {

enum class TaskState : std::uint8_t {
  unknown = 0,
  waiting = 1,  ///< not eligible: delayed, blocked, backing off
  queued = 2,   ///< eligible, or sent ahead to a worker but not started
  running = 3,  ///< the plugin call has started
  succeeded = 4,
  failed = 5,
  cancelled = 6,
  expired = 7,
};
inline constexpr bool is_terminal(TaskState s) { return s >= TaskState::succeeded; }

enum class Reason : std::uint8_t {
  none = 0,
  delayed = 1,
  blocked = 2,
  backoff = 3,
  paused = 4,
  limited = 5,
  no_worker = 6,
  assigned = 7,
  suspect = 8,
  cancelling = 9,
};

enum class ErrorKind : std::uint8_t {
  none = 0,
  error = 1,
  exit = 2,
  timeout = 3,
  deadline = 4,
  crashed = 5,
  oom = 6,
  poisoned = 7,
  lost = 8,
  dependency = 9,
  rejected = 10,
  too_large = 11,
};

enum class Lane : std::uint8_t {
  thread = 0,  ///< a blocking call: takes one of `threads`
  async = 1,   ///< completes later, from any thread: takes one of `async_slots`
};
inline constexpr std::size_t kLanes = 2;

inline constexpr std::string_view name(TaskState s) {
  constexpr std::string_view names[] = {"unknown",   "waiting", "queued",    "running",
                                        "succeeded", "failed",  "cancelled", "expired"};
  return names[static_cast<std::size_t>(s) < std::size(names) ? static_cast<std::size_t>(s) : 0];
}
inline constexpr std::string_view name(Reason r) {
  constexpr std::string_view names[] = {"",        "delayed",   "blocked",  "backoff", "paused",
                                        "limited", "no_worker", "assigned", "suspect", "cancelling"};
  return names[static_cast<std::size_t>(r) < std::size(names) ? static_cast<std::size_t>(r) : 0];
}
inline constexpr std::string_view name(ErrorKind k) {
  constexpr std::string_view names[] = {"",    "error",    "exit", "timeout",    "deadline", "crashed",
                                        "oom", "poisoned", "lost", "dependency", "rejected", "too_large"};
  return names[static_cast<std::size_t>(k) < std::size(names) ? static_cast<std::size_t>(k) : 1];
}
inline constexpr std::string_view name(Lane l) { return l == Lane::async ? "async" : "thread"; }

}  // namespace futured
