// The task types a worker offers, whoever provides them: plugin files or functions of the host program.
// Entries are only ever added and live as long as the registry; any thread.
#pragma once

#include <futured/plugin.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "proto/status.hpp"
#include "proto/task_state.hpp"

namespace futured::worker {

/// A task of the host program: input to reply. What it throws becomes the failure of the call.
using HostFunction = std::function<std::string(std::string_view)>;

struct Plugin {
  std::uint32_t number = 0;
  std::string name, version, file, schema_kind;
  std::string_view schema;  ///< the plugin's own bytes
  const futured_plugin* description = nullptr;
  std::int32_t (*init)(const futured_host*, futured_bytes, char*, std::uint64_t) = nullptr;
  void* (*thread_init)() = nullptr;
  void (*thread_fini)(void*) = nullptr;
  void (*flush)() = nullptr;
  void (*fini)() = nullptr;
};

struct TaskType {
  std::string name, summary, input_type, reply_type;
  Lane lane = Lane::thread;
  std::uint64_t flags = 0;
  std::uint32_t max_concurrency = 0;
  const Plugin* plugin = nullptr;  ///< never null once registered
  HostFunction function;           ///< empty for types of plugins
  void (*run)(void*, futured_call, futured_bytes) = nullptr;
  void (*cancel)(futured_call) = nullptr;
  void (*on_writable)(futured_call) = nullptr;
};

class Registry {
 public:
  Registry() = default;
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// Loads, checks and initialises a plugin file; `configs` by plugin name. Main thread, before any task. On failure
  /// nothing of the file is offered, and the message names it.
  Status load(const std::string& file, const std::map<std::string, std::string>& configs);
  /// Offers a function of this program on the thread lane. Invalid: the name is not a task name or taken.
  Status add(std::string name, HostFunction function, std::uint32_t max_concurrency = 0);

  /// In order of registration: the position is the number of the type.
  std::vector<const TaskType*> types() const;
  /// Calls the fini of each plugin. Main thread, with no call open.
  void fini();

 private:
  Status check_free(const std::string& name, const std::string& by) const;  // mutex_ held

  mutable std::mutex mutex_;
  std::deque<Plugin> plugins_;
  std::deque<TaskType> types_;
};

}  // namespace futured::worker
