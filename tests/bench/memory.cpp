// What a queued task takes in memory, its payload subtracted: in the scheduler, and in a daemon process.
#include <malloc.h>
#include <unistd.h>

#include <fstream>
#include <futured/executor.hpp>
#include <string>
#include <vector>

#include "client/control.hpp"
#include "daemon/scheduler/scheduler.hpp"
#include "tests/bench/benches.hpp"
#include "tests/support/daemon_process.hpp"

namespace futured::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kTasks = 1'000'000;
constexpr std::size_t kBatch = 256;
constexpr std::size_t kPayload = 100;
constexpr double kTarget = 250;

/// What this program has on its heap now, with what malloc adds.
double heap_bytes() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
}

double of_the_scheduler() {
  using namespace scheduler;  // NOLINT(google-build-using-namespace): it is measured here
  Limits limits;
  limits.window_tasks = limits.first_window_tasks = kTasks + kBatch;
  Scheduler scheduler(limits, 1);
  Actions actions;
  StreamId stream;
  stream.bytes.fill(1);
  scheduler.handle(event::ClientHello{1, stream, 0, 0, UINT64_MAX, UINT64_MAX}, 1, actions);
  const SessionId client = actions.client_welcomes[0].session;
  scheduler.handle(event::PoolDefined{"default", {{"t", Lane::thread}}, 0}, 1, actions);
  Spec spec;
  spec.type = "t";
  const std::string input(kBatch * kPayload, 'x');
  std::vector<Slice> payloads;
  payloads.reserve(kBatch);
  actions.clear();
  const double before = heap_bytes();
  Seq seq = 0;
  for (; seq < kTasks; seq += kBatch) {
    const Slice blob = Slice::copy(input);
    for (std::size_t i = 0; i < kBatch; ++i) payloads.push_back(blob.sub(i * kPayload, kPayload));
    scheduler.handle(event::Submit{client, seq, {&spec, 1}, {}, payloads}, 1, actions);
    scheduler.advance(1, actions);
    actions.clear();
    payloads.clear();
  }
  return (heap_bytes() - before) / static_cast<double>(seq) - kPayload;
}

double resident_bytes(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/statm");
  double all = 0;
  double resident = 0;
  if (!(in >> all >> resident)) throw Failure("the daemon's memory cannot be read");
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

double of_a_daemon() {
  const test::DaemonProcess daemon({"--log-level", "error", "--processes", "0"});
  auto executor = Executor::connect(daemon.endpoint());
  const std::vector<std::string> one(1, std::string(kPayload, 'x'));
  const auto first = executor.submit_many("echo", one);
  if (!Control(executor).number(first[0], 60s)) throw Failure("a task was not accepted");
  const double before = resident_bytes(daemon.pid());
  const auto futures = executor.submit_many("echo", std::vector<std::string>(kTasks, one[0]));
  if (!Control(executor).number(futures.back(), 60s)) throw Failure("a million tasks were not accepted in a minute");
  return (resident_bytes(daemon.pid()) - before) / static_cast<double>(kTasks) - kPayload;
}

}  // namespace

void memory(Report& report) {
  Figure figure;
  figure.unit = "B";
  figure.target = kTarget;
  figure.name = "queued task in the scheduler, heap, 1 M queued";
  figure.value = of_the_scheduler();
  report.add(figure);
  figure.name = "queued task in a daemon, resident, 1 M queued";
  figure.value = of_a_daemon();
  report.add(figure);
}

}  // namespace futured::bench
