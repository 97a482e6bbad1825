#include "daemon/supervisor/child.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
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

std::string describe(const Ended& how) {
  if (how.signal == 0) return "status " + std::to_string(how.status);
  const char* name = sigdescr_np(how.signal);
  return "signal " + std::to_string(how.signal) + (name != nullptr ? " (" + std::string(name) + ")" : "");
}

}  // namespace futured::daemon
