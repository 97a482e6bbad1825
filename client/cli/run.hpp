// One task from the words of a command: what run and submit share.
#pragma once

#include <string>

#include "client/cli/outcome.hpp"
#include "client/cli/task_flags.hpp"

namespace futured::cli {

struct Submitted {
  TaskInfo info;
  Future<std::string> future;
  TaskNumber number = 0;
};

/// Submits `input` and returns when the daemon has accepted it; its number is the `last` one from then on. What the
/// daemon remarks goes to standard error.
Submitted submit_one(Context& context, TaskInfo info, const std::string& input, const TaskOptions& options);

/// The task that the words of the command describe.
Submitted submit_words(Context& context, const TaskOptions& options);

/// Waits for the end and prints the result (with -j the record). The exit code.
int finish(Context& context, const Submitted& task, bool goes_on);

}  // namespace futured::cli
