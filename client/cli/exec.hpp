// The input of task `exec` as fut makes it: the command in this folder with this environment.
#pragma once

#include <string>
#include <vector>

#include "client/cli/context.hpp"
#include "client/cli/input.hpp"

namespace futured::cli {

std::span<const Option> exec_option_table();

/// Fields of every command of this fut: cwd, env, clean_env. Failure(usage): what is wrong with -C or -e.
schema::Json surroundings(const Arguments& args);

}  // namespace futured::cli
