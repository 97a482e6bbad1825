// What to run: the request checked, the program found, and the new process started. No threads, no state.
#pragma once

#include <sys/types.h>

#include <futured/plugin.hpp>
#include <optional>
#include <string>
#include <vector>

#include "exec/exec.pb.h"

namespace futured::plugins::exec {

/// The ends of the command's pipes that the child gets; -1 for stdin is /dev/null. All above 2.
struct ChildPipes {
  int in = -1;
  int out = -1;
  int err = -1;
};

/// Permanent faults of the request itself.
std::optional<plugin::Failure> check(const ExecRequest& request, std::uint64_t most_output);

/// The environment of the command: the worker's unless it is to be clean, what identifies the task, then `env`.
std::vector<std::string> environment(const ExecRequest& request, plugin::Call call);

/// Starts the command in a process group of its own, with default signals and no descriptors but the three. A command
/// that is not there or cannot be run fails as in a shell: status 127 or 126.
plugin::Outcome<pid_t> spawn(const ExecRequest& request, const std::vector<std::string>& environment,
                             const ChildPipes& pipes);

}  // namespace futured::plugins::exec
