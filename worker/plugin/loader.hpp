// Plugin files: what is trusted, and what a file says of itself. The only place that calls dlopen.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proto/status.hpp"
#include "worker/plugin/registry.hpp"

namespace futured::worker {

struct LoadedPlugin {
  Plugin plugin;
  std::vector<TaskType> types;  ///< `plugin` not set
};

/// 1-64 of [A-Za-z0-9_.-].
bool is_task_name(std::string_view name);

/// A plugin is code that runs as this user: the file must be a regular one, owned by root or this user, and writable by
/// nobody else.
Status check_plugin_file(const std::string& file);

/// Checks, loads (for good: nothing is ever unloaded) and reads the description; init is not called. Each message
/// names the file.
Result<LoadedPlugin> load_plugin(const std::string& file);

}  // namespace futured::worker
