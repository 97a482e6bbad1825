// The configuration of the program futured: flags beat environment (FUTURED_*) beat file beat default. A flag is a key
// of the TOML file with `-` for `_`. Parsed at start, and again for a reload; the result is a value.
#pragma once

#include <string>
#include <vector>

#include "futured/daemon.hpp"
#include "proto/status.hpp"

namespace futured::daemon {

struct ProgramOptions {
  DaemonConfig daemon;      ///< paths are absolute; handle_signals is set
  std::string config_file;  ///< absolute; empty: none
  std::string folder;       ///< where relative paths start
  std::string log_file;     ///< empty: standard error
  std::string pidfile;
  bool daemonize = false;
  bool check_config = false;
  bool listens_by_default = false;  ///< set by who fills in daemon.listen
  std::string text;                 ///< not empty: print this (--help, --version) and exit with 0
};

/// Invalid: a sentence that names the flag, variable or file:line that is wrong, and the nearest valid one.
/// `environment` is as in main: null-terminated, "NAME=value". Relative paths start at `folder`, if it is empty at the
/// working directory: a daemon in the background has another than it was started in.
Result<ProgramOptions> parse_options(const std::vector<std::string>& arguments, const char* const* environment,
                                     const std::string& folder = {});

/// The configuration as it is now for a program that began with `start`, by the same words. Appends the keys outside
/// of DaemonConfig that differ. Invalid: as parse_options().
Result<DaemonConfig> read_again(const std::vector<std::string>& arguments, const char* const* environment,
                                const ProgramOptions& start, std::vector<std::string>& others);

/// The one line that is logged at start.
std::string start_line(const DaemonConfig& config, const std::vector<std::string>& endpoints, std::size_t task_types);

/// What DaemonConfig leaves open. The worker program: $FUTURED_WORKER, beside this program, as installed; not_found
/// names the places looked at.
Result<std::string> find_worker_program();
/// The folder of the plugins that came with the program or with this worker program: `../plugins` or
/// `../lib/futured/plugins` beside either, else as installed. Nothing if none of them exists.
std::vector<std::string> default_plugin_dirs(const std::string& worker_program = {});

}  // namespace futured::daemon
