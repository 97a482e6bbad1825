#include "futured/daemon.hpp"

#include <algorithm>
#include <set>

#include "daemon/config.hpp"
#include "daemon/log.hpp"
#include "daemon/plugins.hpp"
#include "daemon/server.hpp"

namespace futured {

namespace {

Status validate(const DaemonConfig& config) {
  if (config.store != "memory") {
    return {Code::invalid,
            "store '" + config.store + "': this daemon keeps tasks in memory only; say store = \"memory\""};
  }
  std::set<std::string> names;
  for (const PoolConfig& pool : config.pools) {
    if (pool.name.empty() || pool.name.size() > 64) return {Code::invalid, "a pool needs a name of 1 to 64 characters"};
    if (!names.insert(pool.name).second) return {Code::invalid, "pool '" + pool.name + "' is defined twice"};
    if (pool.processes > 1024) return {Code::invalid, "pool '" + pool.name + "': at most 1024 processes"};
    if (pool.threads < 1 || pool.threads > 1024) return {Code::invalid, "pool '" + pool.name + "': 1 to 1024 threads"};
    if (pool.async_slots > 100'000) return {Code::invalid, "pool '" + pool.name + "': at most 100000 async slots"};
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Daemon>> Daemon::create(DaemonConfig config) {
  if (Status s = validate(config); !s.ok()) return s;
  DaemonConfig written = config;
  if (config.read_again) {
    written.read_again = [read = std::move(config.read_again)](std::vector<std::string>& others) {
      auto again = read(others);
      if (!again) return again;
      const Status valid = validate(*again);
      return valid.ok() ? std::move(again) : Result<DaemonConfig>(valid);
    };
  }
  daemon::Parts parts;
  if (config.handle_signals) parts.signals = std::make_unique<daemon::Signals>();
  auto transport = daemon::Transport::open(config.listen, wire::kFrameLimit);
  if (!transport) return transport.status();
  parts.transport = std::move(*transport);
  if (!config.pools.empty()) {
    auto runtime_dir = daemon::RuntimeDir::make();
    if (!runtime_dir) return runtime_dir.status();
    parts.runtime_dir = std::move(*runtime_dir);
    auto endpoint = parts.transport->worker_endpoint();
    if (!endpoint) return endpoint.status();

    auto catalog = daemon::find_plugins(config);
    if (!catalog) return catalog.status();
    parts.catalog = std::move(*catalog);
    for (const auto& refusal : parts.catalog.refusals()) {
      daemon::log_warning("plugin " + refusal.path + " is not used: " + refusal.why);
    }

    daemon::SupervisorConfig supervisor;
    supervisor.worker_program = config.worker_program;
    supervisor.endpoint = *endpoint;
    supervisor.runtime_dir = parts.runtime_dir->path();
    supervisor.plugin_config = config.plugin_config;
    supervisor.reap_orphans = config.handle_signals;
    for (const PoolConfig& pool : config.pools) {
      daemon::SupervisorConfig::Pool p{pool.name, pool.threads, pool.async_slots, {}};
      for (const std::string& name : pool.plugins) {
        p.plugin_paths.push_back(parts.catalog.find_plugin(name)->path);
      }
      supervisor.pools.push_back(std::move(p));
    }
    parts.supervisor = std::make_unique<daemon::Supervisor>(std::move(supervisor));
  }
  return std::unique_ptr<Daemon>(
      std::make_unique<daemon::Server>(std::move(config), std::move(written), std::move(parts)));
}

}  // namespace futured
