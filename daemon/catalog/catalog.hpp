// The task types that the plugins of this host offer. Each plugin file is tried in a throw-away child process
// (`futured-worker --probe FILE`), so that one that crashes or hangs harms nobody. A value; nothing is cached.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "futured/v1/common.pb.h"

namespace futured::daemon {

class Catalog {
 public:
  struct Plugin {
    std::string name;
    std::string path;
    std::string version;
    std::vector<std::string> types;
  };
  struct Refusal {
    std::string path;
    std::string why;  ///< a sentence for people
  };

  Catalog() = default;

  /// Tries every *.so of the folders, in order; blocks, a hanging file for `limit_ns`. Where two files bring the same
  /// plugin or task type, the first has it and the second is refused. With `only`, plugins of other names are left out
  /// (not refused), and a name that nothing offers is a refusal. A folder that does not exist is a refusal too.
  static Catalog probe(const std::string& worker_program, const std::vector<std::string>& plugin_dirs,
                       const std::vector<std::string>& only = {}, std::int64_t limit_ns = 5'000'000'000);

  /// All task types by name, ascending; `plugin` and `plugin_version` are set.
  const std::vector<v1::TaskType>& types() const { return types_; }
  const std::vector<Plugin>& plugins() const { return plugins_; }
  const std::vector<Refusal>& refusals() const { return refusals_; }
  /// Null if there is none.
  const v1::TaskType* find(std::string_view type) const;
  const Plugin* find_plugin(std::string_view name) const;
  /// The most similar name of a task type; empty if none is near.
  std::string nearest(std::string_view type) const;

 private:
  std::vector<v1::TaskType> types_;
  std::vector<Plugin> plugins_;
  std::vector<Refusal> refusals_;
};

}  // namespace futured::daemon
