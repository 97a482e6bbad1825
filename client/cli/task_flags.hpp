// The options that say how a task runs: one table for submit, run, map and exec.
#pragma once

#include <span>

#include "client/cli/context.hpp"
#include "client/cli/input.hpp"
#include "futured/task_options.hpp"

namespace futured::cli {

std::span<const Option> task_option_table();
/// Without those that are about fut and its connection.
std::span<const Option> scheduled_option_table();
std::span<const Option> input_option_table();
std::span<const Option> embedded_option_table();

/// What becomes of the task when fut is gone, unless the options say otherwise.
enum class Gone : unsigned char { keep, cancel };

/// Failure(usage): which option, and what it wants.
TaskOptions task_options(const Arguments& args, Gone gone);
/// Whether the task goes on when fut leaves: --detach or --on-disconnect keep.
bool goes_on(const Arguments& args, Gone gone);

/// The words after the task and the input options. `before`: how many words there are up to the task.
Input::Words input_words(const Arguments& args, std::size_t before = 1);

/// Where the daemon is, or that it is embedded.
Daemon::Options daemon_options(const Verb& verb, const Arguments& args);

}  // namespace futured::cli
