// What a configuration that was read again means for the daemon that runs: what it can take over, and what only a
// restart brings. Pure.
#pragma once

#include <string>
#include <vector>

#include "futured/daemon.hpp"

namespace futured::daemon {

struct Reload {
  DaemonConfig config;                     ///< as it runs, with what can be taken over from the new one
  std::vector<std::string> changed;        ///< what that is: "log_level = debug", "pool cpu: processes = 4"
  std::vector<std::string> needs_restart;  ///< what else differs: "listen", "pool cpu: threads"
};

/// `running` and `read` as they were written, with nothing filled in.
Reload compare(DaemonConfig running, const DaemonConfig& read);

}  // namespace futured::daemon
