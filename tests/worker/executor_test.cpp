// The lanes and the host functions of the plugin ABI, with plugins made in this file. Also built with TSan.
#include "worker/executor/executor.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "worker/executor/host.hpp"

namespace {

using namespace futured;
using namespace futured::worker;

constexpr Time kSecond = 1'000'000'000;

// A gate that calls wait at until the test opens it.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  bool wait_for(int n) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return waiting_ >= n; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0;
  bool open_ = false;
};

// What the C functions of the test plugin do is set by each test.
std::function<void(void*, futured_call, futured_bytes)> on_run;
std::function<void(futured_call)> on_cancel;
std::function<void(futured_call)> on_writable;
std::function<void()> on_flush;
std::atomic<int> thread_inits{0};
std::atomic<int> thread_finis{0};

std::string_view view(futured_bytes b) { return {static_cast<const char*>(b.data), b.size}; }
futured_bytes bytes(std::string_view s) { return {s.data(), s.size()}; }
const futured_host& host() { return *host_table(); }
void fail_with(futured_call call, const std::string& why) {
  futured_failure f{};
  f.struct_size = sizeof f;
  f.message = bytes(why);
  host().fail(call, &f);
}

struct EndedCall {
  bool failed = false;
  Failure failure;
  std::string reply;
};

// An executor with a loop thread: this one.
struct Lanes {
  explicit Lanes(std::uint32_t threads, std::uint32_t async = 0, const std::string& slots = "") {
    on_run = [](void*, futured_call call, futured_bytes input) { host().complete(call, input); };
    on_cancel = nullptr;
    on_writable = nullptr;
    on_flush = nullptr;
    thread_inits = thread_finis = 0;
    plugin.name = "p";
    plugin.thread_init = []() -> void* {
      thread_local char state = 0;
      ++thread_inits;
      return &state;
    };
    plugin.thread_fini = [](void*) { ++thread_finis; };
    plugin.flush = [] {
      if (on_flush) on_flush();
    };
    type.name = "t";
    type.plugin = &plugin;
    type.run = [](void* state, futured_call call, futured_bytes input) { on_run(state, call, input); };
    type.cancel = [](futured_call call) {
      if (on_cancel) on_cancel(call);
    };
    type.on_writable = [](futured_call call) {
      if (on_writable) on_writable(call);
    };
    later = type;
    later.name = "later";
    later.lane = Lane::async;
    auto acquired = CallTable::acquire(4096);
    REQUIRE(acquired.ok());
    table = *acquired;
    generation = table->first_generation();
    auto made = Executor::make(*table, {threads, async, slots});
    REQUIRE(made.ok());
    executor = std::move(*made);
    executor->attach();
    spec.type = &type;
    later_spec.type = &later;
  }
  Lanes(const Lanes&) = delete;
  Lanes& operator=(const Lanes&) = delete;
  ~Lanes() {
    if (executor != nullptr) close();
  }
  void close() {
    executor.reset();
    Executor::detach();
    CallTable::release(table, generation);
  }

  CallId prepare(const CallSpec& what, std::string input = "", std::uint32_t index = UINT32_MAX) {
    if (index == UINT32_MAX) index = next_index++ % 4096;
    const CallId id = generation++ << (kIndexBits + kTagBits) | std::uint64_t{table->tag()} << kIndexBits | index;
    executor->prepare(id, {1, 2, ++task}, what, Slice::of(std::move(input)));
    return id;
  }
  CallId start(const CallSpec& what, std::string input = "") {
    const CallId id = prepare(what, std::move(input));
    executor->start(what.type->lane, {&id, 1});
    return id;
  }
  // One turn of a loop; sleeps as the worker's does.
  void turn(Time most) {
    Wakeup& wakeup = table->wakeup();
    wakeup.arm();
    if (!executor->has_news() && most > 0) {
      const Time until = std::min(executor->next_check(clock_now()), clock_now() + most);
      pollfd fd{wakeup.fd(), POLLIN, 0};
      if (::poll(&fd, 1, static_cast<int>((std::max<Time>(until - clock_now(), 0) + 999'999) / 1'000'000)) > 0)
        wakeup.drain();
    }
    wakeup.disarm();
    std::vector<Ended> now;
    executor->collect(clock_now(), true, now, emissions);
    for (Ended& e : now) {
      EndedCall& c = ended[e.call];
      c.reply = e.reply.view();
      c.failed = e.failure != nullptr;
      if (c.failed) c.failure = *e.failure;
      order.push_back(e.call);
    }
    executor->check(clock_now(), running);
  }
  bool wait_for(std::size_t n) {
    const Time until = clock_now() + 20 * kSecond;
    while (ended.size() < n && clock_now() < until) turn(until - clock_now());
    return ended.size() >= n;
  }

  Plugin plugin;
  TaskType type, later;
  CallSpec spec, later_spec;
  CallTable* table = nullptr;
  std::unique_ptr<Executor> executor;
  std::uint64_t generation = 1;
  std::uint32_t next_index = 0;
  std::uint64_t task = 0;
  std::map<CallId, EndedCall> ended;
  std::vector<CallId> order, running;
  std::vector<Emission> emissions;
};

TEST_CASE("a call on the thread lane ends with its reply, and the loop is woken") {
  Lanes l(2);
  const CallId a = l.start(l.spec, "hello");
  const CallId b = l.start(l.spec, std::string(100'000, 'x'));
  REQUIRE(l.wait_for(2));
  CHECK(l.ended[a].reply == "hello");
  CHECK(l.ended[b].reply.size() == 100'000);
}

TEST_CASE("a function of the host program gives its result, and what it throws is the failure") {
  Lanes l(1);
  TaskType f;
  f.name = "f";
  f.plugin = &l.plugin;
  f.function = [](std::string_view in) -> std::string {
    if (in == "bad") throw std::runtime_error("no good");
    return std::string(in) + "!";
  };
  CallSpec spec;
  spec.type = &f;
  const CallId good = l.start(spec, "ok");
  const CallId bad = l.start(spec, "bad");
  REQUIRE(l.wait_for(2));
  CHECK(l.ended[good].reply == "ok!");
  CHECK(l.ended[bad].failed);
  CHECK(l.ended[bad].failure.message == "no good");
}

TEST_CASE("a call that its plugin did not end fails, and the message names plugin and type") {
  Lanes l(1);
  on_run = [](void*, futured_call, futured_bytes) {};
  const CallId a = l.start(l.spec);
  REQUIRE(l.wait_for(1));
  CHECK(l.ended[a].failed);
  CHECK(l.ended[a].failure.message.find("task t of plugin p") != std::string::npos);
}

TEST_CASE("a failure carries what the plugin said, and no field of a shorter struct is read") {
  Lanes l(1);
  on_run = [](void*, futured_call call, futured_bytes input) {
    futured_failure f{};
    f.struct_size = view(input) == "short" ? offsetof(futured_failure, status) : sizeof f;
    f.kind = FUTURED_EXIT;
    f.message = bytes("exit");
    f.status = 3;
    f.signal = 9;
    f.permanent = 1;
    f.retry_after_ns = 77;
    f.reply = bytes("rest");
    host().fail(call, &f);
  };
  const CallId full = l.start(l.spec);
  const CallId cut = l.start(l.spec, "short");
  REQUIRE(l.wait_for(2));
  CHECK(l.ended[full].failure.kind == ErrorKind::exit);
  CHECK(l.ended[full].failure.status == 3);
  CHECK(l.ended[full].failure.signal == 9);
  CHECK(l.ended[full].failure.permanent);
  CHECK(l.ended[full].failure.retry_after == 77);
  CHECK(l.ended[full].reply == "rest");
  CHECK(l.ended[cut].failure.message == "exit");
  CHECK(l.ended[cut].failure.status == 0);
  CHECK(l.ended[cut].reply.empty());
}

TEST_CASE("second and late ends do nothing, also when the place has a new call") {
  Lanes l(1);
  on_run = [](void*, futured_call call, futured_bytes) {
    host().complete(call, bytes("first"));
    host().complete(call, bytes("second"));
    fail_with(call, "third");
  };
  const CallId a = l.prepare(l.spec, "", 7);
  l.executor->start(Lane::thread, {&a, 1});
  REQUIRE(l.wait_for(1));
  CHECK(l.ended[a].reply == "first");
  host().complete(a, bytes("late"));
  host().complete(0, bytes("never"));
  host().complete(~futured_call{0}, bytes("never"));
  CHECK(host().cancelled(a) == 1);
  CHECK(host().result_reserve(a, 1) == nullptr);
  CHECK(host().emit(a, 1, bytes("x")) == FUTURED_GONE);
  Gate gate;
  on_run = [&gate](void*, futured_call call, futured_bytes) {
    gate.pass();
    host().complete(call, bytes("mine"));
  };
  const CallId b = l.prepare(l.spec, "", 7);
  l.executor->start(Lane::thread, {&b, 1});
  REQUIRE(gate.wait_for(1));
  host().complete(a, bytes("of another"));
  gate.open();
  REQUIRE(l.wait_for(2));
  CHECK(l.ended[b].reply == "mine");
  CHECK(l.order.size() == 2);
}

TEST_CASE("of many threads that end a call, one does") {
  Lanes l(1, 64);
  on_run = [](void*, futured_call, futured_bytes) {};
  for (int round = 0; round < 50; ++round) {
    const CallId id = l.start(l.later_spec);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([id, t] {
        host().progress(id, 0.5, bytes("half"));
        if (t % 2 == 0) {
          host().complete(id, bytes("done"));
        } else {
          fail_with(id, "not done");
        }
      });
    }
    for (std::thread& t : threads) t.join();
    REQUIRE(l.wait_for(static_cast<std::size_t>(round) + 1));
  }
  l.turn(0);
  CHECK(l.order.size() == 50);
}

TEST_CASE("a call taken back never runs, one that runs is never taken back") {
  Lanes l(2);
  std::atomic<int> ran{0};
  on_run = [&ran](void*, futured_call call, futured_bytes) {
    ++ran;
    host().complete(call, {});
  };
  int taken = 0;
  std::size_t total = 0;
  for (int round = 0; round < 200; ++round) {
    std::vector<CallId> ids;
    for (int i = 0; i < 20; ++i) ids.push_back(l.prepare(l.spec));
    l.executor->start(Lane::thread, ids);
    total += ids.size();
    for (std::size_t i = ids.size(); i > 0; --i) taken += l.executor->take_back(ids[i - 1]) ? 1 : 0;
    REQUIRE(l.wait_for(total - static_cast<std::size_t>(taken)));
  }
  l.executor->collect(clock_now(), true, *std::make_unique<std::vector<Ended>>(), l.emissions);
  CHECK(static_cast<std::size_t>(ran + taken) == total);
  CHECK(l.order.size() == static_cast<std::size_t>(ran));
}

TEST_CASE("a long call holds back neither what has ended nor what waits in its run") {
  for (const std::uint32_t threads : {1U, 2U}) {
    CAPTURE(threads);
    Lanes l(threads);
    Gate gate;
    on_run = [&gate](void*, futured_call call, futured_bytes input) {
      if (view(input) == "long") gate.pass();
      host().complete(call, {});
    };
    // Until the lane believes that these calls are very short and takes many at once.
    std::size_t total = 0;
    for (int round = 0; round < 50; ++round) {
      std::vector<CallId> ids;
      for (int i = 0; i < 64; ++i) ids.push_back(l.prepare(l.spec));
      l.executor->start(Lane::thread, ids);
      REQUIRE(l.wait_for(total += ids.size()));
    }
    std::vector<CallId> ids;
    for (int i = 0; i < 64; ++i) ids.push_back(l.prepare(l.spec, i == 20 ? "long" : ""));
    l.executor->start(Lane::thread, ids);
    // With one thread what came before it ends, with two everything else does.
    CHECK(l.wait_for(total + (threads == 1 ? 20 : 63)));
    CHECK(l.ended.count(ids[20]) == 0);
    CHECK(std::count(l.running.begin(), l.running.end(), ids[20]) == 1);
    if (threads == 1) {
      CHECK(l.executor->take_back(ids[40]));  // what waits behind it can still go elsewhere
      --total;
    }
    gate.open();
    CHECK(l.wait_for(total + 64));
  }
}

TEST_CASE("a call is seen running although it begins only when the loop sleeps") {
  Lanes l(1);
  for (std::size_t round = 0; round < 300; ++round) {
    Gate gate;
    on_run = [&gate](void*, futured_call call, futured_bytes) {
      gate.pass();
      host().complete(call, {});
    };
    const CallId a = l.start(l.spec);
    const Time until = clock_now() + 5 * kSecond;
    while (std::count(l.running.begin(), l.running.end(), a) == 0 && clock_now() < until) l.turn(until - clock_now());
    REQUIRE(std::count(l.running.begin(), l.running.end(), a) == 1);
    gate.open();
    REQUIRE(l.wait_for(round + 1));
  }
}

TEST_CASE("each thread has its own state of each plugin") {
  Gate gate;
  {
    Lanes l(3);
    std::mutex mutex;
    std::map<void*, std::thread::id> states;
    on_run = [&](void* state, futured_call call, futured_bytes) {
      gate.pass();
      {
        const std::lock_guard lock(mutex);
        states[state] = std::this_thread::get_id();
      }
      host().complete(call, {});
    };
    for (int i = 0; i < 9; ++i) l.start(l.spec);
    CHECK(gate.wait_for(3));
    gate.open();
    REQUIRE(l.wait_for(9));
    CHECK(states.size() == 3);
    CHECK(thread_inits == 3);
  }
  CHECK(thread_finis == 3);
}

TEST_CASE("a stop sets the flag and calls cancel; the call is still ended by its plugin") {
  Lanes l(1);
  Gate gate;
  std::atomic<int> cancels{0};
  on_run = [&gate](void*, futured_call call, futured_bytes) {
    const int before = host().cancelled(call);
    gate.pass();
    while (host().cancelled(call) == 0) std::this_thread::yield();
    fail_with(call, before == 0 ? "stopped" : "stopped too early");
  };
  on_cancel = [&cancels](futured_call) { ++cancels; };
  const CallId a = l.start(l.spec);
  REQUIRE(gate.wait_for(1));
  l.executor->stop(a);
  gate.open();
  REQUIRE(l.wait_for(1));
  CHECK(l.ended[a].failure.message == "stopped");
  CHECK(cancels == 1);
  l.executor->stop(a);
  CHECK(cancels == 1);
}

TEST_CASE("cancel may end the call itself") {
  Lanes l(0, 1);
  on_run = [](void*, futured_call, futured_bytes) {};
  on_cancel = [](futured_call call) { fail_with(call, "at once"); };
  const CallId a = l.start(l.later_spec);
  l.executor->stop(a);
  REQUIRE(l.wait_for(1));
  CHECK(l.ended[a].failure.message == "at once");
}

TEST_CASE("an end waits for a cancel that runs beside it: afterwards nothing of the call is touched") {
  Lanes l(1);
  Gate begun;
  std::atomic<bool> inside{false};
  std::atomic<bool> overlap{false};
  on_run = [&](void*, futured_call call, futured_bytes) {
    begun.pass();
    while (!inside) std::this_thread::yield();
    host().complete(call, {});
    if (inside) overlap = true;
  };
  on_cancel = [&](futured_call) {
    inside = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // room for the fault to show
    inside = false;
  };
  const CallId a = l.start(l.spec);
  REQUIRE(begun.wait_for(1));
  begun.open();
  l.executor->stop(a);
  REQUIRE(l.wait_for(1));
  CHECK_FALSE(overlap);
}

TEST_CASE("output is taken up to its credit, then again when there is room, and comes before the end") {
  Lanes l(1);
  CallSpec live = l.spec;
  live.live_output = true;
  const std::string chunk(64 * 1024, 'o');
  Gate full;
  std::atomic<int> writable{0};
  std::atomic<int> taken{0};
  on_writable = [&writable](futured_call) { ++writable; };
  on_run = [&](void*, futured_call call, futured_bytes) {
    while (host().emit(call, 1, bytes(chunk)) == FUTURED_OK) ++taken;
    full.pass();
    while (writable == 0) std::this_thread::yield();
    if (host().emit(call, 2, bytes("rest")) == FUTURED_OK) ++taken;
    host().complete(call, {});
  };
  const CallId a = l.start(live);
  REQUIRE(full.wait_for(1));
  CHECK(taken == 4);
  l.turn(0);
  std::uint64_t offset = 0;
  for (const Emission& e : l.emissions) {
    CHECK(e.offset == offset);
    offset += e.data.size();
  }
  CHECK(offset == 256 * 1024);
  l.executor->emissions_sent(offset);
  CHECK(writable == 0);
  l.executor->set_emit_room(a, 512 * 1024);
  l.executor->emissions_sent(0);
  CHECK(writable == 1);
  full.open();
  REQUIRE(l.wait_for(1));
  CHECK(taken == 5);
  REQUIRE(l.emissions.size() == 5);
  CHECK(l.emissions.back().data == "rest");
  CHECK(l.emissions.back().stream == 2);
  CHECK(l.emissions.back().offset == 256 * 1024);
}

TEST_CASE("output nobody listens to is not kept") {
  Lanes l(1);
  std::atomic<int> answer{-1};
  on_run = [&answer](void*, futured_call call, futured_bytes) {
    answer = host().emit(call, 1, bytes("x"));
    host().complete(call, {});
  };
  l.start(l.spec);
  REQUIRE(l.wait_for(1));
  CHECK(answer == FUTURED_GONE);
  CHECK(l.emissions.empty());
}

TEST_CASE("of progress the last one is passed on") {
  Lanes l(1);
  Gate gate;
  on_run = [&gate](void*, futured_call call, futured_bytes) {
    for (int i = 0; i <= 100; ++i) host().progress(call, i / 100.0, bytes("step " + std::to_string(i)));
    gate.pass();
    host().complete(call, {});
  };
  l.start(l.spec);
  REQUIRE(gate.wait_for(1));
  const Time until = clock_now() + 10 * kSecond;
  while (l.emissions.empty() && clock_now() < until) l.turn(kSecond);
  REQUIRE(l.emissions.size() == 1);
  CHECK(l.emissions[0].fraction == doctest::Approx(1.0));
  CHECK(l.emissions[0].text == "step 100");
  gate.open();
  REQUIRE(l.wait_for(1));
}

TEST_CASE("get reads the call, its headers and what was assigned") {
  Lanes l(1);
  CallSpec spec = l.spec;
  spec.headers = {{"trace", "abc"}};
  spec.assigned = {{"gpu", "0.5"}};
  spec.timeout = 10 * kSecond;
  std::string seen;
  on_run = [&seen](void*, futured_call call, futured_bytes) {
    const auto get = [call](std::uint32_t key, const char* name) {
      futured_value v{};
      v.struct_size = sizeof v;
      host().get(call, key, bytes(name), &v);
      return v;
    };
    seen = std::to_string(get(FUTURED_GET_ATTEMPT, "").integer) + " " +
           std::to_string(get(FUTURED_GET_TASK_NUMBER, "").integer) + " " +
           std::string(view(get(FUTURED_GET_HEADER, "trace").bytes)) + " " +
           std::string(view(get(FUTURED_GET_RESOURCE, "gpu").bytes)) + " " +
           std::string(view(get(FUTURED_GET_TYPE, "").bytes)) + " " +
           std::to_string(get(FUTURED_GET_HEADER, "none").found) + " " + std::to_string(get(4711, "").found);
    const std::int64_t left = get(FUTURED_GET_DEADLINE_NS, "").integer - clock_now();
    if (left <= 0 || left > 10 * kSecond) seen += " wrong deadline";
    host().complete(call, {});
  };
  l.start(spec);
  REQUIRE(l.wait_for(1));
  CHECK(seen == "2 1 abc 0.5 t 0 0");
}

TEST_CASE("a reserved reply is committed without a copy, and only as far as it was reserved") {
  Lanes l(1);
  l.table->set_reply_limit(1000);
  on_run = [](void*, futured_call call, futured_bytes input) {
    if (host().result_reserve(call, 1001) != nullptr) return fail_with(call, "the limit does not hold");
    void* p = host().result_reserve(call, 10);
    std::memcpy(p, "0123456789", 10);
    host().result_commit(call, view(input) == "more" ? 11 : 5);
  };
  const CallId a = l.start(l.spec);
  const CallId b = l.start(l.spec, "more");
  REQUIRE(l.wait_for(2));
  CHECK(l.ended[a].reply == "01234");
  CHECK(l.ended[b].failed);
}

TEST_CASE("async calls run on the loop, are flushed once for a batch, and end from anywhere") {
  Lanes l(0, 8);
  std::vector<futured_call> collected;
  int flushes = 0;
  std::thread other;
  on_run = [&collected](void* state, futured_call call, futured_bytes) {
    CHECK(state == nullptr);
    collected.push_back(call);
  };
  on_flush = [&] {
    ++flushes;
    other = std::thread([&collected] {
      for (const futured_call c : collected) host().complete(c, bytes("later"));
    });
  };
  std::vector<CallId> ids;
  for (int i = 0; i < 8; ++i) ids.push_back(l.prepare(l.later_spec));
  l.executor->start(Lane::async, ids);
  CHECK(flushes == 1);
  REQUIRE(l.wait_for(8));
  other.join();
  on_flush = nullptr;
  on_run = [](void*, futured_call call, futured_bytes) { host().complete(call, bytes("at once")); };
  const CallId now = l.start(l.later_spec);
  REQUIRE(l.wait_for(9));
  CHECK(l.ended[now].reply == "at once");
}

TEST_CASE("the slots file names what runs, and nothing else") {
  const std::string path = "slots";
  Lanes l(2, 2, path);
  Gate gate;
  on_run = [&gate](void* state, futured_call call, futured_bytes) {
    if (state == nullptr) return;
    gate.pass();
    host().complete(call, {});
  };
  l.start(l.spec);
  l.start(l.spec);
  l.start(l.spec);  // waits
  const CallId async = l.start(l.later_spec);
  REQUIRE(gate.wait_for(2));
  auto running = read_slots_file(path);
  REQUIRE(running.ok());
  CHECK(running->size() == 3);
  host().complete(async, {});
  gate.open();
  REQUIRE(l.wait_for(4));
  l.close();
  running = read_slots_file(path);
  REQUIRE(running.ok());
  CHECK(running->empty());
  CHECK_FALSE(read_slots_file("/dev/null").ok());
}

TEST_CASE("a plugin that ends a call after its worker is gone does no harm") {
  CallId old = 0;
  {
    Lanes l(0, 4);
    on_run = [](void*, futured_call, futured_bytes) {};
    old = l.start(l.later_spec);
  }
  host().complete(old, bytes("too late"));
  Lanes next(0, 4);
  on_run = [](void*, futured_call, futured_bytes) {};
  const CallId fresh = next.start(next.later_spec);
  CHECK(fresh != old);
  host().complete(old, bytes("too late"));
  next.turn(0);
  CHECK(next.ended.empty());
}

TEST_CASE("a process has room for many workers, and says so when it has no more") {
  std::vector<CallTable*> tables;
  for (;;) {
    auto t = CallTable::acquire(1);
    if (!t.ok()) break;
    tables.push_back(*t);
    REQUIRE(tables.size() <= 64);
  }
  CHECK(tables.size() == 64);
  for (CallTable* t : tables) CallTable::release(t, 1);
}

}  // namespace
