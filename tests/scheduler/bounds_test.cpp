// What keeps the memory bounded: retention, results that are not taken, what clients follow, closed batches.
#include "tests/scheduler/fixture.hpp"

using namespace futured;
using namespace futured::scheduler;
using futured::scheduler::test::Bench;

namespace {
constexpr Time kSecond = 1'000'000'000;

Spec kept(std::int64_t keep = 3600 * kSecond) {
  Spec s = Bench::spec();
  s.keep_ns = keep;
  return s;
}
}  // namespace

TEST_CASE("kept results withhold no credit; beyond their bytes the oldest are forgotten early") {
  Limits limits;
  limits.bytes = 4000;
  limits.kept_bytes = 2500;
  Bench b(limits);
  const WorkerId w = b.worker(1, 10);
  const SessionId c = b.hello();
  std::vector<TaskNumber> numbers;
  for (Seq seq = 0; seq < 5; ++seq) {
    const TaskNumber n = b.s.tasks().next_number();
    numbers.push_back(n);
    b.submit_at(c, seq, 1, kept());
    CHECK(!b.s.session(c)->starved);
    b.now += kSecond;
    b.ran(w, {b.token(n)}, std::string(1000, 'x'));
    b.delivered(c, seq + 1);
    b.settle();
  }
  CHECK(!b.known(numbers[2]));
  CHECK(b.known(numbers[3]));
  CHECK(b.known(numbers[4]));
  CHECK(b.s.counts().kept_bytes == 2000);
}

TEST_CASE("beyond the number of kept tasks those that ended first are forgotten, however long they were to be kept") {
  Limits limits;
  limits.kept_tasks = 2;
  Bench b(limits);
  const WorkerId w = b.worker(1, 10);
  const SessionId c = b.hello();
  const TaskNumber n = b.s.tasks().next_number();
  Seq seq = 0;
  for (const std::int64_t hours : {9, 1, 5}) {
    b.submit_at(c, seq, 1, kept(hours * 3600 * kSecond));
    b.now += kSecond;
    b.ran(w, {b.token(n + seq)});
    b.delivered(c, ++seq);
  }
  b.settle();
  CHECK(!b.known(n));
  CHECK(b.known(n + 1));
  CHECK(b.known(n + 2));
}

TEST_CASE("a kept result that somebody still has to take is not forgotten by the cap") {
  Limits limits;
  limits.kept_tasks = 0;
  Bench b(limits);
  const WorkerId w = b.worker(1, 10);
  const SessionId c = b.hello();
  const TaskNumber n = b.s.tasks().next_number();
  b.submit_at(c, 0, 1, kept());
  b.ran(w, {b.token(n)});
  b.settle();
  CHECK(b.known(n));
  b.delivered(c, 1);
  CHECK(!b.known(n));
}

TEST_CASE("the tasks of a client that leaves its results lying wait; those of others run") {
  Limits limits;
  limits.owed_bytes = 1000;
  Bench b(limits);
  const WorkerId w = b.worker(1, 2);
  Bench::HelloOptions reads_nothing;
  reads_nothing.credit_tasks = 0;
  const SessionId idle = b.hello(1, reads_nothing);
  const SessionId other = b.hello(2);
  const TaskNumber n = b.submit(idle, 3);
  b.ran(w, {b.token(n)}, std::string(800, 'x'));
  b.ran(w, {b.token(n + 1)}, std::string(800, 'x'));
  CHECK(b.s.session(idle)->held);
  b.credit(w, 10);
  CHECK(b.runs.empty());
  const TaskNumber m = b.submit(other, 1);
  REQUIRE(b.runs.size() == 1);
  CHECK(b.runs[0].token.task == m);
  b.ran(w, {b.token(m)});
  CHECK(b.s.at_workers() == 0);
  // It takes one: 800 bytes are left, more than half; then the other.
  b.delivered(idle, 0, 2);
  CHECK(b.told.size() == 2);
  b.delivered(idle, 1, 2);
  CHECK(b.runs.empty());
  b.delivered(idle, 2, 3);
  REQUIRE(b.runs.size() == 1);
  CHECK(b.runs[0].token.task == n + 2);
}

TEST_CASE("a task of a held client can be cancelled, and one that comes back waits in its place") {
  Limits limits;
  limits.owed_bytes = 10;
  Bench b(limits);
  const WorkerId w = b.worker(2, 2);
  Bench::HelloOptions reads_nothing;
  reads_nothing.credit_tasks = 0;
  const SessionId c = b.hello(1, reads_nothing);
  const TaskNumber n = b.submit(c, 4);
  b.ran(w, {b.token(n)}, std::string(800, 'x'));
  CHECK(b.s.session(c)->held);
  b.cancel(c, {2});
  b.lost(w, true);
  CHECK(b.s.at_workers() == 0);
  b.worker(4, 4);
  CHECK(b.runs.empty());
  b.gone(c, true);
  b.settle();
  CHECK(b.s.at_workers() == 2);
}

TEST_CASE("a task attached to twice under one handle is followed once") {
  Bench b;
  const WorkerId w = b.worker(1, 2);
  const SessionId owner = b.hello(1);
  const SessionId other = b.hello(2);
  const TaskNumber n = b.submit(owner);
  b.attach(other, {{n, {}}});
  b.attach(other, {{n, {}}});
  CHECK(b.actions.breaches.empty());
  b.ran(w, {b.token(n)});
  CHECK(b.told.size() == 2);
}

TEST_CASE("batches that have ended behind a long task do not pile up") {
  Bench b;
  const WorkerId w = b.worker(2, 10);
  const SessionId c = b.hello();
  const TaskNumber first = b.submit(c);
  // Without the checks of the bench, which look at everything each time.
  const Spec spec = Bench::spec();
  for (std::uint64_t i = 1; i <= 10'000; ++i) {
    Actions actions;
    std::vector<Slice> one{Slice::copy("in")};
    const TaskNumber n = b.s.tasks().next_number();
    b.s.handle(event::Submit{c, i, {&spec, 1}, {}, one}, b.now, actions);
    b.s.advance(b.now, actions);
    const std::vector<AttemptToken> tokens{b.token(n)};
    b.s.handle(event::Ran{w, tokens, one, {}}, b.now, actions);
    b.s.handle(event::WorkerCredit{w, {i + 10, 0}}, b.now, actions);
    b.s.advance(b.now, actions);
    b.s.handle(event::Delivered{c, i, 1'000'000, 1 << 30}, b.now, actions);
  }
  b.settle();
  CHECK(b.s.tasks().live() == 1);
  CHECK(b.s.session(c)->extents.size() < 3000);
  CHECK(b.known(first));
  b.cancel(c, {0}, true);
  CHECK(b.actions.stops.size() == 1);
}

TEST_CASE("a hello that names a seq from before the window is refused") {
  Limits limits;
  limits.window_tasks = 4;
  Bench b(limits);
  const WorkerId w = b.worker(1, 10);
  const SessionId c = b.hello();
  for (int i = 0; i < 5; ++i) b.ran(w, {b.token(b.submit(c))});
  b.hello();
  CHECK(b.actions.breaches.size() == 1);
  Bench::HelloOptions o;
  o.first_unacked = 1;
  CHECK(b.hello(1, o) == c);
}

TEST_CASE("the table finds the next and the previous task that is known, across thousands that are not") {
  TaskTable t;
  const ExtentId x = t.open_extent(0, 0, 20'000, 0);
  std::vector<TaskSlot> slots;
  for (int i = 0; i < 20'000; ++i) slots.push_back(t.add(x));
  t.seal(x);
  CHECK(t.next_live(0) == 1);
  CHECK(t.previous_live(UINT64_MAX) == 20'000);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (i != 6'000 && i != 6'001 && i != 15'000) t.forget(slots[i]);
  }
  CHECK(t.next_live(1) == 6'001);
  CHECK(t.next_live(6'002) == 6'002);
  CHECK(t.next_live(6'003) == 15'001);
  CHECK(t.next_live(15'002) == 0);
  CHECK(t.previous_live(20'000) == 15'001);
  CHECK(t.previous_live(15'000) == 6'002);
  CHECK(t.previous_live(6'001) == 6'001);
  CHECK(t.previous_live(6'000) == 0);
}

TEST_CASE("odd lengths of retention do not make a queue each") {
  Retention r;
  for (int i = 0; i < 200'000; ++i) r.keep(1, 0, i * kSecond);
  CHECK(r.size() == 200'000);
  std::size_t forgotten = 0;
  int steps = 0;
  for (; r.size() != 0; ++steps) r.advance(r.next_deadline(), 200'000, [&](TaskNumber) { ++forgotten; });
  CHECK(forgotten == 200'000);
  CHECK(steps < 200);
  r.keep(1, 0, INT64_MAX);
  CHECK(r.next_deadline() > 0);
}

TEST_CASE("a grace without end is no grace that has passed") {
  Bench b;
  b.worker(1, 0);
  const SessionId c = b.hello();
  Spec s = Bench::spec("u");
  s.cancel_on_disconnect = true;
  s.disconnect_grace_ns = INT64_MAX;
  b.submit_at(c, 0, 1, s);
  b.gone(c);
  b.settle();
  CHECK(b.s.counts().cancelled == 0);
}

TEST_CASE("a task may be given up after 255 crashes at the most") {
  CHECK(crash_budget(0) == 3);
  CHECK(crash_budget(-1) == 1);
  CHECK(crash_budget(1) == 1);
  CHECK(crash_budget(300) == 255);
}
