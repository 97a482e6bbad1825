// What the tests with real processes share: a daemon with the test plugins, its workers, the log that tasks write.
#pragma once

#include <signal.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "client/control.hpp"
#include "futured/executor.hpp"
#include "tests/support/daemon_process.hpp"

namespace futured::test {

using namespace std::chrono_literals;

/// Flags for a daemon that also offers the tasks test.* and bad.*.
inline std::vector<std::string> with_test_plugins(std::vector<std::string> flags = {}) {
  flags.insert(flags.end(), {"--plugin-dir", from_environment("FUTURED_TEST_PLUGIN_DIR")});
  return flags;
}

inline v1::Reply ask(const Executor& ex, const v1::Request& request) {
  auto reply = Control(ex).request(request, 10s);
  if (!reply) throw std::runtime_error("no answer: " + reply.status().message());
  return std::move(*reply);
}

inline v1::DaemonStatus status(const Executor& ex) {
  v1::Request request;
  request.mutable_status();
  return ask(ex, request).status();
}

inline std::vector<pid_t> worker_pids(const Executor& ex) {
  v1::Request request;
  request.mutable_workers();
  std::vector<pid_t> pids;
  const v1::Reply reply = ask(ex, request);
  for (const auto& w : reply.workers()) {
    if (w.state() == "ready") pids.push_back(static_cast<pid_t>(w.pid()));
  }
  return pids;
}

inline v1::Selector only(TaskNumber number) {
  v1::Selector selector;
  auto* range = selector.add_numbers();
  range->set_first(number);
  range->set_last(number);
  return selector;
}

/// How a future failed.
inline TaskError error_of(const Future<std::string>& future) {
  try {
    (void)future.result(30s);
  } catch (const TaskError& e) {
    return e;
  }
  throw std::runtime_error("it succeeded");
}

/// A task with its attempts; nothing of it but the number if it is not known (any more).
inline v1::TaskRecord record(const Executor& ex, TaskNumber number) {
  v1::Request request;
  *request.mutable_list()->mutable_selector() = only(number);
  request.mutable_list()->set_detail(true);
  const auto reply = Control(ex).request(request, 10s);
  if (reply && reply->tasks_size() == 1) return reply->tasks(0);
  v1::TaskRecord none;
  none.set_number(number);
  return none;
}
inline TaskNumber number_of(const Executor& ex, const Future<std::string>& future) {
  const auto number = Control(ex).number(future, 10s);
  if (!number) throw std::runtime_error("no number: " + number.status().message());
  return *number;
}
inline v1::TaskRecord record(const Executor& ex, const Future<std::string>& future) {
  return record(ex, number_of(ex, future));
}
/// "failed failed succeeded"
inline std::string endings(const v1::TaskRecord& task) {
  std::string all;
  for (const auto& attempt : task.attempts()) all += (all.empty() ? "" : " ") + attempt.outcome();
  return all;
}
inline std::string explain(const Executor& ex, const Future<std::string>& future) {
  std::string text;
  (void)Control(ex).explain(only(number_of(ex, future)), 10s,
                            [&](const v1::Explanation& e) { return text = e.text(), true; });
  return text;
}

/// What the attempt of a call of test.until at `path` waits for.
inline void tell_until(const std::filesystem::path& path, int attempt, const std::string& text) {
  const std::string name = path.string() + "." + std::to_string(attempt);
  std::ofstream(name + ".new") << text;
  std::filesystem::rename(name + ".new", name);  // whole from the first moment
}

/// Asks until `what` holds. Each question is a round trip, so this is no busy loop.
template <class Condition>
bool eventually(const Condition& what, std::chrono::milliseconds limit = 20s) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!what()) {
    if (std::chrono::steady_clock::now() > end) return false;
  }
  return true;
}

inline bool wait_for_workers(const Executor& ex, std::size_t n) {
  return eventually([&] { return worker_pids(ex).size() == n; });
}

/// True while a process of this id exists and is not a zombie.
inline bool process_alive(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(in, text, '\0');  // empty if it has gone, also if it goes right now
  const std::size_t at = text.rfind(')');
  return at != std::string::npos && text.size() > at + 2 && text[at + 2] != 'Z';
}

/// What test.sidelog wrote: one line per start and end of an execution.
struct Execution {
  std::string token;
  std::int64_t start = 0, end = -1;  ///< CLOCK_MONOTONIC ns; -1: it never ended
  pid_t pid = 0;
};

inline std::vector<Execution> read_side_log(const std::string& path) {
  std::vector<Execution> all;
  std::map<std::string, std::size_t> open;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string what, token;
    pid_t pid = 0;
    std::int64_t at = 0;
    words >> what >> token >> pid >> at;
    if (what == "start") {
      open[token] = all.size();
      all.push_back({token, at, -1, pid});
    } else if (what == "end") {
      all[open.at(token)].end = at;
    }
  }
  return all;
}

}  // namespace futured::test
