#include "daemon/schedules/zone.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <utility>

namespace futured::schedules {

namespace {

constexpr std::int64_t kDay = 86'400;
constexpr std::int64_t kFarthest = 100'000'000'000;            // seconds: about 3000 years
constexpr std::int64_t kAlways = 4 * kFarthest;                // beyond every time that is asked for
constexpr std::int64_t kEarliestChange = -(INT64_C(1) << 59);  // RFC 9636: nothing lies before it

// Reads from the front of some bytes; once it has run out of them it stays failed and gives zeros.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  bool ok() const { return ok_; }
  std::string_view rest() const { return rest_; }
  std::string_view take(std::size_t n) {
    if (!ok_ || n > rest_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view taken = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return taken;
  }
  /// Big-endian, of 1 to 8 bytes.
  std::uint64_t number(std::size_t bytes) {
    std::uint64_t value = 0;
    for (const char c : take(bytes)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  std::int64_t time(std::size_t bytes) {
    return bytes == 8 ? static_cast<std::int64_t>(number(8)) : static_cast<std::int32_t>(number(4));
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

struct Header {
  char version = 0;
  std::uint64_t ut = 0, standard = 0, leaps = 0, changes = 0, types = 0, letters = 0;

  // None of the counts is above 2^32, so that the sum cannot overflow.
  std::uint64_t bytes(std::uint64_t time_size) const {
    return changes * (time_size + 1) + types * 6 + letters + leaps * (time_size + 4) + standard + ut;
  }
};

bool read_header(Reader& reader, Header& header) {
  if (reader.take(4) != "TZif") return false;
  header.version = static_cast<char>(reader.number(1));
  reader.take(15);
  for (std::uint64_t* count :
       {&header.ut, &header.standard, &header.leaps, &header.changes, &header.types, &header.letters}) {
    *count = reader.number(4);
  }
  return reader.ok();
}

Status invalid(const std::string& what) { return {Code::invalid, "this is no usable time zone file (TZif): " + what}; }

// The text of a POSIX TZ string, read from the front.
class RuleReader {
 public:
  explicit RuleReader(std::string_view text) : rest_(text) {}
  bool at_end() const { return rest_.empty(); }
  bool begins_with(char c) const { return !rest_.empty() && rest_.front() == c; }
  bool skip(char c) {
    if (!begins_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool name() {
    const bool quoted = skip('<');
    std::size_t n = 0;
    const auto belongs = [&](char c) {
      const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      return letter || (quoted && ((c >= '0' && c <= '9') || c == '+' || c == '-'));
    };
    while (n < rest_.size() && belongs(rest_[n])) ++n;
    rest_.remove_prefix(n);
    return n >= 3 && (!quoted || skip('>'));
  }
  bool number(std::int32_t low, std::int32_t high, std::int32_t& value) {
    std::size_t n = 0;
    value = 0;
    for (; n < rest_.size() && n < 4 && rest_[n] >= '0' && rest_[n] <= '9'; ++n) value = value * 10 + (rest_[n] - '0');
    rest_.remove_prefix(n);
    return n > 0 && value >= low && value <= high;
  }
  /// [+-]hh[:mm[:ss]] in seconds.
  bool time(std::int32_t most_hours, std::int32_t& seconds) {
    const bool negative = skip('-');
    if (!negative) skip('+');
    std::int32_t hours = 0, minutes = 0, rest = 0;
    if (!number(0, most_hours, hours)) return false;
    if (skip(':') && !number(0, 59, minutes)) return false;
    if (skip(':') && !number(0, 59, rest)) return false;
    seconds = (hours * 3600 + minutes * 60 + rest) * (negative ? -1 : 1);
    return true;
  }
  bool day(ZoneRule::Day& day) {
    using Kind = ZoneRule::Day::Kind;
    if (!skip(',')) return false;
    if (skip('M')) {
      day.kind = Kind::month_week_day;
      if (!number(1, 12, day.month) || !skip('.') || !number(1, 5, day.week) || !skip('.')) return false;
      if (!number(0, 6, day.day)) return false;
    } else if (skip('J')) {
      day.kind = Kind::julian;
      if (!number(1, 365, day.day)) return false;
    } else if (!number(0, 365, day.day)) {
      return false;
    }
    day.time = 2 * 3600;
    return !skip('/') || time(167, day.time);
  }

 private:
  std::string_view rest_;
};

// Seconds from 1970 to what the clocks show at this moment of the rule.
std::int64_t local_seconds(const ZoneRule::Day& day, int year) {
  namespace ch = std::chrono;
  const ch::year y{year};
  ch::sys_days date = y / ch::January / 1;
  switch (day.kind) {
    case ZoneRule::Day::Kind::month_week_day: {
      const ch::month month{static_cast<unsigned>(day.month)};
      const ch::weekday weekday{static_cast<unsigned>(day.day)};
      date = day.week == 5 ? ch::sys_days{y / month / weekday[ch::last]}
                           : ch::sys_days{y / month / weekday[static_cast<unsigned>(day.week)]};
      break;
    }
    case ZoneRule::Day::Kind::julian:
      date += ch::days{day.day - 1 + (y.is_leap() && day.day >= 60 ? 1 : 0)};
      break;
    case ZoneRule::Day::Kind::day_of_year:
      date += ch::days{day.day};
      break;
  }
  return date.time_since_epoch().count() * kDay + day.time;
}

int year_of(std::int64_t seconds) {
  const std::chrono::sys_seconds time{std::chrono::seconds{seconds}};
  return static_cast<int>(std::chrono::year_month_day{std::chrono::floor<std::chrono::days>(time)}.year());
}

}  // namespace

std::optional<ZoneRule> ZoneRule::parse(std::string_view text) {
  RuleReader reader(text);
  ZoneRule rule;
  // POSIX counts to the west.
  std::int32_t west = 0;
  if (!reader.name() || !reader.time(24, west)) return std::nullopt;
  rule.offset = -west;
  if (reader.at_end()) return rule;
  Summer summer;
  summer.offset = rule.offset + 3600;
  if (!reader.name()) return std::nullopt;
  if (!reader.begins_with(',')) {
    if (!reader.time(24, west)) return std::nullopt;
    summer.offset = -west;
  }
  if (!reader.day(summer.begin) || !reader.day(summer.end) || !reader.at_end()) return std::nullopt;
  rule.summer = summer;
  return rule;
}

Result<Zone> Zone::parse(std::string_view tzif) {
  Reader reader(tzif);
  Header header;
  if (!read_header(reader, header)) return invalid("it does not begin with a header \"TZif\"");
  // Version 1 has 32-bit times only; in later ones they come first, for old readers, and everything again in 64 bits.
  std::uint64_t time_size = 4;
  const bool later = header.version >= '2';
  if (later) {
    const std::uint64_t old = header.bytes(4);
    reader.take(old);
    time_size = 8;
    if (!read_header(reader, header)) return invalid("it ends before its 64-bit part");
  }
  if (header.bytes(time_size) > reader.rest().size()) return invalid("it is shorter than its header says");
  if (header.leaps != 0) {
    return invalid("it counts leap seconds, the clock does not; take the zone of the same name outside right/");
  }
  if (header.types == 0) return invalid("it has no offset from UTC");

  Zone zone;
  zone.changes_.resize(header.changes);
  for (Change& change : zone.changes_) change.at = reader.time(time_size);
  std::vector<std::uint8_t> types(header.changes);
  for (std::uint8_t& type : types) type = static_cast<std::uint8_t>(reader.number(1));
  std::vector<std::int32_t> offsets(header.types);
  for (std::int32_t& offset : offsets) {
    offset = static_cast<std::int32_t>(reader.number(4));
    reader.take(2);  // whether it is summer time, and its abbreviation: not needed
    if (offset < kWest || offset > kEast) return invalid("an offset from UTC is above a day");
  }
  reader.take(header.letters + header.standard + header.ut);
  for (std::size_t i = 0; i < zone.changes_.size(); ++i) {
    Change& change = zone.changes_[i];
    if (types[i] >= offsets.size()) return invalid("a change is to an offset that is not there");
    if (change.at < kEarliestChange) return invalid("a change lies before the beginning of time");
    if (i > 0 && change.at <= zone.changes_[i - 1].at) return invalid("its changes are not in order");
    change.offset = offsets[types[i]];
  }
  zone.first_offset_ = offsets[0];
  if (later) {
    const std::string_view rest = reader.rest();
    const std::size_t end = rest.size() > 1 ? rest.find('\n', 1) : std::string_view::npos;
    if (rest.empty() || rest[0] != '\n' || end == std::string_view::npos) {
      return invalid("the rule for the years to come is missing at its end");
    }
    const std::string_view text = rest.substr(1, end - 1);
    if (!text.empty()) {
      zone.rule_ = ZoneRule::parse(text);
      if (!zone.rule_) return invalid("the rule for the years to come cannot be read");
    }
  }
  return zone;
}

Zone::Span Zone::at(std::int64_t seconds) const {
  seconds = std::clamp(seconds, -kFarthest, kFarthest);
  const auto after = std::upper_bound(changes_.begin(), changes_.end(), seconds,
                                      [](std::int64_t s, const Change& change) { return s < change.at; });
  const bool beyond = after == changes_.end();
  if (beyond && rule_) return by_rule(seconds);
  const std::int64_t end = beyond ? kAlways : std::min(after->at, kAlways);
  if (after == changes_.begin()) return {-kAlways, end, first_offset_};
  const Change& change = *std::prev(after);
  return {std::max(change.at, -kAlways), end, change.offset};
}

Zone::Span Zone::by_rule(std::int64_t seconds) const {
  const std::int64_t from = changes_.empty() ? -kAlways : std::max(changes_.back().at, -kAlways);
  if (!rule_->summer) return {from, kAlways, rule_->offset};
  const ZoneRule::Summer& summer = *rule_->summer;
  // A rule may move a change by a week into another year: with two years on each side there is one before and after.
  std::array<Change, 10> changes;
  const int year = year_of(seconds);
  for (int i = 0; i < 5; ++i) {
    const std::size_t at = static_cast<std::size_t>(i) * 2;
    // Ends first: where summer begins as it ends (all year round), it goes on.
    changes[at] = {local_seconds(summer.end, year + i - 2) - summer.offset, rule_->offset};
    changes[at + 1] = {local_seconds(summer.begin, year + i - 2) - rule_->offset, summer.offset};
  }
  std::sort(changes.begin(), changes.end(), [&](const Change& a, const Change& b) {
    return std::pair(a.at, a.offset == summer.offset) < std::pair(b.at, b.offset == summer.offset);
  });
  const auto after = std::upper_bound(changes.begin(), changes.end(), seconds,
                                      [](std::int64_t s, const Change& change) { return s < change.at; });
  const Change& change = *std::prev(after);
  return {std::max(change.at, from), after->at, change.offset};
}

}  // namespace futured::schedules
