// The behaviours of Python's concurrent.futures, written once and run against every kind of executor. A fixture says
// how to make an executor and how to call the few functions that the tests need:
//
//   struct F {
//     explicit F(std::size_t workers);       // at most that many calls at once
//     Future<std::string> echo(std::string); // returns its input
//     Future<std::string> nap(double s);     // sleeps, then returns nothing; occupies a worker
//     Future<std::string> fail(std::string); // fails with that message
//     MapResults<std::string> map_echo(inputs, MapOptions); MapResults<std::string> map_nap(seconds, MapOptions);
//     void shutdown(bool wait, bool cancel_futures);
//     void fill();                           // occupies all workers until release()
//     void release();
//   };
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <future>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "futured/executor.hpp"

namespace futured::conformance {

using namespace std::chrono_literals;

inline std::vector<std::string> words(std::size_t n) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < n; ++i) out.push_back(std::to_string(i));
  return out;
}

/// An input that counts how far it was read and never ends.
class Endless {
 public:
  explicit Endless(std::atomic<int>& read) : read_(&read) {}
  class iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = std::string;
    using difference_type = std::ptrdiff_t;
    using pointer = const std::string*;
    using reference = std::string;
    explicit iterator(std::atomic<int>* read) : read_(read) {}
    std::string operator*() const {
      ++*read_;
      return std::to_string(at_);
    }
    iterator& operator++() {
      ++at_;
      return *this;
    }
    void operator++(int) { ++at_; }
    friend bool operator==(const iterator&, const iterator&) { return false; }

   private:
    std::atomic<int>* read_;
    int at_ = 0;
  };
  iterator begin() const { return iterator(read_); }
  iterator end() const { return iterator(read_); }

 private:
  std::atomic<int>* read_;
};

}  // namespace futured::conformance

TEST_CASE_TEMPLATE_DEFINE("executors", F, executor_suite) {
  using namespace futured;
  using namespace futured::conformance;

  SUBCASE("submit gives the result") {
    F f(5);
    CHECK(f.echo("256").result(60s) == "256");
  }
  SUBCASE("map keeps the order of the input, with any chunksize") {
    F f(5);
    const auto inputs = words(50);
    for (const int chunksize : {1, 3, 100}) {
      std::vector<std::string> out;
      for (auto& r : f.map_echo(inputs, MapOptions().chunksize(chunksize))) out.push_back(r);
      CHECK(out == inputs);
    }
  }
  SUBCASE("map of nothing is empty") {
    F f(2);
    for (auto& r : f.map_echo({}, MapOptions())) FAIL("a result: ", r);
    for (auto& r : f.map_echo({}, MapOptions().buffersize(3))) FAIL("a result: ", r);
  }
  SUBCASE("an error in map comes at its place and the pass goes on behind it") {
    F f(2);
    auto results = f.map_mixed({"1", "!oops", "3"}, MapOptions());
    auto i = results.begin();
    CHECK(*i == "1");
    ++i;
    CHECK_THROWS((void)*i);
    ++i;
    CHECK(*i == "3");
    ++i;
    CHECK(i == results.end());
    auto again = f.map_mixed({"1", "!oops", "3"}, MapOptions());
    std::string shape;
    for (auto& o : again.outcomes()) shape += o ? o.value() : std::string("!");
    CHECK(shape == "1!3");
  }
  SUBCASE("map with a timeout gives what came in time, then TimeoutError, then nothing") {
    F f(1);
    auto results = f.map_nap({0, 0, 3, 0}, MapOptions().timeout(1500ms));
    std::size_t came = 0;
    bool timed_out = false;
    for (auto i = results.begin(); i != results.end(); ++i) {
      try {
        (void)*i;
        ++came;
      } catch (const TimeoutError&) {
        timed_out = true;
      }
    }
    CHECK(came == 2);
    CHECK(timed_out);
  }
  SUBCASE("closing a map cancels what has not started") {
    F f(1);
    f.fill();
    auto results = f.map_echo(words(20), MapOptions());
    results.close();
    CHECK(results.begin() == results.end());
    f.release();
    f.shutdown(true, false);
  }
  SUBCASE("a buffersize bounds how far the input is read") {
    F f(2);
    std::atomic<int> read{0};
    auto results = f.map_any(Endless(read), MapOptions().buffersize(4));
    CHECK(read == 4);
    auto i = results.begin();
    CHECK(*i == "0");
    CHECK(read == 4);
    ++i;
    CHECK(read == 5);
    for (int k = 1; k < 30; ++k, ++i) CHECK(*i == std::to_string(k));
    CHECK(read == 34);
  }
  SUBCASE("submitting races with shutdown without hanging") {
    F f(2);
    std::vector<Future<std::string>> got;
    std::thread submitter([&] {
      try {
        for (int i = 0; i < 2000; ++i) got.push_back(f.echo("x"));
      } catch (const ShutdownError&) {
      }
    });
    f.shutdown(false, false);
    submitter.join();
    f.shutdown(true, false);
    for (auto& g : got) CHECK(g.result(60s) == "x");
  }
  SUBCASE("an error of the task is the error of the future, each with its own") {
    F f(2);
    auto a = f.fail("a");
    auto b = f.fail("b");
    CHECK(a.exception(60s) != nullptr);
    CHECK(a.exception() != b.exception());
    CHECK_FALSE(a.cancelled());
    try {
      (void)b.result(60s);
      FAIL("it succeeded");
    } catch (const std::exception& e) {
      CHECK(std::string(e.what()).find('b') != std::string::npos);
    }
  }
}

TEST_CASE_TEMPLATE_DEFINE("futures", F, future_suite) {
  using namespace futured;
  using namespace futured::conformance;

  SUBCASE("a running call cannot be cancelled, a finished one neither, a waiting one can") {
    F f(1);
    f.fill();
    auto waiting = f.echo("x");
    CHECK_THROWS_AS((void)waiting.result(0s), TimeoutError);
    CHECK_THROWS_AS((void)waiting.exception(10ms), TimeoutError);
    CHECK_FALSE(waiting.done());
    CHECK(waiting.cancel());
    CHECK(waiting.cancelled());
    CHECK(waiting.done());
    CHECK(waiting.cancel());
    CHECK_THROWS_AS((void)waiting.result(0s), CancelledError);
    CHECK_THROWS_AS((void)waiting.exception(0s), CancelledError);
    f.release();
    auto done = f.echo("y");
    CHECK(done.result(60s) == "y");
    CHECK(done.done());
    CHECK_FALSE(done.running());
    CHECK_FALSE(done.cancel());
    CHECK_FALSE(done.cancelled());
    CHECK(done.exception() == nullptr);
  }
  SUBCASE("a waiter wakes with the value, or with the cancellation") {
    F f(1);
    f.fill();
    auto a = f.echo("x");
    auto b = f.echo("y");
    auto gets_cancel = std::async(std::launch::async, [a] { CHECK_THROWS_AS((void)a.result(60s), CancelledError); });
    auto gets_value = std::async(std::launch::async, [b] { CHECK(b.result(60s) == "y"); });
    CHECK(a.cancel());
    gets_cancel.get();
    f.release();
    gets_value.get();
  }
  SUBCASE("done callbacks are called once, with the future done, whatever the outcome; one that throws hurts nobody") {
    F f(1);
    f.fill();
    auto value = f.echo("v");
    auto error = f.fail("e");
    auto cancelled = f.echo("c");
    std::promise<void> all;
    std::atomic<int> calls{0};
    for (auto* g : {&value, &error, &cancelled}) {
      g->add_done_callback([](auto&) { throw std::runtime_error("on purpose"); });
      g->add_done_callback([&](Future<std::string>& done) {
        CHECK(done.done());
        if (++calls == 3) all.set_value();
      });
    }
    CHECK(cancelled.cancel());
    f.release();
    CHECK(all.get_future().wait_for(60s) == std::future_status::ready);
    // Already done: here and now.
    for (auto* g : {&value, &error, &cancelled}) {
      std::thread::id where;
      g->add_done_callback([](auto&) { throw std::runtime_error("on purpose"); });
      g->add_done_callback([&](auto&) { where = std::this_thread::get_id(); });
      CHECK(where == std::this_thread::get_id());
    }
    CHECK(calls == 3);
  }
}

TEST_CASE_TEMPLATE_DEFINE("wait and as_completed", F, wait_suite) {
  using namespace futured;
  using namespace futured::conformance;

  SUBCASE("wait for all") {
    F f(3);
    std::vector fs{f.nap(0.01), f.echo("a"), f.fail("b")};
    auto [done, not_done] = futured::wait(fs, 60s);
    CHECK(done.size() == 3);
    CHECK(not_done.empty());
  }
  SUBCASE("wait for the first") {
    F f(2);
    f.fill();
    std::vector fs{f.echo("1"), f.echo("2")};
    auto early = futured::wait(fs, 20ms, ReturnWhen::FirstCompleted);
    CHECK(early.done.empty());
    CHECK(early.not_done.size() == 2);
    CHECK(fs[1].cancel());
    f.release();
    auto [done, not_done] = futured::wait(fs, 60s, ReturnWhen::FirstCompleted);
    CHECK_FALSE(done.empty());
    auto at_once = futured::wait(std::vector{fs[0], fs[1]}, ReturnWhen::AllCompleted);
    CHECK(at_once.done.size() == 2);
  }
  SUBCASE("wait for the first error: at once if there is one already") {
    F f(2);
    auto slow = f.nap(0.3);
    auto bad = f.fail("x");
    auto good = f.echo("y");
    CHECK(bad.exception(60s) != nullptr);
    auto result = futured::wait(std::vector{slow, bad, good}, 60s, ReturnWhen::FirstException);
    CHECK(std::find(result.done.begin(), result.done.end(), bad) != result.done.end());
    auto none = futured::wait(std::vector{slow, good}, 60s, ReturnWhen::FirstException);
    CHECK(none.not_done.empty());
  }
  SUBCASE("duplicates collapse") {
    F f(2);
    auto a = f.echo("a");
    CHECK(futured::wait(std::vector{a, a, a}, 60s).done.size() == 1);
    int n = 0;
    for (auto& g : futured::as_completed(std::vector{a, a}, 60s)) n += g == a ? 1 : 100;
    CHECK(n == 1);
  }
  SUBCASE("a timeout splits done from not done") {
    F f(2);
    auto quick = f.echo("q");
    CHECK(quick.result(60s) == "q");
    f.fill();
    auto slow = f.echo("s");
    auto [done, not_done] = futured::wait(std::vector{quick, slow}, 10ms);
    CHECK(done == std::vector{quick});
    CHECK(not_done == std::vector{slow});
    f.release();
  }
  SUBCASE("as_completed gives each once, as it completes") {
    F f(5);
    std::vector<Future<std::string>> fs;
    for (const auto& w : words(100)) fs.push_back(f.echo(w));
    std::set<std::string> seen;
    for (auto& g : futured::as_completed(fs, 60s)) seen.insert(g.result());
    CHECK(seen.size() == 100);
  }
  SUBCASE("as_completed times out and says how many are left") {
    F f(1);
    auto a = f.echo("a");
    auto b = f.echo("b");
    CHECK(a.result(60s) + b.result(60s) == "ab");
    f.fill();
    auto c = f.echo("c");
    auto d = f.echo("d");
    for (const auto timeout : {0ms, 100ms}) {
      int n = 0;
      std::string message;
      try {
        for (auto& g : futured::as_completed(std::vector{a, b, c, d}, timeout)) n += g.done() ? 1 : 100;
      } catch (const TimeoutError& e) {
        message = e.what();
      }
      CHECK(n == 2);
      CHECK(message == "2 (of 4) futures unfinished");
    }
    f.release();
  }
  SUBCASE("a hundred short calls finish while we wait: no wake-up is lost") {
    F f(5);
    for (int round = 0; round < 20; ++round) {
      std::vector<Future<std::string>> fs;
      for (int i = 0; i < 100; ++i) fs.push_back(f.echo(""));
      CHECK(futured::wait(fs, 60s).not_done.empty());
    }
  }
}

TEST_CASE_TEMPLATE_DEFINE("shutdown", F, shutdown_suite) {
  using namespace futured;
  using namespace futured::conformance;

  SUBCASE("after shutdown submit is refused") {
    F f(2);
    f.shutdown(true, false);
    CHECK_THROWS_AS((void)f.echo("x"), ShutdownError);
    f.shutdown(true, false);
  }
  SUBCASE("what was submitted before shutdown finishes") {
    F f(5);
    std::vector<Future<std::string>> fs;
    for (int i = 0; i < 50; ++i) fs.push_back(f.nap(0.01));
    f.shutdown(true, false);
    for (auto& g : fs) {
      CHECK(g.done());
      (void)g.result(0s);
    }
  }
  SUBCASE("shutdown without waiting: the results are computed all the same") {
    F f(5);
    std::vector<Future<std::string>> fs;
    for (const auto& w : words(20)) fs.push_back(f.echo(w));
    f.shutdown(false, false);
    for (std::size_t i = 0; i < fs.size(); ++i) CHECK(fs[i].result(60s) == std::to_string(i));
  }
  SUBCASE("shutdown with cancel_futures: most are cancelled, the others done, none is left pending") {
    F f(2);
    f.fill();
    std::vector<Future<std::string>> fs;
    for (int i = 0; i < 50; ++i) fs.push_back(f.nap(0.01));
    std::thread releaser([&f, &fs] {
      // The first cancelled one shows that the shutdown has begun.
      while (!fs.back().cancelled()) std::this_thread::sleep_for(1ms);
      f.release();
    });
    f.shutdown(true, true);
    releaser.join();
    const auto cancelled = std::count_if(fs.begin(), fs.end(), [](const auto& g) { return g.cancelled(); });
    CHECK(cancelled > 20);
    for (auto& g : fs) CHECK(g.done());
  }
  SUBCASE("shutdown(false, cancel_futures) leaves nothing pending either") {
    F f(1);
    f.fill();
    std::vector<Future<std::string>> fs;
    for (int i = 0; i < 20; ++i) fs.push_back(f.echo("x"));
    f.shutdown(false, true);
    f.release();
    CHECK(futured::wait(fs, 60s).not_done.empty());
  }
}
