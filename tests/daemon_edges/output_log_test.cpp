#include "daemon/output_log.hpp"

#include <doctest/doctest.h>

using futured::daemon::OutputLog;

namespace {
std::vector<OutputLog::Chunk> read(const OutputLog& log, futured::TaskNumber task, std::uint32_t attempt = 1,
                                   std::uint64_t offset = 0, std::uint64_t most = UINT64_MAX) {
  std::vector<OutputLog::Chunk> out;
  log.read(task, attempt, offset, most, out);
  return out;
}
std::string joined(const std::vector<OutputLog::Chunk>& chunks) {
  std::string all;
  for (const auto& c : chunks) all += c.data;
  return all;
}
}  // namespace

TEST_CASE("what a task said is there from any offset, by attempt and stream") {
  OutputLog log;
  CHECK(log.output(7, {1, 1, 0, "hello "}));
  CHECK_FALSE(log.output(7, {1, 1, 6, "world"}));
  log.output(7, {1, 2, 11, "oops"});
  log.output(7, {2, 1, 0, "again"});
  CHECK(joined(read(log, 7)) == "hello worldoops");
  CHECK(read(log, 7).back().stream == 2);
  const auto rest = read(log, 7, 1, 8);
  CHECK(joined(rest) == "rldoops");
  CHECK(rest.front().offset == 8);
  CHECK(joined(read(log, 7, 2)) == "again");
  CHECK(read(log, 7, 3).empty());
  CHECK(read(log, 8).empty());
}

TEST_CASE("of a task that says much the newest is kept, and the offsets show what is gone") {
  OutputLog log;
  std::uint64_t offset = 0;
  for (int i = 0; i < 40; ++i) {
    log.output(1, {1, 1, offset, std::string(8000, static_cast<char>('a' + i % 26))});
    offset += 8000;
  }
  const auto left = read(log, 1);
  REQUIRE_FALSE(left.empty());
  CHECK(joined(left).size() <= OutputLog::kPerTask);
  CHECK(joined(left).size() > OutputLog::kPerTask - 2 * 8000);
  CHECK(left.front().offset > 0);
  CHECK(left.back().offset + left.back().data.size() == offset);
}

TEST_CASE("one chunk larger than the share of a task is kept whole until the next comes") {
  OutputLog log;
  log.output(1, {1, 1, 0, std::string(2 * OutputLog::kPerTask, 'x')});
  CHECK(joined(read(log, 1)).size() == 2 * OutputLog::kPerTask);
  log.output(1, {1, 1, 2 * OutputLog::kPerTask, "y"});
  CHECK(joined(read(log, 1)) == "y");
}

TEST_CASE("an answer has a bound, and the next goes on after it") {
  OutputLog log;
  for (std::uint64_t i = 0; i < 8; ++i) log.output(1, {1, 1, i * 5000, std::string(5000, 'z')});
  const auto first = read(log, 1, 1, 0, 12'000);
  CHECK(joined(first).size() == 15'000);
  CHECK(joined(read(log, 1, 1, 15'000)).size() == 25'000);
}

TEST_CASE("in all there is a bound too: the tasks that were silent longest lose theirs") {
  OutputLog log;
  const std::string much(OutputLog::kPerTask, 'x');
  const std::uint64_t fit = OutputLog::kInAll / (OutputLog::kPerTask + OutputLog::kOverhead);
  for (std::uint64_t t = 1; t <= fit; ++t) log.output(t, {1, 1, 0, much});
  CHECK(log.tasks() == fit);
  log.progress(1, {1, 0.5, "half"});  // no longer the one that was silent longest
  log.output(fit + 1, {1, 1, 0, much});
  CHECK(log.find(1) != nullptr);
  CHECK(log.find(2) == nullptr);
  CHECK(log.bytes() <= OutputLog::kInAll);
}

TEST_CASE("the latest progress is kept, and what is forgotten takes its bytes along") {
  OutputLog log;
  CHECK(log.progress(3, {1, 0.25, "a quarter"}));
  CHECK_FALSE(log.progress(3, {1, 0.5, "half"}));
  REQUIRE(log.find(3) != nullptr);
  CHECK(log.find(3)->progress.fraction == 0.5);
  CHECK(log.find(3)->progress.text == "half");
  log.output(3, {1, 1, 0, "output"});
  log.forget(3);
  log.forget(3);
  CHECK(log.find(3) == nullptr);
  CHECK(log.bytes() == 0);
}
