#include "worker/plugin/registry.hpp"

#include <cstring>
#include <utility>

#include "worker/executor/host.hpp"
#include "worker/plugin/loader.hpp"

namespace futured::worker {
namespace {

// A plugin is initialised once per process, also when several workers live in it.
Status init_once(const Plugin& plugin, const std::string& config) {
  static std::mutex mutex;
  static auto* done = new std::map<const futured_plugin*, Status>();  // outlives every worker
  const std::lock_guard lock(mutex);
  if (const auto it = done->find(plugin.description); it != done->end()) return it->second;
  Status status;
  if (plugin.init != nullptr) {
    char error[1024] = {};
    const futured_bytes bytes{config.data(), config.size()};
    if (plugin.init(host_table(), bytes, error, sizeof error) != 0) {
      error[sizeof error - 1] = '\0';
      const std::string why = error[0] == '\0' ? "it gave no reason" : error;
      status = {Code::invalid, "plugin " + plugin.file + ": does not start: " + why};
    }
  }
  done->emplace(plugin.description, status);
  return status;
}

}  // namespace

Status Registry::check_free(const std::string& name, const std::string& by) const {
  for (const TaskType& t : types_) {
    if (t.name == name) {
      const std::string& other = t.plugin->file.empty() ? t.plugin->name : t.plugin->file;
      return {Code::invalid, by + ": the task name " + name + " is already taken by " + other};
    }
  }
  return {};
}

Status Registry::load(const std::string& file, const std::map<std::string, std::string>& configs) {
  Result<LoadedPlugin> loaded = load_plugin(file);
  if (!loaded) return loaded.status();
  const std::lock_guard lock(mutex_);
  for (const Plugin& p : plugins_) {
    if (p.name == loaded->plugin.name && !p.file.empty()) {
      return {Code::invalid,
              "plugin " + file + ": a plugin of the name " + p.name + " is already loaded from " + p.file};
    }
  }
  for (const TaskType& t : loaded->types) {
    if (Status s = check_free(t.name, "plugin " + file); !s.ok()) return s;
  }
  const auto config = configs.find(loaded->plugin.name);
  if (Status s = init_once(loaded->plugin, config == configs.end() ? "{}" : config->second); !s.ok()) return s;
  Plugin& plugin = plugins_.emplace_back(std::move(loaded->plugin));
  plugin.number = static_cast<std::uint32_t>(plugins_.size() - 1);
  for (TaskType& t : loaded->types) {
    t.plugin = &plugin;
    types_.push_back(std::move(t));
  }
  return {};
}

Status Registry::add(std::string name, HostFunction function, std::uint32_t max_concurrency) {
  if (!is_task_name(name)) return {Code::invalid, "the task name \"" + name + "\" is not 1-64 of [A-Za-z0-9_.-]"};
  if (!function) return {Code::invalid, "the task " + name + " needs a function"};
  const std::lock_guard lock(mutex_);
  if (Status s = check_free(name, "this program"); !s.ok()) return s;
  const Plugin* host = nullptr;
  for (const Plugin& p : plugins_) {
    if (p.file.empty()) host = &p;
  }
  if (host == nullptr) {
    Plugin& p = plugins_.emplace_back();
    p.number = static_cast<std::uint32_t>(plugins_.size() - 1);
    p.name = "host";
    host = &p;
  }
  TaskType& t = types_.emplace_back();
  t.name = std::move(name);
  t.function = std::move(function);
  t.max_concurrency = max_concurrency;
  t.plugin = host;
  return {};
}

std::vector<const TaskType*> Registry::types() const {
  const std::lock_guard lock(mutex_);
  std::vector<const TaskType*> all;
  all.reserve(types_.size());
  for (const TaskType& t : types_) all.push_back(&t);
  return all;
}

void Registry::fini() {
  const std::lock_guard lock(mutex_);
  for (const Plugin& p : plugins_) {
    if (p.fini != nullptr) p.fini();
  }
}

}  // namespace futured::worker
