#include "daemon/reload.hpp"

#include <algorithm>
#include <map>

namespace futured::daemon {

namespace {

std::string seconds(std::int64_t ns) {
  std::string text = std::to_string(ns / 1'000'000'000);
  if (const std::int64_t rest = ns / 1'000'000 % 1000; rest != 0) {
    text += "." + std::to_string(1000 + rest).substr(1);
    text.erase(text.find_last_not_of('0') + 1);
  }
  return text + "s";
}

const PoolConfig* find(const std::vector<PoolConfig>& pools, const std::string& name) {
  const auto it = std::find_if(pools.begin(), pools.end(), [&](const PoolConfig& p) { return p.name == name; });
  return it == pools.end() ? nullptr : &*it;
}

void compare_pools(const std::vector<PoolConfig>& read, Reload& out) {
  for (PoolConfig& pool : out.config.pools) {
    const std::string name = "pool " + pool.name;
    const PoolConfig* other = find(read, pool.name);
    if (other == nullptr) {
      out.needs_restart.push_back(name + " (removed)");
      continue;
    }
    if (pool.processes != other->processes) {
      pool.processes = other->processes;
      out.changed.push_back(name + ": processes = " + std::to_string(pool.processes));
    }
    if (pool.threads != other->threads) out.needs_restart.push_back(name + ": threads");
    if (pool.async_slots != other->async_slots) out.needs_restart.push_back(name + ": async_slots");
    if (pool.plugins != other->plugins) out.needs_restart.push_back(name + ": plugins");
  }
  for (const PoolConfig& pool : read) {
    if (find(out.config.pools, pool.name) == nullptr) out.needs_restart.push_back("pool " + pool.name + " (new)");
  }
}

}  // namespace

Reload compare(DaemonConfig running, const DaemonConfig& read) {
  Reload out;
  out.config = std::move(running);
  DaemonConfig& now = out.config;
  if (now.log_level != read.log_level) {
    now.log_level = read.log_level;
    out.changed.push_back("log_level = " + now.log_level);
  }
  if (now.drain_timeout_ns != read.drain_timeout_ns) {
    now.drain_timeout_ns = read.drain_timeout_ns;
    out.changed.push_back("drain_timeout = " + seconds(now.drain_timeout_ns));
  }
  const auto fixed = [&](const char* key, const auto& a, const auto& b) {
    if (a != b) out.needs_restart.emplace_back(key);
  };
  fixed("listen", now.listen, read.listen);
  fixed("store", now.store, read.store);
  fixed("plugin_dirs", now.plugin_dirs, read.plugin_dirs);
  fixed("worker_program", now.worker_program, read.worker_program);
  fixed("payload_limit", now.payload_limit, read.payload_limit);
  fixed("max_queued_tasks", now.max_queued_tasks, read.max_queued_tasks);
  fixed("max_queued_bytes", now.max_queued_bytes, read.max_queued_bytes);
  std::map<std::string, std::string> settings(now.plugin_config.begin(), now.plugin_config.end());
  for (const auto& [plugin, json] : read.plugin_config) {
    const auto same = settings.find(plugin);
    if (same == settings.end() || same->second != json) out.needs_restart.push_back("plugin." + plugin);
    if (same != settings.end()) settings.erase(same);
  }
  for (const auto& [plugin, json] : settings) out.needs_restart.push_back("plugin." + plugin + " (removed)");
  compare_pools(read.pools, out);
  return out;
}

}  // namespace futured::daemon
