// What a change of state of a task costs the scheduler alone: no messages, no sockets.
#include <memory>
#include <string>
#include <vector>

#include "daemon/scheduler/scheduler.hpp"
#include "tests/bench/allocations.hpp"
#include "tests/bench/benches.hpp"

namespace futured::bench {
namespace {

using namespace scheduler;  // NOLINT(google-build-using-namespace): this file measures it

constexpr std::uint64_t kFew = 1'000;
constexpr std::uint64_t kMany = 1'000'000;
constexpr std::uint64_t kTasks = 1'000'000;
constexpr std::uint64_t kBatch = 256;
constexpr std::size_t kWorkers = 4;
constexpr std::uint64_t kAhead = 64;
constexpr int kChanges = 4;  // submit, dispatch, ran, delivered
constexpr double kTargetDifference = 100;
constexpr int kRuns = 5;

/// A scheduler with `depth` tasks waiting all the time while others go through in batches, with four workers.
class Line {
 public:
  explicit Line(std::uint64_t depth) : scheduler_(limits(depth), 1), depth_(depth), blob_(kBatch * 8, 'x') {
    StreamId stream;
    stream.bytes.fill(1);
    handle(event::ClientHello{1, stream, 0, 0, UINT64_MAX, UINT64_MAX});
    client_ = actions_.client_welcomes[0].session;
    spec_.type = "t";
    handle(event::PoolDefined{"default", {{"t", Lane::thread}}, 0});
    while (seq_ < depth_) submit();
    actions_.clear();
    for (std::size_t i = 0; i < kWorkers; ++i) {
      event::WorkerHello e;
      e.connection = 10 + i;
      e.pool = "default";
      e.slots[0] = 1;
      e.credit[0] = credit_[i] = kAhead;
      e.types = {{"t", Lane::thread}};
      handle(e);
      workers_.push_back(actions_.worker_welcomes.back().worker);
    }
  }

  /// So many tasks from submit to delivery.
  void pass(std::uint64_t tasks) {
    for (const std::uint64_t end = done_ + tasks; done_ < end;) turn();
  }
  std::uint64_t allocated() const { return allocated_; }

 private:
  static Limits limits(std::uint64_t depth) {
    Limits limits;
    limits.window_tasks = limits.first_window_tasks = depth + kBatch;
    return limits;
  }
  /// Only what the scheduler itself allocates is counted, not the making of events.
  void handle(const Event& e) {
    const std::uint64_t before = allocations();
    scheduler_.handle(e, now_, actions_);
    allocated_ += allocations() - before;
  }
  void submit() {
    const Slice blob = Slice::copy(blob_);
    payloads_.clear();
    for (std::size_t i = 0; i < kBatch; ++i) payloads_.push_back(blob.sub(i * 8, 8));
    handle(event::Submit{client_, seq_, {&spec_, 1}, {}, payloads_});
    seq_ += kBatch;
  }
  void report(std::size_t i) {
    std::vector<AttemptToken>& tokens = calls_[i];
    if (tokens.empty()) return;
    const Slice blob = Slice::copy(blob_);
    payloads_.clear();
    for (std::size_t k = 0; k < tokens.size(); ++k) payloads_.push_back(blob.sub(k * 8 % blob_.size(), 8));
    handle(event::Ran{workers_[i], tokens, payloads_, {}});
    done_ += tokens.size();
    handle(event::WorkerCredit{workers_[i], {credit_[i] += tokens.size(), 0}});
    tokens.clear();
  }
  void turn() {
    ++now_;
    submit();
    for (std::size_t i = 0; i < kWorkers; ++i) report(i);
    const std::uint64_t before = allocations();
    scheduler_.advance(now_, actions_);
    allocated_ += allocations() - before;
    for (const Run& r : actions_.runs) calls_[r.worker - workers_[0]].push_back(scheduler_.token(r.task));
    handle(event::Delivered{client_, done_, UINT64_MAX, UINT64_MAX});
    actions_.clear();
  }

  Scheduler scheduler_;
  const std::uint64_t depth_;
  const std::string blob_;
  Spec spec_;
  Actions actions_;
  Time now_ = 1;
  SessionId client_ = 0;
  Seq seq_ = 0;
  std::uint64_t done_ = 0, allocated_ = 0;
  std::vector<WorkerId> workers_;
  std::uint64_t credit_[kWorkers] = {};
  std::vector<AttemptToken> calls_[kWorkers];
  std::vector<Slice> payloads_;
};

struct Cost {
  double nanoseconds = 0;  // of a state change, median of the runs
  double allocations = 0;  // of a state change, over all runs
};

/// Of each line; they take turns, so that what else the machine does falls on all.
std::vector<Cost> measure(const std::vector<std::unique_ptr<Line>>& lines) {
  std::vector<std::vector<double>> nanoseconds(lines.size());
  std::vector<std::uint64_t> allocated(lines.size());
  for (int run = 0; run < kRuns; ++run) {
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const std::uint64_t before = lines[i]->allocated();
      const double start = thread_seconds();
      lines[i]->pass(kTasks);
      nanoseconds[i].push_back(1e9 * (thread_seconds() - start) / kTasks / kChanges);
      allocated[i] += lines[i]->allocated() - before;
    }
  }
  std::vector<Cost> costs;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    costs.push_back({median(nanoseconds[i]), static_cast<double>(allocated[i]) / kRuns / kTasks / kChanges});
  }
  return costs;
}

Figure figure(std::string name, double value, std::string unit) {
  Figure f;
  f.name = std::move(name);
  f.value = value;
  f.unit = std::move(unit);
  return f;
}

}  // namespace

void state_change(Report& report) {
  std::vector<std::unique_ptr<Line>> lines;
  for (const std::uint64_t depth : {kFew, kMany}) {
    lines.push_back(std::make_unique<Line>(depth));
    // What is allocated once and used again is there when everything has been through.
    lines.back()->pass(depth + kTasks);
  }
  const std::vector<Cost> costs = measure(lines);

  Figure task = figure("task: submit, dispatch, ran, delivered; 1 M queued", costs[1].nanoseconds * kChanges, "ns");
  task.floor = costs[0].nanoseconds * kChanges;
  task.floor_name = "the same with 1000 queued";
  report.add(task);
  Figure change = figure("state change, 1 M queued", costs[1].nanoseconds, "ns");
  change.floor = costs[0].nanoseconds;
  change.floor_name = "the same with 1000 queued";
  report.add(change);
  Figure more =
      figure("state change: more with 1 M queued than with 1000", costs[1].nanoseconds - costs[0].nanoseconds, "ns");
  more.target = kTargetDifference;
  report.add(more);
  Figure allocations = figure("state change: allocations, 1 M queued", costs[1].allocations, "");
  allocations.target = 0;
  report.add(allocations);
  allocations.name = "state change: allocations, 1000 queued";
  allocations.value = costs[0].allocations;
  report.add(allocations);
}

}  // namespace futured::bench
