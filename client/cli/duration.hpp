// Durations, times and rates as people write and read them. Pure; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "proto/status.hpp"

namespace futured::cli {

/// "250ms", "5s", "1h30m", "2d", "1.5s"; a bare number is seconds. Units: ns us ms s m h d, larger ones first.
Result<std::chrono::nanoseconds> parse_duration(std::string_view text);

/// A point in time: RFC 3339 ("2026-11-22T17:30:00Z", "2026-11-22 17:30:00.5+01:00"), or "17:30" and "17:30:15", the
/// next such local time after `now`.
Result<std::chrono::system_clock::time_point> parse_time(std::string_view text,
                                                         std::chrono::system_clock::time_point now);

/// So many starts within a time.
struct Rate {
  std::uint32_t starts = 0;
  std::chrono::nanoseconds per{};
};
/// "10/s", "100/m", "1000/h", "5/10s".
Result<Rate> parse_rate(std::string_view text);
/// The inverse: "100/m", "5/10s".
std::string show_rate(const Rate& rate);

/// For people, in at most two units: "0.25s", "12s", "3m20s", "1h05m", "2d03h".
std::string show_duration(std::chrono::nanoseconds d);

/// RFC 3339 UTC with milliseconds: "2026-11-22T17:22:57.123Z".
std::string rfc3339(std::int64_t unix_ns);

}  // namespace futured::cli
