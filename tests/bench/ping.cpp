// What another client notices: how long a ping takes to a daemon process while things happen to a million of its tasks.
// The client that has them and the worker take their share of the machine, too.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <futured/executor.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "client/control.hpp"
#include "tests/bench/benches.hpp"
#include "tests/support/daemon_process.hpp"

namespace futured::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kTasks = 1'000'000;
constexpr auto kBetween = 500us;
constexpr auto kPatience = 60s;
constexpr auto kKeep = 4s;

/// Pings from construction to take().
class Pinger {
 public:
  explicit Pinger(const Executor& executor) : control_(executor), thread_([this] { ping(); }) {}
  ~Pinger() { stop(); }
  Pinger(const Pinger&) = delete;
  Pinger& operator=(const Pinger&) = delete;
  /// Milliseconds.
  std::vector<double> take() {
    stop();
    if (failed_) throw Failure("a ping was not answered within a minute");
    return std::move(milliseconds_);
  }

 private:
  void stop() {
    ended_ = true;
    if (thread_.joinable()) thread_.join();
  }
  void ping() {
    while (!ended_) {
      const auto took = control_.ping(kPatience);
      failed_ = failed_ || !took.ok();
      if (!took.ok()) return;
      milliseconds_.push_back(std::chrono::duration<double, std::milli>(*took).count());
      std::this_thread::sleep_for(kBetween);
    }
  }

  Control control_;
  std::vector<double> milliseconds_;
  std::atomic<bool> ended_{false};
  bool failed_ = false;
  std::thread thread_;
};

class Crowd {
 public:
  Crowd(Report& report, const std::string& endpoint)
      : report_(report), asker_(Executor::connect(endpoint)), owner_(Executor::connect(endpoint)), control_(owner_) {
    Pinger pinger(asker_);
    std::this_thread::sleep_for(2s);
    idle_ = pinger.take();
  }

  void measure(const std::string& what, const std::function<void()>& happens) {
    Pinger pinger(asker_);
    happens();
    const std::vector<double> seen = pinger.take();
    Figure figure;
    figure.unit = "ms";
    figure.floor_name = "the same while nothing happens";
    for (const double p : {0.99, 1.0}) {
      figure.name = (p == 1 ? "longest ping, " : "ping p99, ") + what;
      figure.value = percentile(seen, p);
      figure.floor = percentile(idle_, p);
      report_.add(figure);
    }
  }

  using Futures = std::vector<Future<std::string>>;
  /// They do not run before resume().
  Futures submit(Executor& by, const TaskOptions& options) {
    must(control_.pause({"", "echo"}, true, kPatience));
    Futures futures = by.submit_many("echo", std::vector<std::string>(kTasks, std::string(100, 'x')), options);
    if (!Control(by).number(futures.back(), kPatience)) throw Failure("a million tasks were not accepted in a minute");
    return futures;
  }
  Futures submit(const TaskOptions& options = TaskOptions()) { return submit(owner_, options); }
  void run(const Futures& futures) {
    must(control_.pause({"", "echo"}, false, kPatience));
    for (const auto& future : as_completed(futures)) (void)future;
  }
  void list() {
    v1::Request request;
    request.mutable_list()->mutable_selector()->set_all(true);
    for (bool more = true; more;) {
      const v1::Reply reply = ask(request);
      more = reply.more();
      request.mutable_list()->set_cursor(reply.cursor());
    }
  }
  void cancel(const Futures& futures, const v1::Selector& selector) {
    v1::Request request;
    *request.mutable_cancel()->mutable_selector() = selector;
    for (bool more = true; more;) {
      const v1::Reply reply = ask(request);
      more = reply.more();
      request.mutable_cancel()->set_cursor(reply.cursor());
    }
    for (const auto& future : as_completed(futures)) (void)future;
  }
  void forget() {
    if (!control_.forget(everything(), kPatience)) throw Failure("the kept tasks cannot be forgotten");
  }
  void wait_until_none_is_live() {
    for (bool live = true; live;) {
      v1::Request request;
      request.mutable_status();
      const v1::Counts counts = ask(request).status().tasks();
      live = counts.waiting() + counts.queued() + counts.running() > 0;
    }
  }
  static v1::Selector everything() {
    v1::Selector all;
    all.set_all(true);
    return all;
  }

 private:
  static void must(const Status& status) {
    if (!status.ok()) throw Failure(status.message());
  }
  v1::Reply ask(const v1::Request& request) {
    auto reply = control_.request(request, kPatience);
    if (!reply) throw Failure(reply.status().message());
    return std::move(*reply);
  }

  Report& report_;
  Executor asker_, owner_;
  Control control_;
  std::vector<double> idle_;
};

}  // namespace

void ping(Report& report) {
  const test::DaemonProcess daemon({"--log-level", "error", "--processes", "1"});
  Crowd crowd(report, daemon.endpoint());
  Crowd::Futures futures;
  crowd.measure("1 M submitted", [&] { futures = crowd.submit(); });
  crowd.measure("1 M listed", [&] { crowd.list(); });
  crowd.measure("1 M cancelled", [&] { crowd.cancel(futures, Crowd::everything()); });

  v1::Selector group;
  group.add_groups("g");
  futures = crowd.submit(TaskOptions().group("g"));
  crowd.measure("a group of 1 M cancelled", [&] { crowd.cancel(futures, group); });

  futures = crowd.submit(TaskOptions().keep(1h));
  crowd.measure("a pause lifted, 1 M run", [&] { crowd.run(futures); });
  futures.clear();
  crowd.measure("1 M forgotten", [&] { crowd.forget(); });

  {
    std::optional<Executor> other = Executor::connect(daemon.endpoint());
    futures = crowd.submit(*other, TaskOptions().on_disconnect(OnDisconnect::cancel));
    crowd.measure("a client goes with 1 M", [&] {
      other.reset();
      crowd.wait_until_none_is_live();
    });
  }

  futures = crowd.submit(TaskOptions().keep(kKeep));
  crowd.cancel(futures, Crowd::everything());
  futures.clear();
  crowd.measure("retention of 1 M ends", [&] { std::this_thread::sleep_for(kKeep + 1s); });
}

}  // namespace futured::bench
