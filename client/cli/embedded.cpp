#include "futured/embedded.hpp"

#include "client/cli/embedded.hpp"

namespace futured::cli {

Executor start_embedded(const Daemon::Options& options) {
  EmbeddedOptions embedded;
  embedded.processes(options.processes).threads(options.threads).async_slots(options.async_slots);
  for (const std::string& dir : options.plugin_dirs) embedded.plugin_dir(dir);
  if (!options.plugins.empty()) embedded.plugins(options.plugins);
  return Executor::embedded(embedded);
}

}  // namespace futured::cli
