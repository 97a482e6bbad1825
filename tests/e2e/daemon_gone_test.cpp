// The daemon ends while somebody waits.
#include <doctest/doctest.h>

#include <iterator>

#include "tests/support/e2e.hpp"

using namespace futured;
using namespace futured::test;

TEST_CASE("without a daemon connect() says so at once and how to start one") {
  const TempDir dir;
  try {
    Executor::connect("ipc://" + (dir.path() / "none.sock").string());
    FAIL("it connected");
  } catch (const NoDaemonError& e) {
    CHECK(std::string(e.what()).find("futured") != std::string::npos);
  }
}

TEST_CASE("after a crash of a memory daemon its tasks are lost, not waited for, and new ones run") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1"}));
  Executor ex = Executor::connect(daemon.endpoint());
  auto done = ex.submit("echo", "before");
  CHECK(done.result(20s) == "before");
  auto slow = ex.submit("test.sleep_ms", "600000");
  REQUIRE(Control(ex).number(slow, 10s));  // acknowledged
  Executor other = Executor::connect(daemon.endpoint());
  const auto answer = Control(other).attach(number_of(ex, slow), 10s);
  REQUIRE(answer.ok());
  const Future<std::string> attached = answer->future;
  daemon.kill();
  daemon.start();
  // The numbers begin again: this one is not the task that was attached to.
  CHECK(Executor::connect(daemon.endpoint()).submit("echo", "one", TaskOptions().keep(1h)).result(20s) == "one");
  CHECK(error_of(attached).kind == ErrorKind::lost);
  CHECK(error_of(slow).kind == ErrorKind::lost);
  CHECK(done.result() == "before");
  CHECK(ex.submit("echo", "after").result(20s) == "after");
}

TEST_CASE("tasks submitted while the daemon is away run when it is back") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1"}));
  Executor ex = Executor::connect(daemon.endpoint());
  CHECK(ex.submit("echo", "x").result(20s) == "x");
  daemon.kill();
  std::vector<Future<std::string>> futures;
  for (int i = 0; i < 100; ++i) futures.push_back(ex.submit("echo", std::to_string(i)));
  daemon.start();
  int lost = 0;
  for (int i = 0; i < 100; ++i) {
    try {
      CHECK(futures[static_cast<std::size_t>(i)].result(30s) == std::to_string(i));
    } catch (const TaskError& e) {
      ++lost;
      MESSAGE("task " << i << ": " << e.what());
    }
  }
  CHECK(lost == 0);
}

TEST_CASE("a clean stop ends what has not ended as lost") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1", "--drain-timeout", "0.2s"}));
  Executor ex = Executor::connect(daemon.endpoint());
  auto running = ex.submit("bad.hang", "");
  std::vector<Future<std::string>> queued;
  for (int i = 0; i < 20; ++i) queued.push_back(ex.submit("bad.hang", ""));
  REQUIRE(eventually([&] { return running.running(); }));
  CHECK(daemon.terminate() == 0);
  const auto lost = [](Future<std::string>& f) {
    try {
      (void)f.result(20s);
    } catch (const TaskError& e) {
      return e.kind == ErrorKind::lost;
    }
    return false;
  };
  CHECK(lost(running));
  for (auto& f : queued) CHECK(lost(f));
}

TEST_CASE("SIGTERM lets running tasks finish and their results arrive") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1"}));
  Executor ex = Executor::connect(daemon.endpoint());
  auto f = ex.submit("test.sleep_ms", "500");
  REQUIRE(eventually([&] { return f.running(); }));
  CHECK(daemon.terminate() == 0);
  CHECK(f.result(10s) == "500");
}

TEST_CASE("workers leave when their daemon was killed") {
  DaemonProcess daemon(with_test_plugins({"--processes", "2"}));
  std::vector<pid_t> pids;
  {
    Executor ex = Executor::connect(daemon.endpoint());
    REQUIRE(wait_for_workers(ex, 2));
    pids = worker_pids(ex);
  }
  daemon.kill();
  for (const pid_t pid : pids) CHECK(eventually([&] { return !process_alive(pid); }, 30s));
}

TEST_CASE("a command does not outlive its daemon, and never runs twice at a time") {
  DaemonProcess daemon({"--processes", "1"});
  const auto pids = [&] {
    std::ifstream in(daemon.folder() / "pids");
    return std::vector<pid_t>(std::istream_iterator<pid_t>(in), {});
  };
  const auto run = [&](Executor& ex) {
    std::string request;  // ExecRequest{argv: sh -c "..."}
    const std::string script = "echo $$ >>" + (daemon.folder() / "pids").string() + "; sleep 1000 & exec sleep 1000";
    for (const std::string& word : {std::string("sh"), std::string("-c"), script}) {
      request += '\x0a';
      request += static_cast<char>(word.size());
      request += word;
    }
    return ex.submit("exec", request);
  };
  Executor ex = Executor::connect(daemon.endpoint());
  auto first = run(ex);
  REQUIRE(eventually([&] { return pids().size() == 1; }));
  daemon.kill();
  daemon.start();
  Executor again = Executor::connect(daemon.endpoint());
  auto second = run(again);
  REQUIRE(eventually([&] { return pids().size() == 2; }));
  CHECK_FALSE(process_alive(pids()[0]));
  CHECK(process_alive(pids()[1]));
}
