// One task from the words of a command: what run and submit share.
#pragma once

#include <optional>
#include <string>

#include "client/cli/outcome.hpp"
#include "client/cli/task_flags.hpp"

namespace futured::cli {

struct Submitted {
  TaskInfo info;
  Future<std::string> future;
  TaskNumber number = 0;
  std::optional<Control::Existing> existing;  ///< the task with this key that there was already
};

/// Sets what an answer to a submit says of a key.
void mark_existing(schema::Json& record, const std::optional<Control::Existing>& existing);

/// Submits `input` and returns when the daemon has accepted it; its number is the `last` one from then on. What the
/// daemon remarks goes to standard error. Failure(refused_now) where it is full and the options say not to wait.
Submitted submit_one(Context& context, TaskInfo info, const std::string& input, const TaskOptions& options);

/// The task that the words of the command describe.
Submitted submit_words(Context& context, const TaskOptions& options);

/// Waits for the end and prints the result (with -j the record). The exit code.
int finish(Context& context, const Submitted& task, bool goes_on);

}  // namespace futured::cli
