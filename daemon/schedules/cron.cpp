#include "daemon/schedules/cron.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <span>

#include "proto/nearest.hpp"

namespace futured::schedules {

namespace {

constexpr std::int64_t kMinute = 60, kHour = 3600, kDay = 86'400;
constexpr std::int64_t kHorizon = 8 * 366 * kDay;  // 29 february comes again after eight years at the latest
constexpr std::int64_t kNone = INT64_MAX;
constexpr std::size_t kMostLetters = 1000;

constexpr std::array<std::string_view, 12> kMonths = {"jan", "feb", "mar", "apr", "may", "jun",
                                                      "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> kWeekdays = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

struct Field {
  std::string_view name;
  int low, high;
  std::span<const std::string_view> names;  ///< of the values from `low` on
};
constexpr std::array<Field, 5> kFields = {{{"minute", 0, 59, {}},
                                           {"hour", 0, 23, {}},
                                           {"day of the month", 1, 31, {}},
                                           {"month", 1, 12, kMonths},
                                           {"day of the week", 0, 7, kWeekdays}}};

struct Macro {
  std::string_view name, text;
};
constexpr std::array<Macro, 7> kMacros = {{{"@hourly", "0 * * * *"},
                                           {"@daily", "0 0 * * *"},
                                           {"@midnight", "0 0 * * *"},
                                           {"@weekly", "0 0 * * 0"},
                                           {"@monthly", "0 0 1 * *"},
                                           {"@yearly", "0 0 1 1 *"},
                                           {"@annually", "0 0 1 1 *"}}};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_word(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// In quotes, short, and with nothing in it that a terminal or a text field would not take.
std::string quoted(std::string_view text) {
  std::string shown(text.substr(0, 60));
  for (char& c : shown) c = c < ' ' || c > '~' ? '?' : c;
  return "'" + shown + (text.size() > 60 ? "..." : "") + "'";
}

Status invalid(const std::string& what) { return {Code::invalid, "cron expression: " + what}; }

std::string range_of(const Field& field) {
  std::string text = std::to_string(field.low) + "-" + std::to_string(field.high);
  if (!field.names.empty()) {
    text += " or " + std::string(field.names.front()) + "-" + std::string(field.names.back());
  }
  return text;
}

Status wrong_value(const Field& field, std::string_view value) {
  std::string text = std::string(field.name) + " " + quoted(value) + " is not one of " + range_of(field);
  if (!is_number(value)) {
    std::string near = nearest(value, field.names);
    // A name in full: its beginning is what is meant.
    for (const std::string_view name : field.names) {
      if (value.size() > name.size() && same_word(value.substr(0, name.size()), name)) near = name;
    }
    if (!near.empty()) text += "; did you mean '" + near + "'?";
  }
  return invalid(text);
}

Status read_value(const Field& field, std::string_view text, int& value) {
  value = -1;
  if (is_number(text) && text.size() <= 4) {
    value = 0;
    for (const char c : text) value = value * 10 + (c - '0');
  }
  for (std::size_t i = 0; i < field.names.size(); ++i) {
    if (same_word(text, field.names[i])) value = field.low + static_cast<int>(i);
  }
  return value >= field.low && value <= field.high ? Status() : wrong_value(field, text);
}

// One of a list: *, a value, or a range, with a step or without.
Status read_item(const Field& field, std::string_view item, std::uint64_t& bits) {
  const std::string what = std::string(field.name) + " " + quoted(item);
  const std::size_t slash = item.find('/');
  const std::string_view range = item.substr(0, slash);
  const std::size_t dash = range.find('-');
  int low = field.low, high = field.high;
  // 7 is another name of 0.
  if (range == "*" && field.high == 7) high = 6;
  if (range != "*") {
    if (Status status = read_value(field, range.substr(0, dash), low); !status.ok()) return status;
    high = low;
    if (dash != std::string_view::npos) {
      const std::string_view last = range.substr(dash + 1);
      if (Status status = read_value(field, last, high); !status.ok()) return status;
      // By name sunday may also end a range: sat-sun.
      if (high == 0 && low > 0 && same_word(last, kWeekdays[0])) high = 7;
      if (high < low) {
        return invalid(what + " runs backwards; write two ranges, up to " + std::to_string(field.high) + " and from " +
                       std::to_string(field.low) + " on");
      }
    }
  }
  int step = 1;
  if (slash != std::string_view::npos) {
    const std::string_view text = item.substr(slash + 1);
    if (range != "*" && dash == std::string_view::npos) {
      return invalid(what + ": a step needs * or a range; write " + std::to_string(low) + "-" +
                     std::to_string(field.high) + "/" + (is_number(text) ? std::string(text.substr(0, 4)) : "N"));
    }
    step = 0;
    if (is_number(text) && text.size() <= 4) {
      for (const char c : text) step = step * 10 + (c - '0');
    }
    if (step < 1 || step > field.high) {
      return invalid("step " + quoted(text) + " of the " + std::string(field.name) + " is not one of 1-" +
                     std::to_string(field.high));
    }
  }
  for (int value = low; value <= high; value += step) {
    bits |= UINT64_C(1) << (static_cast<unsigned>(field.high == 7 ? value % 7 : value) & 63U);
  }
  return {};
}

Status read_field(const Field& field, std::string_view text, std::uint64_t& bits) {
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    if (item.empty()) return invalid("the list of the " + std::string(field.name) + " has an empty place");
    if (Status status = read_item(field, item, bits); !status.ok()) return status;
    if (comma == std::string_view::npos) return {};
    text.remove_prefix(comma + 1);
  }
}

Status wrong_macro(std::string_view word) {
  std::string names;
  std::array<std::string_view, kMacros.size()> all;
  for (std::size_t i = 0; i < kMacros.size(); ++i) {
    all[i] = kMacros[i].name;
    names += (i == 0 ? "" : ", ") + std::string(kMacros[i].name);
  }
  const std::string near = nearest(word, all);
  return invalid(quoted(word) + " is not one of " + names + (near.empty() ? "" : "; did you mean '" + near + "'?"));
}

std::int64_t round_up(std::int64_t value, std::int64_t unit) {
  const std::int64_t rest = ((value % unit) + unit) % unit;
  return rest == 0 ? value : value + unit - rest;
}

// Whether bits from `from` on are set, and the first of them.
bool first_from(std::uint64_t bits, int from, int& found) {
  const std::uint64_t left = from > 63 ? 0 : bits >> from << from;
  if (left == 0) return false;
  found = std::countr_zero(left);
  return true;
}

// The first second at which the clocks have come to show `local`, or a later time.
std::int64_t reached(std::int64_t local, const Zone& zone) {
  std::int64_t at = local - Zone::kEast;  // before it they cannot have come so far
  while (true) {
    const Zone::Span span = zone.at(at);
    const std::int64_t second = std::max(span.begin, local - span.offset);
    if (second < span.end) return second;
    at = span.end;
  }
}

// The latest time that the clocks have shown up to a second.
std::int64_t latest_shown(std::int64_t second, const Zone& zone) {
  Zone::Span span = zone.at(second);
  std::int64_t latest = second + span.offset;
  // What was shown longer ago than the offsets can differ was less.
  while (span.begin > second - (Zone::kEast - Zone::kWest)) {
    span = zone.at(span.begin - 1);
    latest = std::max(latest, span.end - 1 + span.offset);
  }
  return latest;
}

}  // namespace

Result<Cron> Cron::parse(std::string_view text) {
  if (text.size() > kMostLetters) return invalid("it is longer than " + std::to_string(kMostLetters) + " letters");
  std::array<std::string_view, kFields.size()> words;
  std::size_t count = 0;
  const auto split = [&](std::string_view rest) {
    constexpr std::string_view kBlank = " \t";
    for (count = 0; true; ++count) {
      const std::size_t begin = rest.find_first_not_of(kBlank);
      if (begin == std::string_view::npos) return;
      rest.remove_prefix(begin);
      const std::size_t end = std::min(rest.find_first_of(kBlank), rest.size());
      if (count < words.size()) words[count] = rest.substr(0, end);
      rest.remove_prefix(end);
    }
  };
  split(text);
  if (count == 1 && words[0].front() == '@') {
    const auto macro = std::find_if(kMacros.begin(), kMacros.end(),
                                    [&](const Macro& known) { return same_word(known.name, words[0]); });
    if (macro == kMacros.end()) return wrong_macro(words[0]);
    split(macro->text);
  }
  if (count != kFields.size()) {
    return invalid(quoted(text) + " has " + std::to_string(count) + (count == 1 ? " field" : " fields") +
                   ", not 5: minute, hour, day of the month, month, day of the week; or @daily and the like");
  }
  Cron cron;
  const std::array<std::uint64_t*, kFields.size()> bits = {&cron.minutes_, &cron.hours_, &cron.days_, &cron.months_,
                                                           &cron.weekdays_};
  for (std::size_t i = 0; i < kFields.size(); ++i) {
    if (Status status = read_field(kFields[i], words[i], *bits[i]); !status.ok()) return status;
  }
  cron.every_hour_ = words[1].front() == '*';
  cron.any_day_ = words[2].front() == '*';
  cron.any_weekday_ = words[4].front() == '*';
  cron.text_ = text;
  return cron;
}

struct Cron::Date {
  unsigned month, day, weekday;
};

bool Cron::matches_day(const Date& date) const {
  const bool day = days_ >> date.day & 1;
  const bool weekday = weekdays_ >> date.weekday & 1;
  return any_day_ || any_weekday_ ? day && weekday : day || weekday;
}

// The first local time that matches, in [from, before), as seconds since 1970 on these clocks; kNone if there is none.
std::int64_t Cron::next_local(std::int64_t from, std::int64_t before) const {
  namespace ch = std::chrono;
  from = round_up(from, kMinute);
  auto day = ch::floor<ch::days>(ch::local_seconds{ch::seconds{from}});
  int minute = static_cast<int>((from - day.time_since_epoch().count() * kDay) / kMinute);
  for (; day.time_since_epoch().count() * kDay < before; minute = 0) {
    const ch::year_month_day date{day};
    const unsigned month = static_cast<unsigned>(date.month());
    if ((months_ >> month & 1) == 0) {
      day = ch::local_days{(date.year() / date.month() + ch::months{1}) / 1};
      continue;
    }
    int found_hour = 0, found_minute = 0;
    if (matches_day({month, static_cast<unsigned>(date.day()), ch::weekday{day}.c_encoding()})) {
      int hour = minute / 60;
      const bool in_this_hour = (hours_ >> hour & 1) != 0 && first_from(minutes_, minute % 60, found_minute);
      if (in_this_hour || first_from(hours_, hour + 1, found_hour)) {
        if (!in_this_hour) {
          hour = found_hour;
          first_from(minutes_, 0, found_minute);
        }
        const std::int64_t local = day.time_since_epoch().count() * kDay + hour * kHour + found_minute * kMinute;
        return local < before ? local : kNone;
      }
    }
    day += ch::days{1};
  }
  return kNone;
}

// Every minute that the clocks show.
WallTime Cron::next_shown(std::int64_t after, const Zone& zone) const {
  const std::int64_t end = after + kHorizon;
  for (std::int64_t second = after + 1; second < end;) {
    const Zone::Span span = zone.at(second);
    const std::int64_t local = next_local(second + span.offset, std::min(span.end, end) + span.offset);
    if (local != kNone) return wall_time(local - span.offset);
    second = span.end;
  }
  return kNever;
}

// Each local time once: when the clocks have first come so far. What they have already shown, or left out, is over.
WallTime Cron::next_reached(std::int64_t after, const Zone& zone) const {
  const std::int64_t shown = latest_shown(after, zone);
  const std::int64_t local = next_local(shown + 1, shown + kHorizon);
  return local == kNone ? kNever : wall_time(reached(local, zone));
}

WallTime Cron::next(WallTime after, const Zone& zone) const {
  const std::int64_t second = std::max(seconds_of(after), seconds_of(-kNever) + 1);
  return every_hour_ ? next_shown(second, zone) : next_reached(second, zone);
}

}  // namespace futured::schedules
