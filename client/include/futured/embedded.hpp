// A daemon inside this process, and this process as a worker: link futured::embedded.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "futured/executor.hpp"

namespace futured {

/// Defaults: no processes (add a LocalWorker, or say how many), one thread and 1000 async slots each, store in memory.
class EmbeddedOptions {
 public:
  EmbeddedOptions() {}  // NOLINT(modernize-use-equals-default): option types are not aggregates
  EmbeddedOptions& processes(std::uint32_t n) { return (processes_ = n, *this); }
  EmbeddedOptions& threads(std::uint32_t n) { return (threads_ = n, *this); }          ///< per process
  EmbeddedOptions& async_slots(std::uint32_t n) { return (async_slots_ = n, *this); }  ///< per process
  EmbeddedOptions& plugin_dir(std::string dir) { return (plugin_dirs_.push_back(std::move(dir)), *this); }
  EmbeddedOptions& plugins(std::vector<std::string> names) { return (plugins_ = std::move(names), *this); }
  /// Configuration of one plugin, as JSON.
  EmbeddedOptions& config(std::string plugin, std::string json) {
    return (config_.emplace_back(std::move(plugin), std::move(json)), *this);
  }
  /// Other processes can connect here too.
  EmbeddedOptions& listen(std::string endpoint) { return (listen_.push_back(std::move(endpoint)), *this); }
  EmbeddedOptions& store(std::string s) { return (store_ = std::move(s), *this); }
  EmbeddedOptions& worker_program(std::string path) { return (worker_program_ = std::move(path), *this); }
  EmbeddedOptions& log_level(std::string level) { return (log_level_ = std::move(level), *this); }

  std::uint32_t processes() const { return processes_; }
  std::uint32_t threads() const { return threads_; }
  std::uint32_t async_slots() const { return async_slots_; }
  const std::vector<std::string>& plugin_dirs() const { return plugin_dirs_; }
  const std::vector<std::string>& plugins() const { return plugins_; }
  const std::vector<std::pair<std::string, std::string>>& config() const { return config_; }
  const std::vector<std::string>& listen() const { return listen_; }
  const std::string& store() const { return store_; }
  const std::string& worker_program() const { return worker_program_; }
  const std::string& log_level() const { return log_level_; }

 private:
  std::uint32_t processes_ = 0;
  std::uint32_t threads_ = 1;
  std::uint32_t async_slots_ = 1000;
  std::vector<std::string> plugin_dirs_, plugins_, listen_;
  std::vector<std::pair<std::string, std::string>> config_;
  std::string store_ = "memory", worker_program_, log_level_ = "warning";
};

/// Where an embedded daemon listens, with real port numbers. std::invalid_argument if `executor` is a plain connection.
std::vector<std::string> embedded_endpoints(const Executor& executor);

class WorkerOptions {
 public:
  WorkerOptions() {}  // NOLINT(modernize-use-equals-default): option types are not aggregates
  WorkerOptions& threads(std::uint32_t n) { return (threads_ = n, *this); }
  WorkerOptions& pool(std::string name) { return (pool_ = std::move(name), *this); }
  std::uint32_t threads() const { return threads_; }
  const std::string& pool() const { return pool_; }

 private:
  std::uint32_t threads_ = 1;
  std::string pool_ = "default";
};

/// This process offers its own functions to every client of an embedded daemon. They run on `threads` threads of the
/// worker, many at once. What a function throws fails the task (kind error, the message of a std::exception).
/// Must not outlive the executor. The destructor lets running calls end.
class LocalWorker {
 public:
  using Function = std::function<std::string(std::string_view input)>;

  explicit LocalWorker(Executor& executor, const WorkerOptions& options = WorkerOptions());
  LocalWorker(LocalWorker&&) noexcept;
  LocalWorker& operator=(LocalWorker&&) noexcept;
  ~LocalWorker();

  /// Offers `fn` under `name`, from now on. Returns when the daemon knows it.
  LocalWorker& add(std::string name, Function fn);
  /// Typed: `Request` is read from the input, what `fn` returns is written as the reply.
  template <class Request, class F>
  requires detail::Readable<Request> LocalWorker& add(std::string name, F fn) {
    return add(std::move(name), [fn = std::move(fn)](std::string_view input) {
      Request request;
      if (!detail::read_reply(input, request)) throw std::invalid_argument("the input is not a message of its type");
      return detail::Input(fn(std::as_const(request))).take();
    });
  }

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace futured
