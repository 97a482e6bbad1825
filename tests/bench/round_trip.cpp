#include <futured/executor.hpp>
#include <string>
#include <vector>

#include "tests/bench/benches.hpp"
#include "tests/support/daemon_process.hpp"

namespace futured::bench {
namespace {

constexpr int kRounds = 7;
constexpr int kTrips = 600;
constexpr int kWarmUp = 100;
constexpr double kTargetRatio = 1.5;

struct Round {
  double p50, p99;
};

Round of(std::vector<double> microseconds) {
  microseconds.erase(microseconds.begin(), microseconds.begin() + kWarmUp);
  return {percentile(microseconds, 0.5), percentile(microseconds, 0.99)};
}

Round ours(Executor& executor) {
  const std::string payload(64, 'x');
  std::vector<double> microseconds;
  for (int i = 0; i < kTrips; ++i) {
    const auto start = Clock::now();
    if (executor.submit("echo", payload).result() != payload) throw Failure("a reply is not the bytes that were sent");
    microseconds.push_back(seconds_since(start) * 1e6);
  }
  return of(std::move(microseconds));
}

}  // namespace

void round_trip(Report& report) {
  const test::TempDir scratch;
  const test::DaemonProcess daemon({"--log-level", "warning", "--processes", "1"});
  auto executor = Executor::connect(daemon.endpoint());
  std::vector<double> p50, p99, floor50, floor99;
  // In pairs, so that what else the machine does falls on both.
  for (int i = 0; i < kRounds; ++i) {
    const Round floor =
        of(numbers(run({sibling("zmq-floor"), scratch.path().string(), "rtt", std::to_string(kTrips)})));
    const Round round = ours(executor);
    p50.push_back(round.p50);
    p99.push_back(round.p99);
    floor50.push_back(floor.p50);
    floor99.push_back(floor.p99);
  }
  Figure figure;
  figure.unit = "us";
  figure.floor_name = "libzmq, the same three processes";
  figure.name = "round trip p50, ipc, idle";
  figure.value = median(p50);
  figure.floor = median(floor50);
  figure.target_ratio = kTargetRatio;
  report.add(figure);
  figure.name = "round trip p99, ipc, idle";
  figure.value = median(p99);
  figure.floor = median(floor99);
  figure.target_ratio.reset();
  report.add(figure);
}

}  // namespace futured::bench
