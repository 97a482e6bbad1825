// Starting, scaling and replacing: what an operator does.
#include <doctest/doctest.h>

#include "tests/support/e2e.hpp"

using namespace futured;
using namespace futured::test;

namespace {
v1::Reply scale(const Executor& ex, std::uint32_t processes) {
  v1::Request request;
  request.mutable_scale()->set_processes(processes);
  return ask(ex, request);
}
}  // namespace

TEST_CASE("a second daemon on the same endpoint is refused and the first goes on") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1"}));
  const std::string output = (daemon.folder() / "second").string();
  Program second({bin("futured"), "--listen", daemon.endpoint(), "--processes", "0"}, {}, output);
  const int status = second.wait_for_end(20s);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) != 0);
  std::ifstream in(output);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  CHECK(text.find(std::to_string(daemon.pid())) != std::string::npos);
  Executor ex = Executor::connect(daemon.endpoint());
  CHECK(ex.submit("echo", "first").result(20s) == "first");
}

TEST_CASE("plugins that are named and not there are an error, before and at the start") {
  const TempDir dir;
  const auto said = [&](std::vector<std::string> flags) {
    const std::string output = (dir.path() / "output").string();
    std::filesystem::remove(output);
    flags.insert(flags.begin(), {bin("futured"), "--listen", "ipc://" + (dir.path() / "d").string()});
    Program futured(flags, {"XDG_RUNTIME_DIR=" + dir.path().string()}, output);
    const int status = futured.wait_for_end(20s);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 2);
    std::ifstream in(output);
    return std::string((std::istreambuf_iterator<char>(in)), {});
  };
  const std::string config = (dir.path() / "toml").string();
  std::ofstream(config) << "[[pool]]\nname = \"p\"\nplugins = [\"ehco\"]\n";
  for (const std::string check : {"--check-config=true", "--check-config=false"}) {
    CAPTURE(check);
    CHECK(said({check, "--plugin-dir", "/no/such/folder"}).find("/no/such/folder") != std::string::npos);
    CHECK(said({check, "--plugin-dir", plugin_dir(), "--config", config}).find("did you mean 'echo'?") !=
          std::string::npos);
  }
}

TEST_CASE("a program that was started without standard descriptors does not print into its sockets") {
  const TempDir dir;
  const std::string pidfile = (dir.path() / "pid").string();
  Program daemon(
      {"/bin/sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh", bin("futured"), "--listen",
       "ipc://" + (dir.path() / "d").string(), "--pidfile", pidfile, "--processes", "1", "--plugin-dir", plugin_dir()},
      {"XDG_RUNTIME_DIR=" + dir.path().string()}, (dir.path() / "log").string());
  REQUIRE(eventually([&] { return std::filesystem::exists(pidfile); }));
  for (const char* fd : {"0", "1", "2"}) {
    CHECK(std::filesystem::read_symlink("/proc/" + std::to_string(daemon.pid()) + "/fd/" + fd) == "/dev/null");
  }
  Executor ex = Executor::connect("ipc://" + (dir.path() / "d").string());
  CHECK(ex.submit("echo", "x").result(20s) == "x");
}

TEST_CASE("the log has one line for a worker that dies and one for the end, and nothing of workers that are well") {
  DaemonProcess daemon(with_test_plugins({"--processes", "2", "--drain-timeout", "0.1s"}));
  const auto count = [&](const std::string& text) {
    const std::string log = daemon.log();
    std::size_t n = 0;
    for (std::size_t at = log.find(text); at != std::string::npos; at = log.find(text, at + 1)) ++n;
    return n;
  };
  {
    Executor ex = Executor::connect(daemon.endpoint());
    REQUIRE(wait_for_workers(ex, 2));
    const pid_t pid = worker_pids(ex).at(0);
    ::kill(pid, SIGKILL);
    REQUIRE(eventually([&] { return count("worker process " + std::to_string(pid)) > 0; }));
    REQUIRE(wait_for_workers(ex, 2));
    CHECK(count("worker process " + std::to_string(pid)) == 1);
    CHECK(count("signal 9") == 1);
    auto hangs = ex.submit("bad.hang", "");
    REQUIRE(eventually([&] { return hangs.running(); }));
    CHECK(daemon.terminate() == 0);
  }
  CHECK(count("ends; 1 task had not ended and is lost") == 1);
  CHECK(count("futured-worker[") == 0);
}

TEST_CASE("scaling up and down while tasks run loses none of them") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1"}));
  Executor ex = Executor::connect(daemon.endpoint());
  Executor control = Executor::connect(daemon.endpoint());
  auto futures = ex.submit_many("test.sleep_ms", std::vector<std::string>(400, "5"));
  scale(control, 4);
  REQUIRE(wait_for_workers(control, 4));
  scale(control, 1);
  REQUIRE(wait_for_workers(control, 1));
  scale(control, 3);
  for (auto& f : as_completed(futures, 60s)) CHECK(f.result() == "5");
  REQUIRE(wait_for_workers(control, 3));
}

TEST_CASE("a worker that was away when it was told to leave leaves when it is back") {
  const TempDir room;
  setenv("RETURNING_WORKER_FOLDER", room.path().c_str(), 1);
  DaemonProcess daemon({"--processes", "1", "--worker-program", from_environment("FUTURED_RETURNING_WORKER")});
  Executor ex = Executor::connect(daemon.endpoint());
  REQUIRE(eventually([&] { return std::filesystem::exists(room.path() / "away"); }));
  v1::Request request;
  request.mutable_workers();
  pid_t pid = 0;
  REQUIRE(eventually([&] {
    const v1::Reply reply = ask(ex, request);
    if (reply.workers_size() == 1) pid = static_cast<pid_t>(reply.workers(0).pid());
    return pid != 0 && worker_pids(ex).empty();
  }));
  scale(ex, 0);
  std::ofstream(room.path() / "return") << "x";
  CHECK(eventually([&] { return ask(ex, request).workers_size() == 0; }));
  CHECK_FALSE(process_alive(pid));
}

TEST_CASE("tasks wait for a worker and run when there is one") {
  DaemonProcess daemon(with_test_plugins({"--processes", "0"}));
  Executor ex = Executor::connect(daemon.endpoint());
  auto f = ex.submit("echo", "patience");
  REQUIRE(Control(ex).number(f, 10s));
  CHECK(Control(ex).warning(f).find("no worker") != std::string::npos);
  scale(ex, 1);
  CHECK(f.result(20s) == "patience");
}

TEST_CASE("an idle neighbour takes what waits behind a long call") {
  DaemonProcess daemon(with_test_plugins({"--processes", "2"}));
  Executor ex = Executor::connect(daemon.endpoint());
  REQUIRE(wait_for_workers(ex, 2));
  auto slow = ex.submit("bad.hang", "");
  REQUIRE(eventually([&] { return slow.running(); }));
  auto quick = ex.submit_many("test.sleep_ms", std::vector<std::string>(20, "1"));
  for (auto& f : as_completed(quick, 30s)) CHECK(f.result() == "1");
  CHECK_FALSE(slow.done());
}

TEST_CASE("a result is there for a client that attaches by number, and is forgotten when its time is over") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1"}));
  TaskNumber kept = 0;
  TaskNumber unkept = 0;
  {
    Executor ex = Executor::connect(daemon.endpoint());
    auto f = ex.submit("echo", "kept", TaskOptions().keep(1h));
    auto g = ex.submit("echo", "unkept");
    CHECK(f.result(20s) == "kept");
    CHECK(g.result(20s) == "unkept");
    kept = *Control(ex).number(f, 10s);
    unkept = *Control(ex).number(g, 10s);
  }
  Executor other = Executor::connect(daemon.endpoint());
  CHECK(other.future(kept).result(20s) == "kept");
  REQUIRE(eventually([&] { return status(other).clients() == 1; }));
  CHECK_THROWS_AS((void)other.future(unkept).result(20s), Forgotten);
  CHECK_THROWS_AS((void)other.future(TaskNumber{999'999}).result(20s), NotFound);
}

TEST_CASE("cancel takes what has not started, and tells when it is too late") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1"}));
  Executor ex = Executor::connect(daemon.endpoint());
  auto running = ex.submit("test.sleep_ms", "600000");
  REQUIRE(eventually([&] { return running.running(); }));
  auto waiting = ex.submit_many("test.sleep_ms", std::vector<std::string>(5, "1"));
  CHECK_FALSE(running.cancel());
  for (auto& f : waiting) {
    CHECK(f.cancel());
    CHECK_THROWS_AS((void)f.result(10s), CancelledError);
  }
  CHECK(running.cancel(5s));
  CHECK_THROWS_AS((void)running.result(20s), CancelledError);
  auto done = ex.submit("echo", "x");
  CHECK(done.result(20s) == "x");
  CHECK_FALSE(done.cancel());
}
