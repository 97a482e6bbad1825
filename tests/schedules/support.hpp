// Times that can be read, and zones made in memory: the tests need no tzdata on the machine.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/schedules/cron.hpp"
#include "daemon/schedules/wall_time.hpp"
#include "daemon/schedules/zone.hpp"

namespace futured::schedules::test {

inline WallTime utc(int year, unsigned month, unsigned day, int hour = 0, int minute = 0, int second = 0) {
  namespace ch = std::chrono;
  const ch::sys_days date{ch::year{year} / ch::month{month} / ch::day{day}};
  const ch::seconds time = date.time_since_epoch() + ch::hours{hour} + ch::minutes{minute} + ch::seconds{second};
  return time.count() * kSecond;
}

/// As "2026-03-29 01:00:00" in UTC.
inline std::string shown(WallTime time) {
  if (time == kNever) return "never";
  namespace ch = std::chrono;
  const ch::sys_seconds at{ch::seconds{seconds_of(time)}};
  const auto day = ch::floor<ch::days>(at);
  const ch::year_month_day date{day};
  const ch::hh_mm_ss clock{at - day};
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u %02d:%02d:%02d", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  return text;
}

inline std::string big_endian(std::uint64_t value, std::size_t bytes) {
  std::string text;
  for (std::size_t i = bytes; i-- > 0;) text += static_cast<char>(value >> (8 * i) & 0xff);
  return text;
}

/// A TZif file, version 2: offsets, changes (when, to which offset), rule.
struct File {
  std::vector<std::int32_t> offsets = {0};
  std::vector<std::pair<std::int64_t, std::uint8_t>> changes;
  std::string rule;
  std::uint32_t leaps = 0;

  std::string bytes() const {
    std::string text = "TZif2" + std::string(15, '\0');
    for (const std::uint32_t count : {0, 0, 0, 0, 1, 1}) text += big_endian(count, 4);
    text += big_endian(0, 4) + std::string(2, '\0') + std::string(1, '\0');  // one offset, one letter
    text += "TZif2" + std::string(15, '\0');
    for (const std::size_t count :
         {std::size_t{0}, std::size_t{0}, std::size_t{leaps}, changes.size(), offsets.size(), std::size_t{1}}) {
      text += big_endian(count, 4);
    }
    for (const auto& change : changes) text += big_endian(static_cast<std::uint64_t>(change.first), 8);
    for (const auto& change : changes) text += static_cast<char>(change.second);
    for (const std::int32_t offset : offsets) {
      text += big_endian(static_cast<std::uint32_t>(offset), 4) + std::string(2, '\0');
    }
    text += std::string(1, '\0') + std::string(std::size_t{leaps} * 12, '\0');
    return text + "\n" + rule + "\n";
  }
};

inline Zone zone_by_rule(const std::string& rule) {
  File file;
  file.rule = rule;
  Result<Zone> zone = Zone::parse(file.bytes());
  REQUIRE_MESSAGE(zone.ok(), rule);
  return *zone;
}
inline Zone berlin() { return zone_by_rule("CET-1CEST,M3.5.0,M10.5.0/3"); }
inline Zone new_york() { return zone_by_rule("EST5EDT,M3.2.0,M11.1.0"); }
inline Zone lord_howe() { return zone_by_rule("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"); }

inline Cron cron(std::string_view text) {
  Result<Cron> parsed = Cron::parse(text);
  REQUIRE_MESSAGE(parsed.ok(), (parsed.ok() ? "" : parsed.status().message()));
  return *parsed;
}

/// The next times after one, in UTC.
inline std::vector<std::string> next_times(std::string_view text, WallTime after, std::size_t count,
                                           const Zone& zone = Zone()) {
  const Cron expression = cron(text);
  std::vector<std::string> times;
  for (std::size_t i = 0; i < count; ++i) {
    after = expression.next(after, zone);
    times.push_back(shown(after));
    if (after == kNever) break;
  }
  return times;
}
using Times = std::vector<std::string>;

/// Small and the same everywhere (splitmix64).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  /// In [low, high].
  int in(int low, int high) { return low + static_cast<int>(next() % static_cast<std::uint64_t>(high - low + 1)); }
  bool chance(int percent) { return in(1, 100) <= percent; }

 private:
  std::uint64_t state_;
};

}  // namespace futured::schedules::test
