#include <pthread.h>

#include <functional>
#include <mutex>

#include "tests/conformance/gate.hpp"
#include "tests/conformance/suite.hpp"

using namespace futured;
using namespace futured::conformance;

namespace {

struct PoolFixture {
  explicit PoolFixture(std::size_t n) : workers(n), pool(static_cast<std::ptrdiff_t>(n)) {}
  ~PoolFixture() { release(); }
  Future<std::string> echo(std::string s) {
    return pool.submit([](std::string w) { return w; }, std::move(s));
  }
  Future<std::string> nap(double s) {
    return pool.submit([s] {
      sleep_for(s);
      return std::string();
    });
  }
  Future<std::string> fail(std::string s) {
    return pool.submit([s]() -> std::string { throw std::runtime_error(s); });
  }
  MapResults<std::string> map_echo(const std::vector<std::string>& in, const MapOptions& o) {
    return pool.map([](const std::string& s) { return s; }, in, o);
  }
  MapResults<std::string> map_mixed(const std::vector<std::string>& in, const MapOptions& o) {
    return pool.map(mixed, in, o);
  }
  template <class R>
  MapResults<std::string> map_any(R&& in, const MapOptions& o) {
    return pool.map([](const std::string& s) { return s; }, std::forward<R>(in), o);
  }
  MapResults<std::string> map_nap(const std::vector<double>& in, const MapOptions& o) {
    return pool.map(
        [](double s) {
          sleep_for(s);
          return std::string();
        },
        in, o);
  }
  void fill() {
    gate.close();
    for (std::size_t i = 0; i < workers; ++i) pool.submit([this] { gate.pass(); });
    gate.wait_for(workers);
  }
  void release() { gate.open(); }
  void shutdown(bool wait, bool cancel) { pool.shutdown(wait, cancel); }

  Gate gate;
  std::size_t workers;
  ThreadPoolExecutor pool;
};

std::string name_of_thread() {
  char name[16] = {};
  pthread_getname_np(pthread_self(), name, sizeof name);
  return name;
}

}  // namespace

TEST_CASE_TEMPLATE_INVOKE(executor_suite, PoolFixture);
TEST_CASE_TEMPLATE_INVOKE(future_suite, PoolFixture);
TEST_CASE_TEMPLATE_INVOKE(wait_suite, PoolFixture);
TEST_CASE_TEMPLATE_INVOKE(shutdown_suite, PoolFixture);

TEST_CASE("the states of a promise: what Python's FutureTests say") {
  Promise<int> pending, running, cancelled, notified, failed, succeeded;
  CHECK(running.set_running_or_notify_cancel());
  CHECK(cancelled.future().cancel());
  CHECK(notified.future().cancel());
  CHECK_FALSE(notified.set_running_or_notify_cancel());
  failed.set_exception(std::runtime_error("os"));
  succeeded.set_result(42);
  const auto row = [](const Promise<int>& p) {
    const auto f = p.future();
    return std::string(f.cancelled() ? "c" : "-") + (f.running() ? "r" : "-") + (f.done() ? "d" : "-");
  };
  CHECK(row(pending) == "---");
  CHECK(row(running) == "-r-");
  CHECK(row(cancelled) == "c-d");
  CHECK(row(notified) == "c-d");
  CHECK(row(failed) == "--d");
  CHECK(row(succeeded) == "--d");

  CHECK(to_string(pending.future()).find("state=pending>") != std::string::npos);
  CHECK(to_string(running.future()).find("state=running>") != std::string::npos);
  CHECK(to_string(cancelled.future()).find("state=cancelled>") != std::string::npos);
  CHECK(to_string(failed.future()).find("state=finished raised os>") != std::string::npos);
  CHECK(to_string(succeeded.future()).find("state=finished returned>") != std::string::npos);

  CHECK_THROWS_AS((void)pending.future().result(0s), TimeoutError);
  CHECK_THROWS_AS((void)running.future().result(0s), TimeoutError);
  CHECK_THROWS_AS((void)cancelled.future().result(0s), CancelledError);
  CHECK_THROWS_AS((void)notified.future().result(0s), CancelledError);
  CHECK_THROWS_AS((void)failed.future().result(0s), std::runtime_error);
  CHECK(succeeded.future().result(0s) == 42);
  CHECK(failed.future().exception(0s) != nullptr);
  CHECK(succeeded.future().exception(0s) == nullptr);
  CHECK_THROWS_AS((void)notified.future().exception(0s), CancelledError);

  CHECK_THROWS_AS(succeeded.set_result(1), InvalidStateError);
  CHECK_THROWS_AS(succeeded.set_exception(std::runtime_error("x")), InvalidStateError);
  CHECK_THROWS_AS(failed.set_exception(std::runtime_error("x")), InvalidStateError);
  CHECK_THROWS_AS(failed.set_result(1), InvalidStateError);
  CHECK_THROWS_AS((void)succeeded.set_running_or_notify_cancel(), InvalidStateError);
  CHECK_THROWS_AS((void)running.set_running_or_notify_cancel(), InvalidStateError);
  CHECK(succeeded.future().result() == 42);

  CHECK_FALSE(running.future().cancel());
  CHECK(cancelled.future().cancel());
  CHECK(notified.future().cancel());
  CHECK_FALSE(failed.future().cancel());
  CHECK_FALSE(succeeded.future().cancel());
  CHECK(pending.future().cancel());
}

TEST_CASE("a cancelled future counts as done for wait() when its executor has been told") {
  Promise<int> cancelled, pending;
  CHECK(cancelled.future().cancel());
  auto before = wait(std::vector{cancelled.future(), pending.future()}, 10ms, ReturnWhen::FirstCompleted);
  CHECK(before.done.empty());
  CHECK_FALSE(cancelled.set_running_or_notify_cancel());
  auto after = wait(std::vector{cancelled.future(), pending.future()}, 10s, ReturnWhen::FirstCompleted);
  CHECK(after.done == std::vector{cancelled.future()});
  CHECK(after.not_done == std::vector{pending.future()});
}

TEST_CASE("wait returns at the first completion or error, at once if there is one already") {
  Promise<int> failed, succeeded, pending;
  failed.set_exception(std::runtime_error("x"));
  succeeded.set_result(1);
  auto first = wait(std::vector{pending.future(), succeeded.future()}, ReturnWhen::FirstCompleted);
  CHECK(first.done.size() == 1);
  auto error = wait(std::vector{pending.future(), succeeded.future(), failed.future()}, ReturnWhen::FirstException);
  CHECK(error.done.size() == 2);
  CHECK(error.not_done.size() == 1);
  CHECK(wait(std::vector{pending.future(), succeeded.future()}, 10ms, ReturnWhen::FirstException).done.size() == 1);
}

TEST_CASE("callbacks are called in the order in which they were added") {
  Promise<int> p;
  std::string order;
  for (const char c : std::string("abc")) p.future().add_done_callback([&order, c](auto&) { order += c; });
  p.set_result(1);
  CHECK(order == "abc");
}

TEST_CASE("any callable and any result: functions, members, arguments by value, by reference, by move") {
  ThreadPoolExecutor pool(2);
  struct Adder {
    int base;
    int add(int x) const { return base + x; }
  };
  int target = 0;
  CHECK(pool.submit([](int a, int b) { return a + b; }, 2, 8).result() == 10);
  CHECK(pool.submit(&Adder::add, Adder{5}, 3).result() == 8);
  pool.submit([](int& t) { t = 7; }, std::ref(target)).result();
  CHECK(target == 7);
  CHECK(*pool.submit([](std::unique_ptr<int> p) { return p; }, std::make_unique<int>(3)).result() == 3);
  struct NoDefault {
    explicit NoDefault(std::string v) : text(std::move(v)) {}
    std::string text;
  };
  CHECK(pool.submit([] { return NoDefault("x"); }).result().text == "x");
}

TEST_CASE("arguments are released when the call is done, and a yielded result when the pass moves on") {
  ThreadPoolExecutor pool(1);
  auto big = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = big;
  auto f = pool.submit([](const std::shared_ptr<int>& p) { return *p; }, std::move(big));
  CHECK(f.result() == 1);
  CHECK(watch.expired());
}

TEST_CASE("a TimeoutError thrown by a call is not taken for the map's own") {
  ThreadPoolExecutor pool(1);
  auto results = pool.map(
      [](int i) {
        if (i == 1) throw TimeoutError("mine");
        return i;
      },
      std::vector{0, 1, 2}, MapOptions().timeout(60s));
  std::vector<int> out;
  for (auto& o : results.outcomes()) out.push_back(o ? o.value() : -1);
  CHECK(out == std::vector{0, -1, 2});
}

TEST_CASE("map along several ranges ends with the shortest; an endless one is fine with a buffer") {
  ThreadPoolExecutor pool(2);
  std::vector<int> out;
  for (auto& r : pool.map(
           MapOptions(), [](int a, int b) { return a * b; }, std::vector{1, 2, 3}, std::vector{4, 5})) {
    out.push_back(r);
  }
  CHECK(out == std::vector{4, 10});
  std::atomic<int> read{0};
  auto results = pool.map(
      MapOptions().buffersize(2), [](const std::string& a, int b) { return a + std::to_string(b); }, Endless(read),
      std::vector{7, 8, 9});
  std::string all;
  for (auto& r : results) all += r + " ";
  CHECK(all == "07 18 29 ");
}

TEST_CASE("map starts its calls before anybody looks at the results") {
  std::atomic<int> ran{0};
  {
    ThreadPoolExecutor pool(1);
    auto results = pool.map(
        [&](int) {
          ++ran;
          return 0;
        },
        std::vector{1, 2, 3});
    pool.shutdown(true);
    CHECK(ran == 3);
  }
}

TEST_CASE("a closed map has cancelled what had not started") {
  PoolFixture f(1);
  std::atomic<int> ran{0};
  f.fill();
  auto results = f.pool.map([&](int) { return ++ran; }, std::vector<int>(20));
  results.close();
  f.release();
  f.shutdown(true, false);
  CHECK(ran == 0);
}

TEST_CASE("max_workers: at least one; the default is CPUs + 4, at most 32") {
  CHECK_THROWS_AS(ThreadPoolExecutor(0), std::invalid_argument);
  CHECK_THROWS_AS(ThreadPoolExecutor(-1), std::invalid_argument);
  CHECK(ThreadPoolExecutor().max_workers() == std::min<std::size_t>(32, std::thread::hardware_concurrency() + 4));
}

TEST_CASE("threads start on demand, up to max_workers, and idle ones are used again") {
  PoolFixture few(4);
  CHECK(few.pool.threads() == 0);
  for (int i = 0; i < 20; ++i) CHECK(few.echo("x").result() == "x");
  CHECK(few.pool.threads() == 1);
  few.fill();
  CHECK(few.pool.threads() == 4);
  for (int i = 0; i < 20; ++i) few.echo("x");
  CHECK(few.pool.threads() == 4);
}

TEST_CASE("threads have the name asked for, or a default one") {
  ThreadPoolExecutor named(1, "SpecialPool");
  CHECK(named.submit(name_of_thread).result() == "SpecialPool_0");
  ThreadPoolExecutor plain(1);
  CHECK(plain.submit(name_of_thread).result().find("ThreadPool-") == 0);
}

TEST_CASE("the initializer runs first on each thread") {
  static thread_local int ready = 0;
  ThreadPoolExecutor pool(2, "", [] { ready = 1; });
  std::vector<Future<int>> fs;
  for (int i = 0; i < 10; ++i) fs.push_back(pool.submit([] { return ready; }));
  for (auto& f : fs) CHECK(f.result() == 1);
}

TEST_CASE("a failing initializer breaks the pool: pending and later calls get BrokenExecutor") {
  std::promise<void> go;
  ThreadPoolExecutor pool(1, "", [&] {
    go.get_future().wait();
    throw std::runtime_error("no");
  });
  auto a = pool.submit([] { return 1; });
  auto b = pool.submit([] { return 2; });
  go.set_value();
  CHECK_THROWS_AS((void)a.result(60s), BrokenExecutor);
  CHECK_THROWS_AS((void)b.result(60s), BrokenExecutor);
  CHECK_THROWS_AS((void)pool.submit([] { return 3; }), BrokenExecutor);
}

TEST_CASE("destroying a pool waits for its calls; inside one of them it does not") {
  std::atomic<bool> ran{false};
  {
    ThreadPoolExecutor pool(1);
    pool.submit([&] {
      sleep_for(0.05);
      ran = true;
    });
  }
  CHECK(ran);
  auto pool = std::make_shared<ThreadPoolExecutor>(1);
  std::promise<void> done;
  auto* raw = pool.get();
  raw->submit([&done, last = std::move(pool)]() mutable {
    last.reset();
    done.set_value();
  });
  CHECK(done.get_future().wait_for(60s) == std::future_status::ready);
}
