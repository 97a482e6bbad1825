// Times of the clock on the wall, as opposed to the scheduler's monotonic ones: schedules mean what people read there.
#pragma once

#include <cstdint>

namespace futured::schedules {

/// Nanoseconds since 1970-01-01 00:00 UTC, leap seconds not counted.
using WallTime = std::int64_t;
inline constexpr WallTime kNever = INT64_MAX;   ///< after every time
inline constexpr WallTime kNoTime = INT64_MIN;  ///< before every time: not yet, not known
inline constexpr std::int64_t kSecond = 1'000'000'000;

/// The second that `time` lies in, also before 1970.
constexpr std::int64_t seconds_of(WallTime time) { return time / kSecond - (time % kSecond < 0 ? 1 : 0); }
/// Of a time after 1678; kNever if it is too late for nanoseconds: after 2262.
constexpr WallTime wall_time(std::int64_t seconds) {
  return seconds >= INT64_MAX / kSecond ? kNever : seconds * kSecond;
}

}  // namespace futured::schedules
