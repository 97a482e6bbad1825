#include "daemon/process.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <utime.h>

#include <cstring>

#include "daemon/log.hpp"
#include "tests/daemon_edges/support.hpp"

using namespace futured;
using namespace futured::daemon;
using namespace futured::test;

namespace {

struct Variable {
  Variable(const char* n, const std::string& value) : name(n) {
    if (const char* old = getenv(n)) before = old, had = true;
    if (value.empty()) {
      unsetenv(n);
    } else {
      setenv(n, value.c_str(), 1);
    }
  }
  ~Variable() { had ? setenv(name, before.c_str(), 1) : unsetenv(name); }
  const char* name;
  std::string before;
  bool had = false;
};

// Runs `body` as the program would, in a child; its exit status and what it wrote to standard error.
struct Outcome {
  int status = -1;
  std::string said;
};
Outcome foreground(const TempFolder& folder, const std::function<int()>& body) {
  const std::string file = folder / "stderr";
  const pid_t pid = fork();
  if (pid == 0) {
    if (freopen(file.c_str(), "w", stderr) == nullptr) _exit(99);
    _exit(body());
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(file)};
}

}  // namespace

TEST_CASE("the default socket is in the session's folder if there is one") {
  const TempFolder folder;
  const Variable xdg("XDG_RUNTIME_DIR", folder.path());
  auto endpoint = default_endpoint();
  REQUIRE(endpoint);
  CHECK(*endpoint == "ipc://" + (folder / "futured/futured.sock"));
  struct stat s {};
  REQUIRE(stat((folder / "futured").c_str(), &s) == 0);
  CHECK((s.st_mode & 0777) == 0700);
}

TEST_CASE("the default folder is made private, and is refused if it is somebody else's") {
  const TempFolder folder;
  const Variable xdg("XDG_RUNTIME_DIR", folder.path());
  const std::string place = folder / "futured";
  struct stat s {};
  SUBCASE("open to others") {
    REQUIRE(mkdir(place.c_str(), 0700) == 0);
    REQUIRE(chmod(place.c_str(), 0777) == 0);
    CHECK(default_endpoint());
    REQUIRE(stat(place.c_str(), &s) == 0);
    CHECK((s.st_mode & 0777) == 0700);
  }
  SUBCASE("a symbolic link") {
    std::filesystem::create_directory(folder / "elsewhere");
    std::filesystem::create_symlink(folder / "elsewhere", place);
    const auto endpoint = default_endpoint();
    REQUIRE_FALSE(endpoint);
    CHECK(endpoint.status().message().find(place + ", where clients") != std::string::npos);
  }
  SUBCASE("another user's") {
    REQUIRE(mkdir(place.c_str(), 0700) == 0);
    if (chown(place.c_str(), 12345, 12345) != 0) return;  // only root can try this
    const auto endpoint = default_endpoint();
    REQUIRE_FALSE(endpoint);
    CHECK(endpoint.status().message().find("belongs to the user 12345") != std::string::npos);
  }
}

TEST_CASE("a session folder that does not exist is not made") {
  const TempFolder folder;
  const Variable xdg("XDG_RUNTIME_DIR", folder / "missing");
  const Variable home("HOME", folder.path());
  auto endpoint = default_endpoint();
  REQUIRE(endpoint);
  CHECK_FALSE(std::filesystem::exists(folder / "missing"));
  if (geteuid() != 0) CHECK(*endpoint == "ipc://" + (folder / ".local/state/futured/run/futured.sock"));
  if (geteuid() == 0) CHECK(*endpoint == "ipc:///run/futured/futured.sock");
}

TEST_CASE("a claim is exclusive while it lives and says who has it") {
  const TempFolder folder;
  auto claim = Claim::take(folder / "lock", "ipc:///x");
  REQUIRE(claim);
  auto second = Claim::take(folder / "lock", "ipc:///x");
  REQUIRE_FALSE(second);
  CHECK(second.status().code() == Code::refused);
  CHECK(second.status().message() == "another daemon (pid " + std::to_string(getpid()) +
                                         ") is listening on ipc:///x; stop it, or give this one another endpoint");
  claim->reset();
  CHECK(Claim::take(folder / "lock", "ipc:///x"));
}

TEST_CASE("a private folder vanishes with its owner; that of a killed daemon with the next one") {
  const TempFolder folder;
  const Variable xdg("XDG_RUNTIME_DIR", folder.path());
  std::string path;
  {
    auto dir = RuntimeDir::make();
    REQUIRE(dir);
    path = (*dir)->path();
    CHECK(path.rfind(folder.path(), 0) == 0);
    write_file(path + "/slots-1", "x");
    auto other = RuntimeDir::make();
    REQUIRE(other);
    CHECK((*other)->path() != path);
  }
  CHECK_FALSE(std::filesystem::exists(path));

  const std::string left = folder / "futured/futured-daemon-abcdef";
  const std::string stranger = folder / "futured/futured-daemon-notes";
  const std::string unlocked = folder / "futured/futured-daemon-ghijkl";
  const utimbuf old{1, 1};
  for (const std::string& dir : {left, stranger, unlocked}) {
    std::filesystem::create_directories(dir);
    if (dir != unlocked) write_file(dir + "/daemon.lock", "1\n");
    utime(dir.c_str(), &old);
  }
  auto alive = RuntimeDir::make();
  REQUIRE(alive);
  CHECK_FALSE(std::filesystem::exists(left));
  CHECK(std::filesystem::exists(stranger));
  CHECK(std::filesystem::exists(unlocked));
  utime((*alive)->path().c_str(), &old);
  auto next = RuntimeDir::make();
  CHECK(std::filesystem::exists((*alive)->path()));
}

TEST_CASE("signals come as events") {
  Signals signals;
  CHECK(signals.next() == 0);
  kill(getpid(), SIGTERM);
  kill(getpid(), SIGHUP);
  std::vector<int> got{signals.next(), signals.next()};
  CHECK(((got[0] == SIGTERM && got[1] == SIGHUP) || (got[0] == SIGHUP && got[1] == SIGTERM)));
  CHECK(signals.next() == 0);
}

TEST_CASE("the foreground process returns when the daemon is ready, which goes on in the background") {
  const TempFolder folder;
  const std::string pidfile = folder / "pid";
  const std::string done = folder / "done";
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const Outcome outcome = foreground(folder, [&] {
    auto background = Background::enter({true, pidfile, folder / "log"});
    if (!background) return 1;
    log_level("info");
    log_info("before ready");
    if (!(*background)->ready().ok()) return 2;
    char c = 0;
    if (read(ends[0], &c, 1) != 1) return 3;  // until the test has looked
    log_info("going");
    write_file(done, std::to_string(getpid()) + " " + std::to_string(getsid(0)) + " " +
                         std::filesystem::current_path().string());
    background->reset();
    return 0;
  });
  CHECK(outcome.status == 0);
  CHECK(outcome.said.empty());
  const std::string pid = read_file(pidfile);
  REQUIRE_FALSE(pid.empty());
  CHECK(kill(std::stoi(pid), 0) == 0);
  CHECK(write(ends[1], "x", 1) == 1);
  REQUIRE(eventually([&] { return !std::filesystem::exists(pidfile); }));
  const std::string said = read_file(done);
  CHECK(said.rfind(pid.substr(0, pid.size() - 1) + " ", 0) == 0);
  CHECK(said.substr(said.rfind(' ')) == " /");
  const std::string log = read_file(folder / "log");
  CHECK(log.find("info: before ready") != std::string::npos);
  CHECK(log.find("info: going") != std::string::npos);
  close(ends[0]);
  close(ends[1]);
}

TEST_CASE("a failure in the background is told in the foreground, with its exit code") {
  const TempFolder folder;
  const Outcome outcome = foreground(folder, [&] {
    auto background = Background::enter({true, folder / "pid", folder / "log"});
    return background ? (*background)->failed("another daemon (pid 7) is there", 75) : 1;
  });
  CHECK(outcome.status == 75);
  CHECK(outcome.said == "futured: another daemon (pid 7) is there\n");
  CHECK_FALSE(std::filesystem::exists(folder / "pid"));
  CHECK(eventually([&] { return read_file(folder / "log").find("another daemon") != std::string::npos; }));
}

TEST_CASE("a daemon that dies before it is ready is not reported as started") {
  const TempFolder folder;
  const Outcome outcome = foreground(folder, [&] {
    auto background = Background::enter({true, "", ""});
    raise(SIGKILL);
    return 0;
  });
  CHECK(outcome.status == 1);
  CHECK(outcome.said == "futured: the daemon ended before it was ready\n");
}

TEST_CASE("a pidfile belongs to one running process, and only that one removes it") {
  const TempFolder folder;
  const std::string pidfile = folder / "pid";
  write_file(pidfile, "4711\n");  // of a process that was killed
  auto first = Background::enter({false, pidfile, ""});
  REQUIRE(first);
  REQUIRE((*first)->ready().ok());
  CHECK(read_file(pidfile) == std::to_string(getpid()) + "\n");
  {
    auto second = Background::enter({false, pidfile, ""});
    REQUIRE(second);
    const Status refused = (*second)->ready();
    CHECK(refused.code() == Code::refused);
    CHECK(refused.message().find("pid " + std::to_string(getpid())) != std::string::npos);
  }
  CHECK(read_file(pidfile) == std::to_string(getpid()) + "\n");
  std::filesystem::remove(pidfile);
  write_file(pidfile, "1\n");  // somebody took the name
  first->reset();
  CHECK(read_file(pidfile) == "1\n");
  write_file(pidfile, "a letter\n");
  auto third = Background::enter({false, pidfile, ""});
  CHECK((*third)->ready().code() == Code::refused);
  CHECK(read_file(pidfile) == "a letter\n");
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) ++files;
  CHECK(files == 1);
}

TEST_CASE("a pidfile that cannot be written is a failure") {
  const TempFolder folder;
  auto background = Background::enter({false, folder / "no/such/pid", ""});
  REQUIRE(background);
  const Status ready = (*background)->ready();
  CHECK_FALSE(ready.ok());
  CHECK(ready.message().find(folder / "no/such/pid") != std::string::npos);
}

TEST_CASE("the service manager is told over its socket") {
  const TempFolder folder;
  const std::string path = folder / "notify";
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  const Variable notify("NOTIFY_SOCKET", path);
  notify_service_manager("READY=1");
  char text[64] = {};
  CHECK(recv(fd, text, sizeof text - 1, 0) == 7);
  CHECK(std::string(text) == "READY=1");
  close(fd);
}
