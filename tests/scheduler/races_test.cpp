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

