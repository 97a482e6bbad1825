#include "client/cli/duration.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <limits>
#include <optional>

namespace futured::cli {
namespace {

struct Unit {
  std::string_view name;
  double ns;
};
constexpr std::array<Unit, 7> kUnits{
    {{"d", 86400e9}, {"h", 3600e9}, {"m", 60e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1}}};

template <class... A>
std::string format(const char* pattern, A... values) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), pattern, values...);
  return text.data();
}

}  // namespace

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  const Status wrong(Code::invalid, "'" + std::string(text) + "' is no duration; write 250ms, 5s, 1h30m, or seconds");
  double total = 0;
  std::size_t next_unit = 0;
  std::string_view rest = text;
  if (rest.empty()) return wrong;
  while (!rest.empty()) {
    if (rest[0] < '0' || rest[0] > '9') {
      if (rest[0] != '.') return wrong;
    }
    double amount = 0;
    const auto end = std::from_chars(rest.data(), rest.data() + rest.size(), amount, std::chars_format::fixed);
    if (end.ec != std::errc{}) return wrong;
    rest.remove_prefix(static_cast<std::size_t>(end.ptr - rest.data()));
    const std::string_view unit = rest.substr(0, rest.find_first_of("0123456789."));
    rest.remove_prefix(unit.size());
    std::size_t i = next_unit;
    if (unit.empty()) {
      if (next_unit != 0) return wrong;
      i = 3;
    }
    while (!unit.empty() && i < kUnits.size() && kUnits[i].name != unit) ++i;
    if (i == kUnits.size()) return wrong;
    total += amount * kUnits[i].ns;
    next_unit = i + 1;
  }
  if (total >= static_cast<double>(std::numeric_limits<std::int64_t>::max())) {
    return Status(Code::invalid, "'" + std::string(text) + "' is too long a time");
  }
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::llround(total)));
}

namespace {

/// Exactly `digits` of them at the front, which are removed.
std::optional<int> take_number(std::string_view& text, std::size_t digits) {
  int out = 0;
  if (text.size() < digits) return std::nullopt;
  for (const char c : text.substr(0, digits)) {
    if (c < '0' || c > '9') return std::nullopt;
    out = out * 10 + (c - '0');
  }
  text.remove_prefix(digits);
  return out;
}

bool take(std::string_view& text, std::string_view one_of) {
  if (text.empty() || one_of.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

struct ClockTime {
  int hour = 0, minute = 0, second = 0;
};

/// "17:30" or "17:30:15" at the front. A leap second is taken as the one before it.
std::optional<ClockTime> take_clock(std::string_view& text, bool seconds_needed) {
  ClockTime out;
  const auto hour = take_number(text, 2);
  if (!hour || *hour > 23 || !take(text, ":")) return std::nullopt;
  const auto minute = take_number(text, 2);
  if (!minute || *minute > 59) return std::nullopt;
  out.hour = *hour;
  out.minute = *minute;
  if (!take(text, ":")) return seconds_needed ? std::nullopt : std::optional(out);
  const auto second = take_number(text, 2);
  if (!second || *second > 60) return std::nullopt;
  out.second = std::min(*second, 59);
  return out;
}

using SystemTime = std::chrono::system_clock::time_point;

std::optional<SystemTime> next_local(const ClockTime& clock, SystemTime now) {
  const std::time_t today = std::chrono::system_clock::to_time_t(now);
  // The day after tomorrow serves when a change of the clock leaves that time out.
  for (int days = 0; days <= 2; ++days) {
    std::tm local{};
    if (localtime_r(&today, &local) == nullptr) return std::nullopt;
    local.tm_mday += days;
    local.tm_hour = clock.hour;
    local.tm_min = clock.minute;
    local.tm_sec = clock.second;
    local.tm_isdst = -1;
    const SystemTime then = std::chrono::system_clock::from_time_t(std::mktime(&local));
    if (then > now) return then;
  }
  return std::nullopt;
}

}  // namespace

Result<SystemTime> parse_time(std::string_view text, SystemTime now) {
  const auto wrong = [text](std::string_view why) {
    return Status(Code::invalid, "'" + std::string(text) + "' " + std::string(why) +
                                     "; write 2026-11-22T17:30:00Z, or 17:30 for the next such local time");
  };
  std::string_view rest = text;
  if (rest.size() <= 8) {
    const auto clock = take_clock(rest, false);
    if (!clock || !rest.empty()) return wrong("is no time");
    const auto then = next_local(*clock, now);
    return then ? Result<SystemTime>(*then) : wrong("is no time of the next days here");
  }
  const auto year = take_number(rest, 4);
  const bool dash = take(rest, "-");
  const auto month = take_number(rest, 2);
  const bool second_dash = take(rest, "-");
  const auto day = take_number(rest, 2);
  if (!year || !dash || !month || !second_dash || !day || !take(rest, "Tt ")) return wrong("is no time");
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return wrong("is no day of the calendar");
  const auto clock = take_clock(rest, true);
  if (!clock) return wrong("has no time of day");
  std::int64_t fraction = 0;
  if (take(rest, ".")) {
    std::int64_t unit = 100'000'000;
    if (rest.empty() || rest.front() < '0' || rest.front() > '9') return wrong("is no time");
    for (; !rest.empty() && rest.front() >= '0' && rest.front() <= '9'; rest.remove_prefix(1), unit /= 10) {
      fraction += unit * (rest.front() - '0');
    }
  }
  std::chrono::minutes zone{};
  if (rest.empty()) return wrong("does not say its zone: add Z, or +01:00");
  if (!take(rest, "Zz")) {
    const bool west = rest.front() == '-';
    if (!take(rest, "+-")) return wrong("is no time");
    const auto hours = take_number(rest, 2);
    const bool colon = take(rest, ":");
    const auto minutes = take_number(rest, 2);
    if (!hours || !colon || !minutes || *hours > 23 || *minutes > 59) return wrong("has no zone like +01:00");
    zone = std::chrono::hours(*hours) + std::chrono::minutes(*minutes);
    if (west) zone = -zone;
  }
  if (!rest.empty()) return wrong("is no time");
  // Nanoseconds of 64 bits end in 2262.
  if (*year < 1970 || *year > 2261) return wrong("is not between 1970 and 2261");
  return SystemTime(std::chrono::sys_days(date)) + std::chrono::hours(clock->hour) +
         std::chrono::minutes(clock->minute) + std::chrono::seconds(clock->second) +
         std::chrono::nanoseconds(fraction) - zone;
}

Result<Rate> parse_rate(std::string_view text) {
  const Status wrong(Code::invalid, "'" + std::string(text) + "' is no rate; write 10/s, 100/m, 1000/h or 5/10s");
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return wrong;
  const std::string_view count = text.substr(0, slash);
  const std::string_view per = text.substr(slash + 1);
  Rate out;
  const auto end = std::from_chars(count.data(), count.data() + count.size(), out.starts);
  if (count.empty() || end.ec != std::errc{} || end.ptr != count.data() + count.size() || out.starts == 0) return wrong;
  const bool unit_alone = !per.empty() && (per.front() < '0' || per.front() > '9') && per.front() != '.';
  const auto time = parse_duration(unit_alone ? "1" + std::string(per) : std::string(per));
  if (!time.ok() || time->count() == 0) return wrong;
  out.per = *time;
  return out;
}

std::string show_rate(const Rate& rate) {
  std::string per = std::to_string(rate.per.count()) + "ns";
  for (const Unit& unit : kUnits) {
    const auto ns = static_cast<std::int64_t>(unit.ns);
    if (rate.per.count() % ns != 0) continue;
    const std::int64_t n = rate.per.count() / ns;
    per = (n == 1 ? std::string() : std::to_string(n)) + std::string(unit.name);
    break;
  }
  return std::to_string(rate.starts) + "/" + per;
}

std::string show_duration(std::chrono::nanoseconds d) {
  const auto ns = static_cast<double>(d.count());
  if (ns < 0) return "-" + show_duration(-d);
  if (ns < 9.95e5) return format("%.0fus", ns / 1e3);
  if (ns < 9.95e7) return format("%.1fms", ns / 1e6);
  if (ns < 9.995e9) return format("%.2fs", ns / 1e9);
  if (ns < 59.5e9) return format("%.0fs", ns / 1e9);
  const auto seconds = static_cast<std::int64_t>(std::llround(ns / 1e9));
  if (seconds < 3600) return format("%dm%02ds", static_cast<int>(seconds / 60), static_cast<int>(seconds % 60));
  if (seconds < 86400) return format("%dh%02dm", static_cast<int>(seconds / 3600), static_cast<int>(seconds / 60 % 60));
  return format("%dd%02dh", static_cast<int>(seconds / 86400), static_cast<int>(seconds / 3600 % 24));
}

std::string rfc3339(std::int64_t unix_ns) {
  std::int64_t seconds = unix_ns / 1'000'000'000;
  std::int64_t rest = unix_ns % 1'000'000'000;
  if (rest < 0) {
    rest += 1'000'000'000;
    --seconds;
  }
  const std::time_t when = seconds;
  std::tm utc{};
  if (gmtime_r(&when, &utc) == nullptr) return {};
  std::array<char, 40> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  return std::string(text.data(), size) + format(".%03dZ", static_cast<int>(rest / 1'000'000));
}

}  // namespace futured::cli
