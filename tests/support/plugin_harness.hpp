// A small worker for one plugin: loads the .so, plays the host of plugin.h, runs calls and watches that the plugin
// keeps its side of the contract. Any thread may use it. The host lives to the end of the process, as plugins demand;
// so do the calls' records. Tests only.
#pragma once

#include <futured/plugin.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace futured::test {

/// How a call ended.
struct Outcome {
  bool ok = false;
  std::string reply;  ///< of a failure too, if it has one
  std::string message;
  int kind = 0;
  int status = 0;
  int signal = 0;
  bool permanent = false;
  std::int64_t retry_after_ns = 0;
};

struct CallOptions {
  std::optional<std::chrono::nanoseconds> deadline;  ///< from now
  std::int64_t attempt = 1;
  std::uint64_t number = 1;
  bool live = false;                ///< someone follows the output
  std::uint64_t room = UINT64_MAX;  ///< bytes of output taken before FUTURED_AGAIN
};

class PluginHarness;

/// A started call. Destroying it changes nothing.
class Running {
 public:
  futured_call id() const { return id_; }
  bool ended() const;
  /// Times that an ending function was called; 1 is right.
  int endings() const;
  /// Aborts the test program with a message if the call does not end within the time.
  Outcome wait(std::chrono::milliseconds limit = std::chrono::seconds(60)) const;
  /// What the host does: sets the flag, then tells the plugin.
  void cancel() const;
  /// Room for more output; tells the plugin if it was refused before.
  void grant(std::uint64_t bytes) const;
  /// The follower goes away.
  void stop_listening() const;
  std::string output(std::uint32_t stream) const;
  /// Waits until the plugin was told FUTURED_AGAIN and not granted room since.
  void wait_refused() const;
  /// False: it has ended.
  bool wait_refused_or_ended() const;
  double progress() const;

 private:
  friend class PluginHarness;
  Running(const futured_task_type* type, futured_call id) : type_(type), id_(id) {}
  const futured_task_type* type_;
  futured_call id_;
};

class PluginHarness {
 public:
  /// dlopen, describe, init. `error()` tells what failed. The reply limit is the host's.
  explicit PluginHarness(const std::string& path, std::string_view config = "{}");
  /// fini, if init was called and succeeded. Never dlclose.
  ~PluginHarness();
  PluginHarness(const PluginHarness&) = delete;
  PluginHarness& operator=(const PluginHarness&) = delete;

  const std::string& error() const { return error_; }
  const futured_plugin* description() const { return plugin_; }
  const futured_task_type* type(std::string_view task) const;

  /// Starts a call: of the thread lane on a thread of its own, of the async lane here. No flush.
  Running start(std::string_view task, std::string_view input, const CallOptions& options = {});
  void flush();
  /// start, flush, wait.
  Outcome run(std::string_view task, std::string_view input, const CallOptions& options = {});

  static void limit_replies(std::uint64_t bytes);
  static std::vector<std::string> logged();

 private:
  std::string error_;
  const futured_plugin* plugin_ = nullptr;
  bool initialised_ = false;
};

}  // namespace futured::test
