#include "worker/abandon.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <future>
#include <thread>

#include "worker/log.hpp"

namespace futured::worker {
namespace {

constexpr auto kPatience = std::chrono::seconds(2);
constexpr int kSweeps = 100;  // a process dies within a scheduler tick; what forks meanwhile is found by the next one

bool lives_in_session(pid_t pid, pid_t session) {
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/%d/stat", static_cast<int>(pid));
  const int fd = ::open(path.data(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  std::array<char, 512> text{};
  const ssize_t n = ::read(fd, text.data(), text.size() - 1);
  ::close(fd);
  // The second field is the program's name in parentheses and may contain anything.
  const char* rest = n > 0 ? std::strrchr(text.data(), ')') : nullptr;
  char state = '?';
  int parent = 0;
  int group = 0;
  int of = 0;
  return rest != nullptr && std::sscanf(rest, ") %c %d %d %d", &state, &parent, &group, &of) == 4 && of == session &&
         state != 'Z' && state != 'X';
}

// How many there were alive.
int kill_session(pid_t leader) {
  DIR* processes = ::opendir("/proc");
  if (processes == nullptr) return 0;
  int alive = 0;
  while (const dirent* entry = ::readdir(processes)) {
    const pid_t pid = std::atoi(entry->d_name);
    if (pid <= 0 || pid == leader || !lives_in_session(pid, leader)) continue;
    // The number may by now belong to another process: look again with the process held.
    const int held = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (held < 0) continue;
    if (lives_in_session(pid, leader)) {
      ::syscall(SYS_pidfd_send_signal, held, SIGKILL, nullptr, 0);
      ++alive;
    }
    ::close(held);
  }
  ::closedir(processes);
  return alive;
}

}  // namespace

void abandon_calls(Registry& registry, int code) {
  // A plugin may wait for its calls for ever, and they for the daemon.
  std::promise<void> ended;
  std::future<void> over = ended.get_future();
  std::thread([&registry, &ended] {
    registry.fini();
    ended.set_value();
  }).detach();
  if (over.wait_for(kPatience) != std::future_status::ready) {
    log_line("a plugin did not end within 2 s; what it has started is killed");
  }
  if (const pid_t self = ::getpid(); ::getsid(0) == self) {
    for (int i = 0; i < kSweeps && kill_session(self) > 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  // The calls themselves: an orderly end would wait for them.
  ::_exit(code);
}

}  // namespace futured::worker
