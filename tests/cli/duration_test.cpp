#include "client/cli/duration.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <ctime>

using namespace std::chrono_literals;
using futured::cli::parse_duration;
using futured::cli::parse_rate;
using futured::cli::parse_time;
using futured::cli::rfc3339;
using futured::cli::show_duration;
using futured::cli::show_rate;

namespace {

using SystemTime = std::chrono::system_clock::time_point;

SystemTime at(std::int64_t seconds) { return SystemTime(std::chrono::seconds(seconds)); }

/// A time zone of this process for as long as it lives.
class Zone {
 public:
  explicit Zone(const char* rule) {
    if (const char* now = std::getenv("TZ")) before_ = now;
    setenv("TZ", rule, 1);
    tzset();
  }
  Zone(const Zone&) = delete;
  Zone& operator=(const Zone&) = delete;
  ~Zone() {
    before_.empty() ? unsetenv("TZ") : setenv("TZ", before_.c_str(), 1);
    tzset();
  }

 private:
  std::string before_;
};

constexpr const char* kBerlin = "CET-1CEST,M3.5.0,M10.5.0/3";
constexpr std::int64_t kNow = 1'700'000'000;  // 2023-11-14T22:13:20Z, 23:13:20 in Berlin

}  // namespace

TEST_CASE("durations are read as people write them") {
  CHECK(*parse_duration("250ms") == 250ms);
  CHECK(*parse_duration("5s") == 5s);
  CHECK(*parse_duration("1h30m") == 90min);
  CHECK(*parse_duration("2d") == 48h);
  CHECK(*parse_duration("1.5s") == 1500ms);
  CHECK(*parse_duration("10") == 10s);
  CHECK(*parse_duration("0.25") == 250ms);
  CHECK(*parse_duration("0") == 0s);
  CHECK(*parse_duration("7us") == 7us);
  CHECK(*parse_duration("3ns") == 3ns);
}

TEST_CASE("what is no duration is refused and shown") {
  for (const char* text :
       {"", "s", "5x", "-5s", "5s 3", "1m1h", "1m1", "5s5s", "1e3", "nan", "inf", "+3s", "999999999d"}) {
    CAPTURE(text);
    const auto d = parse_duration(text);
    REQUIRE(!d.ok());
    CHECK(d.status().message().find("'" + std::string(text) + "'") == 0);
  }
}

TEST_CASE("durations are shown short") {
  CHECK(show_duration(0ns) == "0us");
  CHECK(show_duration(345us) == "345us");
  CHECK(show_duration(1500us) == "1.5ms");
  CHECK(show_duration(250ms) == "0.25s");
  CHECK(show_duration(12s) == "12s");
  CHECK(show_duration(59600ms) == "1m00s");
  CHECK(show_duration(200s) == "3m20s");
  CHECK(show_duration(3900s) == "1h05m");
  CHECK(show_duration(51h) == "2d03h");
}

TEST_CASE("times are RFC 3339 in UTC") {
  CHECK(rfc3339(0) == "1970-01-01T00:00:00.000Z");
  CHECK(rfc3339(1'700'000'000'123'456'789) == "2023-11-14T22:13:20.123Z");
  CHECK(rfc3339(-1) == "1969-12-31T23:59:59.999Z");
}

TEST_CASE("points in time are read as RFC 3339") {
  const auto unix_ns = [](const char* text) {
    const auto t = parse_time(text, at(0));
    REQUIRE_MESSAGE(t.ok(), text);
    return std::chrono::nanoseconds(t->time_since_epoch()).count();
  };
  CHECK(unix_ns("2023-11-14T22:13:20Z") == kNow * 1'000'000'000);
  CHECK(unix_ns("2023-11-14 23:13:20+01:00") == kNow * 1'000'000'000);
  CHECK(unix_ns("2023-11-14t17:43:20-04:30") == kNow * 1'000'000'000);
  CHECK(unix_ns("2023-11-14T22:13:20.25z") == kNow * 1'000'000'000 + 250'000'000);
  CHECK(unix_ns("2023-11-14T22:13:20.1234567891Z") == kNow * 1'000'000'000 + 123'456'789);
  CHECK(unix_ns("2024-02-29T00:00:00Z") == 1'709'164'800'000'000'000);
  CHECK(unix_ns("2016-12-31T23:59:60Z") == 1'483'228'799'000'000'000);
}

TEST_CASE("a time of day is the next such local time") {
  const Zone zone(kBerlin);
  CHECK(*parse_time("23:30", at(kNow)) == at(kNow + 16 * 60 + 40));
  CHECK(*parse_time("23:13:21", at(kNow)) == at(kNow + 1));
  CHECK(*parse_time("23:13:20", at(kNow)) == at(kNow + 86'400));  // now is not to come
  CHECK(*parse_time("00:00", at(kNow)) == at(kNow + 46 * 60 + 40));
  CHECK(*parse_time("06:00", at(1'711'843'200)) ==
        at(1'711'857'600));  // over the change to summer time: 4 hours, not 5
}

TEST_CASE("what is no point in time is refused and shown") {
  for (const char* text :
       {"", "soon", "24:00", "12:60", "1:30", "12:30:61", "12:30x", "2023-11-14", "2023-11-14T22:13:20",
        "2023-02-29T00:00:00Z", "2023-13-01T00:00:00Z", "2023-11-14T22:13Z", "2023-11-14T22:13:20.Z",
        "2023-11-14T22:13:20+1", "2023-11-14T22:13:20+25:00", "2023-11-14T22:13:20Zx", "9999-01-01T00:00:00Z"}) {
    CAPTURE(text);
    const auto t = parse_time(text, at(kNow));
    REQUIRE(!t.ok());
    CHECK(t.status().message().find("'" + std::string(text) + "'") == 0);
    CHECK(t.status().message().find("17:30") != std::string::npos);
  }
  CHECK(parse_time("2023-11-14T22:13:20", at(0)).status().message().find("zone") != std::string::npos);
}

TEST_CASE("rates are so many starts in a time") {
  const auto same = [](const char* text, std::uint32_t starts, std::chrono::nanoseconds per) {
    const auto r = parse_rate(text);
    REQUIRE_MESSAGE(r.ok(), text);
    CHECK(r->starts == starts);
    CHECK(r->per == per);
  };
  same("10/s", 10, 1s);
  same("100/m", 100, 1min);
  same("1000/h", 1000, 1h);
  same("1/d", 1, 24h);
  same("5/10s", 5, 10s);
  same("5/250ms", 5, 250ms);
  same("5/1h30m", 5, 90min);
  for (const char* text : {"", "10", "/s", "10/", "0/s", "-1/s", "10/x", "10/0s", "10/s/s", "1.5/s", "99999999999/s"}) {
    CAPTURE(text);
    const auto r = parse_rate(text);
    REQUIRE(!r.ok());
    CHECK(r.status().message() == "'" + std::string(text) + "' is no rate; write 10/s, 100/m, 1000/h or 5/10s");
  }
  for (const char* text : {"10/s", "100/m", "1000/h", "5/10s", "5/250ms", "5/90m", "2/d"}) {
    CHECK(show_rate(*parse_rate(text)) == text);
  }
}
