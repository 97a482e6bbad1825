// Calls that are told to stop: those that hear it, those that do not, and what runs beside them.
#include <doctest/doctest.h>

#include "tests/support/e2e.hpp"

using namespace futured;
using namespace futured::test;

TEST_CASE("a process with a call that does not hear its timeout is replaced, and its neighbour runs again uncharged") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1", "--threads", "2"}));
  const std::filesystem::path held = daemon.folder() / "held";
  Executor ex = Executor::connect(daemon.endpoint());
  // The first crash would end it.
  auto neighbour = ex.submit("test.until", held.string(), TaskOptions().crashes(-1).keep(1h));
  auto deaf = ex.submit("bad.deaf", "2", TaskOptions().timeout(100ms).retries(1).keep(1h));
  REQUIRE(eventually([&] { return neighbour.running() && deaf.running(); }));
  const pid_t pid = worker_pids(ex).at(0);
  CHECK(deaf.result(20s) == "heard");
  CHECK_FALSE(process_alive(pid));
  const v1::TaskRecord task = record(ex, deaf);
  REQUIRE(task.attempts_size() == 2);
  CHECK(endings(task) == "timeout succeeded");
  CHECK(task.attempts(0).pid() == static_cast<std::uint32_t>(pid));
  CHECK(task.attempts(1).pid() != static_cast<std::uint32_t>(pid));
  CHECK(task.attempts(1).started_unix_ns() >= task.attempts(0).ended_unix_ns());
  tell_until(held, 2, "again");
  CHECK(neighbour.result(20s) == "again");
  REQUIRE(record(ex, neighbour).attempts_size() == 2);
  CHECK(record(ex, neighbour).attempts(0).outcome() != "crashed");
  REQUIRE(wait_for_workers(ex, 1));
}

TEST_CASE("the neighbour of a call that is given up may finish before the process goes") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1", "--threads", "2"}));
  const std::filesystem::path held = daemon.folder() / "held";
  Executor ex = Executor::connect(daemon.endpoint());
  auto neighbour = ex.submit("test.until", held.string(), TaskOptions().crashes(-1).keep(1h));
  auto deaf = ex.submit("bad.hang", "", TaskOptions().keep(1h));
  REQUIRE(eventually([&] { return neighbour.running() && deaf.running(); }));
  const pid_t pid = worker_pids(ex).at(0);
  CHECK(deaf.cancel(50ms));
  CHECK_THROWS_AS((void)deaf.result(20s), CancelledError);
  CHECK(endings(record(ex, deaf)) == "cancelled");
  CHECK(record(ex, deaf).attempts(0).message() == "it did not stop; its worker process is replaced");
  // Another process takes its place at once, not when the neighbour has had its time.
  CHECK(ex.submit("test.pid", "").result(20s) != std::to_string(pid));
  CHECK(process_alive(pid));
  CHECK_FALSE(neighbour.done());
  tell_until(held, 1, "in its time");
  CHECK(neighbour.result(20s) == "in its time");
  CHECK(record(ex, neighbour).attempts_size() == 1);
  REQUIRE(eventually([&] { return !process_alive(pid); }));
  CHECK(wait_for_workers(ex, 1));
}

TEST_CASE("a call of the async lane that never ends is given up like any other") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1"}));
  Executor ex = Executor::connect(daemon.endpoint());
  auto silent = ex.submit("bad.silent", "");
  REQUIRE(eventually([&] { return silent.running(); }));
  const pid_t pid = worker_pids(ex).at(0);
  CHECK(silent.cancel(0s));
  CHECK_THROWS_AS((void)silent.result(20s), CancelledError);
  REQUIRE(eventually([&] { return !process_alive(pid); }));
  CHECK(ex.submit("echo", "on").result(20s) == "on");
}

TEST_CASE("a deadline that a deaf call does not hear ends the task all the same") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1"}));
  Executor ex = Executor::connect(daemon.endpoint());
  CHECK(ex.submit("echo", "a worker is up").result(20s) == "a worker is up");
  auto deaf = ex.submit("bad.hang", "", TaskOptions().deadline(1s).retries(5).keep(1h));
  REQUIRE(eventually([&] { return record(ex, deaf).reason() == v1::REASON_CANCELLING; }));
  CHECK(explain(ex, deaf).find("was told to stop; if it does not, its process is replaced in") != std::string::npos);
  CHECK(error_of(deaf).kind == ErrorKind::deadline);
  CHECK(ex.submit("echo", "on").result(20s) == "on");
}

TEST_CASE("a worker that is killed leaves its call to another, charged; one that drains finishes it") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1"}));
  const std::filesystem::path held = daemon.folder() / "held";
  Executor ex = Executor::connect(daemon.endpoint());
  const auto worker = [&] {
    v1::Request request;
    request.mutable_workers();
    WorkerId id = 0;
    const v1::Reply reply = ask(ex, request);
    for (const auto& w : reply.workers()) id = w.state() == "ready" ? w.id() : id;
    return id;
  };
  auto f = ex.submit("test.until", held.string(), TaskOptions().keep(1h));
  REQUIRE(eventually([&] { return f.running(); }));
  WorkerId id = worker();
  REQUIRE(Control(ex).end_worker(id, true, 10s).ok());
  REQUIRE(eventually([&] { return record(ex, f).attempt_count() == 2 && record(ex, f).state() == v1::STATE_RUNNING; }));
  CHECK(record(ex, f).attempts(0).outcome() == "crashed");
  const WorkerId second = worker();
  CHECK(second != id);
  REQUIRE(Control(ex).end_worker(second, false, 10s).ok());
  const pid_t leaving = static_cast<pid_t>(record(ex, f).attempts(1).pid());
  CHECK(ex.submit("test.pid", "").result(20s) != std::to_string(leaving));  // by its replacement, which need not wait
  CHECK_FALSE(f.done());
  tell_until(held, 2, "finished");
  CHECK(f.result(20s) == "finished");
  CHECK(endings(record(ex, f)) == "crashed succeeded");
  REQUIRE(eventually([&] { return !process_alive(leaving); }));
  CHECK(wait_for_workers(ex, 1));
  CHECK(daemon.log().find("ended with status 0") == std::string::npos);  // that was no accident
  const Status unknown = Control(ex).end_worker(999, true, 10s);
  CHECK(unknown.code() == Code::not_found);
}
