// How attempts end: results, failures, crashes, workers that go and come back.
#include "tests/scheduler/fixture.hpp"

using namespace futured;
using namespace futured::scheduler;
using futured::scheduler::test::Bench;

TEST_CASE("a failure is tried again as often as the task says, then reported with what came back") {
  Bench b;
  const WorkerId w = b.worker(1, 10);
  const SessionId c = b.hello();
  Spec sp = Bench::spec();
  sp.retries = 2;
  const TaskNumber n = b.submit(c, 1, sp);
  b.ran_badly(w, b.token(n));
  REQUIRE(b.runs.size() == 1);
  CHECK(b.runs[0].token.attempt == 2);
  b.ran_badly(w, b.token(n));
  CHECK(b.runs.size() == 1);
  CHECK(b.told.empty());
  b.ran_badly(w, b.token(n));
  REQUIRE(b.told.size() == 1);
  CHECK(b.told[0].phase == Phase::failed);
  CHECK(b.told[0].failure.kind == ErrorKind::error);
  CHECK(b.told[0].failure.message == "it broke");
  CHECK(b.told[0].attempts == 3);
}

TEST_CASE("a permanent failure is not tried again") {
  Bench b;
  const WorkerId w = b.worker(1, 10);
  const SessionId c = b.hello();
  Spec sp = Bench::spec();
  sp.retries = 2;
  const TaskNumber n = b.submit(c, 1, sp);
  b.ran_badly(w, b.token(n), true);
  CHECK(b.told.size() == 1);
}

TEST_CASE("a retry waits behind those that came meanwhile") {
  Bench b;
  const WorkerId w = b.worker(1, 1);
  const SessionId c = b.hello();
  Spec sp = Bench::spec();
  sp.retries = 1;
  const TaskNumber n = b.submit(c, 2, sp);
  b.ran_badly(w, b.token(n));
  b.credit(w, 10);
  CHECK(b.run_numbers() == std::vector<TaskNumber>{n + 1, n});
}

TEST_CASE("reports with a token that is not current are counted and dropped") {
  Bench b;
  const WorkerId v = b.worker(1, 1);
  const WorkerId w = b.worker(1, 0);
  const SessionId c = b.hello();
  const TaskNumber n = b.submit(c);
  const AttemptToken good = b.token(n);
  AttemptToken old = good;
  old.attempt = 0;
  AttemptToken other_epoch = good;
  other_epoch.epoch = 6;
  AttemptToken no_task = good;
  no_task.task = 77;
  b.ran(v, {old, other_epoch, no_task});
  CHECK(b.s.counts().stale_reports == 3);
  b.ran(w, {good});  // not its call
  CHECK(b.s.counts().stale_reports == 4);
  CHECK(b.phase(n) == Phase::assigned);
  b.ran(v, {good, good});
  CHECK(b.s.counts().stale_reports == 5);
  CHECK(b.told.size() == 1);
  b.ran(v, {good});
  CHECK(b.s.counts().stale_reports == 6);
  CHECK(b.told.empty());
}

TEST_CASE("the report of an attempt that was given up does not end the next one") {
  Bench b;
  const WorkerId v = b.worker(1, 1);
  const SessionId c = b.hello();
  const TaskNumber n = b.submit(c);
  const AttemptToken first = b.token(n);
  b.recalled(v, {first}, true);
  b.credit(v, 2);
  CHECK(b.phase(n) == Phase::assigned);
  b.ran(v, {first}, "old");
  CHECK(b.phase(n) == Phase::assigned);
  b.ran(v, {b.token(n)}, "new");
  CHECK(b.told[0].result == "new");
}

TEST_CASE("the same token twice in one answer to a recall counts once") {
  Bench b;
  const WorkerId v = b.worker(1, 2);
  const SessionId c = b.hello();
  b.submit(c, 2);
  b.recalled(v, {b.token(2), b.token(2)}, true);
  CHECK(b.phase(2) == Phase::queued);
}

TEST_CASE("three crashes end a task, and the message says so") {
  Bench b;
  const SessionId c = b.hello();
  b.step(event::PoolDefined{"default", {{"t", Lane::thread}}, 0});
  const TaskNumber n = b.submit(c);
  for (int i = 1; i <= 3; ++i) {
    const WorkerId w = b.worker(1, 1);
    REQUIRE(b.run_numbers() == std::vector<TaskNumber>{n});
    b.lost(w, true, {b.token(n)}, 11);
    if (i < 3) REQUIRE(b.phase(n) == Phase::queued);
  }
  REQUIRE(b.told.size() == 1);
  CHECK(b.told[0].failure.kind == ErrorKind::crashed);
  CHECK(b.told[0].failure.signal == 11);
  CHECK(b.told[0].failure.message.find("signal 11") != std::string::npos);
  CHECK(b.told[0].failure.message.find("3 crashes") != std::string::npos);
}

TEST_CASE("the crash budget is the task's own") {
  Bench b;
  b.step(event::PoolDefined{"default", {{"t", Lane::thread}}, 0});
  const SessionId c = b.hello();
  Spec sp = Bench::spec();
  SUBCASE("one") { sp.crashes = 1; }
  SUBCASE("none") { sp.crashes = -1; }
  const TaskNumber n = b.submit(c, 1, sp);
  const WorkerId w = b.worker(1, 1);
  b.lost(w, true, {b.token(n)});
  CHECK(b.told.size() == 1);
}

TEST_CASE("tasks that only waited at a worker that crashed are not charged") {
  Bench b;
  b.step(event::PoolDefined{"default", {{"t", Lane::thread}}, 0});
  const SessionId c = b.hello();
  Spec sp = Bench::spec();
  sp.crashes = 1;
  const TaskNumber n = b.submit(c, 3, sp);
  const WorkerId w = b.worker(1, 3);
  SUBCASE("the worker's own word") {
    b.running(w, {b.token(n)});  // it had ended meanwhile, and the next had begun
    b.lost(w, true, {b.token(n + 1)});
    CHECK(b.phase(n) == Phase::queued);
    CHECK(b.phase(n + 1) == Phase::failed);
    CHECK(b.phase(n + 2) == Phase::queued);
  }
  SUBCASE("what was reported") {
    b.running(w, {b.token(n)});
    b.lost(w, false);
    CHECK(b.phase(n) == Phase::failed);
    CHECK(b.phase(n + 1) == Phase::queued);
    CHECK(b.phase(n + 2) == Phase::queued);
  }
  CHECK(b.told.size() == 1);
}

TEST_CASE("tasks of a lost worker stand at the front in their old order") {
  Bench b;
  const SessionId c = b.hello();
  const WorkerId w = b.worker(1, 4);
  b.submit(c, 6);
  b.lost(w, true);
  b.worker(10, 10);
  CHECK(b.run_numbers() == std::vector<TaskNumber>{1, 2, 3, 4, 5, 6});
}

TEST_CASE("a worker that comes back keeps what it has and gives back what never arrived, in order") {
  Bench b;
  const SessionId c = b.hello();
  Bench::WorkerOptions o;
  o.instance = "one";
  o.slots = 2;
  o.credit = 6;
  const WorkerId w = b.worker(o);
  b.submit(c, 7);
  CHECK(b.runs.size() == 6);
  std::vector<AttemptToken> t(1);
  for (TaskNumber n = 1; n <= 6; ++n) t.push_back(b.token(n));
  b.step(event::WorkerDisconnected{w});
  b.submit(c, 1);
  CHECK(b.runs.empty());
  o.credit = 10;
  CHECK(b.worker(o) == w);
  CHECK(b.actions.worker_welcomes[0].resumed);
  CHECK(b.runs.empty());  // not before it has announced
  b.announced(w, {t[1]}, {t[2], t[6]});
  CHECK(b.phase(1) == Phase::running);
  CHECK(b.phase(2) == Phase::assigned);
  CHECK(b.token(2) == t[2]);
  CHECK(b.token(6) == t[6]);
  CHECK(b.run_numbers() == std::vector<TaskNumber>{3, 4, 5, 7, 8});
  CHECK(b.token(3).attempt == 2);
  b.ran(w, {t[1], t[2]});
  CHECK(b.told.size() == 2);
  b.ran(w, {t[3]});
  CHECK(b.told.empty());
}

TEST_CASE("an announce of somebody else's or ended calls changes nothing") {
  Bench b;
  const SessionId c = b.hello();
  Bench::WorkerOptions o;
  o.instance = "one";
  o.credit = 2;
  const WorkerId w = b.worker(o);
  const WorkerId v = b.worker(1, 2);
  b.submit(c, 4);
  const auto at_v = b.runs_of(v);
  const auto at_w = b.runs_of(w);
  b.step(event::WorkerDisconnected{w});
  b.worker(o);
  AttemptToken old = at_w[0];
  old.epoch = 1;
  std::vector<AttemptToken> running{at_v[0], old, at_w[0]};
  b.announced(w, running, {at_w[1]});
  CHECK(b.phase(at_v[0].task) == Phase::assigned);
  CHECK(b.phase(at_w[0].task) == Phase::running);
  b.announced(w, {}, {});  // not expected: nothing is lost by it
  CHECK(b.phase(at_w[1].task) == Phase::assigned);
}

TEST_CASE("orders to a worker that was away are given again when it is back") {
  Bench b;
  const SessionId c = b.hello();
  Bench::WorkerOptions o;
  o.instance = "one";
  o.credit = 3;
  const WorkerId w = b.worker(o);
  b.submit(c, 3);
  const AttemptToken first = b.token(1), second = b.token(2), third = b.token(3);
  b.step(event::WorkerDisconnected{w});
  b.cancel(c, {0}, true, 1);
  CHECK(b.verdicts() == std::vector<Verdict>{Verdict::requested});
  CHECK(b.actions.stops.empty());
  b.cancel(c, {1, 2}, false, 2);
  CHECK(b.actions.recalls.empty());
  CHECK(b.verdicts().empty());
  b.worker(o);
  b.announced(w, {first}, {second});
  REQUIRE(b.actions.stops.size() == 1);
  CHECK(b.actions.stops[0].token == first);
  REQUIRE(b.actions.recalls.size() == 1);
  CHECK(b.actions.recalls[0].token == second);
  CHECK(b.phase(third.task) == Phase::cancelled);
  b.recalled(w, {second}, true);
  CHECK(b.verdicts() == std::vector<Verdict>{Verdict::cancelled, Verdict::cancelled});
}

TEST_CASE("a worker started by hand is given up when it stays away; one of our own when its process is gone") {
  Bench b;
  const SessionId c = b.hello();
  Bench::WorkerOptions o;
  SUBCASE("by hand") {
    o.spawn = 0;
    const WorkerId w = b.worker(o);
    const TaskNumber n = b.submit(c);
    b.step(event::WorkerDisconnected{w});
    CHECK(b.s.next_deadline() == b.now + b.s.limits().worker_return);
    b.pass(b.s.limits().worker_return - 1);
    CHECK(b.s.worker(w) != nullptr);
    b.pass(1);
    CHECK(b.s.worker(w) == nullptr);
    CHECK(b.phase(n) == Phase::queued);
  }
  SUBCASE("our own") {
    const WorkerId w = b.worker(o);
    const TaskNumber n = b.submit(c);
    b.step(event::WorkerDisconnected{w});
    CHECK(b.s.next_deadline() == kNever);
    b.pass(3'600'000'000'000);
    CHECK(b.phase(n) == Phase::assigned);
    b.lost(w, true);
    CHECK(b.phase(n) == Phase::queued);
  }
}

TEST_CASE("events about workers that are unknown or gone are ignored") {
  Bench b;
  const SessionId c = b.hello();
  const WorkerId w = b.worker();
  const TaskNumber n = b.submit(c);
  const AttemptToken t = b.token(n);
  b.lost(w, true);
  for (const WorkerId id : {w, WorkerId{99}}) {
    b.running(id, {t});
    b.ran(id, {t});
    b.recalled(id, {t}, true);
    b.announced(id, {t});
    b.credit(id, 100);
    b.step(event::WorkerDisconnected{id});
    b.step(event::WorkerDraining{id});
    b.lost(id, false);
  }
  CHECK(b.phase(n) == Phase::queued);
}

TEST_CASE("the lane of a type stays while calls of it are at workers") {
  Bench b;
  const SessionId c = b.hello();
  Bench::WorkerOptions o;
  o.instance = "one";
  const WorkerId w = b.worker(o);
  const TaskNumber n = b.submit(c);
  const AttemptToken t = b.token(n);
  b.step(event::WorkerDisconnected{w});
  o.types = {{"t", Lane::async}};
  b.worker(o);
  b.announced(w, {t});
  b.ran(w, {t});
  CHECK(b.told.size() == 1);
  b.submit(c);  // nobody offers it on the thread lane now
  CHECK(b.runs.empty());
}

TEST_CASE("a worker that comes back may offer other types") {
  Bench b;
  const SessionId c = b.hello();
  Bench::WorkerOptions o;
  o.instance = "one";
  o.types = {{"t", Lane::thread}};
  const WorkerId w = b.worker(o);
  b.step(event::WorkerDisconnected{w});
  o.types = {{"t", Lane::thread}, {"u", Lane::thread}};
  o.credit = 5;
  b.worker(o);
  b.announced(w, {});
  b.submit(c, 1, Bench::spec("u"));
  CHECK(b.runs.size() == 1);
}

TEST_CASE("attempts are kept with their endings, the latest twenty") {
  Bench b;
  const WorkerId w = b.worker(1, 100);
  const SessionId c = b.hello();
  Spec sp = Bench::spec();
  sp.retries = 30;
  const TaskNumber n = b.submit(c, 1, sp);
  for (int i = 0; i < 25; ++i) b.ran_badly(w, b.token(n));
  const SideRecord* side = b.s.tasks().side_if(b.slot(n));
  REQUIRE(side != nullptr);
  CHECK(side->attempts.size() == kMaxAttemptsKept);
  CHECK(side->attempts.back().number == 26);
  CHECK(side->attempts.front().ending == Attempt::Ending::failed);
  CHECK(side->attempts.front().message == "it broke");
}

TEST_CASE("a started call is told to its client, once") {
  Bench b;
  const WorkerId w = b.worker(1, 1);
  const SessionId c = b.hello();
  const TaskNumber n = b.submit(c);
  b.running(w, {b.token(n)});
  CHECK(b.actions.started.size() == 1);
  CHECK(b.s.counts().running == 1);
  b.running(w, {b.token(n)});
  CHECK(b.actions.started.empty());
}
