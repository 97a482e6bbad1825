// Futures and ways of waiting, without any daemon.
#include "futured/future.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <unordered_map>

#include "client/cell.hpp"
#include "futured/executor.hpp"
#include "futured/wait.hpp"

using namespace futured;
using namespace std::chrono_literals;

namespace {

struct Text {  // looks like a protobuf message
  std::string value;
  bool ParseFromArray(const void* data, int size) {
    value.assign(static_cast<const char*>(data), static_cast<std::size_t>(size));
    return value != "bad";
  }
  bool SerializeToString(std::string* out) const {
    *out = value;
    return value != "cannot";
  }
};

}  // namespace

TEST_CASE("a default future refers to nothing and says so") {
  const Future<int> f;
  CHECK_FALSE(f.valid());
  CHECK_THROWS_AS((void)f.done(), InvalidStateError);
  CHECK_THROWS_AS((void)f.result(), InvalidStateError);
  CHECK(to_string(f) == "<Future of no call>");
}

TEST_CASE("copies share the outcome, whose reference lives as long as one of them") {
  Future<int> copy;
  {
    const Promise<int> p;
    copy = p.future();
    p.set_result(42);
  }
  const int& r = copy.result();
  const Future<int> another = std::move(copy);
  CHECK(r == 42);
  CHECK(&another.result() == &r);
}

TEST_CASE("results need not be copyable, nor have a default") {
  Promise<std::unique_ptr<int>> p;
  p.set_result(std::make_unique<int>(5));
  const auto f = p.future();
  CHECK(*f.result() == 5);
  CHECK(*p.future().result() == 5);  // of a temporary: moved out
  struct NoDefault {
    explicit NoDefault(int x) : v(x) {}
    int v;
  };
  Promise<NoDefault> q;
  q.set_result(7);
  CHECK(q.future().result().v == 7);
  Promise<void> v;
  v.set_result();
  v.future().result();
}

TEST_CASE("futures are keys of ordered and unordered maps, and such a map can be waited for") {
  std::vector<Promise<int>> promises(3);
  std::map<Future<int>, std::string> ordered;
  std::unordered_map<Future<int>, std::string> unordered;
  for (int i = 0; i < 3; ++i) {
    ordered[promises[static_cast<std::size_t>(i)].future()] = std::to_string(i);
    unordered[promises[static_cast<std::size_t>(i)].future()] = std::to_string(i);
    promises[static_cast<std::size_t>(i)].set_result(i);
  }
  int seen = 0;
  for (auto& f : as_completed(ordered)) {
    CHECK(ordered.at(f) == std::to_string(f.result()));
    ++seen;
  }
  for (auto& f : as_completed(unordered, 1s)) {
    CHECK(unordered.at(f) == std::to_string(f.result()));
    ++seen;
  }
  CHECK(seen == 6);
  CHECK(wait(ordered).done.size() == 3);
}

TEST_CASE("a negative or enormous timeout is no overflow") {
  Promise<int> p;
  CHECK_THROWS_AS((void)p.future().result(-5s), TimeoutError);
  p.set_result(1);
  CHECK(p.future().result(std::chrono::nanoseconds::max()) == 1);
  CHECK(p.future().result(std::chrono::hours(24 * 365 * 200)) == 1);
}

TEST_CASE("outcomes and waiters race: no wake-up is lost") {
  constexpr int kRounds = 2000;
  for (int round = 0; round < kRounds; ++round) {
    Promise<int> p;
    std::thread waiter([f = p.future(), round] { CHECK(f.result(30s) == round); });
    if (round % 3 == 0) std::this_thread::yield();
    p.set_result(round);
    waiter.join();
  }
}

TEST_CASE("results, cancels, callbacks and waits on one future race: one outcome, each callback once") {
  for (int round = 0; round < 500; ++round) {
    Promise<int> p;
    const Future<int> f = p.future();
    std::atomic<int> called{0}, set{0}, cancelled{0};
    std::vector<std::thread> threads;
    threads.emplace_back([&] {
      for (int i = 0; i < 10; ++i) f.add_done_callback([&](Future<int>& g) { called += g.done() ? 1 : 1000; });
    });
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&, i] {
        try {
          p.set_result(i);
          ++set;
        } catch (const InvalidStateError&) {
        }
      });
    }
    threads.emplace_back([&] { cancelled += f.cancel() ? 1 : 0; });
    threads.emplace_back([&] {
      try {
        (void)f.result(30s);
      } catch (const CancelledError&) {
      }
    });
    threads.emplace_back([&] { (void)wait(std::vector{f}, 1ms); });
    for (auto& t : threads) t.join();
    CHECK(called == 10);
    CHECK(set + cancelled == 1);
    CHECK(f.cancelled() == (cancelled == 1));
  }
}

TEST_CASE("several threads pass over the same futures, and passes are abandoned halfway") {
  constexpr std::size_t kFutures = 2000;
  std::vector<Promise<std::size_t>> promises(kFutures);
  std::vector<Future<std::size_t>> futures;
  for (auto& p : promises) futures.push_back(p.future());
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::size_t seen = 0;
      for (auto& f : as_completed(futures, 60s)) {
        ++seen;
        if (t >= 2 && f.result() == 500 * t) break;
      }
      if (t < 2) CHECK(seen == kFutures);
    });
  }
  threads.emplace_back([&futures] {
    while (!wait(futures, 1ms).not_done.empty()) {
    }
  });
  for (std::size_t i = 0; i < kFutures; ++i) promises[i].set_result(i);
  for (auto& t : threads) t.join();
}

TEST_CASE("as_completed lets go of what it has handed out") {
  std::weak_ptr<int> watch;
  std::vector<Promise<std::shared_ptr<int>>> promises(2);
  std::vector<Future<std::shared_ptr<int>>> futures{promises[0].future(), promises[1].future()};
  auto value = std::make_shared<int>(1);
  watch = value;
  promises[0].set_result(std::move(value));
  promises.erase(promises.begin());
  auto pass = as_completed(futures);
  futures.clear();
  auto i = pass.begin();
  CHECK_FALSE(watch.expired());
  promises[0].set_result(nullptr);
  ++i;
  CHECK(watch.expired());
}

TEST_CASE("bytes are read into any message type, once per type, and a reply that is none is an error") {
  using detail::CellRef;
  const CellRef cell = detail::make_cell();
  detail::WakeList wakes;
  CHECK(cell.get()->succeed(Slice::of("hello"), wakes));
  const auto as_text = FutureAccess::make<Text>(cell);
  const auto as_bytes = FutureAccess::make<std::string>(cell);
  CHECK(as_text.result().value == "hello");
  CHECK(&as_text.result() == &as_text.result());
  CHECK(as_bytes.result() == "hello");
  CHECK(as_bytes.bytes() == "hello");
  const CellRef bad = detail::make_cell();
  CHECK(bad.get()->succeed(Slice::of("bad"), wakes));
  CHECK_THROWS_AS((void)FutureAccess::make<Text>(bad).result(), InvalidStateError);
  CHECK(detail::Input(Text{"x"}).view() == "x");
  CHECK_FALSE(detail::Input(Text{"cannot"}).valid());
}

TEST_CASE("typed reading by many threads gives one object") {
  for (int round = 0; round < 200; ++round) {
    const detail::CellRef cell = detail::make_cell();
    detail::WakeList wakes;
    CHECK(cell.get()->succeed(Slice::of("hello"), wakes));
    std::vector<std::thread> threads;
    std::vector<const std::string*> at(4);
    for (std::size_t i = 0; i < at.size(); ++i) {
      threads.emplace_back([&, i] {
        const auto f = FutureAccess::make<std::string>(cell);
        at[i] = &f.result();
      });
    }
    for (auto& t : threads) t.join();
    CHECK(std::set<const std::string*>(at.begin(), at.end()).size() == 1);
  }
}

TEST_CASE("task options copy on write, and wrong values are refused at once") {
  TaskOptions a;
  CHECK(a.data() == nullptr);
  a.priority(5).retries(2).label("k", "v").timeout(2s);
  TaskOptions b = a;
  b.priority(7);
  CHECK(a.data()->spec.priority == 5);
  CHECK(b.data()->spec.priority == 7);
  CHECK(b.data()->spec.labels == detail::SpecData::Pairs{{"k", "v"}});
  CHECK(b.data()->spec.timeout_ns == 2'000'000'000);
  CHECK_THROWS_AS(a.priority(101), std::invalid_argument);
  CHECK_THROWS_AS(a.timeout(-1s), std::invalid_argument);
  CHECK_THROWS_AS(MapOptions().buffersize(0), std::invalid_argument);
  CHECK_THROWS_AS(MapOptions().chunksize(-1), std::invalid_argument);
}
