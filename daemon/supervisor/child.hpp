// A child process that leads a session of its own, and the end of everything in that session. Stateless; any thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "proto/status.hpp"

namespace futured::daemon {

struct Child {
  pid_t pid = -1;
  int pidfd = -1;  ///< owned by whoever has the Child; readable once the process has ended
};

/// How a process ended.
struct Ended {
  int signal = 0;  ///< 0: by itself, with `status`
  int status = 0;
};

/// Starts argv[0] (a path) with signals at their defaults, standard input empty and no other files open than its
/// standard output and error: the fds given, or -1 for this process's own standard error. Internal: why it cannot be
/// started; that includes a program that does not exist.
Result<Child> start_child(const std::vector<std::string>& argv, int out_fd, int err_fd);

/// True if it has ended. With `reap` its entry in the process table is given up, and with it the claim to its number.
bool child_ended(const Child& child, bool reap, Ended& how);

void signal_child(const Child& child, int signal);

/// "signal 11 (Segmentation fault)" or "status 3"
std::string describe(const Ended& how);

}  // namespace futured::daemon
