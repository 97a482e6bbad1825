// Order, fairness, which worker gets what.
#include <map>

#include "tests/scheduler/fixture.hpp"

using namespace futured;
using namespace futured::scheduler;
using futured::scheduler::test::Bench;

namespace {

/// Runs everything through one worker with one slot; returns the numbers in the order of dispatch.
std::vector<TaskNumber> run_all(Bench& b, WorkerId w) {
  std::vector<TaskNumber> order;
  std::uint64_t credit = 0;
  b.credit(w, ++credit);
  while (!b.runs.empty()) {
    order.push_back(b.runs[0].token.task);
    b.ran(w, {b.runs[0].token});
    b.credit(w, ++credit);
  }
  return order;
}

}  // namespace

TEST_CASE("higher priorities go first, equal ones in order of submission") {
  Bench b;
  const WorkerId w = b.worker(1, 0);
  const SessionId c = b.hello();
  b.submit(c, 2, Bench::spec("t", 0));
  b.submit(c, 2, Bench::spec("t", 5));
  b.submit(c, 1, Bench::spec("t", -3));
  b.submit(c, 1, Bench::spec("t", 5));
  CHECK(run_all(b, w) == std::vector<TaskNumber>{3, 4, 6, 1, 2, 5});
}

TEST_CASE("among task types of a pool priority decides, then the order of submission") {
  Bench b;
  Bench::WorkerOptions o;
  o.credit = 0;
  o.types = {{"a", Lane::thread}, {"b", Lane::thread}};
  const WorkerId w = b.worker(o);
  const SessionId c = b.hello();
  b.submit(c, 1, Bench::spec("b"));
  b.submit(c, 1, Bench::spec("a"));
  b.submit(c, 1, Bench::spec("b", 1));
  b.submit(c, 1, Bench::spec("b"));
  b.submit(c, 1, Bench::spec("a"));
  CHECK(run_all(b, w) == std::vector<TaskNumber>{3, 1, 2, 4, 5});
}

TEST_CASE("clients take turns: ten tasks do not wait behind ten thousand of somebody else") {
  Bench b;
  const WorkerId w = b.worker(1, 0);
  const SessionId many = b.hello(1);
  for (int i = 0; i < 5; ++i) b.submit(many, 2000);
  const SessionId few = b.hello(2);
  const TaskNumber first = b.submit(few, 10);
  int dispatched = 0;
  int of_few = 0;
  for (std::uint64_t credit = 1; of_few < 10 && credit < 400; ++credit) {
    b.credit(w, credit);
    REQUIRE(b.runs.size() == 1);
    ++dispatched;
    of_few += b.runs[0].token.task >= first ? 1 : 0;
    b.s.handle(event::WorkerCredit{w, {0, 0}}, b.now, b.actions);
    b.ran(w, {b.runs[0].token});
  }
  CHECK(of_few == 10);
  CHECK(dispatched <= 64 + 10);
}

TEST_CASE("within one client first come is first served, also when clients alternate") {
  Bench b;
  const WorkerId w = b.worker(1, 0);
  const SessionId a = b.hello(1);
  const SessionId c = b.hello(2);
  std::map<SessionId, std::vector<TaskNumber>> submitted;
  for (int i = 0; i < 200; ++i) {
    const SessionId s = i % 3 == 0 ? a : c;
    submitted[s].push_back(b.submit(s));
  }
  std::map<SessionId, std::vector<TaskNumber>> ran;
  for (const TaskNumber n : run_all(b, w)) {
    const bool of_a = std::find(submitted[a].begin(), submitted[a].end(), n) != submitted[a].end();
    ran[of_a ? a : c].push_back(n);
  }
  CHECK(ran == submitted);
}

TEST_CASE("free slots are filled everywhere before anything is sent ahead") {
  Bench b;
  const WorkerId v = b.worker(1, 10);
  const WorkerId w = b.worker(1, 10);
  const SessionId c = b.hello();
  b.submit(c, 2);
  CHECK(b.runs_of(v).size() == 1);
  CHECK(b.runs_of(w).size() == 1);
}

TEST_CASE("a batch is split evenly over the workers, within their credit") {
  Bench b;
  std::vector<WorkerId> workers;
  for (int i = 0; i < 4; ++i) workers.push_back(b.worker(2, 100));
  const WorkerId little = b.worker(1, 3);
  const SessionId c = b.hello();
  b.submit(c, 83);
  CHECK(b.runs.size() == 83);
  for (const WorkerId w : workers) {
    CHECK(b.runs_of(w).size() >= 18);
    CHECK(b.runs_of(w).size() <= 24);
  }
  CHECK(b.runs_of(little).size() == 3);
}

TEST_CASE("the lanes have their own slots and credits") {
  Bench b;
  event::WorkerHello e;
  e.connection = 100;
  e.pool = "default";
  e.slots[0] = 1;
  e.slots[1] = 3;
  e.credit[0] = 1;
  e.credit[1] = 3;
  e.types = {{"block", Lane::thread}, {"async", Lane::async}};
  b.step(e);
  const SessionId c = b.hello();
  b.submit(c, 5, Bench::spec("block"));
  CHECK(b.runs.size() == 1);
  b.submit(c, 5, Bench::spec("async"));
  CHECK(b.runs.size() == 3);
}

TEST_CASE("a worker is never sent more than its credit, which is absolute") {
  Bench b;
  const WorkerId w = b.worker(10, 2);
  const SessionId c = b.hello();
  b.submit(c, 10);
  CHECK(b.runs.size() == 2);
  b.credit(w, 2);
  CHECK(b.runs.empty());
  b.credit(w, 5);
  CHECK(b.runs.size() == 3);
  b.credit(w, 4);  // late: it does not go down
  CHECK(b.runs.empty());
  b.credit(w, 6);
  CHECK(b.runs.size() == 1);
}

TEST_CASE("tasks go to the pool they name, otherwise to the first that offers the type") {
  Bench b;
  Bench::WorkerOptions o;
  o.credit = o.slots = 10;
  o.pool = "one";
  const WorkerId one = b.worker(o);
  o.pool = "two";
  const WorkerId two = b.worker(o);
  const SessionId c = b.hello();
  b.submit(c, 2);
  CHECK(b.runs_of(one).size() == 2);
  Spec sp = Bench::spec();
  sp.pool = "two";
  b.submit(c, 2, sp);
  CHECK(b.runs_of(two).size() == 2);
  CHECK(b.s.pool_of(b.slot(4)) == "two");
}

TEST_CASE("what waits behind a long call is asked back for an idle neighbour") {
  Bench b;
  const WorkerId v = b.worker(1, 2);
  const WorkerId w = b.worker(1, 2);
  const SessionId c = b.hello();
  b.submit(c, 4);
  const auto at_v = b.runs_of(v);
  const auto at_w = b.runs_of(w);
  REQUIRE(at_v.size() == 2);
  REQUIRE(at_w.size() == 2);
  b.running(v, {at_v[0]});
  CHECK(b.actions.recalls.empty());  // nobody is idle
  b.ran(w, at_w);
  b.credit(w, 3);
  REQUIRE(b.actions.recalls.size() == 1);
  CHECK(b.actions.recalls[0].worker == v);
  CHECK(b.actions.recalls[0].token == at_v[1]);
  b.credit(w, 4);
  CHECK(b.actions.recalls.empty());  // asked once
  b.recalled(v, {at_v[1]}, true);
  REQUIRE(b.runs.size() == 1);
  CHECK(b.runs[0].worker == w);
  CHECK(b.runs[0].token.task == at_v[1].task);
  CHECK(b.runs[0].token.attempt == 2);
}

TEST_CASE("a worker that has just come is given what waits behind a long call of another") {
  Bench b;
  const WorkerId v = b.worker(1, 3);
  const SessionId c = b.hello();
  b.submit(c, 2);
  b.running(v, {b.token(1)});
  b.worker(1, 2);
  REQUIRE(b.actions.recalls.size() == 1);
  CHECK(b.actions.recalls[0].token.task == 2);
}

TEST_CASE("only as much is asked back as there are idle slots, also over several turns") {
  Bench b;
  const WorkerId v = b.worker(1, 10);
  const SessionId c = b.hello();
  b.submit(c, 10);
  b.running(v, {b.token(1)});
  const WorkerId w = b.worker(2, 4);
  CHECK(b.actions.recalls.size() == 2);
  b.worker(1, 0);  // something changes, and this one has no credit
  CHECK(b.actions.recalls.empty());
  b.recalled(v, {b.token(10), b.token(9)}, true);
  CHECK(b.runs_of(w).size() == 2);
  CHECK(b.actions.recalls.empty());
}

TEST_CASE("nothing is asked back for a worker that takes no work") {
  Bench b;
  const WorkerId v = b.worker(1, 3);
  const SessionId c = b.hello();
  b.submit(c, 2);
  b.running(v, {b.token(1)});
  SUBCASE("no credit") { b.worker(1, 0); }
  SUBCASE("another type") {
    Bench::WorkerOptions o;
    o.types = {{"u", Lane::thread}};
    b.worker(o);
  }
  SUBCASE("another pool") {
    Bench::WorkerOptions o;
    o.pool = "other";
    b.worker(o);
  }
  CHECK(b.actions.recalls.empty());
}

TEST_CASE("short calls sent ahead are not asked back") {
  Bench b;
  const WorkerId v = b.worker(1, 64);
  const WorkerId w = b.worker(1, 64);
  const SessionId c = b.hello();
  b.submit(c, 40);
  const auto at_v = b.runs_of(v);
  const auto at_w = b.runs_of(w);
  REQUIRE(at_v.size() == 20);
  // One is done with all of its calls while the other has reported none: still they are short.
  b.ran(w, at_w);
  b.credit(w, 84);
  CHECK(b.actions.recalls.empty());
  b.ran(v, {at_v[0], at_v[1]});
  CHECK(b.actions.recalls.empty());
}

TEST_CASE("a draining worker gets nothing more, and what waits there may be asked back") {
  Bench b;
  const WorkerId v = b.worker(1, 2);
  const SessionId c = b.hello();
  b.submit(c, 2);
  b.step(event::WorkerDraining{v});
  b.running(v, {b.token(1)});
  const WorkerId w = b.worker(1, 1);
  CHECK(b.actions.recalls.size() == 1);
  b.credit(v, 10);
  b.submit(c, 1);
  CHECK(b.runs_of(w).size() == 1);
  CHECK(b.runs_of(v).empty());
}

TEST_CASE("a recalled task goes back to the front, several in their old order") {
  Bench b;
  const WorkerId v = b.worker(1, 4);
  const SessionId c = b.hello();
  b.submit(c, 6);
  CHECK(b.runs.size() == 4);
  SUBCASE("newest first") { b.recalled(v, {b.token(4), b.token(3), b.token(2)}, true); }
  SUBCASE("oldest first") { b.recalled(v, {b.token(2), b.token(3), b.token(4)}, true); }
  b.ran(v, {b.token(1)});
  const WorkerId w = b.worker(10, 10);
  CHECK(b.run_numbers() == std::vector<TaskNumber>{2, 3, 4, 5, 6});
  CHECK(b.runs_of(w).size() == 5);
}

TEST_CASE("a queue that is emptied by cancels in any order stays sound") {
  Bench b;
  b.worker(1, 0);
  const SessionId a = b.hello(1);
  const SessionId c = b.hello(2);
  for (int i = 0; i < 8; ++i) {
    b.submit(a, 1, Bench::spec("t", i % 2));
    b.submit(c, 1, Bench::spec("t", i % 2));
  }
  for (const std::uint64_t seq : {3, 0, 7, 1, 6, 2, 5, 4}) {
    b.cancel(a, {seq});
    b.cancel(c, {7 - seq});
  }
  CHECK(b.s.counts().queued == 0);
}
