#include "daemon/supervisor/child.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <system_error>

namespace futured::daemon {
namespace {

constexpr idtype_t kPidfd = static_cast<idtype_t>(3);  // P_PIDFD

int open_pidfd(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

int send_signal(int pidfd, int signal) {
  return static_cast<int>(syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
}

struct Stat {
  char state = '?';
  pid_t session = -1;
};

bool read_stat(pid_t pid, Stat& out) {
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

bool is_dead(const Stat& s) { return s.state == 'Z' || s.state == 'X'; }

}  // namespace

Result<Child> start_child(const std::vector<std::string>& argv, int out_fd, int err_fd) {
  const int own = STDERR_FILENO;
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, out_fd >= 0 ? out_fd : own, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&files, err_fd >= 0 ? err_fd : own, STDERR_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&files, 3);

  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::vector<char*> words;
  words.reserve(argv.size() + 1);
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  Child child;
  const int error = posix_spawn(&child.pid, words[0], &files, &attributes, words.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) {
    return Status(Code::internal, "cannot start " + argv[0] + ": " + std::generic_category().message(error));
  }
  child.pidfd = open_pidfd(child.pid);
  if (child.pidfd < 0) {
    const int why = errno;
    kill(child.pid, SIGKILL);
    waitpid(child.pid, nullptr, 0);
    return Status(Code::internal,
                  "cannot watch the process of " + argv[0] + ": " + std::generic_category().message(why));
  }
  return child;
}

bool child_ended(const Child& child, bool reap, Ended& how) {
  siginfo_t info{};
  const int rc = waitid(kPidfd, static_cast<id_t>(child.pidfd), &info, WEXITED | WNOHANG | (reap ? 0 : WNOWAIT));
  if (rc != 0) {
    how = {};
    return errno == ECHILD;  // somebody else in this process has reaped it
  }
  if (info.si_pid == 0) return false;
  how = info.si_code == CLD_EXITED ? Ended{0, info.si_status} : Ended{info.si_status, 0};
  return true;
}

void signal_child(const Child& child, int signal) { send_signal(child.pidfd, signal); }

int kill_session(pid_t leader) { return kill_sessions({leader})[0]; }

std::vector<int> kill_sessions(const std::vector<pid_t>& leaders) {
  std::vector<int> alive(leaders.size(), 0);
  DIR* processes = opendir("/proc");
  if (processes == nullptr) {
    for (const pid_t leader : leaders) kill(-leader, SIGKILL);  // at least its process group
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
    const int held = open_pidfd(pid);
    if (held < 0) continue;
    if (read_stat(pid, stat) && stat.session == *found && !is_dead(stat)) {
      send_signal(held, SIGKILL);
      ++alive[static_cast<std::size_t>(found - leaders.begin())];
    }
    ::close(held);
  }
  closedir(processes);
  return alive;
}

std::string describe(const Ended& how) {
  if (how.signal == 0) return "status " + std::to_string(how.status);
  const char* name = sigdescr_np(how.signal);
  return "signal " + std::to_string(how.signal) + (name != nullptr ? " (" + std::string(name) + ")" : "");
}

}  // namespace futured::daemon
