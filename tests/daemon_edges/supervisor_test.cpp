#include "daemon/supervisor/supervisor.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>

#include <algorithm>
#include <sstream>

#include "daemon/log.hpp"
#include "daemon/supervisor/child.hpp"
#include "proto/process_session.hpp"
#include "tests/daemon_edges/support.hpp"

using namespace futured;
using namespace futured::daemon;
using namespace futured::test;

namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kSecond = 1000 * kMs;

// A supervisor whose clock the test can move on.
struct Bench {
  explicit Bench(const std::string& pool, const std::string& program = FAKE_WORKER)
      : supervisor(config(pool, program)) {
    log_level("off");
  }
  SupervisorConfig config(const std::string& pool, const std::string& program) const {
    SupervisorConfig c;
    c.worker_program = program;
    c.endpoint = "ipc:///nowhere";
    c.runtime_dir = folder.path();
    c.pools.push_back({pool, 2, 30, {"/plugins/a.so", "/plugins/b.so"}});
    c.pools.push_back({"other", 1, 1, {}});
    c.plugin_config = {{"a", R"({"x": 1})"}};
    return c;
  }
  std::int64_t now() const { return now_ns() + ahead; }
  void advance() { supervisor.advance(now(), exits); }
  bool until(const std::function<bool()>& happened) {
    return eventually([&] {
      advance();
      return happened();
    });
  }
  std::string args(SpawnId spawn) const { return read_file(folder / ("slots-" + std::to_string(spawn) + ".args")); }
  bool up(SpawnId spawn) {
    return until([&] { return !args(spawn).empty(); });
  }

  TempFolder folder;
  std::int64_t ahead = 0;
  Supervisor supervisor;
  std::vector<Supervisor::Exit> exits;
  std::vector<SpawnId> drain;
};

bool alive(pid_t pid) {
  const std::string stat = read_file("/proc/" + std::to_string(pid) + "/stat");
  return !stat.empty() && stat.substr(stat.rfind(')') + 2, 1) != "Z";
}

}  // namespace

TEST_CASE("a worker process gets its orders, a session of its own, clean signals and no files of ours") {
  Bench b("quiet");
  const int leak = open("/dev/null", O_RDONLY);  // not CLOEXEC
  signal(SIGPIPE, SIG_IGN);
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigprocmask(SIG_BLOCK, &term, nullptr);
  b.supervisor.scale("quiet", 1, b.now(), b.drain);
  REQUIRE(b.up(1));
  sigprocmask(SIG_UNBLOCK, &term, nullptr);
  close(leak);
  const std::string pid = std::to_string(b.supervisor.pid(1));
  CHECK(b.args(1) == pid + " " + pid +
                         " --connect ipc:///nowhere --pool quiet --threads 2 --async-slots 30"
                         " --plugin /plugins/a.so --plugin /plugins/b.so --plugin-config a={\"x\": 1} --spawn-id 1"
                         " --slots-file " +
                         (b.folder / "slots-1"));
  CHECK(b.supervisor.spawn_of(b.supervisor.pid(1)) == 1);
  CHECK(b.supervisor.view("quiet").alive == 1);
  CHECK_FALSE(b.supervisor.scale("no such pool", 1, b.now(), b.drain));
}

TEST_CASE("the end of a process wakes the poller and tells what ran") {
  Bench b("busy");
  b.supervisor.scale("busy", 1, b.now(), b.drain);
  REQUIRE(b.up(1));
  std::vector<struct pollfd> fds;
  b.supervisor.pollfds(fds);
  REQUIRE(fds.size() == 1);
  CHECK(poll(fds.data(), 1, 0) == 0);
  const auto pid = static_cast<pid_t>(b.supervisor.pid(1));
  kill(pid, SIGKILL);
  const std::int64_t killed = now_ns();
  CHECK(poll(fds.data(), 1, 10'000) == 1);
  REQUIRE(b.until([&] { return !b.exits.empty(); }));
  MESSAGE("killed to reported: ", (now_ns() - killed) / 1000, " us");
  CHECK(poll(fds.data(), 1, 0) == 0);
  const Supervisor::Exit& exit = b.exits[0];
  CHECK(exit.spawn == 1);
  CHECK(exit.pool == "busy");
  CHECK(exit.pid == static_cast<std::uint32_t>(pid));
  CHECK(exit.signal == SIGKILL);
  CHECK_FALSE(exit.leaving);
  CHECK(exit.running == std::vector<AttemptToken>{{7, 1, 100}, {7, 3, 300}});
  CHECK_FALSE(std::filesystem::exists(b.folder / "slots-1"));
}

TEST_CASE("everything in the session of a dead process is gone before its end is reported") {
  for (const bool reaper : {false, true}) {
    CAPTURE(reaper);
    prctl(PR_SET_CHILD_SUBREAPER, reaper ? 1 : 0);
    Bench b("family");
    b.supervisor.scale("family", 1, b.now(), b.drain);
    REQUIRE(b.up(1));
    const std::string file = b.folder / "slots-1.family";
    REQUIRE(b.until([&] { return !read_file(file).empty(); }));
    std::istringstream in(read_file(file));
    std::vector<pid_t> members;
    for (pid_t p = 0; in >> p;) members.push_back(p);
    REQUIRE(members.size() == 3);
    for (const pid_t p : members) CHECK(alive(p));
    kill(static_cast<pid_t>(b.supervisor.pid(1)), SIGKILL);
    REQUIRE(b.until([&] { return !b.exits.empty(); }));
    for (const pid_t p : members) CHECK_FALSE(alive(p));
  }
  prctl(PR_SET_CHILD_SUBREAPER, 0);
}

TEST_CASE("a process that ends early is replaced after a pause that doubles up to 10 s") {
  Bench b("crash");
  b.supervisor.scale("crash", 1, b.now(), b.drain);
  std::vector<std::int64_t> pauses;
  for (std::size_t n = 1; n <= 9; ++n) {
    REQUIRE(b.until([&] { return b.exits.size() == n; }));
    CHECK(b.exits.back().signal == SIGABRT);
    const std::int64_t due = b.supervisor.next_deadline();
    pauses.push_back((due - b.now() + 50 * kMs) / (100 * kMs));
    b.advance();
    CHECK(b.supervisor.view("crash").alive == 0);  // not before its time
    b.ahead += due - b.now();
  }
  CHECK(pauses == std::vector<std::int64_t>{1, 2, 4, 8, 16, 32, 64, 100, 100});
  const std::string trouble = b.supervisor.view("crash").trouble;
  CHECK(trouble.find("signal 6 (Aborted)") != std::string::npos);
  CHECK(trouble.find("10.0 s") != std::string::npos);
}

TEST_CASE("a process that lived 10 s is replaced at once; its pool's trouble is over") {
  Bench b("status3");
  b.supervisor.scale("status3", 1, b.now(), b.drain);
  REQUIRE(b.until([&] { return b.exits.size() == 1; }));
  CHECK(b.exits[0].status == 3);
  CHECK(b.exits[0].signal == 0);
  CHECK(b.supervisor.view("status3").trouble.find("status 3") != std::string::npos);

  Bench quiet("quiet");
  quiet.supervisor.scale("quiet", 1, quiet.now(), quiet.drain);
  REQUIRE(quiet.up(1));
  kill(static_cast<pid_t>(quiet.supervisor.pid(1)), SIGKILL);
  REQUIRE(quiet.until([&] { return quiet.exits.size() == 1; }));
  CHECK_FALSE(quiet.supervisor.view("quiet").trouble.empty());
  REQUIRE(quiet.up(2));
  quiet.ahead += 10 * kSecond;
  quiet.advance();
  CHECK(quiet.supervisor.view("quiet").trouble.empty());
  kill(static_cast<pid_t>(quiet.supervisor.pid(2)), SIGKILL);
  REQUIRE(quiet.until([&] { return quiet.exits.size() == 2; }));
  quiet.advance();
  CHECK(quiet.supervisor.pid(3) != 0);  // without a pause
}

TEST_CASE("processes that fail together count as one failure") {
  Bench b("crash");
  b.supervisor.scale("crash", 6, b.now(), b.drain);
  REQUIRE(b.until([&] { return b.exits.size() == 6; }));
  CHECK(b.supervisor.next_deadline() - b.now() < 150 * kMs);
}

TEST_CASE("a program that cannot be started is a trouble with its name, tried again") {
  Bench b("quiet", "/no/such/futured-worker");
  b.supervisor.scale("quiet", 3, b.now(), b.drain);
  b.advance();
  const Supervisor::PoolView view = b.supervisor.view("quiet");
  CHECK(view.wanted == 3);
  CHECK(view.alive == 0);
  CHECK(view.trouble.find("cannot start /no/such/futured-worker: No such file or directory") != std::string::npos);
  CHECK(b.supervisor.next_deadline() > b.now());
  CHECK(b.supervisor.empty());
  b.ahead += kSecond;
  b.advance();
  CHECK(b.supervisor.view("quiet").trouble.find("0.2 s") != std::string::npos);
}

TEST_CASE("scaling down names the youngest to drain and does not replace them") {
  Bench b("quiet");
  b.supervisor.scale("quiet", 3, b.now(), b.drain);
  REQUIRE((b.up(1) && b.up(2) && b.up(3)));
  CHECK(b.drain.empty());
  b.supervisor.scale("quiet", 1, b.now(), b.drain);
  CHECK(b.drain == std::vector<SpawnId>{3, 2});
  CHECK(b.supervisor.view("quiet").leaving == 2);
  kill(static_cast<pid_t>(b.supervisor.pid(3)), SIGTERM);
  REQUIRE(b.until([&] { return b.exits.size() == 1; }));
  CHECK(b.exits[0].leaving);
  b.advance();
  CHECK(b.supervisor.view("quiet").alive == 1);
  CHECK(b.supervisor.view("quiet").trouble.empty());
  // Wanted again while one is still leaving: a new one comes.
  b.supervisor.scale("quiet", 2, b.now(), b.drain);
  CHECK(b.up(4));
}

TEST_CASE("a killed or retired process is replaced without a pause") {
  Bench b("quiet");
  b.supervisor.scale("quiet", 1, b.now(), b.drain);
  REQUIRE(b.up(1));
  b.supervisor.kill(1);
  REQUIRE(b.until([&] { return b.exits.size() == 1; }));
  CHECK(b.exits[0].leaving);
  CHECK(b.supervisor.view("quiet").trouble.empty());
  REQUIRE(b.up(2));
  b.supervisor.retire(2);
  CHECK(b.up(3));  // beside the one that is leaving
  CHECK(b.supervisor.view("quiet").leaving == 1);
}

TEST_CASE("terminate_all ends them all and starts nothing") {
  Bench b("quiet");
  b.supervisor.scale("quiet", 2, b.now(), b.drain);
  b.supervisor.scale("other", 1, b.now(), b.drain);
  REQUIRE((b.up(1) && b.up(2) && b.up(3)));
  b.supervisor.terminate_all();
  CHECK(b.until([&] { return b.supervisor.empty(); }));
  CHECK(b.exits.size() == 3);
  for (const Supervisor::Exit& exit : b.exits) CHECK(exit.signal == SIGTERM);
  CHECK(b.supervisor.next_deadline() == INT64_MAX);
}

TEST_CASE("nothing is left when the supervisor goes") {
  pid_t pid = 0;
  {
    Bench b("family");
    b.supervisor.scale("family", 1, b.now(), b.drain);
    REQUIRE(b.up(1));
    pid = static_cast<pid_t>(b.supervisor.pid(1));
  }
  CHECK_FALSE(alive(pid));
  CHECK(kill_session(pid) == 0);
}

TEST_CASE("many processes come up in bounded steps") {
  Bench b("quiet");
  b.supervisor.scale("quiet", 20, b.now(), b.drain);
  b.advance();
  CHECK(b.supervisor.view("quiet").alive == 8);
  CHECK(b.supervisor.next_deadline() == 0);
  b.advance();
  b.advance();
  CHECK(b.supervisor.view("quiet").alive == 20);
}
