// How a worker session connects, comes back, and gives a daemon up.
#include "tests/worker/session_bench.hpp"

namespace {

using namespace futured;
using namespace futured::worker;
using namespace futured::worker::test;

TEST_CASE("the first message is HELLO with a credit of the slots and one ahead for each thread") {
  Bench b(4, 100);
  b.s.start(b.now);
  b.act();
  CHECK(b.connects == 1);
  CHECK(b.s.generation() == 1);
  b.turn();
  REQUIRE(b.said.size() == 1);
  const auto hello = b.take<SayHello>();
  REQUIRE(hello.size() == 1);
  CHECK(hello[0].credits.lane[0] == 8);
  CHECK(hello[0].credits.lane[1] == 116);
  CHECK_FALSE(b.s.ready());
}

TEST_CASE("a lane without task types gets no credit") {
  Session s(Bench::slots(4, 100));
  const CallType only[] = {{Lane::async, 0}};
  s.set_types(only);
  s.start(kSecond);
  REQUIRE(s.actions().say.size() == 1);
  CHECK(std::get<SayHello>(s.actions().say[0]).credits.lane[0] == 0);
  CHECK(std::get<SayHello>(s.actions().say[0]).credits.lane[1] == 116);
}

TEST_CASE("after a reconnect: HELLO, ANNOUNCE of everything at hand, then the unacknowledged reports again") {
  Bench b(2, 2);
  b.begin();
  const auto block = b.run(kBlock, {1, 2, 3});
  const auto later = b.run(kLater, {4, 5, 6});
  b.begins(block[0]);
  b.s.started(block[0], b.now);
  b.ends(block[1]);
  b.turn();
  CHECK(b.reported() == Numbers{2});
  b.s.lost(b.now);
  b.act();
  b.ends(later[0]);
  b.turn();
  CHECK(b.reported().empty());
  b.said.clear();
  b.turn(kSecond);
  REQUIRE(b.take<SayHello>().size() == 1);
  CHECK(b.s.generation() == 2);
  b.s.welcome({}, b.now);
  b.act();
  REQUIRE(b.said.size() == 1);
  const auto announce = b.take<SayAnnounce>();
  CHECK(announce[0].end);
  CHECK(announce[0].running == std::vector<AttemptToken>{token(1), token(5), token(6)});
  CHECK(announce[0].waiting == std::vector<AttemptToken>{token(3)});
  CHECK(announce[0].ended == std::vector<AttemptToken>{token(2), token(4)});
  b.turn();
  const auto ran = b.take<SayRan>();
  REQUIRE(ran.size() == 1);
  CHECK(ran[0].first == 0);
  CHECK(ran[0].count == 2);
  b.s.ran_ack(2);
  b.ends(block[0]);
  b.turn();
  CHECK(b.reported() == Numbers{1});
}

TEST_CASE("credit after a reconnect leaves out what is still at hand") {
  Bench b(2, 0);
  b.begin();
  b.run(kBlock, {1, 2, 3});
  b.s.lost(b.now);
  b.turn(kSecond);
  const auto hello = b.take<SayHello>();
  REQUIRE(hello.size() == 1);
  CHECK(hello[0].credits.lane[0] == 1);
}

TEST_CASE("an announcement of many calls comes in pages and ends with a mark") {
  Bench b(0, 10'000);
  b.begin();
  Numbers n;
  for (std::uint64_t i = 1; i <= 10'000; ++i) n.push_back(i);
  b.run(kLater, n);
  b.s.lost(b.now);
  b.turn(kSecond);
  b.s.welcome({}, b.now);
  b.act();
  const auto pages = b.take<SayAnnounce>();
  REQUIRE(pages.size() == 3);
  CHECK(pages[0].running.size() == 4096);
  CHECK_FALSE(pages[0].end);
  CHECK_FALSE(pages[1].end);
  CHECK(pages[2].end);
}

TEST_CASE("a HELLO without answer is tried again, later each time up to a second") {
  Bench b(1, 0);
  b.s.start(b.now);
  b.act();
  Time longest = 0;
  for (int i = 0; i < 12; ++i) {
    REQUIRE(b.s.next_deadline() == b.now + kSecond);
    b.turn(kSecond);
    const Time pause = b.s.next_deadline() - b.now;
    CHECK(pause >= 25 * kMs);
    CHECK(pause <= kSecond);
    longest = std::max(longest, pause);
    b.turn(pause);
  }
  CHECK(longest > 400 * kMs);
  CHECK(b.connects == 13);
  CHECK(b.take<SayHello>().size() == 13);
}

TEST_CASE("a WELCOME that answers a later HELLO than the first is followed by ANNOUNCE") {
  Bench b(1, 0);
  b.s.start(b.now);
  b.act();
  b.turn(kSecond);
  b.turn(kSecond);
  REQUIRE(b.take<SayHello>().size() == 2);
  b.s.welcome({}, b.now);
  b.act();
  const auto announce = b.take<SayAnnounce>();
  REQUIRE(announce.size() == 1);
  CHECK(announce[0].end);
  CHECK(announce[0].running.empty());
}

TEST_CASE("a silent daemon is pinged, and left after three heartbeats") {
  Bench b(1, 0);
  b.s.start(b.now);
  b.act();
  b.s.welcome({kSecond, 0}, b.now);
  b.act();
  for (int i = 0; i < 2; ++i) {
    while (b.take<SayPing>().empty()) {
      REQUIRE(b.disconnects == 0);
      b.turn(b.s.next_deadline() - b.now);
    }
    b.s.heard(b.now);
  }
  const Time since = b.now;
  while (b.disconnects == 0) b.turn(b.s.next_deadline() - b.now);
  CHECK(b.now - since == 3 * kSecond);
  CHECK_FALSE(b.s.ready());
}

TEST_CASE("a daemon is not blamed for the time in which this process did not run") {
  Bench b(1, 0);
  b.s.start(b.now);
  b.act();
  b.s.welcome({kSecond, 0}, b.now);
  b.act();
  b.turn(kSecond);
  b.turn(60 * kSecond);
  CHECK(b.disconnects == 0);
}

TEST_CASE("a worker of a daemon leaves when that is gone for too long, and not before") {
  SessionConfig c;
  c.orphan = 5 * kSecond;
  Bench b(c);
  b.begin();
  b.turn(60 * kSecond);
  CHECK(b.s.ending() == Ending::none);
  b.s.lost(b.now);
  const Time lost = b.now;
  while (b.s.ending() == Ending::none) b.turn(b.s.next_deadline() - b.now);
  CHECK(b.s.ending() == Ending::orphaned);
  CHECK(b.now - lost == 5 * kSecond);
}

TEST_CASE("REFUSED ends a worker of the wrong version and only delays one that may come later") {
  Bench b(1, 0);
  b.s.start(b.now);
  b.act();
  SUBCASE("version") {
    b.s.refused(Code::version, "too old", b.now);
    CHECK(b.s.ending() == Ending::refused);
    CHECK(b.s.ending_text() == "too old");
  }
  SUBCASE("draining") {
    b.s.refused(Code::refused, "not now", b.now);
    b.act();
    CHECK(b.s.ending() == Ending::none);
    b.turn(kSecond);
    CHECK(b.connects == 2);
  }
}

TEST_CASE("REHELLO makes a new connection") {
  Bench b(1, 0);
  b.begin();
  b.s.rehello(b.now);
  b.act();
  b.turn(kSecond);
  CHECK(b.connects == 2);
  CHECK(b.s.generation() == 2);
}

TEST_CASE("nothing that ends the connection leaves messages for the next one") {
  Bench b(1, 0);
  b.begin();
  b.run(kBlock, {1});
  b.s.lost(b.now);
  const AttemptToken t[] = {token(1)};
  b.s.recall(t);
  b.s.ping(3);
  b.act();
  CHECK(b.said.empty());
}

}  // namespace
