// The daemon as a library: a host program builds a Config, creates a Daemon and runs it on a thread of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proto/pipe.hpp"
#include "proto/status.hpp"

namespace futured {

/// One pool: `processes` worker processes with the same slots and plugins.
struct PoolConfig {
  std::string name = "default";
  std::uint32_t processes = 0;       ///< 0..1024; 0 is legal: workers may come from elsewhere
  std::uint32_t threads = 1;         ///< calls of the thread lane at once per process, 1..1024
  std::uint32_t async_slots = 1000;  ///< calls of the async lane at once per process, 0..100000
  std::vector<std::string> plugins;  ///< by name; empty: all that the catalog has
};

struct DaemonConfig {
  std::vector<std::string> listen;  ///< endpoints; empty: only this process and its own workers can connect
  std::string store = "memory";
  std::vector<std::string> plugin_dirs;  ///< searched for *.so; empty: the directory that came with the library
  std::vector<PoolConfig> pools;         ///< none: no worker processes
  std::string worker_program;            ///< path of futured-worker; empty: beside this program, else as installed
  std::vector<std::pair<std::string, std::string>> plugin_config;  ///< plugin name -> JSON text
  std::string log_level = "info";                                  ///< trace, debug, info, warning, error, off
  std::uint64_t payload_limit = 64ULL << 20;                       ///< bytes of one input or result
  std::uint64_t max_queued_tasks = 10'000'000;                     ///< tasks that have not ended, all clients together
  std::uint64_t max_queued_bytes = 4ULL << 30;                     ///< of their inputs and of results not yet taken
  std::int64_t drain_timeout_ns = 30'000'000'000;
  bool handle_signals = false;  ///< SIGTERM, SIGINT and SIGHUP belong to the daemon (the program futured)
  /// Reads the configuration again, for a reload, on the thread of run(); appends the keys outside of this struct that
  /// have changed. Null: it cannot be read again.
  std::function<Result<DaemonConfig>(std::vector<std::string>& others)> read_again;
};

/// create() binds, probes the plugins and starts no thread; run() does the work.
class Daemon {
 public:
  enum class Stop : std::uint8_t {
    drain,  ///< no new tasks; what runs may finish within drain_timeout
    now,    ///< what runs is stopped
  };

  /// Invalid: the configuration is wrong. Refused: another daemon owns the endpoint. Internal: the system said no.
  static Result<std::unique_ptr<Daemon>> create(DaemonConfig config);
  virtual ~Daemon() = default;

  /// Works until stop(); on one thread of the caller's choosing, once. The Status tells a failure that ended it.
  virtual Status run() = 0;
  /// Any thread, at any time, more than once (the stricter wins). run() returns soon after.
  virtual void stop(Stop how) = 0;
  /// Any thread, before run() has returned: an in-process connection, to be used like a fresh socket (HELLO first).
  virtual std::unique_ptr<wire::Pipe::End> connect() = 0;
  /// What it listens on, with real port numbers. Constant after create().
  virtual const std::vector<std::string>& endpoints() const = 0;
};

}  // namespace futured
