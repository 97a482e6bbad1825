// What is to be started again and again, and what has become of it: the definition that somebody gave, and the state
// that the table keeps. Values; no clock, no file.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "daemon/schedules/cron.hpp"
#include "daemon/schedules/wall_time.hpp"
#include "daemon/schedules/zone.hpp"

namespace futured::schedules {

/// What is done with due times that passed while nobody could start anything (README.md).
enum class CatchUp : std::uint8_t {
  skip,  ///< nothing; a single one that is less than kLate late is not missed
  once,  ///< the newest of them fires, for all
  all,   ///< each fires, oldest first, at most kMostFires in a turn
};
/// What is done at a due time while a run of the same schedule has not ended.
enum class Overlap : std::uint8_t {
  allow,    ///< they run side by side
  skip,     ///< this time is skipped
  replace,  ///< the runs that have not ended are to be cancelled, the new one starts
};

/// Due by the clocks of a place.
struct Calendar {
  Cron cron;
  std::string zone_name;             ///< as it was given, for who shows or keeps it
  std::shared_ptr<const Zone> zone;  ///< not null
};
/// Due at `start` and every `interval` from then on, and never before it. Without a start: at the multiples of the
/// interval since 1970 UTC, so that there is nothing to remember.
struct Every {
  std::int64_t interval = 0;  ///< nanoseconds, kMinInterval at least
  WallTime start = kNoTime;
};

/// A firing's number within its schedule, from 1 on; the run that it starts has the same.
using RunNumber = std::uint64_t;

struct Schedule {
  static constexpr std::int64_t kLate = 60 * kSecond;
  static constexpr std::int64_t kMinInterval = 1'000'000;
  static constexpr std::size_t kMostFires = 100;
  static constexpr std::size_t kMostName = 200;

  // The definition.
  std::string name;
  std::variant<Every, Calendar> when;
  CatchUp catch_up = CatchUp::skip;
  Overlap overlap = Overlap::allow;
  std::uint64_t target = 0;  ///< what to submit: only handed back

  /// All that has to be kept so that nothing fires twice after a restart. Give it to add() again, as it was.
  struct State {
    WallTime passed = kNoTime;     ///< every due time up to here is done with, fired or not; kNoTime: not added yet
    WallTime last_fire = kNoTime;  ///< the due time that fired last
    std::uint64_t fired = 0;
    std::uint64_t skipped = 0;  ///< due times that were missed or met a run that had not ended
    bool paused = false;
    bool operator==(const State&) const = default;
  } state;

  // Kept by the table.
  WallTime next_fire = kNever;  ///< the next due time; kNever also while paused
  std::set<RunNumber> running;  ///< runs that have not ended
};

/// An order to submit what the schedule is for.
struct Fire {
  std::string schedule;
  std::uint64_t target = 0;
  WallTime due = 0;
  RunNumber number = 0;
  std::vector<RunNumber> replaces;  ///< runs to be cancelled first; they still end with ended()
};

/// The first due time after `after`; kNever if there is none.
WallTime next_due(const Schedule& schedule, WallTime after);

}  // namespace futured::schedules
