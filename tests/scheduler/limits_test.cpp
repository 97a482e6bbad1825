// Limits: who is woken when a place is free, and that nobody is forgotten. A client that is new at a limit stands
// behind those that are there.
#include "tests/scheduler/fixture.hpp"

using namespace futured;
using namespace futured::scheduler;
using futured::scheduler::test::Bench;

namespace {
using Flows = std::vector<FlowId>;

Spec limited(const std::string& limit, std::int32_t priority = 0) {
  Spec sp = Bench::spec("t", priority);
  sp.limit = limit;
  return sp;
}
void set_limit(Bench& b, std::uint32_t running, std::uint32_t starts = 0, Time per = 0) {
  b.step(event::SetLimit{"l", running, starts, per, false});
}
/// The clients whose tasks were started, in order, while each ends before the next begins.
std::string served(Bench& b, WorkerId w, const std::vector<SessionId>& clients) {
  std::string order;
  std::vector<AttemptToken> now = b.runs_of(w);
  for (int n = 0; n < 100 && !now.empty(); ++n) {
    for (const AttemptToken& t : now) {
      const SessionId owner = b.s.tasks().extent_of(b.slot(t.task)).session;
      order += static_cast<char>('a' + (std::find(clients.begin(), clients.end(), owner) - clients.begin()));
    }
    b.ran(w, now);
    now = b.runs_of(w);
    while (b.s.next_deadline() <= b.now) {
      b.turn();
      for (const AttemptToken& t : b.runs_of(w)) now.push_back(t);
    }
  }
  return order;
}
}  // namespace

TEST_CASE(
    "of each class the flow with the highest priority is woken, then of the share served longest ago, then the flow") {
  LimitTable limits;
  const LimitId l = limits.named("l");
  limits[l].running = 1;
  const auto woken = [&] {
    Flows out;
    std::size_t budget = 100;
    limits.wake(l, 0, budget, out);
    return out;
  };
  // priority, share, when it was served, when the flow was, flow
  limits.park(l, 0, {0, 1, 2, 3, 10}, 0);
  limits.park(l, 0, {0, 1, 2, 1, 11}, 0);
  limits.park(l, 0, {-5, 3, 0, 0, 12}, 0);
  limits.park(l, 1, {0, 4, 9, 9, 13}, 0);
  CHECK(woken() == Flows{11, 13});
  limits.park(l, 0, {0, 2, 1, 8, 14}, 0);
  CHECK(woken() == Flows{14, 13});
  limits.serve(l, 0, 0, 2, 20);
  CHECK(woken() == Flows{11, 13});
  limits.serve(l, 0, 0, 1, 21);
  CHECK(woken() == Flows{14, 13});
  limits.park(l, 0, {5, 5, 99, 99, 15}, 0);
  CHECK(woken() == Flows{15, 13});
  limits.unpark(l, 0, {5, 5, 99, 99, 15});
  limits.unpark(l, 0, {0, 2, 20, 8, 14});
  limits.unpark(l, 0, {0, 1, 21, 1, 11});
  limits.unpark(l, 1, {0, 4, 9, 9, 13});
  CHECK(woken() == Flows{10});
  SUBCASE("nobody while it is full") {
    limits[l].start(0);
    CHECK(woken().empty());
    CHECK(limits.next_deadline() == kNever);
    limits.pass_on(l);
    CHECK(limits.next_deadline() == kNever);
  }
  SUBCASE("all when the bounds change, in portions") {
    limits.change(l);
    Flows out;
    std::size_t budget = 1;
    limits.wake(l, 7, budget, out);
    CHECK(out == Flows{10});
    CHECK(limits.next_deadline() == 7);
    limits.unpark(l, 0, {0, 1, 21, 3, 10});
    CHECK(limits.next_due(7) == l);
    budget = 10;
    out.clear();
    limits.wake(l, 7, budget, out);
    CHECK(out == Flows{12});
    CHECK(budget == 9);
    CHECK(limits.next_deadline() == kNever);
  }
}

TEST_CASE("a rate wakes at its time") {
  LimitTable limits;
  const LimitId l = limits.named("l");
  limits[l].starts = 2;
  limits[l].per = 1'000'000'000;
  CHECK(limits[l].opens(5) <= 5);
  limits[l].start(5);
  limits.park(l, 0, {0, 0, 0, 0, 1}, 5);
  CHECK(limits.next_deadline() == 500'000'005);
  CHECK(limits.next_due(500'000'004) == kNoLimit);
  CHECK(limits.next_due(500'000'005) == l);
  Flows woken;
  std::size_t budget = 100;
  limits.wake(l, 500'000'004, budget, woken);
  CHECK(woken.empty());
  limits.wake(l, 500'000'005, budget, woken);
  CHECK(woken == Flows{1});
  CHECK(limits.next_deadline() == kNever);
}

TEST_CASE("clients take turns at a limit, however many tasks each has") {
  Bench b;
  set_limit(b, 1);
  const WorkerId w = b.worker(8, 1000);
  const SessionId x = b.hello(1), y = b.hello(2), z = b.hello(3);
  b.submit(x, 6, limited("l"));
  const std::vector<test::Sent> first = b.runs;
  b.submit(y, 2, limited("l"));
  b.submit(z, 2, limited("l"));
  b.runs = first;
  CHECK(served(b, w, {x, y, z}) == "aabcabcaaa");
}

TEST_CASE("shares take turns at a limit, however many clients each has") {
  Bench b;
  set_limit(b, 1);
  const WorkerId w = b.worker(8, 1000);
  const SessionId x = b.hello(1), y = b.hello(2), z = b.hello(3), v = b.hello(4);
  b.submit(x, 4, limited("l"));
  const std::vector<test::Sent> first = b.runs;
  b.submit(y, 3, limited("l"));
  b.submit(z, 3, limited("l"));
  Spec other = limited("l");
  other.owner = 1;
  b.submit(v, 6, other);
  b.runs = first;
  CHECK(served(b, w, {x, y, z, v}) == "aadbdcdadbdcdabc");
}

TEST_CASE("a limit with many clients is changed in portions, and nobody is forgotten") {
  Bench b;
  set_limit(b, 1);
  const WorkerId w = b.worker(30'000, 30'000);
  const SessionId c = b.hello();
  std::vector<Spec> specs;
  std::vector<std::uint32_t> spec_of;
  for (std::uint32_t i = 0; i < 10'000; ++i) {
    specs.push_back(limited("l"));
    specs.back().fair = std::to_string(i);
    spec_of.push_back(i);
  }
  std::vector<Slice> inputs(specs.size());
  b.s.handle(event::Submit{c, 0, specs, spec_of, inputs}, b.now, b.actions);
  b.turn();
  CHECK(b.s.at_workers() == 1);
  b.step(event::SetLimit{"l", 0, 0, 0, true});
  CHECK(b.s.at_workers() > 1'000);
  CHECK(b.s.at_workers() < 9'000);
  b.settle();
  CHECK(b.s.at_workers() == 10'000);
  (void)w;
}

TEST_CASE("places that become free two at a time are shared as well") {
  Bench b;
  set_limit(b, 2);
  const WorkerId w = b.worker(8, 1000);
  const SessionId x = b.hello(1), y = b.hello(2);
  b.submit(x, 8, limited("l"));
  const std::vector<test::Sent> first = b.runs;
  b.submit(y, 4, limited("l"));
  b.runs = first;
  CHECK(served(b, w, {x, y}) == "aaaabbaabbaa");
}

TEST_CASE("a place that is not used is passed on") {
  Bench b;
  set_limit(b, 1);
  const WorkerId w = b.worker(1, 1);
  const SessionId x = b.hello(1), y = b.hello(2);
  b.submit(x, 1, limited("l"));
  const AttemptToken first = b.token(1);
  const TaskNumber of_x = b.submit(x, 1, limited("l"));
  const TaskNumber of_y = b.submit(y, 1, limited("l"));
  REQUIRE(b.s.reason(b.slot(of_y)) == Reason::limited);
  b.ran(w, {first});  // of_x is woken; the worker gives no credit yet
  CHECK(b.runs.empty());
  b.cancel(x, {1});
  b.settle();
  b.credit(w, 2);
  CHECK(b.phase(of_x) != Phase::queued);
  CHECK(b.run_numbers() == std::vector<TaskNumber>{of_y});
}

TEST_CASE("a place is not lost on a client that is held") {
  Limits limits;
  limits.owed_bytes = 10;
  Bench b(limits);
  set_limit(b, 1);
  const WorkerId w = b.worker(4, 100);
  const SessionId x = b.hello(1), y = b.hello(2);
  b.submit(x, 1);
  b.submit(x, 2, limited("l"));
  b.submit(y, 1, limited("l"));
  REQUIRE(b.phase(3) == Phase::queued);
  b.ran(w, {b.token(1)}, std::string(100, 'x'));  // x has to take this first: its parked tasks are held
  b.ran(w, {b.token(2)}, "");
  b.settle();
  CHECK(b.phase(3) == Phase::queued);
  CHECK(b.phase(4) == Phase::assigned);
  b.ran(w, {b.token(4)}, "");
  b.settle();
  b.delivered(x, 2);
  b.settle();
  CHECK(b.phase(3) == Phase::assigned);
}

TEST_CASE("flows with one task each get all that a rate allows") {
  Bench b;
  set_limit(b, 0, 1, 1'000'000'000);
  b.worker(8, 100);
  for (std::uint8_t n = 1; n <= 5; ++n) b.submit(b.hello(n), 1, limited("l"));
  std::vector<TaskNumber> started{1};
  for (int second = 0; second < 4; ++second) {
    REQUIRE(b.s.next_deadline() <= b.now + 1'000'000'000);
    b.now += 1'000'000'000;
    for (b.turn();; b.turn()) {
      for (const TaskNumber n : b.run_numbers()) started.push_back(n);
      if (b.s.next_deadline() > b.now) break;
    }
  }
  CHECK(started == std::vector<TaskNumber>{1, 2, 3, 4, 5});
}
