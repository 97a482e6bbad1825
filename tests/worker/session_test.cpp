// The worker session, driven by hand: no socket, no thread, no clock.
#include "worker/session/session.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace {

using namespace futured;
using namespace futured::worker;

constexpr Time kMs = 1'000'000;
constexpr Time kSecond = 1000 * kMs;

// Type numbers of the types below.
constexpr std::uint32_t kBlock = 0;   // thread lane
constexpr std::uint32_t kLater = 1;   // async lane
constexpr std::uint32_t kNarrow = 2;  // async lane, one at a time

AttemptToken token(std::uint64_t n) { return {1, 1, n}; }

// Carries out the orders of a session into lists that a test can look at.
struct Bench {
  explicit Bench(SessionConfig config = {}) : s(config) {
    const CallType types[] = {{Lane::thread, 0}, {Lane::async, 0}, {Lane::async, 1}};
    s.set_types(types);
  }
  explicit Bench(std::uint32_t threads, std::uint32_t async) : Bench(slots(threads, async)) {}
  static SessionConfig slots(std::uint32_t threads, std::uint32_t async) {
    SessionConfig c;
    c.threads = threads;
    c.async_slots = async;
    return c;
  }

  void act() {
    while (!s.actions().empty()) {
      Actions a;
      std::swap(a, s.actions());
      disconnects += a.disconnect ? 1 : 0;
      connects += a.connect ? 1 : 0;
      for (const CallId id : a.take_back) s.taken_back(id, not_begun.erase(id) > 0, now);
      stopped.insert(stopped.end(), a.stop.begin(), a.stop.end());
      for (const CallId id : a.start[0]) {
        not_begun.insert(id);
        started.push_back(id);
      }
      started.insert(started.end(), a.start[1].begin(), a.start[1].end());
      for (Message& m : a.say) said.push_back(std::move(m));
    }
  }
  void turn(Time pass = 0) {
    now += pass;
    s.tick(now);
    act();
    s.flush(now);
    act();
  }
  void begin() {
    s.start(now);
    act();
    s.welcome({}, now);
    act();
    turn();
    take<SayHello>();
  }
  // Ids of the calls, 0 for those that will not run.
  std::vector<CallId> run(std::uint32_t type, const std::vector<std::uint64_t>& numbers) {
    std::vector<NewCall> calls;
    for (const std::uint64_t n : numbers) calls.push_back({token(n), type});
    s.run(calls, now);
    act();
    std::vector<CallId> ids;
    for (const NewCall& c : calls) ids.push_back(c.id);
    return ids;
  }
  // A thread of the lane takes the call.
  void begins(CallId id) { not_begun.erase(id); }
  void ends(CallId id, std::string reply = "", bool fails = false) {
    begins(id);
    s.ended(id, Slice::of(std::move(reply)), fails ? std::make_unique<Failure>() : nullptr, now);
    act();
  }
  // The messages of one kind said so far, which are then forgotten.
  template <class M>
  std::vector<M> take() {
    std::vector<M> out;
    std::erase_if(said, [&](Message& m) {
      if (!std::holds_alternative<M>(m)) return false;
      out.push_back(std::move(std::get<M>(m)));
      return true;
    });
    return out;
  }
  // Tokens of the reports said.
  std::vector<std::uint64_t> reported() {
    std::vector<std::uint64_t> out;
    for (const SayRan& r : take<SayRan>()) {
      for (std::uint32_t i = 0; i < r.count; ++i) out.push_back(s.report(r.first + i).token.task);
    }
    return out;
  }

  Session s;
  Time now = kSecond;
  int connects = 0, disconnects = 0;
  std::set<CallId> not_begun;
  std::vector<CallId> started, stopped;
  std::vector<Message> said;
};

using Numbers = std::vector<std::uint64_t>;

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

TEST_CASE("EMITCREDIT finds its call") {
  Bench b(1, 0);
  b.begin();
  const auto ids = b.run(kBlock, {1, 2});
  b.s.emit_room(token(2), 1 << 20);
  b.s.emit_room(token(3), 1 << 20);
  REQUIRE(b.s.actions().emit_room.size() == 1);
  CHECK(b.s.actions().emit_room[0].call == ids[1]);
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

// Whatever happens in whatever order, each call that was received comes to exactly one end: reported once (and again
// only on a new connection under the same number), or given back.
TEST_CASE("each call is reported once or given back, under random events") {
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const auto one_of = [&random](std::uint64_t n) { return random() % n; };
    Bench b(Bench::slots(static_cast<std::uint32_t>(one_of(4)), static_cast<std::uint32_t>(1 + one_of(5))));
    b.begin();
    std::uint64_t next = 1;
    std::uint64_t credit[2] = {0, 0};
    std::uint64_t sent[2] = {0, 0};
    std::map<std::uint64_t, std::uint64_t> report_of;  // task -> report number
    std::set<std::uint64_t> open, returned;
    std::uint64_t reported = 0;
    std::vector<CallId> live;
    const auto credits = [&credit](const Credits& c) {
      for (int l = 0; l < 2; ++l) credit[l] = std::max(credit[l], c.lane[l]);
    };
    const auto listen = [&] {
      for (const Message& m : b.said) {
        if (const auto* hello = std::get_if<SayHello>(&m)) {
          credit[0] = credit[1] = sent[0] = sent[1] = 0;
          credits(hello->credits);
        } else if (const auto* c = std::get_if<SayCredit>(&m)) {
          credits(c->credits);
        } else if (const auto* ran = std::get_if<SayRan>(&m)) {
          credits(ran->credits);
          for (std::uint64_t i = ran->first; i < ran->first + ran->count; ++i) {
            const std::uint64_t task = b.s.report(i).token.task;
            const auto [it, is_new] = report_of.emplace(task, i);
            REQUIRE(it->second == i);
            REQUIRE(returned.count(task) == 0);
            if (is_new) REQUIRE(open.erase(task) == 1);
          }
          reported = std::max(reported, ran->first + ran->count);
        } else if (const auto* back = std::get_if<SayRecalled>(&m)) {
          credits(back->credits);
          for (std::size_t i = 0; i < back->tokens.size(); ++i) {
            if (!back->returned[i]) continue;
            REQUIRE(open.erase(back->tokens[i].task) == 1);
            returned.insert(back->tokens[i].task);
          }
        } else if (const auto* announce = std::get_if<SayAnnounce>(&m)) {
          for (const auto* column : {&announce->running, &announce->waiting, &announce->ended}) {
            for (const AttemptToken& t : *column) REQUIRE((open.count(t.task) + report_of.count(t.task)) == 1);
          }
        }
      }
      b.said.clear();
    };
    const auto some_tokens = [&] {
      std::vector<AttemptToken> t;
      for (std::uint64_t i = one_of(12); i > 0; --i) t.push_back(token(1 + one_of(next)));
      std::sort(t.begin(), t.end());
      t.erase(std::unique(t.begin(), t.end()), t.end());
      return t;
    };
    const auto step = [&] {
      b.now += static_cast<Time>(one_of(3 * kMs));
      switch (one_of(12)) {
        case 0:
        case 1:
        case 2:
          if (b.s.ready()) {
            const auto type = static_cast<std::uint32_t>(one_of(3));
            const std::size_t l = type == kBlock ? 0 : 1;
            Numbers n;
            for (; sent[l] < credit[l] && n.size() < 4; ++sent[l]) {
              open.insert(next);
              n.push_back(next++);
            }
            for (const CallId id : b.run(type, n)) live.push_back(id);
          }
          break;
        case 3:
        case 4:
        case 5:
        case 6:
          if (!b.started.empty()) {
            const std::size_t i = one_of(b.started.size());
            const CallId id = b.started[i];
            b.started.erase(b.started.begin() + static_cast<std::ptrdiff_t>(i));
            if (one_of(2) != 0) b.s.started(id, b.now);
            b.s.served(Lane::thread, 1, static_cast<Time>(one_of(10 * kMs)));
            b.ends(id, "", one_of(3) == 0);
          }
          break;
        case 7:
          b.s.recall(some_tokens());
          break;
        case 8:
          b.s.stop(some_tokens());
          break;
        case 9:
          if (!b.started.empty()) b.begins(b.started[one_of(b.started.size())]);
          break;
        case 10:
          b.s.ran_ack(one_of(reported + 2));
          break;
        default:
          if (one_of(20) == 0) b.s.lost(b.now);
          break;
      }
      b.act();
      b.turn();
      if (!b.s.ready()) {
        listen();
        b.now = std::max(b.now, std::min(b.s.next_deadline(), b.now + kSecond));
        b.turn();
        b.s.welcome({}, b.now);
        b.act();
        b.turn();
      }
      listen();
    };
    for (int i = 0; i < 500; ++i) step();
    REQUIRE(b.disconnects == 0);
    // The end: everything that can end does.
    b.s.drain(one_of(2) == 0, b.now);
    b.act();
    for (int i = 0; i < 10'000 && b.s.ending() == Ending::none; ++i) {
      if (b.started.empty()) {
        b.s.ran_ack(reported);
      } else {
        const CallId id = b.started.back();
        b.started.pop_back();
        b.ends(id);
      }
      b.turn();
      listen();
    }
    REQUIRE(b.s.ending() == Ending::drained);
    REQUIRE(open.empty());
    REQUIRE(report_of.size() + returned.size() == next - 1);
  }
}

}  // namespace
