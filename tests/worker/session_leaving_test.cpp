// How a worker session drains and leaves.
#include "tests/worker/session_bench.hpp"

namespace {

using namespace futured;
using namespace futured::worker;
using namespace futured::worker::test;

TEST_CASE("DRAIN: what is here is done, GOODBYE follows the last acknowledgement") {
  Bench b(0, 1);
  b.begin();
  const auto ids = b.run(kLater, {1, 2});
  b.s.drain(false, b.now);
  b.ends(ids[0]);
  b.turn();
  CHECK(b.take<SayRan>().at(0).credits.lane[1] == 2);  // no new credit
  b.s.ran_ack(1);
  b.ends(ids[1]);
  b.turn();
  CHECK(b.take<SayGoodbye>().empty());
  b.s.ran_ack(2);
  b.turn();
  CHECK(b.take<SayGoodbye>().size() == 1);
  CHECK(b.s.ending() == Ending::drained);
}

TEST_CASE("DRAIN now: what has not started goes back, what runs is told to stop") {
  Bench b(1, 1);
  b.begin();
  const auto block = b.run(kBlock, {1, 2});
  const auto later = b.run(kLater, {3, 4});
  b.begins(block[0]);
  b.s.drain(true, b.now);
  b.act();
  const auto back = b.take<SayRecalled>();
  REQUIRE(back.size() == 1);
  CHECK(back[0].tokens == std::vector<AttemptToken>{token(2), token(4)});
  CHECK(back[0].returned == std::vector<bool>{true, true});
  CHECK(std::set(b.stopped.begin(), b.stopped.end()) == std::set{block[0], later[0]});
  b.ends(block[0], "", true);
  b.ends(later[0], "", true);
  b.turn();
  b.s.ran_ack(2);
  b.turn();
  CHECK(b.s.ending() == Ending::drained);
}

TEST_CASE("a worker told to leave gives back also what still arrives, and waits for what runs") {
  Bench b(2, 0);
  b.begin();
  const auto ids = b.run(kBlock, {1, 2});
  b.begins(ids[0]);
  b.s.leave(b.now);
  b.act();
  b.run(kBlock, {3});
  Numbers back;
  for (const auto& r : b.take<SayRecalled>()) {
    for (const auto& t : r.tokens) back.push_back(t.task);
  }
  CHECK(back == Numbers{2, 3});
  CHECK(b.stopped.empty());
  b.turn();
  CHECK(b.s.ending() == Ending::none);
  b.ends(ids[0]);
  b.turn();
  b.s.ran_ack(1);
  b.turn();
  CHECK(b.s.ending() == Ending::drained);
}

TEST_CASE("a worker that leaves without a daemon waits a while for one to take the last reports") {
  Bench b(1, 0);
  b.begin();
  const auto ids = b.run(kBlock, {1});
  b.begins(ids[0]);
  b.s.leave(b.now);
  b.act();
  b.s.lost(b.now);
  b.ends(ids[0]);
  const Time left = b.now;
  while (b.s.ending() == Ending::none) b.turn(b.s.next_deadline() - b.now);
  CHECK(b.now - left == 5 * kSecond);
}

}  // namespace
