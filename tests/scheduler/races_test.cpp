// What goes wrong only when two things meet: orders against times, limits against those who no longer want the place.
#include "tests/scheduler/fixture.hpp"

using namespace futured;
using namespace futured::scheduler;
using futured::scheduler::test::Bench;

namespace {
constexpr Time kSecond = 1'000'000'000;
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

