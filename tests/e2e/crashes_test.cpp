// Worker processes that die, in every way they can.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "tests/support/e2e.hpp"

using namespace futured;
using namespace futured::test;

TEST_CASE("kill -9 of workers in the middle of 10,000 tasks: each future resolves once, with the right value") {
  DaemonProcess daemon(with_test_plugins({"--processes", "3"}));
  const std::string log = (daemon.folder() / "side.log").string();
  Executor ex = Executor::connect(daemon.endpoint());
  constexpr int kTasks = 10'000;
  std::vector<std::string> inputs;
  for (int i = 0; i < kTasks; ++i) inputs.push_back(log + " 1 value-" + std::to_string(i));
  // Killed at random, a task may be met more often than its crash budget allows; that is not what is tested here.
  auto futures = ex.submit_many("test.sidelog", inputs, TaskOptions().crashes(1000));
  std::map<TaskId, int> index;
  for (int i = 0; i < kTasks; ++i) index[futures[static_cast<std::size_t>(i)].id()] = i;

  Executor control = Executor::connect(daemon.endpoint());
  std::mt19937 random(7);
  int resolved = 0;
  int kills = 0;
  for (auto& f : as_completed(futures, 120s)) {
    CHECK(f.result() == "value-" + std::to_string(index.at(f.id())));
    if (++resolved % 700 == 0) {
      const auto pids = worker_pids(control);
      if (!pids.empty()) {
        ::kill(pids[random() % pids.size()], SIGKILL);
        ++kills;
      }
    }
  }
  CHECK(resolved == kTasks);
  CHECK(kills >= 5);

  // No two attempts of a task overlap: an attempt that was cut short is over when its process is.
  std::map<std::string, std::vector<Execution>> by_task;
  for (Execution& e : read_side_log(log)) by_task[e.token.substr(0, e.token.find('.'))].push_back(e);
  CHECK(by_task.size() == kTasks);
  int again = 0;
  for (auto& [task, runs] : by_task) {
    std::sort(runs.begin(), runs.end(), [](const auto& a, const auto& b) { return a.start < b.start; });
    for (std::size_t i = 1; i < runs.size(); ++i) {
      ++again;
      CHECK((runs[i - 1].end == -1 || runs[i - 1].end <= runs[i].start));
      if (runs[i - 1].end == -1) CHECK(runs[i - 1].pid != runs[i].pid);
    }
    CHECK(std::count_if(runs.begin(), runs.end(), [](const auto& e) { return e.end != -1; }) >= 1);
  }
  CHECK(again >= 1);
  MESSAGE(kills << " kills, " << again << " executions again");
}

TEST_CASE("a task that crashes its worker fails after its crash budget and leaves others unharmed") {
  DaemonProcess daemon(with_test_plugins({"--processes", "2"}));
  Executor ex = Executor::connect(daemon.endpoint());
  std::vector<Future<std::string>> good;
  for (int i = 0; i < 50; ++i) good.push_back(ex.submit("test.sleep_ms", "2"));
  for (const char* task : {"bad.abort", "bad.segv", "bad.exit"}) {
    auto bad = ex.submit(task, "");
    CAPTURE(task);
    try {
      (void)bad.result(60s);
      FAIL("it succeeded");
    } catch (const TaskError& e) {
      CHECK(e.kind == ErrorKind::crashed);
      CHECK(e.attempts >= 3);  // those that were only sent ahead to a worker that died count, uncharged
      CHECK((e.signal != 0) == (std::string(task) != "bad.exit"));
    }
  }
  for (auto& f : good) CHECK(f.result(60s) == "2");
}

TEST_CASE("crashes(-1) never runs a task again after a crash") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1"}));
  Executor ex = Executor::connect(daemon.endpoint());
  try {
    (void)ex.submit("bad.abort", "", TaskOptions().crashes(-1)).result(60s);
    FAIL("it succeeded");
  } catch (const TaskError& e) {
    CHECK(e.kind == ErrorKind::crashed);
    CHECK(e.attempts == 1);
  }
}

TEST_CASE("what a task left behind in its session is gone before the task runs again") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1"}));
  Executor ex = Executor::connect(daemon.endpoint());
  Executor control = Executor::connect(daemon.endpoint());
  REQUIRE(wait_for_workers(control, 1));
  const std::string pidfile = (daemon.folder() / "left-behind").string();
  // argv of the exec plugin, as protobuf by hand: field 1, repeated string.
  const auto argument = [](const std::string& s) { return std::string("\x0a") + static_cast<char>(s.size()) + s; };
  auto f = ex.submit("exec", argument("sh") + argument("-c") + argument("echo $$ >> " + pidfile + "; exec sleep 600"));
  const auto line_count = [&] {
    std::ifstream in(pidfile);
    return std::count(std::istreambuf_iterator<char>(in), {}, '\n');
  };
  REQUIRE(eventually([&] { return line_count() == 1; }));
  ::kill(worker_pids(control).at(0), SIGKILL);
  REQUIRE(eventually([&] { return line_count() == 2; }));
  std::ifstream in(pidfile);
  pid_t first = 0;
  in >> first;
  CHECK_FALSE(process_alive(first));
  auto verdict = Control(ex).cancel({f}, 10s);
  REQUIRE(verdict);
  CHECK_THROWS_AS((void)f.result(30s), CancelledError);
}
