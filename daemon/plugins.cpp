#include "daemon/plugins.hpp"

#include <algorithm>
#include <filesystem>
#include <set>
#include <string_view>
#include <system_error>

#include "daemon/config.hpp"
#include "proto/nearest.hpp"

namespace futured::daemon {
namespace {

/// Plugins that reach out of the sandbox of a private socket: on a shared one they load only where a pool names them.
const std::set<std::string> kReaching = {"exec", "fetch"};

Status no_plugin(const DaemonConfig& config, const PoolConfig& pool, const std::string& name) {
  const Catalog catalog = Catalog::probe(config.worker_program, config.plugin_dirs);  // with the names not asked for
  const std::vector<std::string>& folders = config.plugin_dirs;
  std::string text = "pool '" + pool.name + "': there is no usable plugin '" + name + "'";
  for (std::size_t i = 0; i < folders.size(); ++i) text += (i == 0 ? " in " : ", ") + folders[i];
  for (const Catalog::Refusal& r : catalog.refusals()) {
    if (std::filesystem::path(r.path).stem() == name) return {Code::invalid, text + ": " + r.path + " " + r.why};
  }
  std::vector<std::string_view> names;
  for (const Catalog::Plugin& p : catalog.plugins()) names.push_back(p.name);
  const std::string near = nearest(name, names);
  return {Code::invalid, text + (near.empty() ? "" : "; did you mean '" + near + "'?")};
}

}  // namespace

Result<Catalog> find_plugins(DaemonConfig& config) {
  if (config.pools.empty()) return Catalog();
  if (config.worker_program.empty()) {
    auto program = find_worker_program();
    if (!program) return program.status();
    config.worker_program = std::move(*program);
  }
  for (const std::string& dir : config.plugin_dirs) {
    std::error_code error;
    if (std::filesystem::is_directory(dir, error)) continue;
    return Status(Code::invalid, "the plugin folder " + dir +
                                     (error ? ": " + error.message() : std::string(" is not a folder")) +
                                     "; make it, or take it out of plugin_dirs (--plugin-dir)");
  }
  if (config.plugin_dirs.empty()) config.plugin_dirs = default_plugin_dirs();
  const bool shared = std::any_of(config.listen.begin(), config.listen.end(),
                                  [](const std::string& e) { return e.rfind("tcp://", 0) == 0; });
  const bool all =
      std::any_of(config.pools.begin(), config.pools.end(), [](const PoolConfig& p) { return p.plugins.empty(); });
  std::vector<std::string> only;
  for (const PoolConfig& pool : config.pools) {
    if (!all) only.insert(only.end(), pool.plugins.begin(), pool.plugins.end());
  }
  Catalog catalog = Catalog::probe(config.worker_program, config.plugin_dirs, only);
  for (PoolConfig& pool : config.pools) {
    for (const std::string& name : pool.plugins) {
      if (catalog.find_plugin(name) == nullptr) return no_plugin(config, pool, name);
    }
    if (!pool.plugins.empty()) continue;
    for (const Catalog::Plugin& plugin : catalog.plugins()) {
      if (!shared || kReaching.count(plugin.name) == 0) pool.plugins.push_back(plugin.name);
    }
  }
  return catalog;
}

}  // namespace futured::daemon
