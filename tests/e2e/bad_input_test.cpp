// Wrong input gets a clear error, nothing is lost, and the daemon goes on.
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <iterator>

#include "tests/support/e2e.hpp"

using namespace futured;
using namespace futured::test;

namespace {

std::string refusal(Executor& ex, const std::string& task, const std::string& input = "",
                    const TaskOptions& options = TaskOptions()) {
  try {
    (void)ex.submit(task, input, options).result(30s);
  } catch (const RejectedError& e) {
    return e.what();
  }
  return {};
}

}  // namespace

TEST_CASE("tasks that cannot be are refused by name and with what was meant") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1"}));
  Executor ex = Executor::connect(daemon.endpoint());
  CHECK(refusal(ex, "ehco").find("did you mean 'echo'") != std::string::npos);
  CHECK(refusal(ex, "nothing-like-it").find("fut catalog") != std::string::npos);
  CHECK(refusal(ex, "echo", "x", TaskOptions().pool("defualt")).find("did you mean 'default'") != std::string::npos);
  CHECK(ex.submit("echo", "still here").result(20s) == "still here");
}

TEST_CASE("inputs and results above the limit fail alone") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1", "--payload-limit", "1MiB"}));
  Executor ex = Executor::connect(daemon.endpoint());
  const auto too_large = [](const Future<std::string>& f) { return error_of(f).kind == ErrorKind::too_large; };
  CHECK(ex.submit("echo", std::string(1 << 20, 'x')).result(30s).size() == 1 << 20);
  CHECK(too_large(ex.submit("echo", std::string((1 << 20) + 1, 'x'))));
  CHECK(too_large(ex.submit("test.big", std::to_string((1 << 20) + 1))));
  CHECK(ex.submit("test.big", std::to_string(1 << 20)).result(30s).size() == 1 << 20);
}

TEST_CASE("a plugin that throws, fails or ends a call twice harms only that call") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1"}));
  Executor ex = Executor::connect(daemon.endpoint());
  try {
    (void)ex.submit("test.fail", "because").result(20s);
    FAIL("it succeeded");
  } catch (const TaskError& e) {
    CHECK(e.kind == ErrorKind::error);
    CHECK(std::string(e.what()).find("because") != std::string::npos);
  }
  (void)ex.submit("bad.twice", "").exception(20s);
  for (int i = 0; i < 20; ++i) CHECK(ex.submit("echo", std::to_string(i)).result(20s) == std::to_string(i));
  Executor control = Executor::connect(daemon.endpoint());
  CHECK(status(control).stale_reports() == 0);
}

TEST_CASE("plugins that cannot be used are told with their reason, and the others work") {
  DaemonProcess daemon(
      with_test_plugins({"--processes", "1", "--plugin-dir", from_environment("FUTURED_TEST_PLUGIN_DIR") + "/broken"}));
  Executor ex = Executor::connect(daemon.endpoint());
  const v1::DaemonStatus s = status(ex);
  CHECK(s.plugins_refused_size() >= 3);  // another ABI, no entry point, a constructor that crashes
  for (const auto& r : s.plugins_refused()) {
    CHECK_FALSE(r.path().empty());
    CHECK_FALSE(r.message().empty());
  }
  CHECK(ex.submit("echo", "ok").result(20s) == "ok");
}

TEST_CASE("a client that submits and never reads does not stop others, and memory stays bounded") {
  DaemonProcess daemon(with_test_plugins({"--processes", "2"}));
  pid_t flooder = fork();
  if (flooder == 0) {
    // A process of its own, stopped in the middle: it submits, and from then on it does not read.
    Executor mute = Executor::connect(daemon.endpoint());
    auto futures = mute.submit_many("test.big", std::vector<std::string>(2000, "100000"));
    (void)futures.front().exception(30s);
    raise(SIGSTOP);
    _exit(0);
  }
  int wait_status = 0;
  REQUIRE(waitpid(flooder, &wait_status, WUNTRACED) == flooder);
  REQUIRE(WIFSTOPPED(wait_status));
  Executor ex = Executor::connect(daemon.endpoint());
  for (int i = 0; i < 50; ++i) CHECK(ex.submit("echo", std::to_string(i)).result(30s) == std::to_string(i));
  REQUIRE(eventually([&] { return status(ex).tasks().queued() + status(ex).tasks().running() == 0; }, 60s));
  std::ifstream in("/proc/" + std::to_string(daemon.pid()) + "/statm");
  long pages = 0;
  in >> pages >> pages;
  // 2,000 results of 100,000 bytes wait for it: they are held once.
  CHECK(pages * 4096L < 600L << 20);
  ::kill(flooder, SIGKILL);
  waitpid(flooder, nullptr, 0);
}

TEST_CASE("connections without end are refused before the daemon runs out of file descriptors") {
  const TempDir dir;
  const std::string path = (dir.path() / "d").string();
  const std::string log = (dir.path() / "log").string();
  const std::string pidfile = (dir.path() / "pid").string();
  Program daemon({"/bin/sh", "-c", "ulimit -n 256; exec \"$@\"", "sh", bin("futured"), "--listen", "ipc://" + path,
                  "--pidfile", pidfile, "--processes", "1", "--plugin-dir", plugin_dir()},
                 {"XDG_RUNTIME_DIR=" + dir.path().string()}, log);
  REQUIRE(eventually([&] { return std::filesystem::exists(pidfile); }));
  Executor ex = Executor::connect("ipc://" + path);
  REQUIRE(wait_for_workers(ex, 1));
  std::vector<int> raw;  // none of them ever says a word
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  std::size_t refused = 0;
  for (int i = 0; i < 300; ++i) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0);
    REQUIRE(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    raw.push_back(fd);
  }
  CHECK(ex.submit("echo", "still here").result(20s) == "still here");
  // The daemon greets whom it takes; of the others it closes the connection.
  for (const int fd : raw) {
    char byte = 0;
    if (read(fd, &byte, 1) <= 0) ++refused;
  }
  CHECK(refused > 50);
  CHECK(refused < 200);
  // It has descriptors left for itself: a worker that dies is replaced.
  const pid_t worker = worker_pids(ex).at(0);
  ::kill(worker, SIGKILL);
  CHECK(eventually([&] {
    const auto pids = worker_pids(ex);
    return pids.size() == 1 && pids[0] != worker;
  }));
  for (const int fd : raw) close(fd);
  CHECK(eventually([&] {
    try {
      return Executor::connect("ipc://" + path).submit("echo", "new").result(20s) == "new";
    } catch (const NoDaemonError&) {
      return false;
    }
  }));
  std::ifstream in(log);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  const std::size_t line = text.find("refuses connections");
  CHECK(line != std::string::npos);
  CHECK(text.find("refuses connections", line + 1) == std::string::npos);
  daemon.signal(SIGTERM);
  CHECK(daemon.wait_for_end(30s) == 0);
}
