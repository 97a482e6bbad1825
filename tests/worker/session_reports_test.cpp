// What a worker session reports and when, and the credit it gives.
#include "tests/worker/session_bench.hpp"

namespace {

using namespace futured;
using namespace futured::worker;
using namespace futured::worker::test;

TEST_CASE("a report leaves at once while at most one is unacknowledged, then waits for an acknowledgement") {
  Bench b(4, 0);
  b.begin();
  const auto ids = b.run(kBlock, {1, 2, 3, 4});
  b.ends(ids[0]);
  b.turn();
  CHECK(b.reported() == Numbers{1});
  b.ends(ids[1]);
  b.turn();
  CHECK(b.reported() == Numbers{2});
  b.ends(ids[2]);
  b.ends(ids[3]);
  b.turn();
  CHECK(b.reported().empty());
  b.s.ran_ack(1);
  b.turn();
  CHECK(b.reported() == Numbers{3, 4});
}

TEST_CASE("reports leave unacknowledged at 256 calls, and at 16 KiB of replies") {
  Bench b(400, 0);
  b.begin();
  Numbers n;
  for (std::uint64_t i = 1; i <= 400; ++i) n.push_back(i);
  const auto ids = b.run(kBlock, n);
  b.ends(ids[0]);
  b.turn();
  b.ends(ids[1]);
  b.turn();
  CHECK(b.reported().size() == 2);
  for (int i = 2; i <= 256; ++i) b.ends(ids[static_cast<std::size_t>(i)]);
  b.turn();
  CHECK(b.reported().empty());
  b.ends(ids[257]);
  b.turn();
  CHECK(b.reported().size() == 256);
  for (int i = 258; i < 260; ++i) b.ends(ids[static_cast<std::size_t>(i)], std::string(8000, 'x'));
  b.turn();
  CHECK(b.reported().empty());
  b.ends(ids[260], std::string(800, 'x'));
  b.turn();
  CHECK(b.reported() == Numbers{259, 260, 261});
}

TEST_CASE("one message carries at most 64 large replies") {
  Bench b(100, 0);
  b.begin();
  Numbers n;
  for (std::uint64_t i = 1; i <= 100; ++i) n.push_back(i);
  for (const CallId id : b.run(kBlock, n)) b.ends(id, std::string(9000, 'x'));
  b.turn();
  const auto ran = b.take<SayRan>();
  REQUIRE(ran.size() == 2);
  CHECK(ran[0].count == 64);
  CHECK(ran[1].first == 64);
  CHECK(ran[1].count == 36);
}

TEST_CASE("credit is absolute: what was received plus the room that is left") {
  Bench b(2, 0);
  b.begin();
  const auto ids = b.run(kBlock, {1, 2, 3});
  b.s.served(Lane::thread, 1, 10 * kMs);  // long enough for one ahead per thread
  b.ends(ids[0]);
  b.turn();
  const auto ran = b.take<SayRan>();
  REQUIRE(ran.size() == 1);
  CHECK(ran[0].credits.lane[0] == 3 + 4 - 2);
}

TEST_CASE("the window follows the service time: many short calls ahead, no very long one") {
  Bench b(2, 0);
  b.begin();
  auto ids = b.run(kBlock, {1});
  SUBCASE("microseconds") {
    b.s.served(Lane::thread, 100, 100 * 1000);
    b.ends(ids[0]);
    b.turn();
    CHECK(b.take<SayRan>().at(0).credits.lane[0] == 1 + 2 + 1024);
  }
  SUBCASE("a tenth of a millisecond") {
    b.s.served(Lane::thread, 10, 10 * kMs / 10);
    b.ends(ids[0]);
    b.turn();
    CHECK(b.take<SayRan>().at(0).credits.lane[0] == 1 + 2 + 20);
  }
  SUBCASE("seconds") {
    b.s.served(Lane::thread, 1, kSecond);
    b.ends(ids[0]);
    b.turn();
    // What was promised at first stands; it is not renewed.
    CHECK(b.take<SayRan>().at(0).credits.lane[0] == 4);
  }
}

TEST_CASE("held back reports do not hold back the credit of a small window") {
  Bench b(2, 0);
  b.begin();
  b.s.served(Lane::thread, 1, 10 * kMs);
  const auto ids = b.run(kBlock, {1, 2, 3, 4});
  for (const std::size_t i : {0, 1}) {
    b.ends(ids[i]);
    b.turn();
    CHECK(b.take<SayRan>().size() == 1);
  }
  b.ends(ids[2]);
  b.turn();
  CHECK(b.take<SayCredit>().empty());
  b.ends(ids[3]);
  b.turn();
  CHECK(b.take<SayRan>().empty());
  const auto credit = b.take<SayCredit>();
  REQUIRE(credit.size() == 1);
  CHECK(credit[0].credits.lane[0] == 8);
}

TEST_CASE("a daemon that exceeds the credit is left, and none of those calls runs") {
  Bench b(1, 0);
  b.begin();
  const auto ids = b.run(kBlock, {1, 2, 3});
  CHECK(ids == std::vector<CallId>{0, 0, 0});
  CHECK(b.disconnects == 1);
  CHECK(b.started.empty());
  CHECK(b.s.in_hand() == 0);
}

TEST_CASE("a daemon that acknowledges nothing gets no further credit") {
  Bench b(1, 0);
  b.begin();
  std::uint64_t next = 1;
  std::uint64_t credit = 2;
  for (int round = 0; round < 100'000 && credit >= next; ++round) {
    Numbers n;
    for (; next <= credit && n.size() < 256; ++next) n.push_back(next);
    b.s.served(Lane::thread, n.size(), static_cast<Time>(n.size()) * 100);
    for (const CallId id : b.run(kBlock, n)) b.ends(id);
    b.turn();
    for (const auto& r : b.take<SayRan>()) credit = std::max(credit, r.credits.lane[0]);
    for (const auto& c : b.take<SayCredit>()) credit = std::max(credit, c.credits.lane[0]);
  }
  CHECK(credit < 20'000);
  b.s.ran_ack(16'000);
  b.turn();
  std::uint64_t more = 0;
  for (const auto& c : b.take<SayCredit>()) more = c.credits.lane[0];
  for (const auto& r : b.take<SayRan>()) more = std::max(more, r.credits.lane[0]);
  CHECK(more > credit);
}

TEST_CASE("acknowledgements of what was never sent, and ends of unknown calls, are nothing") {
  Bench b(1, 0);
  b.begin();
  b.s.ran_ack(7);
  const auto ids = b.run(kBlock, {1});
  b.ends(ids[0]);
  b.ends(ids[0]);
  b.s.taken_back(ids[0], true, b.now);
  b.s.started(ids[0], b.now);
  b.turn();
  CHECK(b.reported() == Numbers{1});
  const auto again = b.run(kBlock, {2});
  CHECK(again[0] != ids[0]);  // the same place, another call
  b.ends(ids[0]);
  CHECK(b.s.in_hand() == 1);
}

TEST_CASE("the loop is worth waking for one report while it may leave, and for a batch otherwise") {
  Bench b(8, 0);
  b.begin();
  std::vector<CallId> ids = b.run(kBlock, {1, 2, 3, 4, 5, 6, 7, 8});
  b.s.served(Lane::thread, 1000, kMs);
  CHECK(b.s.worth_waking() == 1);
  for (int i = 0; i < 2; ++i) {
    b.ends(ids[static_cast<std::size_t>(i)]);
    b.turn();
    REQUIRE(b.reported().size() == 1);
    CHECK((b.s.worth_waking() == 1) == (i == 0));  // two messages may be unacknowledged
  }
  b.s.ran_ack(1);
  CHECK(b.s.worth_waking() == 1);
}

}  // namespace
