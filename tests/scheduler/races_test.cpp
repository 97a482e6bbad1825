// What goes wrong only when two things meet: orders against times, limits against those who no longer want the place.
#include "tests/scheduler/fixture.hpp"

using namespace futured;
using namespace futured::scheduler;
using futured::scheduler::test::Bench;

namespace {
constexpr Time kSecond = 1'000'000'000;

Spec limited(const std::string& limit) {
  Spec sp = Bench::spec();
  sp.limit = limit;
  return sp;
}
void set_limit(Bench& b, std::uint32_t running, std::uint32_t starts = 0, Time per = 0) {
  event::SetLimit l;
  l.name = "l";
  l.running = running;
  l.starts = starts;
  l.per = per;
  b.step(l);
}
/// What ends without its own turn.
void ends(Bench& b, WorkerId w, const AttemptToken& token) {
  Slice reply = Slice::copy("out");
  b.handle(event::Ran{w, {&token, 1}, {&reply, 1}, {}});
}
}  // namespace

TEST_CASE("a call that is asked back does not expire before it is back") {
  Bench b;
  const WorkerId w = b.worker(1, 2);
  const SessionId c = b.hello();
  Spec sp = Bench::spec();
  sp.expires_ns = kSecond;
  const TaskNumber n = b.submit(c, 2, sp);
  b.running(w, {b.token(n)});
  b.cancel(c, {1});
  CHECK(b.actions.recalls.size() == 1);
  CHECK(b.s.next_deadline() == kNever);
  const AttemptToken token = b.token(n + 1);
  b.recalled(w, {token}, true);
  CHECK(b.verdicts() == std::vector<Verdict>{Verdict::cancelled});
}

TEST_CASE("a second deaf call in a process that is being ended does not keep the daemon awake") {
  Limits limits;
  limits.neighbour_time = 10;
  Bench b(limits);
  Bench::WorkerOptions o;
  o.slots = 2;
  o.credit = 2;
  const WorkerId w = b.worker(o);
  const SessionId c = b.hello();
  const TaskNumber n = b.submit(c, 2);
  b.running(w, {b.token(n), b.token(n + 1)});
  b.cancel(c, {0}, true);
  b.pass(5);
  b.pass(10);
  CHECK(b.s.worker(w)->kill_sent);
  b.cancel(c, {1}, true);
  b.pass(5);
  b.pass(10);
  CHECK(b.s.next_deadline() > b.now);
  b.lost(w, true);
}

TEST_CASE("a place in a limit goes to the next when the one woken for it is cancelled in the same turn") {
  Bench b;
  set_limit(b, 1);
  const WorkerId w = b.worker(3, 10);
  const SessionId c = b.hello(1);
  const SessionId d = b.hello(2);
  const TaskNumber first = b.submit(c, 2, limited("l"));
  const TaskNumber other = b.submit(d, 1, limited("l"));
  b.actions.clear();
  ends(b, w, b.token(first));
  const std::uint64_t handles[] = {1};
  b.handle(event::Cancel{c, 1, handles, false, 0});
  b.advance();
  CHECK(b.run_numbers() == std::vector<TaskNumber>{other});
}

TEST_CASE("a place in a limit is not lost on a client that may not be given anything") {
  Limits limits;
  limits.owed_bytes = 1;
  Bench b(limits);
  set_limit(b, 1);
  const WorkerId w = b.worker(3, 10);
  const SessionId c = b.hello(1);
  const SessionId d = b.hello(2);
  const SessionId e = b.hello(3);
  const TaskNumber busy = b.submit(e, 1, limited("l"));
  const TaskNumber large = b.submit(c, 1);
  b.submit(c, 1, limited("l"));
  const TaskNumber other = b.submit(d, 1, limited("l"));
  b.ran(w, {b.token(large)}, "more than it may leave lying");
  b.ran(w, {b.token(busy)}, "");
  CHECK(b.run_numbers() == std::vector<TaskNumber>{other});
}

TEST_CASE("clients take turns in a limit") {
  Bench b;
  set_limit(b, 1);
  const WorkerId w = b.worker(3, 100);
  const SessionId c = b.hello(1);
  const SessionId d = b.hello(2);
  b.submit(c, 10, limited("l"));
  b.submit(d, 10, limited("l"));
  int of_second = 0;
  for (int i = 0; i < 10; ++i) {
    const AttemptToken running = b.s.token(b.s.worker(w)->oldest);
    b.ran(w, {running}, "");
    REQUIRE(b.runs.size() == 1);
    of_second += b.runs[0].token.task > 10 ? 1 : 0;
  }
  CHECK(of_second == 5);
}

TEST_CASE("each start that a rate allows is used, whoever has to wait for it") {
  Bench b;
  set_limit(b, 0, 1, kSecond);
  b.worker(9, 100);
  for (std::uint8_t i = 1; i <= 4; ++i) b.submit(b.hello(i), 1, limited("l"));
  for (std::uint64_t at_workers = 2; at_workers <= 4; ++at_workers) {
    b.pass(kSecond);
    CHECK(b.s.at_workers() == at_workers);
  }
}

TEST_CASE("what is attached to another task by its key is not counted as submitted") {
  Bench b;
  const WorkerId w = b.worker(1, 10);
  const SessionId c = b.hello();
  Spec sp = Bench::spec();
  sp.key = "k";
  const TaskNumber n = b.submit(c, 3, sp);
  CHECK(b.actions.accepted.at(0).existing.size() == 2);
  b.ran(w, {b.token(n)});
  CHECK(b.told.size() == 3);
  b.delivered(c, 3);
  CHECK(b.s.tasks().live() == 0);
  CHECK(b.s.counts().submitted == b.s.counts().completed());
}

TEST_CASE("what is forgotten by order leaves nothing behind, however long it was to be kept") {
  Bench b;
  const WorkerId w = b.worker(1, 10'000);
  const SessionId c = b.hello();
  Spec sp = Bench::spec();
  sp.keep_ns = 1'000'000 * kSecond;
  const TaskNumber n = b.submit(c, 2048, sp);
  b.ran(w, b.runs_of(w), "");
  b.delivered(c, 2048);
  CHECK(b.s.tasks().live() == 2048);
  for (TaskNumber i = n; i < n + 2048; ++i) b.step(event::Forget{i});
  CHECK(b.s.tasks().live() == 0);
  CHECK(b.s.next_deadline() == kNever);
}

TEST_CASE("a task of the daemon's own has its key like any other") {
  Bench b;
  const WorkerId w = b.worker(1, 10);
  Spec sp = Bench::spec();
  sp.key = "nightly";
  const TaskNumber n = b.s.tasks().next_number();
  b.step(event::SubmitOwn{&sp, Slice::copy("in"), 0});
  CHECK(b.run_numbers() == std::vector<TaskNumber>{n});
  b.step(event::SubmitOwn{&sp, Slice::copy("in"), 0});
  CHECK(b.s.tasks().next_number() == n + 1);
  const SessionId c = b.hello();
  b.submit(c, 1, sp);
  CHECK(b.actions.accepted.at(0).existing.size() == 1);
  b.ran_badly(w, b.token(n), true);
  CHECK(b.told.size() == 1);
  // It failed, so that the key is free; and once more by order it has none.
  b.step(event::SubmitOwn{&sp, Slice::copy("in"), n});
  b.step(event::SubmitOwn{&sp, Slice::copy("in"), 0});
  CHECK(b.s.counts().queued == 2);
}

TEST_CASE("two groups cannot wait for each other") {
  Bench b;
  const WorkerId w = b.worker(1, 10);
  const SessionId c = b.hello();
  Spec one = Bench::spec();
  one.group = "one";
  Spec two = Bench::spec();
  two.group = "two";
  const TaskNumber a = b.submit(c, 1, one);
  const TaskNumber z = b.submit(c, 1, two);
  one.after.push_back({0, {}, 1, "two", Condition::any});
  two.after.push_back({0, {}, 1, "one", Condition::any});
  const TaskNumber waits = b.submit(c, 1, one);
  CHECK(b.phase(waits) == Phase::waiting);
  b.submit(c, 1, two);
  REQUIRE(b.told.size() == 1);
  CHECK(b.told[0].failure.kind == ErrorKind::rejected);
  b.ran(w, {b.token(a)});
  b.ran(w, {b.token(z)});
  b.settle();
  CHECK(b.phase(waits) == Phase::assigned);
}

TEST_CASE("a deadline is kept by a call that was given longer to stop") {
  Limits limits;
  limits.stop_grace = 10;
  Bench b(limits);
  const WorkerId w = b.worker(1, 1);
  const SessionId c = b.hello();
  Spec sp = Bench::spec();
  sp.deadline_ns = 100;
  const TaskNumber n = b.submit(c, 1, sp);
  b.running(w, {b.token(n)});
  b.step(event::CancelTask{n, 3600 * kSecond});
  REQUIRE(b.actions.stops.size() == 1);
  CHECK(b.actions.stops[0].grace == 110);
  b.pass(110);
  CHECK(b.s.counts().cancelled == 1);
}
