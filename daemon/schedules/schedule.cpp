#include "daemon/schedules/schedule.hpp"

namespace futured::schedules {

namespace {

WallTime next_due(const Every& every, WallTime after) {
  const bool started = every.start != kNoTime;
  if (started && after < every.start) return every.start;
  // Unsigned: the distance of two times may be more than a signed number holds.
  const auto interval = static_cast<std::uint64_t>(every.interval);
  const WallTime origin = started ? every.start : 0;
  std::uint64_t ahead = 0;  // from `after` to the next
  if (after >= origin) {
    ahead = interval - (static_cast<std::uint64_t>(after) - static_cast<std::uint64_t>(origin)) % interval;
  } else {
    const std::uint64_t rest = (static_cast<std::uint64_t>(origin) - static_cast<std::uint64_t>(after)) % interval;
    ahead = rest == 0 ? interval : rest;
  }
  const std::uint64_t left = static_cast<std::uint64_t>(kNever) - static_cast<std::uint64_t>(after);
  return ahead >= left ? kNever : static_cast<WallTime>(static_cast<std::uint64_t>(after) + ahead);
}

}  // namespace

WallTime next_due(const Schedule& schedule, WallTime after) {
  if (const auto* every = std::get_if<Every>(&schedule.when)) return next_due(*every, after);
  const Calendar& calendar = std::get<Calendar>(schedule.when);
  return calendar.cron.next(after, *calendar.zone);
}

}  // namespace futured::schedules
