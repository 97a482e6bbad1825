// Where clocks are changed: with a fixed hour each local time counts once; with * every minute that is shown.
#include "tests/schedules/support.hpp"

using namespace futured;
using namespace futured::schedules;
using namespace futured::schedules::test;

// Berlin, 2026-03-29: 01:59 CET (00:59 UTC) is followed by 03:00 CEST.

TEST_CASE("a fixed time that is left out fires at the first moment after the gap, once") {
  CHECK(next_times("30 2 * * *", utc(2026, 3, 28), 3, berlin()) ==
        Times{"2026-03-28 01:30:00", "2026-03-29 01:00:00", "2026-03-30 00:30:00"});
}

TEST_CASE("several fixed times within a gap are one firing, and one with the time that ends the gap") {
  CHECK(next_times("0,15,30,45 2 * * *", utc(2026, 3, 29), 2, berlin()) ==
        Times{"2026-03-29 01:00:00", "2026-03-30 00:00:00"});
  CHECK(next_times("0 1,2,3,4 * * *", utc(2026, 3, 28, 23, 30), 3, berlin()) ==
        Times{"2026-03-29 00:00:00", "2026-03-29 01:00:00", "2026-03-29 02:00:00"});
}

TEST_CASE("what was left out is due for the day it belongs to") {
  // The 29th is a sunday; of the 28th and the 30th nothing was left out.
  CHECK(next_times("30 2 * * sun", utc(2026, 3, 28), 1, berlin()) == Times{"2026-03-29 01:00:00"});
  CHECK(next_times("30 2 30 3 *", utc(2026, 3, 28), 1, berlin()) == Times{"2026-03-30 00:30:00"});
}

TEST_CASE("with * for the hour a gap leaves out what the clocks do not show") {
  CHECK(next_times("30 * * * *", utc(2026, 3, 29), 3, berlin()) ==
        Times{"2026-03-29 00:30:00", "2026-03-29 01:30:00", "2026-03-29 02:30:00"});
  CHECK(next_times("0 */2 * * *", utc(2026, 3, 28, 22, 30), 2, berlin()) ==
        Times{"2026-03-28 23:00:00", "2026-03-29 02:00:00"});
}

// Berlin, 2026-10-25: 02:59 CEST (00:59 UTC) is followed by 02:00 CET.

TEST_CASE("a fixed time that is there twice fires at the first of the two") {
  CHECK(next_times("30 2 * * *", utc(2026, 10, 24), 3, berlin()) ==
        Times{"2026-10-24 00:30:00", "2026-10-25 00:30:00", "2026-10-26 01:30:00"});
  // Asked between the two it is over.
  CHECK(next_times("30 2 * * *", utc(2026, 10, 25, 0, 45), 1, berlin()) == Times{"2026-10-26 01:30:00"});
  CHECK(next_times("30 2 * * *", utc(2026, 10, 25, 1, 15), 1, berlin()) == Times{"2026-10-26 01:30:00"});
  CHECK(next_times("0 2,3 * * *", utc(2026, 10, 25), 3, berlin()) ==
        Times{"2026-10-25 02:00:00", "2026-10-26 01:00:00", "2026-10-26 02:00:00"});
}

TEST_CASE("a fixed hour in every minute does not begin again when the hour does") {
  const Times times = next_times("* 2 * * *", utc(2026, 10, 24, 23, 59), 62, berlin());
  CHECK(times[0] == "2026-10-25 00:00:00");
  CHECK(times[59] == "2026-10-25 00:59:00");
  CHECK(times[60] == "2026-10-26 01:00:00");
}

TEST_CASE("with * for the hour both of an hour that is there twice count") {
  CHECK(next_times("30 * * * *", utc(2026, 10, 24, 23, 45), 3, berlin()) ==
        Times{"2026-10-25 00:30:00", "2026-10-25 01:30:00", "2026-10-25 02:30:00"});
  CHECK(next_times("0 */2 * * *", utc(2026, 10, 24, 23, 45), 3, berlin()) ==
        Times{"2026-10-25 00:00:00", "2026-10-25 01:00:00", "2026-10-25 03:00:00"});
  const Times minutes = next_times("* * * * *", utc(2026, 10, 25, 0, 58), 120, berlin());
  CHECK(minutes.front() == "2026-10-25 00:59:00");
  CHECK(minutes.back() == "2026-10-25 02:58:00");
}

TEST_CASE("New York: 2026-03-08 leaves out from 02:00 to 03:00, 2026-11-01 repeats from 01:00 to 02:00") {
  CHECK(next_times("15 2 * * *", utc(2026, 3, 8), 2, new_york()) ==
        Times{"2026-03-08 07:00:00", "2026-03-09 06:15:00"});
  CHECK(next_times("15 1 * * *", utc(2026, 11, 1), 2, new_york()) ==
        Times{"2026-11-01 05:15:00", "2026-11-02 06:15:00"});
  CHECK(next_times("15 * * * *", utc(2026, 11, 1, 5), 3, new_york()) ==
        Times{"2026-11-01 05:15:00", "2026-11-01 06:15:00", "2026-11-01 07:15:00"});
}

TEST_CASE("Lord Howe: clocks are changed by half an hour") {
  // 2026-10-04: 01:59 (15:29 UTC the day before) is followed by 02:30.
  CHECK(next_times("15 2 * * *", utc(2026, 10, 3, 12), 2, lord_howe()) ==
        Times{"2026-10-03 15:30:00", "2026-10-04 15:15:00"});
  CHECK(next_times("0,30 2 * * *", utc(2026, 10, 3, 12), 2, lord_howe()) ==
        Times{"2026-10-03 15:30:00", "2026-10-04 15:00:00"});
  // 2026-04-05: 01:59 (14:59 UTC the day before) is followed by 01:30.
  CHECK(next_times("45 1 * * *", utc(2026, 4, 4, 12), 2, lord_howe()) ==
        Times{"2026-04-04 14:45:00", "2026-04-05 15:15:00"});
  CHECK(next_times("45 * * * *", utc(2026, 4, 4, 14), 3, lord_howe()) ==
        Times{"2026-04-04 14:45:00", "2026-04-04 15:15:00", "2026-04-04 16:15:00"});
}

TEST_CASE("a whole day that a zone leaves out comes due once, as the next begins") {
  // Apia had no 2011-12-30: from -10 to +14 hours at 10:00 UTC.
  File file;
  file.offsets = {-36'000, 50'400};
  file.changes = {{utc(2011, 12, 30, 10) / kSecond, 1}};
  const Result<Zone> apia = Zone::parse(file.bytes());
  REQUIRE(apia.ok());
  CHECK(next_times("0 9,17 * * *", utc(2011, 12, 30, 4), 3, *apia) ==
        Times{"2011-12-30 10:00:00", "2011-12-30 19:00:00", "2011-12-31 03:00:00"});
  CHECK(next_times("0 */6 * * *", utc(2011, 12, 30, 4), 2, *apia) ==
        Times{"2011-12-30 10:00:00", "2011-12-30 16:00:00"});
}

TEST_CASE("an expression that never comes is found out in every zone") {
  CHECK(next_times("0 * 30 2 *", utc(2026, 1, 1), 1, berlin()) == Times{"never"});
  CHECK(next_times("0 2 30 2 *", utc(2026, 1, 1), 1, berlin()) == Times{"never"});
}
