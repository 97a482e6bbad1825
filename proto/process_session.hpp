// The end of everything that a session leader has started: what is left of its session is killed, process by process,
// because a command may have moved to a process group of its own. Any thread; /proc is read, nothing is kept.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace futured {

namespace process_session {

struct Stat {
  char state = '?';
  pid_t session = -1;
};

inline bool read_stat(pid_t pid, Stat& out) {
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/%d/stat", static_cast<int>(pid));
  const int fd = ::open(path.data(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  std::array<char, 512> text{};
  const ssize_t n = ::read(fd, text.data(), text.size() - 1);
  ::close(fd);
  if (n <= 0) return false;
  // The second field is the program's name in parentheses and may contain anything.
  const char* rest = std::strrchr(text.data(), ')');
  int parent = 0;
  int group = 0;
  int session = 0;
  if (rest == nullptr || std::sscanf(rest, ") %c %d %d %d", &out.state, &parent, &group, &session) != 4) return false;
  out.session = session;
  return true;
}

inline bool is_dead(const Stat& s) { return s.state == 'Z' || s.state == 'X'; }

}  // namespace process_session

/// SIGKILL to every process of these sessions but their leaders, with one look at the processes of this host: how many
/// there were still alive of each, in order. Their end takes a moment, so repeat until 0. While a leader is not reaped,
/// nothing else can have its number. A leader may be this process.
inline std::vector<int> kill_sessions(const std::vector<pid_t>& leaders) {
  using namespace process_session;  // NOLINT(google-build-using-namespace): just above
  std::vector<int> alive(leaders.size(), 0);
  DIR* processes = opendir("/proc");
  if (processes == nullptr) {
    for (const pid_t leader : leaders) {
      if (leader != getpid()) kill(-leader, SIGKILL);  // at least its process group
    }
    return alive;
  }
  while (const dirent* entry = readdir(processes)) {
    if (std::isdigit(static_cast<unsigned char>(entry->d_name[0])) == 0) continue;
    const pid_t pid = std::atoi(entry->d_name);
    Stat stat;
    if (!read_stat(pid, stat)) continue;
    const auto found = std::find(leaders.begin(), leaders.end(), stat.session);
    if (found == leaders.end() || pid == *found) continue;
    if (is_dead(stat)) {
      // Ours if this process adopts orphans; fails harmlessly otherwise.
      siginfo_t info{};
      waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG);
      continue;
    }
    // The number may by now belong to another process: look again with the process held.
    const int held = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    if (held < 0) continue;
    if (read_stat(pid, stat) && stat.session == *found && !is_dead(stat)) {
      syscall(SYS_pidfd_send_signal, held, SIGKILL, nullptr, 0);
      ++alive[static_cast<std::size_t>(found - leaders.begin())];
    }
    close(held);
  }
  closedir(processes);
  return alive;
}
/// Of one: how many there were.
inline int kill_session(pid_t leader) { return kill_sessions({leader})[0]; }

}  // namespace futured
