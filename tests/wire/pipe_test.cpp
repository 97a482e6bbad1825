#include "proto/pipe.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

using namespace futured;
using wire::Pipe;

namespace {
Pipe::Frames message(const std::string& text) { return {Slice::copy(text)}; }
}  // namespace

TEST_CASE("a pipe hands messages over in order and wakes once for an empty queue") {
  auto [a, b] = Pipe::make();
  int woken = 0;
  b->on_readable([&] { ++woken; });
  CHECK(a->send(message("one")));
  CHECK(a->send(message("two")));
  CHECK(woken == 1);
  std::vector<Pipe::Frames> got;
  CHECK(b->receive(got));
  REQUIRE(got.size() == 2);
  CHECK(got[0][0].view() == "one");
  CHECK(got[1][0].view() == "two");
  CHECK(a->send(message("three")));
  CHECK(woken == 2);
}

TEST_CASE("what was sent before the end arrives, then the end is told") {
  auto [a, b] = Pipe::make();
  CHECK(a->send(message("last words")));
  a->close();
  std::vector<Pipe::Frames> got;
  CHECK(b->receive(got));
  CHECK(got.size() == 1);
  got.clear();
  CHECK_FALSE(b->receive(got));
  CHECK_FALSE(b->send(message("too late")));
}

TEST_CASE("an end outlives the other") {
  auto [a, b] = Pipe::make();
  a->close();
  a.reset();
  std::vector<Pipe::Frames> got;
  CHECK_FALSE(b->receive(got));
}

TEST_CASE("no message and no wake-up is lost between two threads") {
  constexpr int kMessages = 20'000;
  auto [a, b] = Pipe::make();
  std::mutex mutex;
  std::condition_variable wake;
  bool woken = false;
  b->on_readable([&] {
    const std::lock_guard lock(mutex);
    woken = true;
    wake.notify_one();
  });
  std::thread sender([&a = a] {
    for (int i = 0; i < kMessages; ++i) a->send(message(std::to_string(i)));
    a->close();
  });
  int next = 0;
  std::vector<Pipe::Frames> got;
  for (bool open = true; open;) {
    {
      std::unique_lock lock(mutex);
      wake.wait(lock, [&] { return woken; });
      woken = false;
    }
    for (;;) {
      got.clear();
      open = b->receive(got);
      if (got.empty()) break;
      for (const auto& m : got) CHECK(m[0].view() == std::to_string(next++));
    }
  }
  sender.join();
  CHECK(next == kMessages);
}
