// How late tasks start that were told when: each replies the time at which it ran.
#include <sys/timerfd.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <futured/executor.hpp>
#include <string>
#include <vector>

#include "client/control.hpp"
#include "tests/bench/benches.hpp"
#include "tests/support/daemon_process.hpp"

namespace futured::bench {
namespace {

using namespace std::chrono_literals;
using Wall = std::chrono::system_clock;

constexpr std::size_t kTasks = 100'000;
constexpr auto kSpread = 4s;   // from the first to the last
constexpr auto kArming = 4s;   // until the first: all must be there before
constexpr double kTarget = 5;  // ms, p99
constexpr int kRuns = 3;

struct Late {
  std::vector<double> p50, p99, longest;  // ms, one each per run
  void add(const std::vector<double>& milliseconds) {
    p50.push_back(percentile(milliseconds, 0.5));
    p99.push_back(percentile(milliseconds, 0.99));
    longest.push_back(percentile(milliseconds, 1));
  }
};

Wall::time_point due(Wall::time_point first, std::size_t i) {
  return first + std::chrono::nanoseconds(kSpread) * i / kTasks;
}

std::vector<double> ours(Executor& executor) {
  const auto first = Wall::now() + kArming;
  std::vector<Future<std::string>> futures;
  futures.reserve(kTasks);
  for (std::size_t i = 0; i < kTasks; ++i) {
    futures.push_back(executor.submit("bench.clock", std::string(), TaskOptions().at(due(first, i))));
  }
  if (!Control(executor).number(futures.back(), 60s)) throw Failure("a task was not accepted");
  if (Wall::now() >= first) throw Failure("the tasks could not be submitted before the first was due");
  std::vector<double> late;
  late.reserve(kTasks);
  for (std::size_t i = 0; i < kTasks; ++i) {
    const std::string reply = futures[i].result();
    std::int64_t ns = 0;
    if (reply.size() != sizeof ns) throw Failure("a reply is no time");
    std::memcpy(&ns, reply.data(), sizeof ns);
    const auto ran = std::chrono::nanoseconds(ns) - due(first, i).time_since_epoch();
    if (ran < 0ns) throw Failure("a task ran before its time");
    late.push_back(std::chrono::duration<double, std::milli>(ran).count());
  }
  return late;
}

/// One thread that sleeps until each of the same times.
std::vector<double> timer() {
  const int fd = ::timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC);
  if (fd < 0) throw Failure("cannot make a timer");
  const auto first = Wall::now() + 10ms;
  std::vector<double> late;
  late.reserve(kTasks);
  for (std::size_t i = 0; i < kTasks; ++i) {
    const std::int64_t at = std::chrono::nanoseconds(due(first, i).time_since_epoch()).count();
    const itimerspec when{{0, 0}, {at / 1'000'000'000, at % 1'000'000'000}};
    std::uint64_t expirations = 0;
    (void)::timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, nullptr);
    if (::read(fd, &expirations, sizeof expirations) != sizeof expirations) throw Failure("a timer cannot be read");
    const std::int64_t now = std::chrono::nanoseconds(Wall::now().time_since_epoch()).count();
    late.push_back(1e-6 * static_cast<double>(now - at));
  }
  ::close(fd);
  return late;
}

}  // namespace

void lateness(Report& report) {
  const test::DaemonProcess daemon({"--log-level", "error", "--processes", "1", "--plugin-dir", clock_plugin_dir()});
  auto executor = Executor::connect(daemon.endpoint());
  executor.submit("bench.clock", std::string()).result();
  Late task, floor;
  for (int run = 0; run < kRuns; ++run) {
    floor.add(timer());
    task.add(ours(executor));
  }
  const auto add = [&](const char* name, const std::vector<double>& values, const std::vector<double>& floors) {
    Figure figure;
    figure.name = std::string("lateness of 100,000 delayed tasks, ") + name;
    figure.value = median(values);
    figure.unit = "ms";
    figure.floor = median(floors);
    figure.floor_name = "a thread with a timerfd";
    if (name == std::string("p99")) figure.target = kTarget;
    report.add(figure);
  };
  add("p50", task.p50, floor.p50);
  add("p99", task.p99, floor.p99);
  add("longest", task.longest, floor.longest);
}

}  // namespace futured::bench
