// A task as one daemon knows it: what it was taken for, sent, reported and told, seen from outside.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/scheduler/spec.hpp"
#include "proto/task_state.hpp"
#include "tests/sim/mixture.hpp"

namespace futured::sim {

/// A task that a client submitted; it may be taken by several daemons, one after the other.
using Key = std::uint32_t;
inline constexpr Key kNoKey = UINT32_MAX;

/// One element of Spec::after, as it was when the task was taken.
struct Wanted {
  scheduler::Condition on = scheduler::Condition::success;
  std::vector<TaskNumber> tasks;
  std::string group;
  bool unknown = false;  ///< some of it was not there then
};

struct Life {
  Key key = kNoKey;
  TaskNumber number = 0;
  TaskNumber same_as = 0;  ///< the task that has its key; 0: it is one itself
  Time taken = 0;
  std::uint64_t taken_turn = 0;
  std::vector<Wanted> after;
  bool may_be_refused = false;     ///< there was no room for it, or the daemon was leaving
  std::vector<TaskNumber> rivals;  ///< those with its key that it was not attached to

  // Attempts.
  std::uint32_t sent = 0;  ///< the last
  std::uint64_t worker = 0;
  Time last_sent = 0;
  bool returned = false;  ///< the last came back unstarted
  struct Execution {
    AttemptToken token;
    std::uint64_t process = 0;
    Time began = 0;
  };
  std::optional<Execution> executing;
  std::uint32_t begun = 0;  ///< the last that began
  Time last_began = 0;
  bool began_for_sure = false;          ///< and the daemon was told
  std::uint32_t charged = 0;            ///< the last attempt that a crash ended
  std::map<std::uint32_t, Time> stops;  ///< attempts told to stop: until when they were given time
  std::set<std::uint32_t> failures;     ///< attempts reported as failed
  Time failed_at = 0, retry_after = 0;  ///< of the last of them
  std::uint64_t ended_turn = 0;
  bool failed_for_good = false;
  bool success_reported = false;
  bool unsure = false;  ///< a report came when its call may have been given up

  // The end.
  TaskNumber over_for = 0;  ///< a task has begun that could only begin after its end
  bool cancel_granted = false;
  bool forgettable = false;  ///< an order to forget it was given
  TaskState state = TaskState::unknown;
  ErrorKind kind = ErrorKind::none;
  std::string result;

  std::size_t spent() const {
    std::set<std::uint32_t> all = failures;
    for (const auto& [attempt, until] : stops) all.insert(attempt);
    return all.size();
  }
};

}  // namespace futured::sim
