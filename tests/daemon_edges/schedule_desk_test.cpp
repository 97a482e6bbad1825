// What schedules submit to a scheduler, what they refuse, and when they want to be looked at; all times are passed in.
#include "daemon/schedule_desk.hpp"

#include <doctest/doctest.h>

#include "daemon/schedules/zone_file.hpp"
#include "tests/scheduler/fixture.hpp"

namespace {

using namespace futured;
using namespace futured::daemon;
using namespace futured::scheduler;
using schedules::kSecond;
using schedules::WallTime;

/// A desk before a scheduler with a worker for tasks of type "t". The two clocks are unlike each other on purpose.
struct Desk {
  explicit Desk(Limits limits = {}, std::uint32_t slots = 100) : b(limits), worker(b.worker(slots, 1000)) {}

  Status add(const v1::AddSchedule& order) { return desk.add(order, {1000, wall}, b.s); }
  std::string refusal(const v1::AddSchedule& order) {
    const Status s = add(order);
    CHECK_FALSE(s.ok());
    return s.message();
  }
  Status change(const std::string& name, v1::ChangeSchedule::What what) {
    v1::ChangeSchedule order;
    order.set_name(name);
    order.set_what(what);
    return desk.change(order, wall);
  }
  v1::ScheduleRecord record() const {
    v1::Reply reply;
    desk.answer(reply);
    REQUIRE(reply.schedules_size() == 1);
    return reply.schedules(0);
  }
  /// A turn of the loop.
  void turn() {
    b.actions.clear();
    desk.advance(b.s, b.now, wall, b.actions);
    b.check();
    b.advance();
  }
  void pass(std::int64_t ns) {
    b.now += ns;
    wall += ns;
    turn();
  }
  Time wait() const {
    const Time at = desk.next_deadline(b.s, b.now, wall);
    return at == scheduler::kNever ? at : at - b.now;
  }
  TaskNumber last() const { return record().last_number(); }

  test::Bench b;
  WorkerId worker;
  ScheduleDesk desk;
  WallTime wall = 1'774'746'000 * kSecond;  // 2026-03-29 01:00 UTC
};

v1::AddSchedule every(std::int64_t ns, v1::AddSchedule::Overlap overlap = v1::AddSchedule::OVERLAP_ALLOW) {
  v1::AddSchedule order;
  order.set_name("s");
  order.set_interval_ns(ns);
  order.set_catch_up(v1::AddSchedule::ONCE);
  order.set_overlap(overlap);
  order.mutable_spec()->set_type("t");
  return order;
}
v1::AddSchedule cron(const std::string& text, const std::string& zone = "UTC") {
  v1::AddSchedule order = every(0);
  order.set_cron(text);
  order.set_zone(zone);
  return order;
}

TEST_CASE("what is due is submitted: with the spec, the input and a label, kept for who looks") {
  Desk d;
  v1::AddSchedule order = every(10 * kSecond);
  order.set_input("hello");
  order.mutable_spec()->set_priority(7);
  auto* label = order.mutable_spec()->add_labels();
  label->set_name("team");
  label->set_value("a");
  REQUIRE(d.add(order).ok());
  CHECK(d.wait() == 10 * kSecond);
  CHECK(d.last() == 0);
  d.pass(10 * kSecond - 1);
  CHECK(d.b.run_numbers().empty());
  d.pass(1);
  const TaskNumber task = d.last();
  CHECK(d.b.run_numbers() == std::vector<TaskNumber>{task});
  const Spec& spec = d.b.s.spec(d.b.slot(task));
  CHECK(spec.priority == 7);
  CHECK(spec.owner == 1000);
  CHECK(spec.labels == std::vector<std::pair<std::string, std::string>>{{"team", "a"}, {"schedule", "s"}});
  CHECK(d.b.s.tasks()[d.b.slot(task)].payload.view() == "hello");
  d.b.ran(d.worker, {d.b.token(task)});
  CHECK(d.b.phase(task) == Phase::succeeded);
  d.pass(10 * kSecond);
  CHECK(d.last() == task + 1);
  CHECK(d.b.s.tasks()[d.b.slot(d.last())].payload.view() == "hello");
}

TEST_CASE("the record tells the definition and what has become of it") {
  Desk d;
  v1::AddSchedule order = cron("*/5 * * * *");
  order.set_overlap(v1::AddSchedule::OVERLAP_SKIP);
  REQUIRE(d.add(order).ok());
  v1::ScheduleRecord r = d.record();
  CHECK(r.name() == "s");
  CHECK(r.cron() == "*/5 * * * *");
  CHECK(r.zone() == "UTC");
  CHECK(r.interval_ns() == 0);
  CHECK(r.catch_up() == v1::AddSchedule::ONCE);
  CHECK(r.overlap() == v1::AddSchedule::OVERLAP_SKIP);
  CHECK(r.type() == "t");
  CHECK_FALSE(r.paused());
  CHECK(r.next_unix_ns() == d.wall + 300 * kSecond);
  CHECK(r.last_unix_ns() == 0);
  const WallTime due = r.next_unix_ns();
  d.pass(301 * kSecond);
  d.pass(300 * kSecond);  // its run goes on
  r = d.record();
  CHECK(r.last_unix_ns() == due);
  CHECK(r.next_unix_ns() == due + 600 * kSecond);
  CHECK(r.fired() == 1);
  CHECK(r.skipped() == 1);
  CHECK(r.last_number() == d.b.s.tasks().next_number() - 1);
  REQUIRE(d.change("s", v1::ChangeSchedule::PAUSE).ok());
  CHECK(d.record().paused());
  CHECK(d.record().next_unix_ns() == 0);
}

TEST_CASE("skip: nothing is submitted until the run has ended, and then it is") {
  Desk d;
  v1::AddSchedule order = every(kSecond, v1::AddSchedule::OVERLAP_SKIP);
  order.mutable_spec()->set_keep_ns(kSecond);
  REQUIRE(d.add(order).ok());
  d.pass(kSecond);
  const TaskNumber first = d.last();
  d.pass(kSecond);
  CHECK(d.last() == first);
  SUBCASE("as a success") { d.b.ran(d.worker, {d.b.token(first)}); }
  SUBCASE("as a failure") { d.b.ran_badly(d.worker, d.b.token(first), true); }
  SUBCASE("and was forgotten") {
    d.b.ran(d.worker, {d.b.token(first)});
    d.b.pass(2 * kSecond);  // not on the wall
    REQUIRE_FALSE(d.b.known(first));
  }
  d.pass(kSecond);
  CHECK(d.last() == first + 1);
  CHECK(d.record().skipped() == 1);
}

TEST_CASE("replace: what has not ended is told to stop, once and with a grace, and the next is submitted") {
  Desk d;
  REQUIRE(d.add(every(kSecond, v1::AddSchedule::OVERLAP_REPLACE)).ok());
  d.pass(kSecond);
  const TaskNumber first = d.last();
  d.b.running(d.worker, {d.b.token(first)});
  d.pass(kSecond);
  REQUIRE(d.b.actions.stops.size() == 1);
  CHECK(d.b.actions.stops[0].token == d.b.token(first));
  CHECK(d.b.actions.stops[0].grace == ScheduleDesk::kReplaceGrace);
  const TaskNumber second = d.last();
  CHECK(second == first + 1);
  CHECK(d.b.run_numbers() == std::vector<TaskNumber>{second});
  d.pass(kSecond);  // the first takes its time
  REQUIRE(d.b.actions.stops.size() == 1);
  CHECK(d.b.actions.stops[0].token == d.b.token(second));
  d.b.ran_badly(d.worker, d.b.token(first), false, true);
  d.b.ran_badly(d.worker, d.b.token(second), false, true);
  CHECK(d.b.phase(first) == Phase::cancelled);
  d.b.ran(d.worker, {d.b.token(d.last())});
  d.pass(kSecond);
  CHECK(d.b.actions.stops.empty());
  CHECK(d.record().fired() == 4);
}

TEST_CASE("replace: a run that waits for a worker is cancelled at once") {
  Desk d({}, 1);
  REQUIRE(d.add(every(kSecond, v1::AddSchedule::OVERLAP_REPLACE)).ok());
  d.b.handle(event::SetPaused{"default", "", true});
  d.pass(kSecond);
  const TaskNumber first = d.last();
  d.pass(kSecond);
  CHECK(d.b.phase(first) == Phase::cancelled);
  CHECK(d.b.phase(d.last()) == Phase::queued);
}

TEST_CASE("a removed schedule is gone with its runs; another of its name has nothing to do with them") {
  Desk d;
  REQUIRE(d.add(every(kSecond, v1::AddSchedule::OVERLAP_SKIP)).ok());
  d.pass(kSecond);
  const TaskNumber first = d.last();
  REQUIRE(d.change("s", v1::ChangeSchedule::REMOVE).ok());
  CHECK(d.wait() == scheduler::kNever);
  d.pass(kSecond);
  CHECK_FALSE(is_terminal(d.b.phase(first)));
  REQUIRE(d.add(every(kSecond, v1::AddSchedule::OVERLAP_SKIP)).ok());
  d.pass(kSecond);
  const TaskNumber second = d.last();
  CHECK(second == first + 1);
  d.b.ran(d.worker, {d.b.token(first)});
  d.pass(kSecond);
  CHECK(d.last() == second);
}

TEST_CASE("paused, resumed, removed; and who is not known") {
  Desk d;
  REQUIRE(d.add(every(kSecond)).ok());
  REQUIRE(d.change("s", v1::ChangeSchedule::PAUSE).ok());
  CHECK(d.wait() == scheduler::kNever);
  d.pass(10 * kSecond);
  CHECK(d.last() == 0);
  REQUIRE(d.change("s", v1::ChangeSchedule::RESUME).ok());
  CHECK(d.wait() == kSecond);
  d.pass(kSecond);
  CHECK(d.last() != 0);
  CHECK(d.record().fired() == 1);
  CHECK(d.change("s", v1::ChangeSchedule::NOTHING).code() == Code::invalid);
  for (const auto what : {v1::ChangeSchedule::PAUSE, v1::ChangeSchedule::RESUME, v1::ChangeSchedule::REMOVE}) {
    const Status s = d.change("ss", what);
    CHECK(s.code() == Code::not_found);
    CHECK(s.message() == "there is no schedule 'ss'; did you mean 's'?");
  }
}

TEST_CASE("the next deadline: of the wall clock, as it is set now, and a minute ahead at most") {
  Desk d;
  CHECK(d.wait() == scheduler::kNever);
  REQUIRE(d.add(every(3600 * kSecond)).ok());
  CHECK(d.wait() == 60 * kSecond);
  d.wall += 3600 * kSecond - 5 * kSecond;  // somebody set it
  CHECK(d.wait() == 5 * kSecond);
  d.wall += 10 * kSecond;
  CHECK(d.wait() == 0);
  d.turn();
  CHECK(d.record().fired() == 1);
  d.wall -= 3600 * kSecond;
  CHECK(d.wait() == 60 * kSecond);
  d.turn();
  CHECK(d.record().fired() == 1);
}

TEST_CASE("while the daemon is full nothing is submitted and nobody spins; what came due was missed") {
  Limits limits;
  limits.tasks = 2;
  Desk d(limits);
  REQUIRE(d.add(every(kSecond)).ok());
  d.pass(kSecond);
  const TaskNumber first = d.last();
  d.pass(kSecond);
  d.pass(kSecond);
  d.pass(kSecond);
  CHECK(d.record().fired() == 2);
  CHECK(d.wait() == scheduler::kNever);
  d.b.ran(d.worker, {d.b.token(first)});
  CHECK(d.wait() == 0);
  d.turn();
  CHECK(d.record().fired() == 3);
  CHECK(d.record().skipped() == 1);
}

TEST_CASE("orders that cannot be") {
  Desk d;
  v1::AddSchedule order = every(kSecond);
  SUBCASE("the cron expression") {
    const auto parsed = schedules::Cron::parse("61 * * * *");
    REQUIRE_FALSE(parsed.ok());
    CHECK(d.refusal(cron("61 * * * *")) == parsed.status().message());
  }
  SUBCASE("both times") {
    order.set_cron("* * * * *");
    CHECK(d.refusal(order) == "a schedule has either a cron expression or an interval, this one has both");
  }
  SUBCASE("no times") {
    CHECK(d.refusal(every(0)) == "a schedule has either a cron expression or an interval, this one has neither");
  }
  SUBCASE("a zone for an interval") {
    order.set_zone("UTC");
    CHECK(d.refusal(order).find("a time zone goes with a cron expression") == 0);
  }
  SUBCASE("an interval below 0") { CHECK(d.refusal(every(-1)).find("too short") != std::string::npos); }
  SUBCASE("an unknown zone") {
    const std::string said = d.refusal(cron("* * * * *", "Europe/Berlim"));
    CHECK(said.find("'Europe/Berlim'") != std::string::npos);
    const bool installed = schedules::read_zone("Europe/Berlin").ok();
    if (installed) CHECK(said.find("did you mean 'Europe/Berlin'?") != std::string::npos);
  }
  SUBCASE("an unknown task") {
    order.mutable_spec()->set_type("tt");
    CHECK(d.refusal(order) == "unknown task 'tt'; did you mean 't'?");
  }
  SUBCASE("an unknown pool") {
    order.mutable_spec()->set_pool("defualt");
    CHECK(d.refusal(order) == "unknown pool 'defualt'; did you mean 'default'?");
  }
  SUBCASE("a priority out of bounds") {
    order.mutable_spec()->set_priority(101);
    CHECK(d.refusal(order) == "priority 101 is not within -100..100");
  }
  SUBCASE("after") {
    order.mutable_spec()->add_after()->mutable_task()->set_number(1);
    CHECK(d.refusal(order).find("`after`") != std::string::npos);
  }
  SUBCASE("input_from") {
    order.mutable_spec()->mutable_input_from()->set_number(1);
    CHECK(d.refusal(order).find("`input_from`") != std::string::npos);
  }
  SUBCASE("a key") {
    order.mutable_spec()->set_key("k");
    CHECK(d.refusal(order).find("a key is for one task") != std::string::npos);
  }
  SUBCASE("at") {
    order.mutable_spec()->set_at_unix_ns(d.wall + kSecond);
    CHECK(d.refusal(order).find("`at`") != std::string::npos);
  }
  SUBCASE("the label that is set") {
    order.mutable_spec()->add_labels()->set_name("schedule");
    CHECK(d.refusal(order).find("label 'schedule'") != std::string::npos);
  }
  SUBCASE("a spec out of bounds") {
    order.mutable_spec()->set_group(std::string(5000, 'x'));
    CHECK(d.refusal(order).find("4096") != std::string::npos);
  }
  SUBCASE("values of a later version") {
    order.set_overlap(static_cast<v1::AddSchedule::Overlap>(9));
    CHECK(d.refusal(order).find("older than the client") != std::string::npos);
  }
  SUBCASE("no name") {
    order.clear_name();
    CHECK(d.refusal(order).find("needs a name") != std::string::npos);
  }
  v1::Reply none;
  d.desk.answer(none);
  CHECK(none.schedules_size() == 0);
  CHECK(d.wait() == scheduler::kNever);
}

TEST_CASE("a name that is taken: the schedule that has it stays as it is") {
  Desk d;
  REQUIRE(d.add(every(kSecond)).ok());
  CHECK(d.refusal(every(2 * kSecond)) == "schedule 's' exists; remove it first, or take another name");
  CHECK(d.record().interval_ns() == kSecond);
  d.pass(kSecond);
  CHECK(d.record().fired() == 1);
}

TEST_CASE("inputs are bounded: each, and all together") {
  Limits limits;
  limits.payload_bytes = 1000;
  limits.bytes = 3000;
  Desk d(limits);
  v1::AddSchedule order = every(kSecond);
  order.set_input(std::string(1001, 'x'));
  CHECK(d.refusal(order) == "input of 1001 bytes; the limit is 1000");
  order.set_input(std::string(1000, 'x'));
  REQUIRE(d.add(order).ok());
  order.set_name("second");
  const Status full = [&] {
    for (int n = 0; n < 3; ++n) {
      order.set_name("more " + std::to_string(n));
      if (Status s = d.add(order); !s.ok()) return s;
    }
    return Status();
  }();
  CHECK(full.code() == Code::refused);
  CHECK(full.message().find("max_queued_bytes") != std::string::npos);
  REQUIRE(d.change("s", v1::ChangeSchedule::REMOVE).ok());
  CHECK(d.add(order).ok());
}

TEST_CASE("nothing is submitted during a drain: what came due then was missed") {
  Desk d;
  REQUIRE(d.add(every(10 * kSecond)).ok());
  d.b.step(event::Drain{});
  CHECK(d.wait() == scheduler::kNever);
  for (int n = 0; n < 3; ++n) d.pass(10 * kSecond);
  CHECK(d.b.s.counts().submitted == 0);
  CHECK(d.last() == 0);
  d.b.step(event::Undrain{});
  d.turn();
  CHECK(d.record().fired() == 1);
  CHECK(d.record().skipped() == 2);
  CHECK(d.b.run_numbers() == std::vector<TaskNumber>{d.last()});
}

TEST_CASE("there are at most 10000") {
  Desk d;
  v1::AddSchedule order = every(kSecond);
  for (std::size_t n = 0; n < ScheduleDesk::kMostSchedules; ++n) {
    order.set_name(std::to_string(n));
    REQUIRE(d.add(order).ok());
  }
  order.set_name("one more");
  const Status s = d.add(order);
  CHECK(s.code() == Code::refused);
  CHECK(s.message() == "there are 10000 schedules already; remove one first");
  d.pass(kSecond);
  CHECK(d.b.s.counts().submitted == ScheduleDesk::kMostSchedules);
}

}  // namespace
