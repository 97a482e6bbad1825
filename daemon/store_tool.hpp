// `futured store check|dump`: looks into a store without touching it, whether a daemon uses it or not.
#pragma once

#include <string>
#include <vector>

namespace futured::daemon {

/// The words after `futured store`. Writes to stdout, what is wrong to stderr; returns the exit code: 0 nothing is
/// wrong, 1 something is, 2 usage, 66 there is no such file.
int store_tool(const std::vector<std::string>& words);

}  // namespace futured::daemon
