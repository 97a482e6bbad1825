// Sessions, submits, deliveries, attachments.
#include "tests/scheduler/fixture.hpp"

using namespace futured;
using namespace futured::scheduler;
using futured::scheduler::test::Bench;

TEST_CASE("a submit is accepted with consecutive numbers, run, delivered and then forgotten") {
  Bench b;
  const WorkerId w = b.worker(4, 100);
  const SessionId c = b.hello();
  const TaskNumber n = b.submit(c, 3);
  REQUIRE(b.actions.accepted.size() == 1);
  CHECK(b.actions.accepted[0].first_seq == 0);
  CHECK(b.actions.accepted[0].count == 3);
  CHECK(b.actions.accepted[0].first_number == n);
  CHECK(b.run_numbers() == std::vector<TaskNumber>{n, n + 1, n + 2});
  b.ran(w, {b.token(n), b.token(n + 1)}, "value");
  REQUIRE(b.told.size() == 2);
  CHECK(b.told[0].delivery == 0);
  CHECK(b.told[1].delivery == 1);
  CHECK(b.told[1].handle == 1);
  CHECK(b.told[0].phase == Phase::succeeded);
  CHECK(b.told[0].result == "value");
  b.ran(w, {b.token(n + 2)});
  CHECK(b.told.size() == 1);
  CHECK(b.known(n));
  b.delivered(c, 2);
  CHECK(!b.known(n));
  CHECK(b.known(n + 2));
  b.delivered(c, 3);
  CHECK(b.s.tasks().live() == 0);
  CHECK(b.s.counts().bytes == size_of(Bench::spec()));  // for the next batch
  b.gone(c, true);
  CHECK(b.s.counts().bytes == 0);
  CHECK(b.actions.ended_sessions == std::vector<SessionId>{c});
  CHECK(Invariants::check_empty(b.s).empty());
}

TEST_CASE("what was accepted already is skipped when it is submitted again") {
  Bench b;
  const SessionId c = b.hello();
  b.worker(1, 0);
  b.submit_at(c, 0, 3, Bench::spec());
  b.submit_at(c, 0, 3, Bench::spec());
  CHECK(b.actions.breaches.empty());
  CHECK(b.s.counts().submitted == 3);
  b.submit_at(c, 1, 2, Bench::spec());
  CHECK(b.actions.accepted.empty());
  b.submit_at(c, 3, 2, Bench::spec(), "12345");
  REQUIRE(b.actions.accepted.size() == 1);
  CHECK(b.actions.accepted[0].first_seq == 3);
  CHECK(b.actions.accepted[0].count == 2);
  CHECK(b.s.counts().submitted == 5);
  CHECK(b.s.session(c)->accepted_bytes == 3 * 2 + 2 * 5);
}

TEST_CASE("bytes of tasks that are skipped do not count against the submit credit") {
  Limits limits;
  limits.window_bytes = 10;
  Bench b(limits);
  const SessionId c = b.hello();
  b.worker(1, 0);
  b.submit_at(c, 0, 1, Bench::spec(), "12345678");
  CHECK(b.s.session(c)->granted_bytes == 18);
  b.submit_at(c, 0, 2, Bench::spec(), "12345678");
  CHECK(b.actions.breaches.empty());
  CHECK(b.s.counts().submitted == 2);
}

TEST_CASE("a gap in the seqs is a breach of the protocol and changes nothing") {
  Bench b;
  const SessionId c = b.hello();
  b.submit_at(c, 1, 2, Bench::spec());
  REQUIRE(b.actions.breaches.size() == 1);
  CHECK(b.actions.breaches[0].session == c);
  CHECK(b.actions.accepted.empty());
  CHECK(b.s.counts().submitted == 0);
}

TEST_CASE("more tasks or bytes than the submit credit are a breach") {
  Limits limits;
  limits.window_tasks = 4;
  limits.window_bytes = 10;
  Bench b(limits);
  b.worker(1, 0);
  const SessionId c = b.hello();
  b.submit(c, 5, Bench::spec(), "");
  CHECK(b.actions.breaches.size() == 1);
  b.submit(c, 4, Bench::spec(), "");
  CHECK(b.actions.breaches.empty());
  b.submit(c, 1, Bench::spec(), "12345678901");
  CHECK(b.actions.breaches.size() == 1);
  b.submit(c, 1, Bench::spec(), "1234567890");
  CHECK(b.actions.breaches.empty());
}

TEST_CASE("seqs at the end of their range do not wrap") {
  Bench b;
  const SessionId c = b.hello();
  b.submit_at(c, UINT64_MAX - 1, 4, Bench::spec());
  CHECK(b.s.counts().submitted == 0);
  b.submit_at(c, kMaxSeq, 4, Bench::spec());
  CHECK(b.s.counts().submitted == 0);
  Bench::HelloOptions beyond;
  beyond.first_unacked = kMaxSeq + 1;
  CHECK(b.hello(2, beyond) == kNoSession);
  CHECK(b.actions.breaches.size() == 1);
}

TEST_CASE("an unknown task is accepted, fails at once as rejected, and the nearest name is proposed") {
  Bench b;
  Bench::WorkerOptions o;
  o.types = {{"fetch", Lane::async}, {"echo", Lane::thread}};
  b.worker(o);
  const SessionId c = b.hello();
  b.submit(c, 2, Bench::spec("fetsch"));
  CHECK(b.actions.accepted.size() == 1);
  REQUIRE(b.told.size() == 2);
  CHECK(b.told[0].phase == Phase::failed);
  CHECK(b.told[0].failure.kind == ErrorKind::rejected);
  CHECK(b.told[0].failure.message.find("did you mean 'fetch'") != std::string::npos);
  b.submit(c, 1, Bench::spec("zzzzzzzzz"));
  CHECK(b.told[0].failure.message.find("fut catalog") != std::string::npos);
}

TEST_CASE("an unknown pool, a pool without the task and a wrong priority are rejected with a hint") {
  Bench b;
  Bench::WorkerOptions o;
  o.pool = "cpu";
  b.worker(o);
  o.pool = "network";
  o.types = {{"fetch", Lane::async}};
  b.worker(o);
  const SessionId c = b.hello();
  Spec sp = Bench::spec();
  sp.pool = "cpus";
  b.submit(c, 1, sp);
  CHECK(b.told[0].failure.message.find("did you mean 'cpu'") != std::string::npos);
  sp.pool = "network";
  b.submit(c, 1, sp);
  CHECK(b.told[0].failure.message.find("pool 'cpu' does") != std::string::npos);
  b.submit(c, 1, Bench::spec("t", 101));
  CHECK(b.told[0].failure.message.find("-100..100") != std::string::npos);
}

TEST_CASE("a known task that nobody offers now is accepted with a warning and runs when a worker comes") {
  Bench b;
  b.step(event::PoolDefined{"default", {{"t", Lane::thread}}, 0});
  const SessionId c = b.hello();
  const TaskNumber n = b.submit(c);
  CHECK(b.actions.accepted[0].warning.find("no worker offers task 't'") != std::string::npos);
  CHECK(b.s.reason(b.slot(n)) == Reason::no_worker);
  b.worker();
  CHECK(b.run_numbers() == std::vector<TaskNumber>{n});
}

TEST_CASE("while worker processes are starting nobody is warned that none offers the task") {
  Bench b;
  b.step(event::PoolDefined{"default", {{"t", Lane::thread}}, 2});
  const SessionId c = b.hello();
  b.submit(c);
  CHECK(b.actions.accepted[0].warning.empty());
  b.step(event::PoolScaled{"default", 0});
  b.submit(c);
  CHECK(!b.actions.accepted[0].warning.empty());
}

TEST_CASE("an input above the limit fails as too large without running") {
  Limits limits;
  limits.payload_bytes = 3;
  Bench b(limits);
  b.worker();
  const SessionId c = b.hello();
  b.submit(c, 1, Bench::spec(), "1234");
  REQUIRE(b.told.size() == 1);
  CHECK(b.told[0].failure.kind == ErrorKind::too_large);
  CHECK(b.runs.empty());
}

TEST_CASE("one batch may carry several specs") {
  Bench b;
  Bench::WorkerOptions o;
  o.types = {{"a", Lane::thread}, {"b", Lane::thread}};
  o.slots = o.credit = 10;
  b.worker(o);
  const SessionId c = b.hello();
  const Spec specs[] = {Bench::spec("a"), Bench::spec("b", 5), Bench::spec("nope")};
  const std::uint32_t spec_of[] = {0, 1, 2, 1, 0};
  std::vector<Slice> payloads(5);
  b.step(event::Submit{c, 0, specs, spec_of, payloads});
  CHECK(b.run_numbers() == std::vector<TaskNumber>{2, 4, 1, 5});
  REQUIRE(b.told.size() == 1);
  CHECK(b.told[0].handle == 2);
}

TEST_CASE("outcomes are sent within the credit of tasks, and the rest when it is raised") {
  Bench b;
  const WorkerId w = b.worker(10, 10);
  Bench::HelloOptions o;
  o.credit_tasks = 2;
  const SessionId c = b.hello(1, o);
  b.submit(c, 3);
  b.ran(w, b.runs_of(w));
  CHECK(b.told.size() == 2);
  b.delivered(c, 1, 2);
  CHECK(b.told.empty());
  b.delivered(c, 1, 3);
  REQUIRE(b.told.size() == 1);
  CHECK(b.told[0].delivery == 2);
}

TEST_CASE("outcomes are sent within the credit of bytes; a larger one goes alone") {
  Bench b;
  const WorkerId w = b.worker(10, 10);
  Bench::HelloOptions o;
  o.credit_bytes = 10;
  const SessionId c = b.hello(1, o);
  b.submit(c, 4);
  const auto tokens = b.runs_of(w);
  b.ran(w, {tokens[0], tokens[1]}, "123456");
  CHECK(b.told.size() == 1);
  b.delivered(c, 1, 100, 16);
  CHECK(b.told.size() == 1);
  b.ran(w, {tokens[2]}, std::string(50, 'x'));
  CHECK(b.told.empty());
  b.ran(w, {tokens[3]}, "1");
  CHECK(b.told.empty());
  b.delivered(c, 2, 100, 22);
  REQUIRE(b.told.size() == 1);  // alone, though it is larger than the window
  CHECK(b.told[0].result.size() == 50);
  b.delivered(c, 3, 100, 72);
  REQUIRE(b.told.size() == 1);
  CHECK(b.told[0].result == "1");
}

TEST_CASE("a client that comes back gets what it has not acknowledged: acceptances and outcomes") {
  Bench b;
  const WorkerId w = b.worker(10, 10);
  const SessionId c = b.hello();
  const TaskNumber n = b.submit(c, 4);
  const auto tokens = b.runs_of(w);
  b.ran(w, {tokens[0], tokens[1], tokens[2]});
  CHECK(b.told.size() == 3);
  b.gone(c);
  b.ran(w, {tokens[3]});
  CHECK(b.told.empty());
  Bench::HelloOptions o;
  o.first_unacked = 1;
  o.processed = 1;
  CHECK(b.hello(1, o) == c);
  CHECK(b.actions.client_welcomes[0].resumed);
  CHECK(b.actions.client_welcomes[0].accepted_seq == 4);
  REQUIRE(b.actions.accepted.size() == 1);
  CHECK(b.actions.accepted[0].first_seq == 1);
  CHECK(b.actions.accepted[0].count == 3);
  CHECK(b.actions.accepted[0].first_number == n + 1);
  REQUIRE(b.told.size() == 3);
  CHECK(b.told[0].delivery == 1);
  CHECK(b.told[2].delivery == 3);
  CHECK(!b.known(n));
}

TEST_CASE("a client may come back before its old connection is seen to end") {
  Bench b;
  const WorkerId w = b.worker(10, 10);
  const SessionId c = b.hello();
  b.submit(c, 2);
  b.ran(w, b.runs_of(w));
  CHECK(b.hello() == c);
  CHECK(b.told.size() == 2);
  CHECK(b.s.clients() == 1);
}

TEST_CASE("a client of an earlier daemon learns what is lost, even if its first welcome was lost") {
  Bench b;
  Bench::HelloOptions o;
  o.first_unacked = 17;
  o.processed = 5;
  const SessionId c = b.hello(1, o);
  b.gone(c);
  CHECK(b.hello(1, o) == c);
  CHECK(!b.actions.client_welcomes[0].resumed);
  CHECK(b.actions.client_welcomes[0].accepted_seq == 17);
  b.submit_at(c, 17, 1, Bench::spec());
  CHECK(b.actions.breaches.empty());
}

TEST_CASE("a client of an earlier daemon goes on where that one had acknowledged") {
  Bench b;
  const WorkerId w = b.worker(10, 10);
  Bench::HelloOptions o;
  o.first_unacked = 17;
  o.processed = 5;
  const SessionId c = b.hello(1, o);
  CHECK(!b.actions.client_welcomes[0].resumed);
  CHECK(b.actions.client_welcomes[0].accepted_seq == 17);
  b.submit_at(c, 17, 2, Bench::spec());
  CHECK(b.actions.breaches.empty());
  REQUIRE(b.runs.size() == 2);
  b.ran(w, b.runs_of(w));
  REQUIRE(b.told.size() == 2);
  CHECK(b.told[0].delivery == 5);
  CHECK(b.told[0].handle == 17);
  b.cancel(c, {3});
  CHECK(b.verdicts() == std::vector<Verdict>{Verdict::forgotten});
  b.delivered(c, 7);
  CHECK(b.s.tasks().live() == 0);
}

TEST_CASE("a client that stays away too long is given up: its tasks go on and their outcomes are dropped") {
  Bench b;
  const WorkerId w = b.worker(1, 2);
  const SessionId c = b.hello();
  const TaskNumber n = b.submit(c, 3);
  b.ran(w, {b.token(n)});
  b.gone(c);
  b.pass(b.s.limits().session_resume - 1);
  CHECK(b.known(n));
  b.pass(1);
  CHECK(!b.known(n));
  CHECK(b.known(n + 1));
  CHECK(b.hello() == kNoSession);
  CHECK(b.actions.breaches.size() == 1);
  b.credit(w, 10);
  b.ran(w, {b.token(n + 1), b.token(n + 2)});
  CHECK(!b.known(n + 2));
  b.settle();
  CHECK(Invariants::check_empty(b.s).empty());
  CHECK(b.hello() != kNoSession);
}

TEST_CASE("a client that is gone follows nothing any more") {
  Bench b;
  const WorkerId w = b.worker(1, 2);
  const SessionId owner = b.hello(1);
  const SessionId other = b.hello(2);
  const TaskNumber n = b.submit(owner);
  b.attach(other, {{n, {}}});
  b.gone(other, true);
  b.settle();
  CHECK(b.s.session(other) == nullptr);
  CHECK(b.s.tasks()[b.s.tasks().find(n)].watchers == 1);
  b.ran(w, {b.token(n)});
  CHECK(b.told.size() == 1);
  b.delivered(owner, 1);
  CHECK(!b.known(n));
}

TEST_CASE("a client that says goodbye is not waited for") {
  Bench b;
  const SessionId c = b.hello();
  b.gone(c, true);
  CHECK(b.s.session(c) == nullptr);
}

TEST_CASE("tasks that are to be cancelled on disconnect are, after their grace; others stay") {
  Bench b;
  const WorkerId w = b.worker(1, 1);
  const SessionId c = b.hello();
  Spec sp = Bench::spec();
  sp.cancel_on_disconnect = true;
  sp.disconnect_grace_ns = 1000;
  const TaskNumber n = b.submit(c, 2, sp);
  const TaskNumber other = b.submit(c, 1);
  b.gone(c);
  b.pass(999);
  CHECK(b.phase(n + 1) == Phase::queued);
  b.now += 1;
  b.turn();
  CHECK(b.phase(n + 1) == Phase::cancelled);
  CHECK(b.phase(other) == Phase::queued);
  REQUIRE(b.actions.stops.size() == 1);
  CHECK(b.actions.stops[0].token == b.token(n));
  b.ran_badly(w, b.token(n), false, true);
  CHECK(b.phase(n) == Phase::cancelled);
}

TEST_CASE("a client that is back in time keeps its cancel-on-disconnect tasks") {
  Bench b;
  b.worker(1, 0);
  const SessionId c = b.hello();
  Spec sp = Bench::spec();
  sp.cancel_on_disconnect = true;
  sp.disconnect_grace_ns = 1000;
  const TaskNumber n = b.submit(c, 1, sp);
  b.gone(c);
  b.pass(500);
  b.hello();
  b.pass(5000);
  CHECK(b.phase(n) == Phase::queued);
}

TEST_CASE("a session that ends during another one's long sweep is not mistaken for the next of its number") {
  Bench b;
  const WorkerId w = b.worker(1, 1);
  const SessionId small = b.hello(1);
  const TaskNumber n = b.submit(small);
  const SessionId big = b.hello(2);
  Spec sp = Bench::spec();
  sp.cancel_on_disconnect = true;
  for (int i = 0; i < 3; ++i) b.submit(big, 4096, sp, "");
  b.actions.clear();
  b.handle(event::ClientGone{big, true});
  b.advance();  // the first portion of many
  b.handle(event::ClientGone{small, true});
  b.advance();
  b.ran(w, {b.token(n)});  // the last that held the small session
  b.turn();
  // Whoever comes now must find its own outcomes, whatever number its session has.
  const SessionId fresh = b.hello(3);
  const TaskNumber m = b.submit(fresh);
  b.credit(w, 2);
  REQUIRE(b.phase(m) == Phase::assigned);
  b.ran(w, {b.token(m)});
  REQUIRE(b.told.size() == 1);
  b.settle();
  CHECK(b.phase(m) == Phase::succeeded);
  b.delivered(fresh, 1);
  CHECK(!b.known(m));
}

TEST_CASE("the outcome of a detached task is for whoever attaches") {
  Bench b;
  const WorkerId w = b.worker(4, 10);
  const SessionId c = b.hello(1);
  Spec sp = Bench::spec();
  sp.detached = true;
  sp.keep_ns = 10'000'000'000;
  const TaskNumber n = b.submit(c, 1, sp);
  b.gone(c, true);
  b.ran(w, {b.token(n)}, "kept");
  CHECK(b.told.empty());
  b.pass(5'000'000'000);
  const SessionId d = b.hello(2);
  b.attach(d, {{n, {}}});
  REQUIRE(b.actions.attached.size() == 1);
  CHECK(b.actions.attached[0].items[0].known == Known::yes);
  CHECK(b.actions.attached[0].items[0].state == TaskState::succeeded);
  REQUIRE(b.told.size() == 1);
  CHECK(b.told[0].handle == Bench::kAttach);
  CHECK(b.told[0].result == "kept");
  b.delivered(d, 1);
  CHECK(b.known(n));
  b.pass(5'000'000'000);
  CHECK(!b.known(n));
  b.attach(d, {{n, {}}});
  CHECK(b.actions.attached[0].items[0].known == Known::forgotten);
}

TEST_CASE("a detached task that is not kept is forgotten when it ends") {
  Bench b;
  const WorkerId w = b.worker();
  const SessionId c = b.hello();
  Spec sp = Bench::spec();
  sp.detached = true;
  const TaskNumber n = b.submit(c, 1, sp);
  b.ran(w, {b.token(n)});
  CHECK(!b.known(n));
}

TEST_CASE("a kept task is forgotten when it is taken and its time has passed, whichever comes last") {
  Bench b;
  const WorkerId w = b.worker(4, 10);
  const SessionId c = b.hello();
  Spec sp = Bench::spec();
  sp.keep_ns = 1;  // rounded up to a second
  const TaskNumber n = b.submit(c, 2, sp);
  b.ran(w, b.runs_of(w));
  b.delivered(c, 1);
  CHECK(b.known(n));
  b.pass(1'000'000'000);
  CHECK(!b.known(n));
  CHECK(b.known(n + 1));
  b.delivered(c, 2);
  CHECK(!b.known(n + 1));
}

TEST_CASE("attach tells live, ended, forgotten and unknown tasks apart, by number and by id") {
  Bench b;
  const WorkerId w = b.worker(4, 10);
  const SessionId a = b.hello(1);
  const TaskNumber n = b.submit(a, 3);
  b.ran(w, {b.token(n), b.token(n + 1)});
  b.delivered(a, 1);
  const SessionId d = b.hello(2);
  b.attach(d, {{n, {}},
               {n + 1, {}},
               {n + 2, {}},
               {999, {}},
               {0, {Bench::stream(1), 0}},
               {0, {Bench::stream(1), 2}},
               {0, {Bench::stream(1), 3}},
               {0, {Bench::stream(9), 0}}});
  const auto& items = b.actions.attached[0].items;
  REQUIRE(items.size() == 8);
  CHECK(items[0].known == Known::forgotten);
  CHECK(items[1].known == Known::yes);
  CHECK(items[2].known == Known::yes);
  CHECK(items[2].state == TaskState::queued);
  CHECK(items[3].known == Known::unknown);
  CHECK(items[4].known == Known::forgotten);
  CHECK(items[5].known == Known::yes);
  CHECK(items[5].number == n + 2);
  CHECK(items[6].known == Known::unknown);
  CHECK(items[7].known == Known::unknown);
  CHECK(b.told.size() == 1);  // the one that had ended
  b.ran(w, {b.token(n + 2)});
  CHECK(b.told.size() == 3);  // its owner, and twice the other
}

TEST_CASE("who attached is told when the task starts, and may cancel by its handle") {
  Bench b;
  const WorkerId w = b.worker(1, 2);
  const SessionId a = b.hello(1);
  const TaskNumber n = b.submit(a, 2);
  const SessionId d = b.hello(2);
  b.attach(d, {{n, {}}, {n + 1, {}}});
  b.running(w, {b.token(n)});
  REQUIRE(b.actions.started.size() == 2);
  CHECK(b.actions.started[0].session == a);
  CHECK(b.actions.started[1].handle == Bench::kAttach);
  b.cancel(d, {Bench::kAttach, Bench::kAttach + 1, Bench::kAttach + 7});
  CHECK(b.verdicts().empty());
  b.recalled(w, {b.token(n + 1)}, true);
  CHECK(b.verdicts() == std::vector<Verdict>{Verdict::running, Verdict::cancelled, Verdict::forgotten});
  CHECK(b.told.size() == 2);
}

TEST_CASE("tasks that have not ended, and those that clients may still submit, are never more than the limit") {
  Limits limits;
  limits.tasks = 4;
  Bench b(limits);
  const WorkerId w = b.worker(1, 10);
  const SessionId c = b.hello();
  const SessionId d = b.hello(2);
  const auto may = [&](SessionId id) { return b.s.session(id)->granted_seq - b.s.session(id)->accepted_seq; };
  CHECK(may(c) == 1);
  CHECK(may(d) == 1);
  b.submit(c);
  b.submit(c);
  CHECK(may(c) == 1);
  b.submit(c);
  CHECK(may(c) == 0);
  CHECK(b.s.session(c)->starved);
  // What the other one has not used is still his.
  b.submit(d);
  CHECK(b.s.counts().queued == 4);
  CHECK(may(d) == 0);
  b.submit(d);
  CHECK(b.actions.breaches.size() == 1);
  // Who has waited longest is first.
  b.ran(w, {b.token(1)});
  CHECK(b.actions.credit == std::vector<SessionId>{c});
  CHECK(may(c) == 1);
  b.ran(w, {b.token(2)});
  CHECK(b.actions.credit == std::vector<SessionId>{d});
  b.submit(c);
  CHECK(b.actions.credit.empty());
  // The credit of a client that goes is for those who wait.
  b.gone(d);
  CHECK(b.actions.credit == std::vector<SessionId>{c});
  CHECK(may(c) == 1);
  CHECK(may(d) == 0);
}

TEST_CASE("a window begins small, doubles as it is used, and shrinks with what is left") {
  Limits limits;
  limits.tasks = 20'000;
  Bench b(limits);
  b.worker(1, 1);
  const SessionId c = b.hello();
  const auto may = [&] { return b.s.session(c)->granted_seq - b.s.session(c)->accepted_seq; };
  CHECK(may() == 1024);
  b.submit(c, 100);
  CHECK(may() == 1124);
  b.submit(c, 1124);
  CHECK(may() == 2248);
  b.now += 2'000'000'000;  // it did nothing for a while
  b.submit(c, 10);
  CHECK(may() == 2238);
  b.submit(c, 1000);
  b.submit(c, 1000);
  CHECK(may() == 3034);
  b.submit(c, may());
  const std::uint64_t left = 20'000 - b.s.counts().queued;
  CHECK(may() == left * left / 20'000 / 4);
}

TEST_CASE("many clients that do nothing leave something for one that works") {
  Limits limits;
  limits.tasks = 1'000;
  Bench b(limits);
  const WorkerId w = b.worker(1, 1'000'000);
  for (std::uint8_t n = 1; n <= 50; ++n) {
    const SessionId idle = b.hello(n);
    for (int i = 0; i < 3; ++i) {
      b.submit(idle, b.s.session(idle)->granted_seq - b.s.session(idle)->accepted_seq);
      b.ran(w, b.runs_of(w));
    }
  }
  const SessionId c = b.hello(100);
  CHECK(b.s.session(c)->granted_seq > 0);
  const TaskNumber n = b.submit(c);
  b.ran(w, {b.token(n)});
  CHECK(b.s.session(c)->granted_seq > b.s.session(c)->accepted_seq);
}

TEST_CASE("the daemon's own tasks stay within the limit too") {
  Limits limits;
  limits.tasks = 2;
  Bench b(limits);
  b.worker(1, 1);
  const Spec sp = Bench::spec();
  for (int i = 0; i < 3; ++i) b.step(event::SubmitOwn{&sp, Slice::copy("in"), 0});
  CHECK(b.s.counts().queued == 2);
  CHECK(b.s.counts().failed == 1);
}

TEST_CASE("submit credit is withheld while results that nobody takes fill the memory") {
  Limits limits;
  limits.bytes = 1000;
  Bench b(limits);
  const WorkerId w = b.worker(4, 10);
  const SessionId c = b.hello();
  const TaskNumber n = b.submit(c, 2);
  b.ran(w, {b.token(n)}, std::string(2000, 'x'));
  b.submit(c, 1);
  CHECK(b.s.session(c)->starved);
  b.delivered(c, 1);
  CHECK(b.actions.credit == std::vector<SessionId>{c});
}
