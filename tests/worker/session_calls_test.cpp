// What becomes of calls in a worker session: lanes, recalls, stops, limits.
#include "tests/worker/session_bench.hpp"

namespace {

using namespace futured;
using namespace futured::worker;
using namespace futured::worker::test;

TEST_CASE("the async lane starts as many calls as it has slots, the oldest first") {
  Bench b(0, 2);
  b.begin();
  const auto ids = b.run(kLater, {1, 2, 3, 4});
  CHECK(b.started == std::vector<CallId>{ids[0], ids[1]});
  b.ends(ids[1]);
  CHECK(b.started == std::vector<CallId>{ids[0], ids[1], ids[2]});
}

TEST_CASE("a type at its own limit waits without holding back others") {
  Bench b(0, 8);
  b.begin();
  const auto narrow = b.run(kNarrow, {1, 2});
  const auto wide = b.run(kLater, {3});
  CHECK(b.started == std::vector<CallId>{narrow[0], wide[0]});
  b.ends(narrow[0]);
  CHECK(b.started.back() == narrow[1]);
}

TEST_CASE("RECALL gives back what has not begun, and says so token by token") {
  Bench b(1, 1);
  b.begin();
  const auto block = b.run(kBlock, {1, 2});
  const auto later = b.run(kLater, {3, 4});
  b.begins(block[0]);
  const AttemptToken asked[] = {token(4), token(1), token(2), token(3), token(99)};
  b.s.recall(asked);
  b.act();
  const auto answer = b.take<SayRecalled>();
  REQUIRE(answer.size() == 1);
  CHECK(answer[0].tokens == std::vector<AttemptToken>(std::begin(asked), std::end(asked)));
  CHECK(answer[0].returned == std::vector<bool>{true, false, true, false, false});
  // A returned call gives its credit back, and its late end is nothing.
  CHECK(answer[0].credits.lane[0] == 3);
  b.ends(block[1]);
  b.ends(later[1]);
  b.turn();
  CHECK(b.reported().empty());
  b.ends(block[0]);
  b.turn();
  CHECK(b.reported() == Numbers{1});
}

TEST_CASE("a call recalled in one message with many others is found as well") {
  Bench b(64, 0);
  b.begin();
  Numbers n;
  std::vector<AttemptToken> asked;
  for (std::uint64_t i = 1; i <= 64; ++i) {
    n.push_back(i);
    asked.push_back(token(65 - i));
  }
  const auto ids = b.run(kBlock, n);
  b.begins(ids[9]);
  b.s.recall(asked);
  b.act();
  const auto answer = b.take<SayRecalled>();
  REQUIRE(answer.size() == 1);
  for (std::size_t i = 0; i < 64; ++i) CHECK(answer[0].returned[i] == (asked[i].task != 10));
}

TEST_CASE("STOP ends a call that has not begun as cancelled, and tells a running one") {
  Bench b(1, 1);
  b.begin();
  const auto block = b.run(kBlock, {1, 2});
  const auto later = b.run(kLater, {3, 4});
  b.begins(block[0]);
  const AttemptToken all[] = {token(1), token(2), token(3), token(4)};
  b.s.stop(all);
  b.act();
  b.s.stop(all);
  b.act();
  CHECK(b.stopped == std::vector<CallId>{later[0], block[0]});
  b.turn();
  const auto ran = b.take<SayRan>();
  REQUIRE(ran.size() == 1);
  REQUIRE(ran[0].count == 2);
  for (std::uint64_t i = 0; i < 2; ++i) CHECK(b.s.report(i).cancelled);
  CHECK(b.started.size() == 3);  // call 4 never
  b.s.ran_ack(2);
  b.ends(block[0], "", true);
  b.ends(later[0], "in time");
  b.turn();
  CHECK(b.s.report(2).cancelled);
  CHECK_FALSE(b.s.report(3).cancelled);  // it succeeded all the same
}

TEST_CASE("RUNNING names a call once, after 5 ms; a short call is never named") {
  Bench b(2, 0);
  b.begin();
  const auto ids = b.run(kBlock, {1, 2});
  b.begins(ids[0]);
  b.s.started(ids[0], b.now);
  b.begins(ids[1]);
  b.s.started(ids[1], b.now);
  b.turn(1 * kMs);
  CHECK(b.take<SayRunning>().empty());
  CHECK(b.s.next_deadline() == b.now + 4 * kMs);
  b.ends(ids[1]);
  b.turn();
  // With the RAN of the other goes the news of what goes on.
  auto running = b.take<SayRunning>();
  REQUIRE(running.size() == 1);
  CHECK(running[0].tokens == std::vector<AttemptToken>{token(1)});
  b.turn(10 * kMs);
  CHECK(b.take<SayRunning>().empty());

  const auto more = b.run(kBlock, {3});
  b.begins(more[0]);
  b.s.started(more[0], b.now);
  b.turn(5 * kMs);
  running = b.take<SayRunning>();
  REQUIRE(running.size() == 1);
  CHECK(running[0].tokens == std::vector<AttemptToken>{token(3)});
}

TEST_CASE("a reply above the limit of the daemon becomes a failure") {
  Bench b(1, 0);
  b.s.start(b.now);
  b.act();
  b.s.welcome({0, 100}, b.now);
  b.act();
  const auto ids = b.run(kBlock, {1});
  b.ends(ids[0], std::string(101, 'x'));
  b.turn();
  REQUIRE(b.s.report(0).failure != nullptr);
  CHECK(b.s.report(0).failure->kind == ErrorKind::too_large);
  CHECK(b.s.report(0).reply.empty());
}

TEST_CASE("a call of a type that is not offered is rejected") {
  Bench b(1, 0);
  b.begin();
  CHECK(b.run(77, {1})[0] == 0);
  b.turn();
  REQUIRE(b.reported() == Numbers{1});
  CHECK(b.s.report(0).failure->kind == ErrorKind::rejected);
}

TEST_CASE("EMITCREDIT finds its call") {
  Bench b(1, 0);
  b.begin();
  const auto ids = b.run(kBlock, {1, 2});
  b.s.emit_room(token(2), 1 << 20);
  b.s.emit_room(token(3), 1 << 20);
  REQUIRE(b.s.actions().emit_room.size() == 1);
  CHECK(b.s.actions().emit_room[0].call == ids[1]);
}

}  // namespace
