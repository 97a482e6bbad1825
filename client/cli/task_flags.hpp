// The options that say how a task runs: one table for submit, run, map and exec.
#pragma once

#include <functional>
#include <span>

#include "client/cli/context.hpp"
#include "client/cli/input.hpp"
#include "futured/task_options.hpp"

namespace futured::cli {

std::span<const Option> task_option_table();
/// Without those of a single task, and those about fut and its connection.
std::span<const Option> scheduled_option_table();
std::span<const Option> input_option_table();
std::span<const Option> embedded_option_table();

/// What becomes of the task when fut is gone, unless the options say otherwise.
enum class Gone : unsigned char { keep, cancel };

/// The number of the task that `last` means; throws the Failure if there is none.
using LastTask = std::function<TaskNumber()>;

/// Failure(usage): which option, and what it wants. `last` is called where an option names it.
TaskOptions task_options(const Arguments& args, Gone gone, const LastTask& last);
TaskOptions task_options(Context& context, Gone gone);
/// Whether the task goes on when fut leaves: --detach or --on-disconnect keep.
bool goes_on(const Arguments& args, Gone gone);

/// The words after the task and the input options. `before`: how many words there are up to the task.
Input::Words input_words(const Arguments& args, std::size_t before = 1);

/// Where the daemon is, or that it is embedded.
Daemon::Options daemon_options(const Verb& verb, const Arguments& args);

}  // namespace futured::cli
