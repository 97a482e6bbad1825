// Dependencies: the lists of edges, and that no turn does more than its portion.
#include <deque>
#include <random>

#include "tests/scheduler/fixture.hpp"

using namespace futured;
using namespace futured::scheduler;
using futured::scheduler::test::Bench;

TEST_CASE("each list of edges is in order of arrival, whatever happens to the others") {
  std::mt19937 random(7);
  EdgeTable edges;
  std::vector<EdgeId> lists(20, kNone);
  std::vector<std::deque<TaskNumber>> model(lists.size());
  std::size_t live = 0;
  for (TaskNumber n = 1; n < 50'000; ++n) {
    const std::size_t i = random() % lists.size();
    if (random() % 2 == 0) {
      edges.add(lists[i], {n, kNone, Condition::any, n % 3 == 0});
      model[i].push_back(n);
      ++live;
    } else if (!model[i].empty()) {
      const Edge e = edges.take(lists[i]);
      REQUIRE(e.dependant == model[i].front());
      REQUIRE(e.input == (e.dependant % 3 == 0));
      model[i].pop_front();
      --live;
    }
    REQUIRE((lists[i] == kNone) == model[i].empty());
    REQUIRE(edges.live() == live);
  }
}

namespace {
constexpr std::size_t kMany = 100'000;
constexpr std::uint64_t kPortion = 4096;

/// A scheduler with one client and one worker that takes one call, without a check after each event.
struct Crowd {
  Crowd() : s(limits(), 1) {
    s.handle(event::ClientHello{1, Bench::stream(1), 0, 0, UINT64_MAX, UINT64_MAX}, 1, actions);
    c = actions.client_welcomes[0].session;
    event::WorkerHello e;
    e.connection = 2;
    e.pool = "default";
    e.slots[0] = e.credit[0] = 1;
    e.types = {{"t", Lane::thread}};
    s.handle(e, 1, actions);
    w = actions.worker_welcomes[0].worker;
  }
  static Limits limits() {
    Limits l;
    l.window_tasks = l.first_window_tasks = 2 * kMany;
    return l;
  }
  void submit(std::size_t n, const Spec& sp) {
    std::vector<Slice> payloads(n);
    s.handle(event::Submit{c, s.session(c)->accepted_seq, {&sp, 1}, {}, payloads}, 1, actions);
  }
  void ran(TaskNumber task, bool well) {
    const AttemptToken token = s.token(s.tasks().find(task));
    std::vector<Slice> replies(1);
    const event::RanFailure f;
    s.handle(event::Ran{w, {&token, 1}, replies, well ? std::span<const event::RanFailure>{} : std::span(&f, 1)}, 1,
             actions);
  }
  /// Turns until nothing is left to do; each may change so many waiting tasks at most.
  std::size_t settle() {
    std::size_t turns = 0;
    do {
      const std::uint64_t before = s.counts().waiting;
      actions.clear();
      s.advance(1, actions);
      CHECK(before - s.counts().waiting <= kPortion);
      CHECK(actions.outcomes.size() <= kPortion);
      REQUIRE(++turns < 200);
    } while (s.next_deadline() <= 1);
    return turns;
  }
  void check() const {
    const auto wrong = Invariants::check(s);
    for (const std::string& line : wrong) FAIL_CHECK(line);
  }
  Scheduler s;
  Actions actions;
  SessionId c = 0;
  WorkerId w = 0;
};
}  // namespace

TEST_CASE("a hundred thousand that wait for one are released in portions") {
  Crowd crowd;
  crowd.submit(1, Bench::spec());
  Spec sp = Bench::spec();
  sp.after.emplace_back().number = 1;
  crowd.submit(kMany, sp);
  CHECK(crowd.settle() >= kMany / kPortion);
  CHECK(crowd.s.counts().waiting == kMany);
  bool well = true;
  SUBCASE("it succeeds") {}
  SUBCASE("it fails") { well = false; }
  crowd.ran(1, well);
  CHECK(crowd.settle() >= kMany / kPortion);
  CHECK(crowd.s.counts().waiting == 0);
  CHECK(crowd.s.counts().queued == (well ? kMany : 0));
  CHECK(crowd.s.counts().cancelled == (well ? 0 : kMany));
  crowd.check();
}

TEST_CASE("one that waits for a hundred thousand is linked in portions, and runs after the last") {
  Crowd crowd;
  Spec early = Bench::spec();
  early.delay_ns = 1000;
  crowd.submit(kMany, early);
  Spec sp = Bench::spec();
  sp.after.emplace_back().number = 1;
  sp.after[0].count = kMany;
  sp.after[0].on = Condition::any;
  crowd.submit(1, sp);
  CHECK(crowd.settle() >= kMany / kPortion);
  for (TaskNumber n = 1; n < kMany; ++n) crowd.s.handle(event::CancelTask{n, 0}, 1, crowd.actions);
  crowd.settle();
  CHECK(crowd.s.counts().waiting == 2);
  crowd.s.handle(event::CancelTask{kMany, 0}, 1, crowd.actions);
  crowd.settle();
  CHECK(crowd.s.counts().queued == 1);
  crowd.check();
}

TEST_CASE("a chain of ten thousand that fails at its head ends link by link") {
  Crowd crowd;
  crowd.submit(1, Bench::spec());
  for (TaskNumber n = 1; n < 10'000; ++n) {
    Spec sp = Bench::spec();
    sp.after.emplace_back().number = n;
    crowd.submit(1, sp);
  }
  crowd.settle();
  crowd.ran(1, false);
  crowd.settle();
  CHECK(crowd.s.counts().cancelled == 9'999);
  const SideRecord* last = crowd.s.tasks().side_if(crowd.s.tasks().find(10'000));
  CHECK(last->failure->message.find("task 1 failed, so that task 9999 was cancelled") == 0);
  crowd.check();
}

TEST_CASE("another name of an earlier task that is given later was not there before") {
  Bench b;
  const WorkerId w = b.worker(1, 1);
  const SessionId c = b.hello();
  Spec keyed = Bench::spec();
  keyed.key = "k";
  b.submit(c, 1, keyed);
  Spec waits = Bench::spec();
  waits.after.push_back({0, {Bench::stream(1), 2}, 1, {}, Condition::any});
  std::vector<Slice> one{Slice::copy("in")};
  std::vector<Slice> two{Slice::copy("in")};
  const TaskNumber n = b.s.tasks().next_number();
  // Both in one turn, so that the second is there when the dependency is looked up.
  b.handle(event::Submit{c, 1, {&waits, 1}, {}, one});
  b.handle(event::Submit{c, 2, {&keyed, 1}, {}, two});
  b.turn();
  CHECK(b.s.tasks().find(n + 1) == b.slot(1));
  CHECK(b.phase(n) == Phase::failed);
  (void)w;
}
