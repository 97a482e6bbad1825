// The command line of futured-worker.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "proto/status.hpp"
#include "worker/worker.hpp"

namespace futured::worker {

struct Options {
  WorkerConfig worker;
  std::string connect;
  std::vector<std::string> plugins;
  std::map<std::string, std::string> plugin_configs;  ///< by plugin name: JSON
  std::string probe;                                  ///< describe this file and exit; everything else is unused
};

/// What to do, or the exit code after help, version or a usage error has been printed.
struct Parsed {
  Options options;
  int exit_code = -1;  ///< -1: go on
};
Parsed parse_options(int argc, const char* const* argv);

}  // namespace futured::worker
