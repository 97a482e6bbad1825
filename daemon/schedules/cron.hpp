// When a line of a crontab comes due: minute, hour, day of the month, month, day of the week, as in crontab(5). A
// value; pure; any thread may read it.
//
// Each field: * or a list of values and ranges (1,10-20), ranges and * with steps (10-20/2, */5). Months and days of
// the week also by name (jan, mon), in any case; sunday is 0 and 7. Or one of @hourly, @daily, @midnight, @weekly,
// @monthly, @yearly, @annually.
//
// Days: if both day fields are restricted, one that matches is enough; a field that begins with * is not restricted.
//
// Where clocks are changed: if the hour is fixed (its field does not begin with *), each local time counts once. One
// that is left out comes due at the first moment after the gap, one that is there twice at the first of the two. With *
// for the hour every minute counts that the clocks really show, be it for the second time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "daemon/schedules/wall_time.hpp"
#include "daemon/schedules/zone.hpp"
#include "proto/status.hpp"

namespace futured::schedules {

class Cron {
 public:
  /// Invalid: it names the field, the value and what is allowed.
  static Result<Cron> parse(std::string_view text);

  /// The first time due after `after` on the clocks of a zone; kNever if there is none within eight years.
  WallTime next(WallTime after, const Zone& zone) const;

  /// As it was written.
  const std::string& text() const { return text_; }

 private:
  Cron() = default;

  struct Date;
  bool matches_day(const Date& date) const;
  std::int64_t next_local(std::int64_t from, std::int64_t before) const;
  WallTime next_shown(std::int64_t after, const Zone& zone) const;
  WallTime next_reached(std::int64_t after, const Zone& zone) const;

  std::string text_;
  // Bit n: the value n.
  std::uint64_t minutes_ = 0, hours_ = 0, days_ = 0, months_ = 0, weekdays_ = 0;
  bool every_hour_ = false;  // the fields that begin with *
  bool any_day_ = false, any_weekday_ = false;
};

}  // namespace futured::schedules
