// Durations and times as people write and read them. Pure; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "proto/status.hpp"

namespace futured::cli {

/// "250ms", "5s", "1h30m", "2d", "1.5s"; a bare number is seconds. Units: ns us ms s m h d, larger ones first.
Result<std::chrono::nanoseconds> parse_duration(std::string_view text);

/// For people, in at most two units: "0.25s", "12s", "3m20s", "1h05m", "2d03h".
std::string show_duration(std::chrono::nanoseconds d);

/// RFC 3339 UTC with milliseconds: "2026-11-22T17:22:57.123Z".
std::string rfc3339(std::int64_t unix_ns);

}  // namespace futured::cli
