// Cancels in every phase of a task, and who wins the race.
#include "tests/scheduler/fixture.hpp"

using namespace futured;
using namespace futured::scheduler;
using futured::scheduler::test::Bench;

namespace {
using Verdicts = std::vector<Verdict>;
}

TEST_CASE("a queued task is cancelled at once and never runs") {
  Bench b;
  const WorkerId w = b.worker(1, 0);
  const SessionId c = b.hello();
  b.submit(c, 2);
  b.cancel(c, {0});
  CHECK(b.verdicts() == Verdicts{Verdict::cancelled});
  REQUIRE(b.told.size() == 1);
  CHECK(b.told[0].phase == Phase::cancelled);
  b.credit(w, 10);
  CHECK(b.run_numbers() == std::vector<TaskNumber>{2});
}

TEST_CASE("a task sent ahead is recalled; the answer waits for the worker") {
  Bench b;
  const WorkerId w = b.worker(1, 10);
  const SessionId c = b.hello();
  b.submit(c, 3);
  const AttemptToken t = b.token(2);
  b.cancel(c, {1});
  CHECK(b.verdicts().empty());
  REQUIRE(b.actions.recalls.size() == 1);
  CHECK(b.actions.recalls[0].token == t);
  SUBCASE("returned: it is cancelled") {
    b.recalled(w, {t}, true);
    CHECK(b.verdicts() == Verdicts{Verdict::cancelled});
    REQUIRE(b.told.size() == 1);
    CHECK(b.told[0].phase == Phase::cancelled);
  }
  SUBCASE("too late: it runs, and its result counts") {
    b.recalled(w, {t}, false);
    CHECK(b.verdicts() == Verdicts{Verdict::running});
    CHECK(b.phase(2) == Phase::running);
    b.ran(w, {t});
    CHECK(b.told[0].phase == Phase::succeeded);
  }
  SUBCASE("reported as running meanwhile") {
    b.running(w, {t});
    CHECK(b.verdicts() == Verdicts{Verdict::running});
    b.recalled(w, {t}, false);
    CHECK(b.verdicts().empty());
  }
  SUBCASE("finished meanwhile") {
    b.ran(w, {t}, "done");
    CHECK(b.verdicts() == Verdicts{Verdict::finished});
    CHECK(b.told[0].phase == Phase::succeeded);
    b.recalled(w, {t}, false);
    CHECK(b.verdicts().empty());
  }
  SUBCASE("failed for good meanwhile") {
    b.ran_badly(w, t);
    CHECK(b.verdicts() == Verdicts{Verdict::finished});
    CHECK(b.told[0].phase == Phase::failed);
  }
  SUBCASE("the worker is lost") {
    b.lost(w, true, {b.token(1)});
    CHECK(b.verdicts() == Verdicts{Verdict::cancelled});
    CHECK(b.phase(2) == Phase::cancelled);
    CHECK(b.phase(3) == Phase::queued);
  }
  SUBCASE("cancelled again, running too") {
    b.cancel(c, {1}, true, 2);
    CHECK(b.verdicts() == Verdicts{Verdict::requested});
    CHECK(b.actions.stops.size() == 1);
    b.ran_badly(w, t, false, true);
    CHECK(b.verdicts() == Verdicts{Verdict::cancelled});
    CHECK(b.told[0].phase == Phase::cancelled);
  }
  SUBCASE("its client is gone for good") {
    b.gone(c, true);
    b.recalled(w, {t}, true);
    CHECK(!b.known(2));
  }
}

TEST_CASE("a failure that would be tried again is cancelled instead if a cancel waits") {
  Bench b;
  const WorkerId w = b.worker(1, 10);
  const SessionId c = b.hello();
  Spec sp = Bench::spec();
  sp.retries = 1;
  b.submit(c, 1, sp);
  b.cancel(c, {0});
  b.ran_badly(w, b.token(1));
  CHECK(b.verdicts() == Verdicts{Verdict::cancelled});
  CHECK(b.told[0].phase == Phase::cancelled);
}

TEST_CASE("a task that is being recalled for a neighbour is cancelled without a second recall") {
  Bench b;
  const WorkerId v = b.worker(1, 2);
  const SessionId c = b.hello();
  b.submit(c, 2);
  b.running(v, {b.token(1)});
  b.worker(1, 1);
  REQUIRE(b.actions.recalls.size() == 1);
  b.cancel(c, {1});
  CHECK(b.actions.recalls.empty());
  b.recalled(v, {b.token(2)}, true);
  CHECK(b.verdicts() == Verdicts{Verdict::cancelled});
  CHECK(b.runs.empty());
}

TEST_CASE("a running task is left alone, or told to stop") {
  Bench b;
  const WorkerId w = b.worker(1, 10);
  const SessionId c = b.hello();
  b.submit(c);
  const AttemptToken t = b.token(1);
  b.running(w, {t});
  b.cancel(c, {0});
  CHECK(b.verdicts() == Verdicts{Verdict::running});
  b.cancel(c, {0}, true);
  CHECK(b.verdicts() == Verdicts{Verdict::requested});
  REQUIRE(b.actions.stops.size() == 1);
  CHECK(b.actions.stops[0].token == t);
  CHECK(b.actions.stops[0].grace == 5);
  CHECK(b.s.reason(b.slot(1)) == Reason::cancelling);
  SUBCASE("it stops") {
    b.ran_badly(w, t, false, true);
    CHECK(b.told[0].phase == Phase::cancelled);
  }
  SUBCASE("it fails because it was told") {
    b.ran_badly(w, t, false, true);
    CHECK(b.told[0].phase == Phase::cancelled);
  }
  SUBCASE("it had failed before it was told") {
    b.ran_badly(w, t);
    CHECK(b.told[0].phase == Phase::failed);
  }
  SUBCASE("it succeeds all the same") {
    b.ran(w, {t});
    CHECK(b.told[0].phase == Phase::succeeded);
  }
  SUBCASE("its worker crashes") {
    b.lost(w, true, {t});
    CHECK(b.told[0].phase == Phase::cancelled);
  }
  SUBCASE("the worker had not started it and gives it back") {
    b.recalled(w, {t}, true);
    CHECK(b.told[0].phase == Phase::cancelled);
  }
}

TEST_CASE("each handle gets its own verdict in one answer") {
  Bench b;
  const WorkerId w = b.worker(1, 3);
  const SessionId c = b.hello();
  b.submit(c, 5);
  b.ran(w, {b.token(1)});
  b.delivered(c, 1);
  b.ran(w, {b.token(2)});
  b.cancel(c, {0, 1, 2, 3, 4, 5, 2}, false, 42);
  CHECK(b.actions.cancelled.empty());
  b.recalled(w, {b.token(3)}, true);
  REQUIRE(b.actions.cancelled.size() == 1);
  CHECK(b.actions.cancelled[0].request == 42);
  CHECK(b.verdicts() == Verdicts{Verdict::forgotten, Verdict::finished, Verdict::cancelled, Verdict::cancelled,
                                 Verdict::cancelled, Verdict::unknown, Verdict::cancelled});
}

TEST_CASE("several cancels wait for one recall") {
  Bench b;
  const WorkerId w = b.worker(1, 3);
  const SessionId c = b.hello(1);
  const SessionId d = b.hello(2);
  const TaskNumber n = b.submit(c);
  b.attach(d, {{n, {}}});
  b.cancel(c, {0}, false, 1);
  b.cancel(d, {Bench::kAttach}, false, 2);
  CHECK(b.actions.recalls.empty());
  b.recalled(w, {b.token(n)}, true);
  CHECK(b.actions.cancelled.size() == 2);
  CHECK(b.told.size() == 2);
}

TEST_CASE("a task is cancelled by number, whoever owns it") {
  Bench b;
  b.worker(1, 1);
  const SessionId c = b.hello();
  const TaskNumber n = b.submit(c, 2);
  b.step(event::CancelTask{n, 1});
  CHECK(b.actions.stops.size() == 1);
  b.step(event::CancelTask{n + 1, 1});
  CHECK(b.told.size() == 1);
  b.step(event::CancelTask{99, 1});
  CHECK(b.told.empty());
}
