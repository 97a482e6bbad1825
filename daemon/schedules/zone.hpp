// A time zone: how far the clocks of a place were, are and will be from UTC. A value; pure; any thread may read it.
//
// It is made from the bytes of a TZif file (RFC 9636, before it RFC 8536), which may be any bytes: what is not such a
// file is refused with a text that says why. zone_file.hpp reads the files of this machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "proto/status.hpp"

namespace futured::schedules {

/// The rule of a POSIX TZ string for all years, such as CET-1CEST,M3.5.0,M10.5.0/3.
struct ZoneRule {
  struct Day {
    enum class Kind : std::uint8_t { month_week_day, julian, day_of_year } kind = Kind::day_of_year;
    std::int32_t month = 0, week = 0;  ///< month_week_day; week 5: the last
    std::int32_t day = 0;              ///< of the week, 0 is sunday; julian: 1 to 365, never 29 feb; else 0 to 365
    std::int32_t time = 0;             ///< seconds from local midnight; may be negative or above a day
  };
  struct Summer {
    std::int32_t offset = 0;
    Day begin, end;
  };
  std::int32_t offset = 0;  ///< seconds east of UTC, outside summer time
  std::optional<Summer> summer;

  /// nullopt if it is not such a rule.
  static std::optional<ZoneRule> parse(std::string_view text);
};

class Zone {
 public:
  /// UTC.
  Zone() = default;
  /// Invalid: it says what is wrong with the bytes.
  static Result<Zone> parse(std::string_view tzif);

  /// Seconds [begin, end) since 1970 UTC in which clocks are `offset` seconds ahead of UTC. Neighbours may have the
  /// same offset.
  struct Span {
    std::int64_t begin = 0, end = 0;
    std::int32_t offset = 0;
  };
  /// The span that contains `seconds`, which is taken into the range of about 3000 years around 1970.
  Span at(std::int64_t seconds) const;

  /// Offsets lie between these: what RFC 9636 allows.
  static constexpr std::int32_t kWest = -89'999, kEast = 93'599;

 private:
  Span by_rule(std::int64_t seconds) const;

  struct Change {
    std::int64_t at = 0;
    std::int32_t offset = 0;  ///< from then on
  };
  std::int32_t first_offset_ = 0;  ///< before the first change
  std::vector<Change> changes_;    ///< ascending
  std::optional<ZoneRule> rule_;   ///< from the last change on; none: its offset stays
};

}  // namespace futured::schedules
