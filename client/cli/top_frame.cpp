#include "client/cli/top_frame.hpp"

#include <algorithm>
#include <cmath>

#include "client/cli/duration.hpp"
#include "client/cli/records.hpp"
#include "client/cli/tables.hpp"
#include "client/cli/terminal.hpp"

namespace futured::cli {
namespace {

constexpr std::size_t kHeadLines = 2;
constexpr std::size_t kTableFrame = 2;  // an empty line and a heading

std::string counted(std::uint64_t n, std::string_view one) {
  return std::to_string(n) + " " + std::string(one) + (n == 1 ? "" : "s");
}

std::string head(const TopData& data, std::size_t width, bool colours) {
  const v1::DaemonStatus& s = data.status;
  const v1::Counts& tasks = s.tasks();
  const auto fitted = [width](const std::string& line) { return width == 0 ? line : cut(line, width); };
  const std::string first = "futured " + harmless(s.version()) + "  pid " + std::to_string(s.pid()) + ", up " +
                            show_duration(std::chrono::nanoseconds(s.uptime_ns())) + ", " +
                            counted(s.workers(), "worker") + ", " + counted(s.clients(), "client") +
                            (s.draining() ? ", draining" : "");
  std::string second = std::to_string(tasks.running()) + " running, " + std::to_string(tasks.queued()) + " queued, " +
                       std::to_string(tasks.waiting()) + " waiting; " + std::to_string(tasks.succeeded()) +
                       " succeeded, " + std::to_string(tasks.failed()) + " failed, " +
                       std::to_string(tasks.cancelled()) + " cancelled, " + std::to_string(tasks.expired()) +
                       " expired";
  if (data.per_second >= 0) second += "; " + std::to_string(std::llround(data.per_second)) + "/s";
  return painted(Colour::bold, fitted(first), colours) + "\n" + fitted(second) + "\n";
}

Table pools(const TopData& data) {
  Table table({{"POOL", false, true},
               {"READY", true, false},
               {"QUEUED", true, false},
               {"RUNNING", true, false},
               {"NOTE", false, true}});
  for (const auto& pool : data.status.pools()) {
    table.row({harmless(pool.name()),
               std::to_string(pool.ready()) + "/" + std::to_string(pool.processes()),
               std::to_string(pool.queued()),
               std::to_string(pool.running()),
               {pool_words(pool), pool.trouble().empty() ? Colour::yellow : Colour::red}});
  }
  return table;
}

Table workers(const TopData& data, std::size_t most) {
  Table table({{"WORKER", true, false},
               {"PID", true, false},
               {"POOL", false, true},
               {"STATE", false, false},
               {"RUNNING", true, false},
               {"COMPLETED", true, false}});
  for (const auto& worker : data.workers) {
    if (table.size() == most) break;
    table.row({std::to_string(worker.id()), std::to_string(worker.pid()), harmless(worker.pool()),
               harmless(worker.state()), std::to_string(worker.running()), std::to_string(worker.completed())});
  }
  return table;
}

Table tasks(const TopData& data, std::size_t most) {
  Table table({{"NUMBER", true, false},
               {"TASK", false, true},
               {"POOL", false, true},
               {"RUNS", true, false},
               {"GROUP", false, true},
               {"PROGRESS", false, true}});
  for (const auto& task : data.running) {
    if (table.size() == most) break;
    table.row({std::to_string(task.number()), harmless(task.type()), harmless(task.pool()),
               time_between(task.started_unix_ns(), data.now), harmless(task.group()), progress_words(task)});
  }
  return table;
}

}  // namespace

std::string top_frame(const TopData& data, std::size_t width, std::size_t height, bool colours) {
  std::string out = head(data, width, colours);
  const bool bounded = height != 0;
  std::size_t left = !bounded ? SIZE_MAX : height > kHeadLines ? height - kHeadLines : 0;
  const auto add = [&](const Table& table) {
    if (table.empty()) return;
    const std::size_t lines = table.size() + kTableFrame;
    if (lines > left) return;
    out += "\n" + table.text(width, colours);
    if (bounded) left -= lines;
  };
  add(pools(data));
  // Workers may have half of what is left, tasks the rest of it.
  const std::size_t half = !bounded ? SIZE_MAX : left / 2 > kTableFrame ? left / 2 - kTableFrame : 0;
  add(workers(data, data.running.empty() && bounded ? half * 2 : half));
  add(tasks(data, !bounded ? SIZE_MAX : left > kTableFrame ? left - kTableFrame : 0));
  if (!bounded) return out;
  // A terminal of few lines shows the beginning.
  std::size_t end = 0;
  for (std::size_t line = 0; line < height && end < out.size(); ++line) end = out.find('\n', end) + 1;
  return out.substr(0, end);
}

}  // namespace futured::cli
