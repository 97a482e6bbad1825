// What is computed against what is counted out: the next time of random expressions against a scan of every minute, and
// the zones of this machine against its C library.
#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>

#include "daemon/schedules/zone_file.hpp"
#include "tests/schedules/support.hpp"

using namespace futured;
using namespace futured::schedules;
using namespace futured::schedules::test;

namespace {

void use_zone(const std::string& name) {
  setenv("TZ", (":" + name).c_str(), 1);
  tzset();
}

long library_offset(std::int64_t seconds) {
  const std::time_t time = seconds;
  std::tm local{};
  localtime_r(&time, &local);
  return local.tm_gmtoff;
}

// An expression with the sets that it means, made together, so that the parser is tested too.
struct Expression {
  std::string text;
  std::set<int> values[5];
  bool star[5] = {};
};

const char* const kDays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

Expression random_expression(Random& random) {
  static constexpr int kLow[] = {0, 0, 1, 1, 0}, kHigh[] = {59, 23, 31, 12, 6};
  Expression e;
  for (int f = 0; f < 5; ++f) {
    const int low = kLow[f], high = kHigh[f];
    std::string text;
    if (random.chance(f < 2 ? 30 : 60)) {
      const int step = random.chance(60) ? 1 : random.in(1, high);
      text = step == 1 ? "*" : "*/" + std::to_string(step);
      e.star[f] = true;
      for (int v = low; v <= high; v += step) e.values[f].insert(v);
    } else {
      for (int n = random.in(1, 3); n > 0; --n) {
        const int from = random.in(low, high);
        int to = random.chance(50) ? from : random.in(from, high);
        int step = 1;
        text += text.empty() ? "" : ",";
        text += f == 4 && random.chance(50) ? kDays[from] : std::to_string(from);
        if (to != from || random.chance(10)) {
          text += "-" + std::to_string(to);
          if (random.chance(40)) {
            step = random.in(1, high);
            text += "/" + std::to_string(step);
          }
        }
        for (int v = from; v <= to; v += step) e.values[f].insert(v);
      }
    }
    e.text += (f == 0 ? "" : " ") + text;
  }
  return e;
}

bool matches(const Expression& e, std::int64_t local_minute) {
  const std::time_t time = local_minute * 60;
  std::tm t{};
  gmtime_r(&time, &t);
  const bool day = e.values[2].contains(t.tm_mday), weekday = e.values[4].contains(t.tm_wday);
  const bool either = !e.star[2] && !e.star[4];
  return e.values[0].contains(t.tm_min) && e.values[1].contains(t.tm_hour) && e.values[3].contains(t.tm_mon + 1) &&
         (either ? day || weekday : day && weekday);
}

constexpr std::int64_t kDayMinutes = 24 * 60;

}  // namespace

TEST_CASE("for random expressions and zones the next time is the one that a scan of 60 days finds") {
  if (!std::filesystem::exists("/usr/share/zoneinfo/Europe/Berlin")) {
    std::cout << "skipped: no time zones in /usr/share/zoneinfo (package tzdata)\n";
    return;
  }
  static constexpr const char* kZones[] = {"UTC",
                                           "Europe/Berlin",
                                           "Europe/Dublin",
                                           "America/New_York",
                                           "America/St_Johns",
                                           "America/Santiago",
                                           "Australia/Lord_Howe",
                                           "Asia/Kathmandu",
                                           "Africa/Casablanca",
                                           "Pacific/Apia",
                                           "Pacific/Chatham"};
  Random random(2026);
  int found = 0, checked = 0;
  for (const char* name : kZones) {
    use_zone(name);
    const Result<Zone> zone = read_zone(name);
    REQUIRE(zone.ok());
    for (int window = 0; window < 4; ++window) {
      // Around a change of the clocks where there are any, in the years that the files list and in those of the rule.
      std::int64_t centre = utc(random.in(2005, 2060), 1, 1) / kSecond + random.in(0, 364) * 86'400;
      if (const Zone::Span span = zone->at(centre); span.end < centre + 400 * 86'400) centre = span.end;
      const std::int64_t first = centre / 60 - random.in(5, 55) * kDayMinutes;
      // Two days more before, so that what was shown before the window is known.
      std::vector<std::int64_t> local;
      for (std::int64_t m = first - 2 * kDayMinutes; m < first + 60 * kDayMinutes; ++m) {
        local.push_back(m + library_offset(m * 60) / 60);
      }
      for (int n = 0; n < 12; ++n, ++checked) {
        const Expression e = random_expression(random);
        CAPTURE(name);
        CAPTURE(e.text);
        std::vector<WallTime> expected;
        std::int64_t latest = local[0];
        for (std::size_t i = 0; i < local.size(); ++i) {
          bool due = false;
          if (e.star[1]) {
            due = matches(e, local[i]);
          } else {
            // What the clocks have come to show, or passed over, since the minute before.
            for (std::int64_t m = latest + 1; m <= local[i]; ++m) due = due || matches(e, m);
          }
          latest = std::max(latest, local[i]);
          if (due && i >= 2 * kDayMinutes) {
            expected.push_back((first - 2 * kDayMinutes + static_cast<std::int64_t>(i)) * 60 * kSecond);
          }
        }
        const Cron expression = cron(e.text);
        const WallTime end = (first + 60 * kDayMinutes) * 60 * kSecond;
        std::size_t at = 0;
        WallTime time = first * 60 * kSecond - 1;
        while ((time = expression.next(time, *zone)) < end) {
          REQUIRE_MESSAGE(at < expected.size(), "not found by the scan: ", shown(time));
          REQUIRE_MESSAGE(time == expected[at], shown(time), " instead of ", shown(expected[at]));
          ++at;
          ++found;
        }
        REQUIRE_MESSAGE(at == expected.size(), "missed: ", shown(expected[at]));
        // From anywhere within, not only from one to the next.
        for (int probe = 0; probe < 20; ++probe) {
          const WallTime after = (first + random.in(0, 60 * kDayMinutes - 1)) * 60 * kSecond + random.in(-1, 1);
          const auto next = std::upper_bound(expected.begin(), expected.end(), after);
          const WallTime got = expression.next(after, *zone);
          REQUIRE((next == expected.end() ? got >= end : got == *next));
        }
      }
    }
  }
  CHECK(checked == 11 * 4 * 12);
  CHECK(found > 50'000);
}

TEST_CASE("every zone of this machine says what its C library says") {
  namespace fs = std::filesystem;
  const ZoneFiles files;
  if (!fs::exists(files.folder / "Europe/Berlin")) {
    std::cout << "skipped: no time zones in /usr/share/zoneinfo (package tzdata)\n";
    return;
  }
  Random random(7);
  int zones = 0;
  for (const auto& entry : fs::recursive_directory_iterator(files.folder)) {
    const std::string name = entry.path().lexically_relative(files.folder).string();
    // right/ counts leap seconds; with posix/ everything is there again.
    if (!entry.is_regular_file() || name.starts_with("right/") || name.starts_with("posix/")) continue;
    char magic[4] = {};
    std::ifstream(entry.path(), std::ios::binary).read(magic, 4);
    if (std::string_view(magic, 4) != "TZif") continue;
    CAPTURE(name);
    const Result<Zone> zone = read_zone(name);
    REQUIRE_MESSAGE(zone.ok(), (zone.ok() ? "" : zone.status().message()));
    use_zone(name);
    ++zones;
    for (int i = 0; i < 300; ++i) {
      const std::int64_t seconds = utc(1970, 1, 1) / kSecond + static_cast<std::int64_t>(random.next() % 7'000'000'000);
      REQUIRE_MESSAGE(zone->at(seconds).offset == library_offset(seconds), shown(seconds * kSecond));
    }
    // And at each edge of the years that are of interest.
    for (std::int64_t at = utc(2000, 1, 1) / kSecond; at < utc(2045, 1, 1) / kSecond; at = zone->at(at).end) {
      REQUIRE_MESSAGE(zone->at(at).offset == library_offset(at), shown(at * kSecond));
      REQUIRE_MESSAGE(zone->at(at - 1).offset == library_offset(at - 1), shown((at - 1) * kSecond));
    }
  }
  CHECK(zones > 300);
}

TEST_CASE("a zone that counts leap seconds is refused") {
  const Result<Zone> zone = read_zone("right/Europe/Berlin");
  if (!std::filesystem::exists("/usr/share/zoneinfo/right/Europe/Berlin")) {
    std::cout << "skipped: no zones with leap seconds in /usr/share/zoneinfo/right\n";
    return;
  }
  REQUIRE(!zone.ok());
  CHECK(zone.status().message().find("leap seconds") != std::string::npos);
}
