// The daemon as a part of this program.
#include "futured/embedded.hpp"

#include <doctest/doctest.h>

#include <thread>

#include "tests/support/e2e.hpp"

using namespace futured;
using namespace futured::test;

namespace {
EmbeddedOptions options() { return EmbeddedOptions().plugin_dir(plugin_dir()).worker_program(bin("futured-worker")); }
}  // namespace

TEST_CASE("two daemons in one process work side by side and do not see each other's tasks") {
  Executor a = Executor::embedded(options().processes(1));
  Executor b = Executor::embedded(options().processes(1));
  std::vector<Future<std::string>> from_a;
  std::vector<Future<std::string>> from_b;
  for (int i = 0; i < 200; ++i) {
    from_a.push_back(a.submit("echo", "a" + std::to_string(i)));
    from_b.push_back(b.submit("echo", "b" + std::to_string(i)));
  }
  for (int i = 0; i < 200; ++i) {
    CHECK(from_a[static_cast<std::size_t>(i)].result(30s) == "a" + std::to_string(i));
    CHECK(from_b[static_cast<std::size_t>(i)].result(30s) == "b" + std::to_string(i));
  }
  CHECK(status(a).submitted_total() == 200);
  CHECK(status(b).submitted_total() == 200);
}

TEST_CASE("functions of the host run for its own client and for others") {
  Executor own = Executor::embedded(options());
  LocalWorker worker(own, WorkerOptions().threads(2));
  const auto here = std::this_thread::get_id();
  worker.add("shout", [here](std::string_view input) {
    if (std::this_thread::get_id() == here) throw std::logic_error("on the caller's thread");
    std::string out(input);
    for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return out;
  });
  worker.add("refuse", [](std::string_view) -> std::string { throw std::runtime_error("not today"); });
  CHECK(own.submit("shout", "hello").result(20s) == "HELLO");
  try {
    (void)own.submit("refuse", "").result(20s);
    FAIL("it succeeded");
  } catch (const TaskError& e) {
    CHECK(std::string(e.what()).find("not today") != std::string::npos);
  }
}

TEST_CASE("an embedded daemon that listens serves other clients too") {
  const TempDir dir;
  const std::string endpoint = "ipc://" + (dir.path() / "e.sock").string();
  Executor own = Executor::embedded(options().processes(1).listen(endpoint));
  Executor other = Executor::connect(endpoint);
  CHECK(other.submit("echo", "from outside").result(30s) == "from outside");
}

TEST_CASE("destroying an embedded executor waits for its tasks and leaves no process behind") {
  std::vector<pid_t> pids;
  std::vector<Future<std::string>> futures;
  {
    Executor ex = Executor::embedded(options().processes(2));
    REQUIRE(wait_for_workers(ex, 2));
    pids = worker_pids(ex);
    for (int i = 0; i < 100; ++i) futures.push_back(ex.submit("echo", std::to_string(i)));
  }
  for (int i = 0; i < 100; ++i) CHECK(futures[static_cast<std::size_t>(i)].result(0s) == std::to_string(i));
  for (const pid_t pid : pids) CHECK_FALSE(process_alive(pid));
}
