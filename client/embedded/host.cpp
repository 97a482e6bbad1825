#include "client/embedded/host.hpp"

#include <pthread.h>

#include <cstdio>

namespace futured::detail {

Result<std::shared_ptr<Host>> Host::start(const EmbeddedOptions& o) {
  DaemonConfig config;
  config.listen = o.listen();
  config.store = o.store();
  config.plugin_dirs = o.plugin_dirs();
  config.worker_program = o.worker_program();
  config.plugin_config = o.config();
  config.log_level = o.log_level();
  // Functions of this process need no worker program and no plugins; whoever names one of these wants a pool of
  // processes, now or after scaling.
  const bool processes =
      o.processes() != 0 || !o.plugin_dirs().empty() || !o.plugins().empty() || !o.worker_program().empty();
  PoolConfig pool;
  pool.processes = o.processes();
  pool.threads = o.threads();
  pool.async_slots = o.async_slots();
  pool.plugins = o.plugins();
  if (processes) config.pools.push_back(std::move(pool));
  auto daemon = Daemon::create(std::move(config));
  if (!daemon.ok()) return daemon.status();
  auto host = std::make_shared<Host>(std::move(daemon.value()));
  host->processes = o.processes();
  return host;
}

Host::Host(std::unique_ptr<Daemon> daemon) : daemon_(std::move(daemon)) {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "futured-daemon");
    const Status ended = daemon_->run();
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    if (!ended.ok()) std::fprintf(stderr, "futured: the embedded daemon ended: %s\n", ended.message().c_str());
  });
}

Host::~Host() { stop(); }

std::unique_ptr<wire::Pipe::End> Host::connect() {
  const std::lock_guard lock(mutex_);
  return stopped_ ? nullptr : daemon_->connect();
}

void Host::stop() {
  daemon_->stop(Daemon::Stop::now);
  if (thread_.joinable()) thread_.join();
}

}  // namespace futured::detail
