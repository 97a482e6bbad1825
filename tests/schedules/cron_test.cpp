// What may be written, what is said about the rest, and when it comes due in UTC.
#include "tests/schedules/support.hpp"

using namespace futured;
using namespace futured::schedules;
using namespace futured::schedules::test;

namespace {

std::string refusal(std::string_view text) {
  const Result<Cron> parsed = Cron::parse(text);
  REQUIRE_MESSAGE(!parsed.ok(), text);
  CHECK(parsed.status().code() == Code::invalid);
  return parsed.status().message();
}
bool mentions(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

const WallTime kMonday = utc(2026, 6, 15, 12, 0, 0);  // noon

}  // namespace

TEST_CASE("the next time lies strictly after the given one, and on a whole minute") {
  CHECK(next_times("* * * * *", kMonday, 2) == Times{"2026-06-15 12:01:00", "2026-06-15 12:02:00"});
  CHECK(next_times("* * * * *", kMonday - 1, 1) == Times{"2026-06-15 12:00:00"});
  CHECK(next_times("0 12 * * *", kMonday, 1) == Times{"2026-06-16 12:00:00"});
  CHECK(next_times("0 12 * * *", kMonday - kSecond, 1) == Times{"2026-06-15 12:00:00"});
}

TEST_CASE("lists, ranges and steps may be combined in one field") {
  CHECK(next_times("1,10-20/5,58-59 12 * * *", kMonday, 7) ==
        Times{"2026-06-15 12:01:00", "2026-06-15 12:10:00", "2026-06-15 12:15:00", "2026-06-15 12:20:00",
              "2026-06-15 12:58:00", "2026-06-15 12:59:00", "2026-06-16 12:01:00"});
  CHECK(next_times("*/20 */12 * * *", kMonday, 4) ==
        Times{"2026-06-15 12:20:00", "2026-06-15 12:40:00", "2026-06-16 00:00:00", "2026-06-16 00:20:00"});
}

TEST_CASE("months and days of the week have names, in any case, also in lists and ranges") {
  CHECK(next_times("0 0 1 JAN,mar *", kMonday, 2) == Times{"2027-01-01 00:00:00", "2027-03-01 00:00:00"});
  CHECK(next_times("0 0 * * Tue-thu", kMonday, 4) ==
        Times{"2026-06-16 00:00:00", "2026-06-17 00:00:00", "2026-06-18 00:00:00", "2026-06-23 00:00:00"});
}

TEST_CASE("sunday is 0, 7 and sun, and may end a range") {
  const Times sundays = {"2026-06-21 00:00:00", "2026-06-28 00:00:00"};
  CHECK(next_times("0 0 * * 0", kMonday, 2) == sundays);
  CHECK(next_times("0 0 * * 7", kMonday, 2) == sundays);
  CHECK(next_times("0 0 * * sun", kMonday, 2) == sundays);
  CHECK(next_times("0 0 * * sun-sun", kMonday, 2) == sundays);
  const Times weekend = {"2026-06-20 00:00:00", "2026-06-21 00:00:00", "2026-06-27 00:00:00"};
  CHECK(next_times("0 0 * * 6-7", kMonday, 3) == weekend);
  CHECK(next_times("0 0 * * sat-sun", kMonday, 3) == weekend);
  CHECK(next_times("0 0 * * sun-mon", kMonday, 2) == Times{"2026-06-21 00:00:00", "2026-06-22 00:00:00"});
}

TEST_CASE("each macro is what crontab(5) says") {
  CHECK(next_times("@hourly", kMonday, 1) == Times{"2026-06-15 13:00:00"});
  CHECK(next_times("@daily", kMonday, 1) == Times{"2026-06-16 00:00:00"});
  CHECK(next_times("@midnight", kMonday, 1) == Times{"2026-06-16 00:00:00"});
  CHECK(next_times("@weekly", kMonday, 1) == Times{"2026-06-21 00:00:00"});
  CHECK(next_times("@monthly", kMonday, 1) == Times{"2026-07-01 00:00:00"});
  CHECK(next_times("@yearly", kMonday, 1) == Times{"2027-01-01 00:00:00"});
  CHECK(next_times("@annually", kMonday, 1) == Times{"2027-01-01 00:00:00"});
}

TEST_CASE("if both day fields are restricted either is enough") {
  // The 20th is a saturday, the 22nd a monday.
  CHECK(next_times("0 0 20 * mon", kMonday, 3) ==
        Times{"2026-06-20 00:00:00", "2026-06-22 00:00:00", "2026-06-29 00:00:00"});
}

TEST_CASE("a day field that begins with * is not restricted: the other one decides, and its steps count too") {
  CHECK(next_times("0 0 20 * *", kMonday, 2) == Times{"2026-06-20 00:00:00", "2026-07-20 00:00:00"});
  CHECK(next_times("0 0 * * fri", kMonday, 2) == Times{"2026-06-19 00:00:00", "2026-06-26 00:00:00"});
  // Odd days that are a friday.
  CHECK(next_times("0 0 */2 * fri", kMonday, 3) ==
        Times{"2026-06-19 00:00:00", "2026-07-03 00:00:00", "2026-07-17 00:00:00"});
}

TEST_CASE("29 february comes in leap years only, and over a year 2100 without one") {
  CHECK(next_times("0 0 29 2 *", kMonday, 2) == Times{"2028-02-29 00:00:00", "2032-02-29 00:00:00"});
  CHECK(next_times("0 0 29 2 *", utc(2096, 2, 29), 1) == Times{"2104-02-29 00:00:00"});
}

TEST_CASE("a day that no month has never comes") {
  CHECK(next_times("0 0 30 2 *", kMonday, 1) == Times{"never"});
  CHECK(next_times("0 * 31 4,6,9,11 *", kMonday, 1) == Times{"never"});
}

TEST_CASE("before 1970 and at the ends of what can be counted nothing breaks") {
  CHECK(next_times("30 5 * * *", utc(1969, 12, 30, 12), 2) == Times{"1969-12-31 05:30:00", "1970-01-01 05:30:00"});
  for (const char* text : {"* * * * *", "0 0 1 1 *"}) {
    CHECK(cron(text).next(kNever, Zone()) == kNever);
    CHECK(cron(text).next(kNever - 1, Zone()) == kNever);
    CHECK(cron(text).next(kNoTime, Zone()) > kNoTime);
  }
}

TEST_CASE("a value out of range is refused with its field and what is allowed") {
  CHECK(refusal("60 * * * *") == "cron expression: minute '60' is not one of 0-59");
  CHECK(refusal("0 24 * * *") == "cron expression: hour '24' is not one of 0-23");
  CHECK(refusal("0 0 0 * *") == "cron expression: day of the month '0' is not one of 1-31");
  CHECK(refusal("0 0 1 13 *") == "cron expression: month '13' is not one of 1-12 or jan-dec");
  CHECK(refusal("0 0 * * 8") == "cron expression: day of the week '8' is not one of 0-7 or sun-sat");
  CHECK(refusal("99999999999999999999 * * * *") == "cron expression: minute '99999999999999999999' is not one of 0-59");
  // Not a number modulo anything.
  CHECK(refusal("4294967297 * * * *") == "cron expression: minute '4294967297' is not one of 0-59");
}

TEST_CASE("a misspelt name is answered with the nearest") {
  CHECK(mentions(refusal("0 0 1 jna *"), "month 'jna' is not one of 1-12 or jan-dec; did you mean 'jan'?"));
  CHECK(mentions(refusal("0 0 * * teu"), "did you mean 'tue'?"));
  CHECK(mentions(refusal("0 0 * * wednesday"), "did you mean 'wed'?"));
  CHECK(mentions(refusal("0 0 * * mon-friday"), "day of the week 'friday'"));
  CHECK(mentions(refusal("@dayly"), "did you mean '@daily'?"));
  CHECK(mentions(refusal("@reboot"), "is not one of @hourly"));
}

TEST_CASE("what other dialects know is refused, not misread") {
  CHECK(mentions(refusal("0 0 ? * mon"), "day of the month '?'"));
  CHECK(mentions(refusal("0 0 L * *"), "day of the month 'L'"));
  CHECK(mentions(refusal("0 0 15W * *"), "day of the month '15W'"));
  CHECK(mentions(refusal("0 0 * * mon#2"), "day of the week 'mon#2'"));
  CHECK(mentions(refusal("0 0 0 * * *"), "has 6 fields, not 5"));
  CHECK(mentions(refusal("5/10 * * * *"), "write 5-59/10"));
}

TEST_CASE("broken fields are refused") {
  CHECK(mentions(refusal(""), "has 0 fields, not 5"));
  CHECK(mentions(refusal("* * * *"), "has 4 fields, not 5"));
  CHECK(mentions(refusal("1,,2 * * * *"), "the list of the minute has an empty place"));
  CHECK(mentions(refusal("1, * * * *"), "empty place"));
  CHECK(mentions(refusal("30-10 * * * *"), "minute '30-10' runs backwards"));
  CHECK(mentions(refusal("*/0 * * * *"), "step '0' of the minute is not one of 1-59"));
  CHECK(mentions(refusal("*/90 * * * *"), "step '90' of the minute is not one of 1-59"));
  CHECK(mentions(refusal("*/ * * * *"), "step ''"));
  CHECK(mentions(refusal("-5 * * * *"), "minute ''"));
  CHECK(mentions(refusal("1-2-3 * * * *"), "minute '2-3'"));
  CHECK(mentions(refusal("*5 * * * *"), "minute '*5'"));
  CHECK(mentions(refusal(std::string(2000, '*')), "longer than 1000"));
}

TEST_CASE("a refusal shows nothing that a terminal would obey") {
  const std::string text = refusal("\x1b[31m\xff * * * *");
  for (const char c : text) CHECK((c >= ' ' && c <= '~'));
}

TEST_CASE("blanks around and between the fields do not count, and the text is kept") {
  const Cron parsed = cron(" \t0  12\t* * * ");
  CHECK(parsed.next(kMonday, Zone()) == utc(2026, 6, 16, 12));
  CHECK(parsed.text() == " \t0  12\t* * * ");
}
