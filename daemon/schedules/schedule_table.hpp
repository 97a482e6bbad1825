// The schedules of a daemon and when each comes due. It decides, others submit: no clock, no thread, no file. The same
// calls at the same times give the same firings. Owned and called by one thread.
//
// A turn: advance(now), then submit what it fired, then keep the state of those schedules, then report each run that
// ended with ended(). Times are those of the wall clock and may jump: a due time that has passed once is done with, so
// that no clock set back fires it again; one set forward makes missed times (README.md).
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/schedules/schedule.hpp"
#include "proto/status.hpp"

namespace futured::schedules {

class ScheduleTable {
 public:
  using Schedules = std::map<std::string, Schedule, std::less<>>;

  /// Due from now on; with a state that was kept: from where it stopped, and what came due since then was missed.
  /// Invalid: the name is taken or none, the interval too short, no zone. `next_fire` and `running` are the table's.
  Status add(Schedule schedule, WallTime now);
  /// Nothing fires until it is resumed. not_found: no such schedule (in all that follow).
  Status pause(std::string_view name);
  /// What came due during the pause was not missed and is not made up for.
  Status resume(std::string_view name, WallTime now);
  /// Its runs go on; who wants to end them asks for `running` before.
  Status remove(std::string_view name);

  /// A run is over, in whatever way. False if the schedule has none of that number that was not over.
  bool ended(std::string_view name, RunNumber run);
  /// A run from before a restart that has not ended. not_found; invalid: it has not fired that often.
  Status still_runs(std::string_view name, RunNumber run);

  /// Null if there is none of that name.
  const Schedule* find(std::string_view name) const;
  /// Runs that have not ended, oldest first; none if there is no such schedule.
  std::vector<RunNumber> running(std::string_view name) const;
  /// In order of names.
  const Schedules& all() const { return schedules_; }

  /// When advance() is wanted; kNever if not at all. In the past: at once.
  WallTime next_deadline() const { return deadlines_.empty() ? kNever : deadlines_.begin()->first; }
  /// Whose turn advance(now) is: by due time. The names stay valid until one is removed.
  std::vector<std::string_view> due(WallTime now) const;
  /// Appends what fires now, ordered by due time within a schedule. Bounded: what a schedule still has to make up for
  /// or to count afterwards comes in the next turn, and next_deadline() stays in the past until it is done.
  void advance(WallTime now, std::vector<Fire>& fires);

  /// Of one schedule, how many missed times a turn counts.
  static constexpr std::size_t kMostSkips = 1000;

 private:
  Result<Schedules::iterator> known(std::string_view name);
  void set_next(Schedule& schedule, WallTime next);
  void advance(Schedule& schedule, WallTime now, std::vector<Fire>& fires);

  Schedules schedules_;
  std::set<std::pair<WallTime, std::string_view>> deadlines_;  // next_fire and the name in schedules_; never kNever
};

}  // namespace futured::schedules
