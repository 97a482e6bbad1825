#include "client/cli/duration.hpp"

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using futured::cli::parse_duration;
using futured::cli::rfc3339;
using futured::cli::show_duration;

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
