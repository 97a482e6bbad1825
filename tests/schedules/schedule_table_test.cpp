// When schedules fire, and what becomes of times that were missed, of runs that go on, and of clocks that jump.
#include "daemon/schedules/schedule_table.hpp"

#include <memory>

#include "tests/schedules/support.hpp"

using namespace futured;
using namespace futured::schedules;
using namespace futured::schedules::test;

namespace {

constexpr std::int64_t kMinute = 60 * kSecond, kHour = 60 * kMinute, kDay = 24 * kHour;
const WallTime kStart = utc(2026, 6, 15, 12, 0, 30);

Calendar calendar(std::string_view text, const Zone& zone = Zone()) {
  return {cron(text), "", std::make_shared<const Zone>(zone)};
}

Schedule hourly(CatchUp catch_up = CatchUp::once, Overlap overlap = Overlap::allow) {
  Schedule schedule;
  schedule.name = "hourly";
  schedule.when = calendar("@hourly");
  schedule.catch_up = catch_up;
  schedule.overlap = overlap;
  schedule.target = 77;
  return schedule;
}

Schedule every(std::int64_t interval, WallTime start = kNoTime, CatchUp catch_up = CatchUp::once) {
  Schedule schedule;
  schedule.name = "every";
  schedule.when = Every{interval, start};
  schedule.catch_up = catch_up;
  return schedule;
}

// A table whose runs end at once unless they are said to go on.
struct Bench {
  explicit Bench(Schedule schedule, WallTime now = kStart) : name(schedule.name) {
    REQUIRE(table.add(std::move(schedule), now).ok());
  }
  // The due times that fire at `now`, and in the turns that follow at once.
  Times advance(WallTime now) {
    Times due;
    turns = 0;
    do {
      turn(now);
      for (const Fire& fire : fires) due.push_back(shown(fire.due));
      ++turns;
    } while (table.next_deadline() <= now);
    return due;
  }
  void turn(WallTime now) {
    fires.clear();
    table.advance(now, fires);
    if (runs_end) {
      for (const Fire& fire : fires) CHECK(table.ended(fire.schedule, fire.number));
    }
  }
  const Schedule& schedule() const { return *table.find(name); }
  const Schedule::State& state() const { return schedule().state; }
  // Another daemon, later, with what the first one kept.
  Bench restarted(WallTime now) const {
    Schedule kept = schedule();
    return Bench(std::move(kept), now);
  }

  ScheduleTable table;
  std::string name;
  std::vector<Fire> fires;  // of the last turn
  int turns = 0;
  bool runs_end = true;
};

}  // namespace

TEST_CASE("a schedule fires at its due time, not before, and once") {
  Bench b(hourly());
  CHECK(b.table.next_deadline() == utc(2026, 6, 15, 13));
  CHECK(b.advance(utc(2026, 6, 15, 13) - 1).empty());
  b.turn(utc(2026, 6, 15, 13));
  REQUIRE(b.fires.size() == 1);
  CHECK(b.fires[0].schedule == "hourly");
  CHECK(b.fires[0].target == 77);
  CHECK(b.fires[0].due == utc(2026, 6, 15, 13));
  CHECK(b.fires[0].number == 1);
  CHECK(b.fires[0].replaces.empty());
  CHECK(b.advance(utc(2026, 6, 15, 13)).empty());
  CHECK(b.advance(utc(2026, 6, 15, 13, 59)).empty());
  CHECK(b.table.next_deadline() == utc(2026, 6, 15, 14));
  CHECK(b.advance(utc(2026, 6, 15, 14)).size() == 1);
  CHECK(b.fires[0].number == 2);
  CHECK(b.state().fired == 2);
  CHECK(b.state().skipped == 0);
  CHECK(b.state().last_fire == utc(2026, 6, 15, 14));
}

TEST_CASE("a new schedule has missed nothing, whatever came due before it was added") {
  for (const CatchUp policy : {CatchUp::skip, CatchUp::once, CatchUp::all}) {
    Bench b(hourly(policy), utc(2026, 6, 15, 13));
    CHECK(b.advance(utc(2026, 6, 15, 13)).empty());
    CHECK(b.schedule().next_fire == utc(2026, 6, 15, 14));
    Bench past(every(kHour, utc(2020, 1, 1), policy));
    CHECK(past.advance(kStart).empty());
    CHECK(past.schedule().next_fire == utc(2026, 6, 15, 13));
  }
}

TEST_CASE("an interval counts from its start, which is the first due time") {
  Bench b(every(7 * kMinute, utc(2026, 6, 15, 12, 10)));
  CHECK(b.advance(utc(2026, 6, 15, 12, 9)).empty());
  CHECK(b.advance(utc(2026, 6, 15, 12, 10)) == Times{"2026-06-15 12:10:00"});
  CHECK(b.advance(utc(2026, 6, 15, 12, 17)) == Times{"2026-06-15 12:17:00"});
  CHECK(b.schedule().next_fire == utc(2026, 6, 15, 12, 24));
}

TEST_CASE("an interval without a start falls on its multiples since 1970") {
  Bench b(every(15 * kMinute));
  CHECK(b.schedule().next_fire == utc(2026, 6, 15, 12, 15));
  const Schedule seven = every(7 * kSecond);
  CHECK(next_due(seven, 0) == 7 * kSecond);
  CHECK(next_due(seven, 7 * kSecond - 1) == 7 * kSecond);
  CHECK(next_due(seven, -1) == 0);
  CHECK(next_due(seven, -7 * kSecond) == 0);
  CHECK(next_due(seven, -7 * kSecond - 1) == -7 * kSecond);
}

TEST_CASE("an interval at the ends of what can be counted") {
  CHECK(next_due(every(kNever), 0) == kNever);
  CHECK(next_due(every(kNever - 1), 1) == kNever - 1);
  CHECK(next_due(every(kNever - 1), kNever - 1) == kNever);
  CHECK(next_due(every(kDay, kNoTime + 1), kNever - 1) == kNever);
  CHECK(next_due(every(2, kNoTime + 2), 1) == 2);
}

TEST_CASE("schedules fire in their own order of time, and the deadline is the earliest of all") {
  ScheduleTable table;
  REQUIRE(table.add(hourly(), kStart).ok());
  REQUIRE(table.add(every(10 * kMinute), kStart).ok());
  CHECK(table.next_deadline() == utc(2026, 6, 15, 12, 10));
  std::vector<Fire> fires;
  table.advance(utc(2026, 6, 15, 12, 10), fires);
  REQUIRE(fires.size() == 1);
  CHECK(fires[0].schedule == "every");
  CHECK(table.next_deadline() == utc(2026, 6, 15, 12, 20));
  fires.clear();
  table.advance(utc(2026, 6, 15, 13), fires);
  REQUIRE(fires.size() == 2);
  CHECK(fires[0].due <= fires[1].due);
}

TEST_CASE("a schedule that never comes due has no deadline") {
  Schedule never = hourly();
  never.when = calendar("0 0 30 2 *");
  Bench b(never);
  CHECK(b.table.next_deadline() == kNever);
  CHECK(b.advance(kStart + 400 * kDay).empty());
}

TEST_CASE("names are unique, and a definition that cannot work is refused") {
  ScheduleTable table;
  REQUIRE(table.add(hourly(), kStart).ok());
  const Status twice = table.add(hourly(), kStart);
  CHECK(twice.code() == Code::invalid);
  CHECK(twice.message() == "schedule 'hourly' exists; remove it first, or take another name");
  Schedule nameless = hourly();
  nameless.name.clear();
  CHECK(table.add(nameless, kStart).code() == Code::invalid);
  nameless.name.assign(201, 'x');
  CHECK(table.add(nameless, kStart).code() == Code::invalid);
  CHECK(table.add(every(0), kStart).code() == Code::invalid);
  CHECK(table.add(every(999'999), kStart).code() == Code::invalid);
  Schedule nowhere = hourly();
  nowhere.name = "nowhere";
  std::get<Calendar>(nowhere.when).zone = nullptr;
  CHECK(table.add(nowhere, kStart).code() == Code::invalid);
  CHECK(table.all().size() == 1);
}

TEST_CASE("what is not there cannot be paused, resumed or removed, and the nearest name is told") {
  Bench b(hourly());
  for (const Status& status : {b.table.pause("hurly"), b.table.resume("hurly", kStart), b.table.remove("hurly"),
                               b.table.still_runs("hurly", 1)}) {
    CHECK(status.code() == Code::not_found);
    CHECK(status.message() == "there is no schedule 'hurly'; did you mean 'hourly'?");
  }
  CHECK(b.table.pause(std::string(201, 'h')).code() == Code::not_found);
  CHECK(b.table.find("hurly") == nullptr);
  CHECK(!b.table.ended("hurly", 1));
  CHECK(b.table.running("hurly").empty());
}

TEST_CASE("a removed schedule fires no more, and its name is free") {
  Bench b(hourly());
  CHECK(b.table.remove("hourly").ok());
  CHECK(b.table.next_deadline() == kNever);
  CHECK(b.table.find("hourly") == nullptr);
  CHECK(b.advance(kStart + kDay).empty());
  CHECK(b.table.add(hourly(), kStart).ok());
}

TEST_CASE("schedules are listed in order of their names") {
  ScheduleTable table;
  for (const char* name : {"c", "a", "b"}) {
    Schedule schedule = hourly();
    schedule.name = name;
    REQUIRE(table.add(schedule, kStart).ok());
  }
  std::string names;
  for (const auto& entry : table.all()) names += entry.second.name;
  CHECK(names == "abc");
}

TEST_CASE("a pause fires nothing, and what came due in it is not made up for") {
  for (const CatchUp policy : {CatchUp::skip, CatchUp::once, CatchUp::all}) {
    Bench b(hourly(policy));
    REQUIRE(b.table.pause("hourly").ok());
    REQUIRE(b.table.pause("hourly").ok());
    CHECK(b.table.next_deadline() == kNever);
    CHECK(b.advance(kStart + 5 * kHour).empty());
    REQUIRE(b.table.resume("hourly", kStart + 5 * kHour).ok());
    CHECK(b.advance(kStart + 5 * kHour).empty());
    CHECK(b.schedule().next_fire == utc(2026, 6, 15, 18));
    CHECK(b.state().skipped == 0);
    CHECK(b.advance(utc(2026, 6, 15, 18)).size() == 1);
  }
}

TEST_CASE("a resume of what is not paused loses no due time") {
  Bench b(hourly());
  REQUIRE(b.table.resume("hourly", utc(2026, 6, 15, 13, 0, 10)).ok());
  CHECK(b.advance(utc(2026, 6, 15, 13, 0, 10)).size() == 1);
}

TEST_CASE("catch up skip: what was missed does not fire, unless a single one is less than a minute late") {
  Bench late(hourly(CatchUp::skip));
  CHECK(late.advance(utc(2026, 6, 15, 13, 0, 59)) == Times{"2026-06-15 13:00:00"});
  Bench missed(hourly(CatchUp::skip));
  CHECK(missed.advance(utc(2026, 6, 15, 13, 1, 0)).empty());
  CHECK(missed.state().skipped == 1);
  CHECK(missed.schedule().next_fire == utc(2026, 6, 15, 14));
  Bench several(hourly(CatchUp::skip));
  CHECK(several.advance(utc(2026, 6, 15, 16, 0, 5)) == Times{"2026-06-15 16:00:00"});
  CHECK(several.state().skipped == 3);
}

TEST_CASE("catch up once: the newest of what was missed fires for all") {
  Bench b(hourly(CatchUp::once));
  CHECK(b.advance(utc(2026, 6, 17, 12, 30)) == Times{"2026-06-17 12:00:00"});
  CHECK(b.state().fired == 1);
  CHECK(b.state().skipped == 47);
  CHECK(b.state().last_fire == utc(2026, 6, 17, 12));
  CHECK(b.schedule().next_fire == utc(2026, 6, 17, 13));
}

TEST_CASE("catch up all: each fires, oldest first") {
  Bench b(hourly(CatchUp::all));
  CHECK(b.advance(utc(2026, 6, 15, 15, 30)) ==
        Times{"2026-06-15 13:00:00", "2026-06-15 14:00:00", "2026-06-15 15:00:00"});
  CHECK(b.state().fired == 3);
  CHECK(b.state().skipped == 0);
}

TEST_CASE("catch up all fires at most a hundred in a turn and remembers how far it came") {
  Bench b(hourly(CatchUp::all));
  const WallTime now = kStart + 250 * kHour;
  b.turn(now);
  CHECK(b.fires.size() == 100);
  CHECK(b.table.next_deadline() <= now);
  // The daemon ends between two turns: the next one goes on where this one stopped.
  Bench next = b.restarted(now);
  next.turn(now);
  REQUIRE(next.fires.size() == 100);
  CHECK(next.fires[0].number == 101);
  CHECK(next.fires[0].due == b.fires[99].due + kHour);
  next.turn(now);
  CHECK(next.fires.size() == 50);
  CHECK(next.table.next_deadline() > now);
  CHECK(next.state().fired == 250);
}

TEST_CASE("a year of missed minutes is counted in portions, and then the newest fires") {
  Schedule schedule = hourly(CatchUp::once);
  schedule.when = calendar("* * * * *");
  Bench b(schedule, utc(2026, 6, 15, 12));
  b.turn(utc(2026, 6, 25, 12));
  CHECK(b.fires.empty());
  CHECK(b.state().skipped == ScheduleTable::kMostSkips);
  CHECK(b.table.next_deadline() < utc(2026, 6, 25, 12));
  CHECK(b.advance(utc(2026, 6, 25, 12)) == Times{"2026-06-25 12:00:00"});
  CHECK(b.turns > 10);
  CHECK(b.state().skipped == 10 * 24 * 60 - 1);
}

TEST_CASE("missed times of an interval are counted at once, millions too") {
  for (const CatchUp policy : {CatchUp::skip, CatchUp::once}) {
    Bench b(every(1'000'000, kNoTime, policy));
    CHECK(b.advance(kStart + kDay).size() == 1);
    CHECK(b.turns == 1);
    CHECK(b.state().fired + b.state().skipped == 86'400'000);
    CHECK(b.state().last_fire == kStart + kDay);
    CHECK(b.schedule().next_fire == kStart + kDay + 1'000'000);
  }
}

TEST_CASE("an interval that was missed by more than a minute does not fire under skip") {
  Bench b(every(kHour, kNoTime, CatchUp::skip));
  CHECK(b.advance(utc(2026, 6, 15, 15, 30)).empty());
  CHECK(b.state().skipped == 3);
  CHECK(b.schedule().next_fire == utc(2026, 6, 15, 16));
}

TEST_CASE("after a restart nothing fires that has fired, under any policy") {
  for (const CatchUp policy : {CatchUp::skip, CatchUp::once, CatchUp::all}) {
    Bench b(hourly(policy));
    CHECK(b.advance(utc(2026, 6, 15, 13)).size() == 1);
    Bench same = b.restarted(utc(2026, 6, 15, 13));
    CHECK(same.advance(utc(2026, 6, 15, 13, 0, 30)).empty());
    Bench earlier = b.restarted(utc(2026, 6, 15, 12, 59));
    CHECK(earlier.advance(utc(2026, 6, 15, 13, 30)).empty());
    CHECK(earlier.advance(utc(2026, 6, 15, 14)).size() == 1);
    CHECK(earlier.fires[0].number == 2);
  }
}

TEST_CASE("after a restart what was missed is caught up by the policy") {
  const WallTime now = utc(2026, 6, 15, 16, 30);
  Bench skip = Bench(hourly(CatchUp::skip)).restarted(now);
  CHECK(skip.advance(now).empty());
  CHECK(skip.state().skipped == 4);
  Bench once = Bench(hourly(CatchUp::once)).restarted(now);
  CHECK(once.advance(now) == Times{"2026-06-15 16:00:00"});
  Bench all = Bench(hourly(CatchUp::all)).restarted(now);
  CHECK(all.advance(now).size() == 4);
}

TEST_CASE("a state of which only the last firing is known is enough not to fire twice") {
  Schedule schedule = hourly(CatchUp::all);
  schedule.state.last_fire = utc(2026, 6, 15, 13);
  Bench b(schedule, utc(2026, 6, 15, 15, 30));
  CHECK(b.advance(utc(2026, 6, 15, 15, 30)) == Times{"2026-06-15 14:00:00", "2026-06-15 15:00:00"});
}

TEST_CASE("a pause and the counts survive a restart") {
  Bench b(hourly(CatchUp::all));
  b.advance(utc(2026, 6, 15, 14, 30));
  REQUIRE(b.table.pause("hourly").ok());
  Bench next = b.restarted(utc(2026, 6, 15, 16, 30));
  CHECK(next.state() == b.state());
  CHECK(next.advance(utc(2026, 6, 15, 17, 30)).empty());
  REQUIRE(next.table.resume("hourly", utc(2026, 6, 15, 17, 30)).ok());
  CHECK(next.advance(utc(2026, 6, 15, 18)) == Times{"2026-06-15 18:00:00"});
  CHECK(next.fires[0].number == 3);
}

TEST_CASE("a clock set back fires nothing a second time") {
  Bench b(hourly());
  CHECK(b.advance(utc(2026, 6, 15, 15, 0, 1)).size() == 1);
  CHECK(b.advance(utc(2026, 6, 15, 12, 30)).empty());
  CHECK(b.advance(utc(2026, 6, 15, 13)).empty());
  CHECK(b.advance(utc(2026, 6, 15, 15)).empty());
  CHECK(b.advance(utc(2026, 6, 15, 16)) == Times{"2026-06-15 16:00:00"});
  REQUIRE(b.table.pause("hourly").ok());
  REQUIRE(b.table.resume("hourly", utc(2026, 6, 15, 12)).ok());
  CHECK(b.advance(utc(2026, 6, 15, 16, 30)).empty());
}

TEST_CASE("a clock set forward makes missed times") {
  Bench b(hourly(CatchUp::once));
  CHECK(b.advance(utc(2026, 6, 15, 13)).size() == 1);
  CHECK(b.advance(utc(2026, 7, 15, 13, 30)).size() == 1);
  CHECK(b.state().skipped == 30 * 24 - 1);
}

TEST_CASE("overlap allow: runs go on side by side and are known until they end") {
  Bench b(hourly(CatchUp::once, Overlap::allow));
  b.runs_end = false;
  b.turn(utc(2026, 6, 15, 13));
  b.turn(utc(2026, 6, 15, 14));
  CHECK(b.table.running("hourly") == std::vector<RunNumber>{1, 2});
  CHECK(b.table.ended("hourly", 1));
  CHECK(!b.table.ended("hourly", 1));
  CHECK(b.table.running("hourly") == std::vector<RunNumber>{2});
}

TEST_CASE("overlap skip: nothing fires while a run goes on, and what was skipped is not made up for") {
  Bench b(hourly(CatchUp::all, Overlap::skip));
  b.runs_end = false;
  b.turn(utc(2026, 6, 15, 13));
  CHECK(b.fires.size() == 1);
  b.turn(utc(2026, 6, 15, 14));
  b.turn(utc(2026, 6, 15, 15));
  CHECK(b.fires.empty());
  CHECK(b.state().skipped == 2);
  CHECK(b.table.ended("hourly", 1));
  b.turn(utc(2026, 6, 15, 15, 30));
  CHECK(b.fires.empty());
  b.turn(utc(2026, 6, 15, 16));
  REQUIRE(b.fires.size() == 1);
  CHECK(b.fires[0].number == 2);
  Bench next = b.restarted(utc(2026, 6, 15, 16, 30));
  CHECK(next.advance(utc(2026, 6, 15, 16, 30)).empty());
}

TEST_CASE("overlap skip holds among the times that are caught up in one turn") {
  Bench b(hourly(CatchUp::all, Overlap::skip));
  b.turn(utc(2026, 6, 15, 16, 30));
  CHECK(b.fires.size() == 1);
  CHECK(b.state().skipped == 3);
}

TEST_CASE("overlap replace: the firing names the runs that have not ended") {
  Bench b(hourly(CatchUp::once, Overlap::replace));
  b.runs_end = false;
  b.turn(utc(2026, 6, 15, 13));
  CHECK(b.fires[0].replaces.empty());
  b.turn(utc(2026, 6, 15, 14));
  CHECK(b.fires[0].replaces == std::vector<RunNumber>{1});
  // A run that takes its time to end is named again.
  b.turn(utc(2026, 6, 15, 15));
  CHECK(b.fires[0].replaces == std::vector<RunNumber>{1, 2});
  CHECK(b.table.ended("hourly", 1));
  CHECK(b.table.ended("hourly", 2));
  CHECK(b.table.ended("hourly", 3));
  b.turn(utc(2026, 6, 15, 16));
  CHECK(b.fires[0].replaces.empty());
}

TEST_CASE("a run from before a restart counts as running if the caller says so") {
  Bench b(hourly(CatchUp::once, Overlap::skip));
  b.runs_end = false;
  b.turn(utc(2026, 6, 15, 13));
  Bench next = b.restarted(utc(2026, 6, 15, 13, 30));
  CHECK(next.table.running("hourly").empty());
  REQUIRE(next.table.still_runs("hourly", 1).ok());
  CHECK(next.advance(utc(2026, 6, 15, 14)).empty());
  CHECK(next.table.ended("hourly", 1));
  CHECK(next.advance(utc(2026, 6, 15, 15)).size() == 1);
  CHECK(next.table.still_runs("hourly", 3).code() == Code::invalid);
  CHECK(next.table.still_runs("hourly", 0).code() == Code::invalid);
}

TEST_CASE("a night on which clocks are changed gives one firing each") {
  Schedule schedule = hourly(CatchUp::once);
  schedule.when = calendar("30 2 * * *", berlin());
  Bench b(schedule, utc(2026, 3, 28, 12));
  CHECK(b.advance(utc(2026, 3, 29, 1)) == Times{"2026-03-29 01:00:00"});
  CHECK(b.advance(utc(2026, 3, 29, 23)).empty());
  Bench autumn(schedule, utc(2026, 10, 24, 12));
  CHECK(autumn.advance(utc(2026, 10, 25, 0, 30)) == Times{"2026-10-25 00:30:00"});
  CHECK(autumn.advance(utc(2026, 10, 25, 1, 30)).empty());
}

TEST_CASE("whatever the clock does, due times only ever grow and numbers have no gap") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const auto catch_up = static_cast<CatchUp>(random.in(0, 2));
    const auto overlap = static_cast<Overlap>(random.in(0, 2));
    Schedule schedule = hourly(catch_up, overlap);
    if (random.chance(50)) {
      schedule.when = Every{random.in(1, 5000) * kSecond, random.chance(50) ? kNoTime : kStart};
    } else {
      schedule.when = calendar(random.chance(50) ? "*/7 * * * *" : "5,35 1-20 * * *", berlin());
    }
    auto b = std::make_unique<Bench>(schedule);
    b->runs_end = random.chance(50);
    WallTime now = kStart, last = kNoTime;
    RunNumber number = 0;
    for (int i = 0; i < 200; ++i) {
      now += random.in(-3000, 6000) * kSecond;
      if (random.chance(5)) now += random.in(-48, 48) * kHour;
      if (random.chance(10)) b = std::make_unique<Bench>(b->restarted(now));
      b->turn(now);
      for (const Fire& fire : b->fires) {
        REQUIRE(fire.due > last);
        REQUIRE(fire.due <= now);
        REQUIRE(fire.number == ++number);
        last = fire.due;
        if (random.chance(70)) b->table.ended(fire.schedule, fire.number);
      }
      REQUIRE(b->state().fired == number);
      REQUIRE(b->state().last_fire == last);
      REQUIRE(b->state().passed >= last);
      REQUIRE(b->schedule().next_fire > b->state().passed);
      REQUIRE(b->table.next_deadline() == b->schedule().next_fire);
    }
  }
}
