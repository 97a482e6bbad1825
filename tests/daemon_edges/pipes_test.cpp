// In-process connections and wake-ups alone: no libzmq, so that a thread checker sees all there is.
#include <doctest/doctest.h>

#include <map>
#include <thread>

#include "tests/daemon_edges/transport_support.hpp"

using namespace futured;
using namespace futured::daemon;
using namespace futured::test;

TEST_CASE("an in-process connection behaves like a socket") {
  auto t = open_at({});
  auto end = t->connect();
  end->send(frames_of({"hello"}));
  auto got = receive(*t);
  REQUIRE(got);
  CHECK(got->frames == std::vector<std::string>{"hello"});
  CHECK(t->peer(got->from).local_process);
  CHECK(t->send(got->from, frames_of({"welcome"})) == Transport::Sent::ok);
  std::vector<daemon::Frames> in;
  CHECK(end->receive(in));
  REQUIRE(in.size() == 1);
  CHECK(text(in[0]) == std::vector<std::string>{"welcome"});

  SUBCASE("its end is told once, after what it had sent") {
    end->send(frames_of({"last words"}));
    end->close();
    auto last = receive(*t);
    REQUIRE(last);
    CHECK(last->frames == std::vector<std::string>{"last words"});
    CHECK(gone(*t) == got->from);
    ConnectionId again = 0;
    CHECK_FALSE(t->next_gone(again));
    CHECK(t->send(got->from, frames_of({"x"})) == Transport::Sent::gone);
  }
  SUBCASE("closing it here is seen there") {
    t->close(got->from);
    in.clear();
    CHECK_FALSE(end->receive(in));
  }
  SUBCASE("the end of the transport is seen there") {
    t.reset();
    in.clear();
    CHECK_FALSE(end->receive(in));
  }
}

TEST_CASE("wake ends a sleep from another thread, and one that has not begun") {
  auto t = open_at({});
  t->wake();
  const std::int64_t begin = now_ns();
  t->wait(20 * kSecond, {});
  std::thread other([&] { t->wake(); });
  t->wait(20 * kSecond, {});
  other.join();
  CHECK(now_ns() - begin < 10 * kSecond);
}

TEST_CASE("many wakes and messages from threads lose nothing") {
  auto t = open_at({});
  constexpr int kThreads = 4;
  constexpr int kMessages = 5000;
  std::vector<std::thread> threads;
  std::vector<std::unique_ptr<wire::Pipe::End>> ends(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      ends[static_cast<std::size_t>(i)] = t->connect();
      for (int n = 0; n < kMessages; ++n) ends[static_cast<std::size_t>(i)]->send(frames_of({std::to_string(n)}));
    });
  }
  std::map<ConnectionId, int> next;
  for (int n = 0; n < kThreads * kMessages; ++n) {
    auto got = receive(*t);
    REQUIRE(got);
    REQUIRE(got->frames[0] == std::to_string(next[got->from]++));  // in order
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(next.size() == kThreads);
}
