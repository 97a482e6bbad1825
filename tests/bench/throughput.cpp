#include <cstdint>
#include <cstring>
#include <futured/executor.hpp>
#include <string>
#include <vector>

#include "tests/bench/benches.hpp"
#include "tests/support/daemon_process.hpp"

namespace futured::bench {
namespace {

constexpr std::size_t kTasks = 200'000;
constexpr std::size_t kWarmUp = 20'000;
constexpr int kRuns = 5;
constexpr double kTarget = 250'000;

/// 64 bytes, different for each task.
std::string payload(std::uint64_t task) {
  std::string bytes(64, 'x');
  std::memcpy(bytes.data(), &task, sizeof task);
  return bytes;
}

std::uint64_t task_of(const std::string& bytes) {
  std::uint64_t task = 0;
  if (bytes.size() != 64 || bytes.find_first_not_of('x', sizeof task) != std::string::npos) {
    throw Failure("a reply is not the bytes that were sent");
  }
  std::memcpy(&task, bytes.data(), sizeof task);
  return task;
}

/// Submits one by one, then takes the results in order.
double one_by_one(Executor& executor, std::size_t count) {
  std::vector<Future<std::string>> futures;
  futures.reserve(count);
  const auto start = Clock::now();
  for (std::uint64_t i = 0; i < count; ++i) futures.push_back(executor.submit("echo", payload(i)));
  for (std::uint64_t i = 0; i < count; ++i) {
    if (task_of(futures[i].result()) != i) throw Failure("a reply belongs to another task");
  }
  return static_cast<double>(count) / seconds_since(start);
}

/// One call submits all; the results come in order of completion, each task's once.
double many(Executor& executor, std::size_t count) {
  std::vector<std::string> inputs;
  inputs.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) inputs.push_back(payload(i));
  std::vector<bool> seen(count);
  std::size_t taken = 0;
  const auto start = Clock::now();
  const auto futures = executor.submit_many("echo", inputs);
  for (const auto& f : as_completed(futures)) {
    const std::uint64_t task = task_of(f.result());
    if (task >= count || seen[task]) throw Failure("a reply came twice, or for no task");
    seen[task] = true;
    ++taken;
  }
  const double rate = static_cast<double>(count) / seconds_since(start);
  if (taken != count) throw Failure("as_completed ended early");
  return rate;
}

double floor_of(const test::TempDir& scratch, int batch) {
  const auto program = sibling("zmq-floor");
  std::vector<double> runs;
  for (int i = 0; i < 3; ++i) {
    runs.push_back(
        numbers(run({program, scratch.path().string(), "throughput", "800000", std::to_string(batch)})).at(0));
  }
  return median(runs);
}

}  // namespace

void throughput(Report& report) {
  const test::TempDir scratch;
  std::vector<double> submits, batches;
  {
    const test::DaemonProcess daemon({"--log-level", "warning", "--processes", "2"});
    auto executor = Executor::connect(daemon.endpoint());
    one_by_one(executor, kWarmUp);
    for (int i = 0; i < kRuns; ++i) {
      submits.push_back(one_by_one(executor, kTasks));
      batches.push_back(many(executor, kTasks));
    }
  }
  const double floor = floor_of(scratch, 256);
  Figure figure;
  figure.unit = "tasks/s";
  figure.floor = floor;
  figure.floor_name = "libzmq, 256 tasks a message";
  figure.more_is_better = true;
  figure.name = "submit() loop, 2 workers";
  figure.value = median(submits);
  figure.target = kTarget;
  report.add(figure);
  figure.name = "submit_many + as_completed, 2 workers";
  figure.value = median(batches);
  report.add(figure);
}

}  // namespace futured::bench
