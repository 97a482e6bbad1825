// The end of the daemon, long work in portions, determinism.
#include "tests/scheduler/fixture.hpp"

using namespace futured;
using namespace futured::scheduler;
using futured::scheduler::test::Bench;

TEST_CASE("a drain sends nothing more and refuses what is submitted; what runs may end") {
  Bench b;
  const WorkerId w = b.worker(1, 10);
  const SessionId c = b.hello();
  const TaskNumber n = b.submit(c, 1);
  b.step(event::Drain{});
  CHECK(b.s.draining());
  CHECK(b.s.at_workers() == 1);
  b.submit(c, 1);
  CHECK(b.runs.empty());
  REQUIRE(b.told.size() == 1);
  CHECK(b.told[0].failure.kind == ErrorKind::rejected);
  CHECK(!b.told[0].failure.permanent);
  b.ran(w, {b.token(n)});
  CHECK(b.told.size() == 1);
  CHECK(b.s.at_workers() == 0);
}

TEST_CASE("a drain that is undone: what was sent ahead has come back, and everything goes on") {
  Bench b;
  const WorkerId w = b.worker(1, 10);
  const SessionId c = b.hello();
  const TaskNumber n = b.submit(c, 2);
  b.running(w, {b.token(n)});
  REQUIRE(b.phase(n + 1) == Phase::assigned);
  b.step(event::Drain{true});
  REQUIRE(b.actions.recalls.size() == 1);
  CHECK(b.actions.recalls[0].token == b.token(n + 1));
  b.recalled(w, {b.token(n + 1)}, true);
  b.ran(w, {b.token(n)});
  b.credit(w, 12);
  CHECK(b.runs.empty());
  CHECK(b.phase(n + 1) == Phase::queued);
  CHECK(b.s.at_workers() == 0);
  const Spec own = Bench::spec();
  b.step(event::SubmitOwn{&own, Slice::copy("own"), 0});
  CHECK(b.s.tasks().next_number() == n + 2);
  const SessionId late = b.hello(2);
  CHECK(b.s.session(late)->granted_seq == 0);

  b.step(event::Undrain{});
  CHECK_FALSE(b.s.draining());
  CHECK(b.run_numbers() == std::vector<TaskNumber>{n + 1});
  CHECK(b.actions.credit == std::vector<SessionId>{late});
  CHECK(b.known(b.submit(late, 1)));
  b.step(event::SubmitOwn{&own, Slice::copy("own"), 0});
  CHECK(b.s.tasks().next_number() == n + 4);
}

TEST_CASE("after a drain what has not ended is abandoned as lost, so that nobody waits for it") {
  Bench b;
  b.worker(1, 2);
  const SessionId c = b.hello();
  b.submit(c, 5);
  b.cancel(c, {1});
  b.step(event::Drain{});
  b.step(event::Abandon{});
  CHECK(b.s.abandoned());
  REQUIRE(b.told.size() == 5);
  for (const auto& t : b.told) CHECK(t.failure.kind == ErrorKind::lost);
  CHECK(b.verdicts() == std::vector<Verdict>{Verdict::finished});
  CHECK(b.s.owes_deliveries());
  b.delivered(c, 5);
  CHECK(!b.s.owes_deliveries());
  CHECK(b.s.tasks().live() == 0);
}

TEST_CASE("who watches is told of each attempt that failed, however short, and can still look at what has ended") {
  Bench b;
  const WorkerId w = b.worker(1, 100);
  const SessionId c = b.hello();
  b.step(event::Watched{true});
  Spec sp = Bench::spec();
  sp.retries = 2;
  sp.detached = true;
  const TaskNumber n = b.submit(c, 1, sp);
  for (const std::uint32_t attempt : {1U, 2U}) {
    CAPTURE(attempt);
    SUBCASE("not reported as running") {}
    SUBCASE("reported as running") { b.running(w, {b.token(n)}); }
    b.ran_badly(w, b.token(n));
    REQUIRE(b.actions.changes.size() == 1);
    CHECK(b.actions.changes[0].task == n);
    CHECK(b.actions.changes[0].state == TaskState::queued);
    CHECK(b.actions.changes[0].attempt == attempt);
    CHECK(b.actions.changes[0].again);
  }
  b.ran_badly(w, b.token(n));
  REQUIRE(b.actions.changes.size() == 1);
  CHECK(b.actions.changes[0].state == TaskState::failed);
  CHECK_FALSE(b.actions.changes[0].again);
  REQUIRE(b.known(n));  // nobody waits for it and it is not kept, but it has just been told
  CHECK(b.s.next_deadline() <= b.now);
  b.turn();
  CHECK_FALSE(b.known(n));

  sp.backoff_ns = 1'000;
  const TaskNumber later = b.submit(c, 1, sp);
  b.ran_badly(w, b.token(later));
  REQUIRE(b.actions.changes.size() == 1);
  CHECK(b.actions.changes[0].state == TaskState::waiting);
  CHECK(b.actions.changes[0].again);
  const TaskNumber crashing = b.submit(c, 1, Bench::spec());
  b.lost(w, true, {b.token(crashing)});
  REQUIRE(b.actions.changes.size() == 1);
  CHECK(b.actions.changes[0].task == crashing);
  CHECK(b.actions.changes[0].again);
}

TEST_CASE("an abandon without tasks is done at once") {
  Bench b;
  b.step(event::Abandon{});
  CHECK(b.s.abandoned());
}

TEST_CASE("a million queued tasks of a client that is gone are cancelled in portions") {
  Limits limits;
  limits.window_tasks = limits.first_window_tasks = 2'000'000;
  Scheduler s(limits, 1);
  Actions actions;
  const Time now = 1;
  s.handle(event::PoolDefined{"default", {{"t", Lane::thread}}, 0}, now, actions);
  s.handle(event::ClientHello{1, Bench::stream(1), 0, 0, 1 << 30, 1 << 30}, now, actions);
  const SessionId c = actions.client_welcomes[0].session;
  Spec sp = Bench::spec();
  sp.cancel_on_disconnect = true;
  const std::size_t batch = 4000;
  std::vector<Slice> payloads(batch);
  for (Seq seq = 0; seq < 1'000'000; seq += batch) {
    s.handle(event::Submit{c, seq, {&sp, 1}, {}, payloads}, now, actions);
  }
  REQUIRE(s.counts().queued == 1'000'000);
  s.handle(event::ClientGone{c, true}, now, actions);
  std::uint64_t before = s.counts().queued;
  int turns = 0;
  while (s.next_deadline() <= now) {
    actions.clear();
    s.advance(now, actions);
    REQUIRE(before - s.counts().queued <= 8192);
    before = s.counts().queued;
    ++turns;
  }
  CHECK(turns >= 120);
  CHECK(turns < 2000);
  CHECK(s.tasks().live() == 0);
  CHECK(Invariants::check(s).empty());
  CHECK(Invariants::check_empty(s).empty());
}

TEST_CASE("outcomes that nobody will take are released in portions, and so is an abandon") {
  Bench b;
  const WorkerId w = b.worker(1, 20'000);
  Bench::HelloOptions o;
  o.credit_tasks = 0;
  const SessionId c = b.hello(1, o);
  for (int i = 0; i < 3; ++i) {
    b.submit(c, 4000, Bench::spec(), "");
    b.ran(w, b.runs_of(w));
  }
  CHECK(b.s.tasks().live() == 12'000);
  b.gone(c, true);
  CHECK(b.s.tasks().live() == 12'000 - 4096);
  CHECK(b.settle() > 1);
  CHECK(b.s.tasks().live() == 0);

  const SessionId d = b.hello(2);
  for (int i = 0; i < 3; ++i) b.submit(d, 4000, Bench::spec(), "");
  b.step(event::Abandon{});
  CHECK(!b.s.abandoned());
  b.settle();
  CHECK(b.s.abandoned());
}

TEST_CASE("much to dispatch goes in portions, nothing is left behind") {
  Bench b;
  b.step(event::PoolDefined{"default", {{"t", Lane::thread}}, 0});
  const SessionId c = b.hello();
  for (int i = 0; i < 5; ++i) b.submit(c, 4000, Bench::spec(), "");
  b.worker(20'000, 20'000);
  CHECK(b.runs.size() == 8192);
  CHECK(b.s.next_deadline() <= b.now);
  b.settle();
  CHECK(b.s.at_workers() == 20'000);
}

namespace {

std::string transcript(const Actions& a, const Scheduler& s) {
  std::string out;
  const auto add = [&out](auto... n) { ((out += std::to_string(n) + ","), ...); };
  for (const auto& x : a.runs) add(1, x.worker, s.tasks()[x.task].number, s.tasks()[x.task].attempt);
  for (const auto& x : a.recalls) add(2, x.worker, x.token.task, x.token.attempt);
  for (const auto& x : a.stops) add(3, x.worker, x.token.task, x.token.attempt);
  for (const auto& x : a.outcomes) add(4, x.session, x.delivery, x.handle);
  for (const auto& x : a.credit) add(5, x);
  for (const auto& x : a.cancelled) add(6, x.session, x.request, x.verdicts.size());
  return out;
}

std::string story() {
  Limits limits;
  limits.tasks = 50;
  Bench b(limits);
  std::string all;
  const auto note = [&] { all += transcript(b.actions, b.s) + "\n"; };
  std::vector<SessionId> clients;
  for (std::uint8_t i = 1; i < 6; ++i) clients.push_back(b.hello(i));
  std::vector<WorkerId> workers;
  for (std::uint32_t i = 0; i < 4; ++i) workers.push_back(b.worker(1 + i % 2, 4));
  for (std::uint64_t i = 0; i < 60; ++i) {
    const SessionId c = clients[i * 7 % clients.size()];
    b.submit(c, 1 + i % 3, Bench::spec("t", static_cast<std::int32_t>(i % 4)));
    note();
    const WorkerId w = workers[i * 5 % workers.size()];
    const Worker* worker = b.s.worker(w);
    if (worker != nullptr && worker->oldest != kNoSlot) {
      if (i % 9 == 8) {
        b.lost(w, false);
        workers[i * 5 % workers.size()] = b.worker(2, 3);
      } else {
        b.ran(w, {b.s.token(worker->oldest)});
        note();
        b.credit(w, 4 + i);
      }
    }
    note();
    if (i % 5 == 4) b.cancel(c, {i % 7, i % 11}, i % 2 == 0, i);
    note();
  }
  return all;
}

}  // namespace

TEST_CASE("the same events give the same actions") {
  const std::string first = story();
  CHECK(first.size() > 1000);
  CHECK(first == story());
}

TEST_CASE("a backoff is never longer than its maximum, and still differs from task to task") {
  constexpr Time kMs = 1'000'000;
  Time shortest = kNever, longest = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Bench b({}, 7, seed);
    const WorkerId w = b.worker(1, 10);
    const SessionId c = b.hello();
    Spec s = Bench::spec();
    s.retries = 1;
    s.backoff_ns = seed % 2 == 0 ? 1000 * kMs : 900 * kMs;
    s.backoff_max_ns = 1000 * kMs;
    const TaskNumber n = b.submit(c, 1, s);
    b.ran_badly(w, b.token(n));
    const Time wait = b.s.tasks().side_if(b.slot(n))->due - b.now;
    shortest = std::min(shortest, wait);
    longest = std::max(longest, wait);
    CHECK(wait <= s.backoff_max_ns);
    CHECK(wait >= s.backoff_ns * 3 / 4);
  }
  CHECK(longest - shortest > 200 * kMs);
}
