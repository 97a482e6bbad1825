// A daemon that runs on a thread of this process. Shared by its executor and the local workers.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "daemon/include/futured/daemon.hpp"
#include "futured/embedded.hpp"
#include "proto/pipe.hpp"
#include "proto/status.hpp"

namespace futured::detail {

class Host {
 public:
  /// Starts the daemon's thread.
  static Result<std::shared_ptr<Host>> start(const EmbeddedOptions& options);
  explicit Host(std::unique_ptr<Daemon> daemon);
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  ~Host();

  /// Any thread; null once the daemon has stopped.
  std::unique_ptr<wire::Pipe::End> connect();
  /// Ends the daemon; returns when its thread has ended. More than once is fine.
  void stop();
  const std::vector<std::string>& endpoints() const { return daemon_->endpoints(); }

  /// Can anything still run? Local workers count themselves; `processes` is what the daemon starts.
  std::atomic<int> local_workers{0};
  std::uint32_t processes = 0;

 private:
  const std::unique_ptr<Daemon> daemon_;
  std::mutex mutex_;
  bool stopped_ = false;
  std::thread thread_;
};

/// The host behind an embedded executor; null for a plain connection.
std::shared_ptr<Host> host_of(const Executor& executor);

}  // namespace futured::detail
