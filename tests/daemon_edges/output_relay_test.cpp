#include "daemon/output_relay.hpp"

#include <doctest/doctest.h>

namespace futured::daemon {
namespace {

constexpr std::uint64_t kKiB = 1024;
constexpr WorkerId kWorker = 7;
constexpr AttemptToken kToken{1, 1, 100};

OutputRelay::Call heard_by(scheduler::SessionId session) { return {true, session, 5}; }
constexpr OutputRelay::Call kUnheard{true};
constexpr OutputRelay::Call kStale{};

// What the worker may send by the last word; 0: nothing was said.
std::uint64_t told(OutputRelay& relay) {
  std::uint64_t bytes = 0;
  for (const OutputRelay::Credit& c : relay.take_credits()) {
    CHECK(c.worker == kWorker);
    bytes = std::max(bytes, c.bytes);
  }
  return bytes;
}

Status send(OutputRelay& relay, std::uint64_t from, std::uint64_t to, const OutputRelay::Call& call) {
  for (; from < to; from += 64 * kKiB) {
    if (Status s = relay.emitted(kWorker, kToken, from, std::min(to - from, 64 * kKiB), call); !s.ok()) return s;
  }
  return {};
}

TEST_CASE("a worker may send as much more as the listener has taken") {
  OutputRelay relay;
  REQUIRE(send(relay, 0, 256 * kKiB, heard_by(1)).ok());
  CHECK(told(relay) == 0);
  relay.taken(1, kToken.task, kToken.attempt, 100 * kKiB);
  CHECK(told(relay) == 356 * kKiB);
  relay.taken(1, kToken.task, kToken.attempt, 50 * kKiB);  // never back
  CHECK(told(relay) == 0);
  relay.taken(1, kToken.task, kToken.attempt, 1 << 30);  // more than came
  CHECK(told(relay) == 512 * kKiB);
  REQUIRE(send(relay, 256 * kKiB, 512 * kKiB, heard_by(1)).ok());
  relay.taken(2, kToken.task, kToken.attempt, 512 * kKiB);      // another session
  relay.taken(1, kToken.task, kToken.attempt + 1, 512 * kKiB);  // another attempt
  CHECK(told(relay) == 0);
}

TEST_CASE("output beyond the credit, in too large a chunk, or going back is refused") {
  OutputRelay relay;
  CHECK_FALSE(relay.emitted(kWorker, kToken, 0, 64 * kKiB + 1, heard_by(1)).ok());
  CHECK_FALSE(relay.emitted(kWorker, kToken, 256 * kKiB, 1, heard_by(1)).ok());
  CHECK_FALSE(relay.emitted(kWorker, kToken, UINT64_MAX, 1, heard_by(1)).ok());
  CHECK(relay.empty());
  REQUIRE(send(relay, 0, 256 * kKiB, heard_by(1)).ok());
  CHECK_FALSE(relay.emitted(kWorker, kToken, 256 * kKiB, 1, heard_by(1)).ok());
  CHECK_FALSE(relay.emitted(kWorker, kToken, 0, 1, heard_by(1)).ok());
  relay.taken(1, kToken.task, kToken.attempt, 1);
  CHECK(relay.emitted(kWorker, kToken, 256 * kKiB, 1, heard_by(1)).ok());
}

TEST_CASE("output that nobody listens to counts as taken") {
  OutputRelay relay;
  REQUIRE(send(relay, 0, 128 * kKiB, kUnheard).ok());
  CHECK(told(relay) == 384 * kKiB);
  // Nor does a call wait whose task is not known any more.
  CHECK(relay.emitted(kWorker, {9, 1, 4}, 256 * kKiB, 10, kStale).ok());
  CHECK(told(relay) == 512 * kKiB + 10);
}

TEST_CASE("what was lost on the way from the worker counts as taken") {
  OutputRelay relay;
  SUBCASE("all of it, and the credit is used up") {
    REQUIRE(relay.emitted(kWorker, kToken, 256 * kKiB, 0, heard_by(1)).ok());
    CHECK(told(relay) == 512 * kKiB);
  }
  SUBCASE("between output that the listener has and output that it gets") {
    REQUIRE(relay.emitted(kWorker, kToken, 0, 10 * kKiB, heard_by(1)).ok());
    REQUIRE(relay.emitted(kWorker, kToken, 200 * kKiB, 56 * kKiB, heard_by(1)).ok());
    CHECK(told(relay) == 0);  // the first part is still on its way to the listener
    relay.taken(1, kToken.task, kToken.attempt, 10 * kKiB);
    CHECK(told(relay) == 456 * kKiB);
    relay.taken(1, kToken.task, kToken.attempt, 256 * kKiB);
    CHECK(told(relay) == 512 * kKiB);
  }
  SUBCASE("twice in a row") {
    REQUIRE(relay.emitted(kWorker, kToken, 0, 10 * kKiB, heard_by(1)).ok());
    REQUIRE(relay.emitted(kWorker, kToken, 100 * kKiB, 0, heard_by(1)).ok());
    REQUIRE(relay.emitted(kWorker, kToken, 256 * kKiB, 0, heard_by(1)).ok());
    relay.taken(1, kToken.task, kToken.attempt, 10 * kKiB);
    CHECK(told(relay) == 512 * kKiB);
  }
}

TEST_CASE("a worker that came back is told its credit again") {
  OutputRelay relay;
  REQUIRE(send(relay, 0, 256 * kKiB, heard_by(1)).ok());
  relay.taken(1, kToken.task, kToken.attempt, 256 * kKiB);
  CHECK(told(relay) == 512 * kKiB);  // lost with the connection
  relay.announced(kWorker + 1);
  CHECK(told(relay) == 0);
  relay.announced(kWorker);
  CHECK(told(relay) == 512 * kKiB);
}

TEST_CASE("what was on its way to a client that went away or came back is nobody's") {
  OutputRelay relay;
  REQUIRE(send(relay, 0, 256 * kKiB, heard_by(1)).ok());
  SUBCASE("back on a new connection") { relay.came_back(1); }
  SUBCASE("gone") {
    relay.refresh([](WorkerId, const AttemptToken&) { return kUnheard; });
  }
  SUBCASE("another listens instead") {
    relay.refresh([](WorkerId, const AttemptToken&) { return heard_by(2); });
  }
  CHECK(told(relay) == 512 * kKiB);
}

TEST_CASE("a call is forgotten at its own end, not at that of an earlier attempt") {
  OutputRelay relay;
  const AttemptToken again{1, 2, kToken.task};
  REQUIRE(send(relay, 0, 256 * kKiB, heard_by(1)).ok());
  REQUIRE(relay.emitted(kWorker + 1, again, 0, 10, heard_by(1)).ok());  // a new attempt has a credit of its own
  relay.ended(kWorker, kToken);
  CHECK_FALSE(relay.empty());
  relay.ended(kWorker + 1, again);
  CHECK(relay.empty());
  REQUIRE(relay.emitted(kWorker, kToken, 0, 10, heard_by(1)).ok());
  relay.refresh([](WorkerId, const AttemptToken&) { return kStale; });
  CHECK(relay.empty());
}

}  // namespace
}  // namespace futured::daemon
