// What a task costs the scheduler: nanoseconds and bytes. A measurement, not a test: it prints if FUTURED_COST is set.
#include <malloc.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "tests/scheduler/fixture.hpp"

using namespace futured;
using namespace futured::scheduler;
using futured::scheduler::test::Bench;

namespace {

/// What this program has on its heap now, with what malloc adds.
std::int64_t heap_bytes() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<std::int64_t>(info.uordblks + info.hblkhd);
}

/// `depth` tasks wait all the time while `tasks` more go through in batches of 256, with four workers.
void measure(std::uint64_t depth, std::uint64_t tasks) {
  constexpr std::uint64_t kBatch = 256;
  constexpr std::size_t kWorkers = 4;
  Limits limits;
  limits.window_tasks = depth + kBatch;
  Scheduler s(limits, 1);
  Actions actions;
  Time now = 1;
  s.handle(event::ClientHello{1, Bench::stream(1), 0, 0, UINT64_MAX, UINT64_MAX}, now, actions);
  const SessionId c = actions.client_welcomes[0].session;
  s.handle(event::PoolDefined{"default", {{"t", Lane::thread}}, 0}, now, actions);
  const Spec sp = Bench::spec();
  std::string input(kBatch * 8, 'x');
  Seq seq = 0;
  std::vector<Slice> payloads;
  const auto submit = [&] {
    const Slice blob = Slice::copy(input);
    payloads.clear();
    for (std::size_t i = 0; i < kBatch; ++i) payloads.push_back(blob.sub(i * 8, 8));
    s.handle(event::Submit{c, seq, {&sp, 1}, {}, payloads}, now, actions);
    seq += kBatch;
  };
  const std::int64_t bytes_before = heap_bytes();
  while (seq < depth) submit();
  const double bytes = static_cast<double>(heap_bytes() - bytes_before) / static_cast<double>(seq);
  actions.clear();

  std::vector<WorkerId> workers;
  std::uint64_t credit[kWorkers] = {};
  for (std::size_t i = 0; i < kWorkers; ++i) {
    event::WorkerHello e;
    e.connection = 10 + i;
    e.pool = "default";
    e.slots[0] = 1;
    e.credit[0] = credit[i] = 64;
    e.types = {{"t", Lane::thread}};
    s.handle(e, now, actions);
    workers.push_back(actions.worker_welcomes.back().worker);
  }
  std::uint64_t done = 0;
  std::vector<std::vector<AttemptToken>> at(kWorkers);
  std::vector<Slice> replies;
  const std::clock_t start = std::clock();  // processor time: others may be busy too
  while (done < tasks) {
    ++now;
    submit();
    for (std::size_t i = 0; i < kWorkers; ++i) {
      if (at[i].empty()) continue;
      const Slice blob = Slice::copy(input);
      replies.clear();
      for (std::size_t k = 0; k < at[i].size(); ++k) replies.push_back(blob.sub(k * 8 % input.size(), 8));
      s.handle(event::Ran{workers[i], at[i], replies, {}}, now, actions);
      done += at[i].size();
      s.handle(event::WorkerCredit{workers[i], {credit[i] += at[i].size(), 0}}, now, actions);
      at[i].clear();
    }
    s.advance(now, actions);
    for (const Run& r : actions.runs) at[r.worker - workers[0]].push_back(s.token(r.task));
    s.handle(event::Delivered{c, done, UINT64_MAX, UINT64_MAX}, now, actions);
    actions.clear();
  }
  const double took = 1e9 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  std::printf(
      "scheduler_cost: %8llu queued: %5.0f ns per task (submit, dispatch, ran, delivered), %4.0f bytes per queued "
      "task\n",
      static_cast<unsigned long long>(depth), took / static_cast<double>(done), bytes);
}

}  // namespace

TEST_CASE("scheduler_cost") {
  if (std::getenv("FUTURED_COST") == nullptr) return;
  measure(1'000, 2'000'000);
  measure(1'000'000, 2'000'000);
}
