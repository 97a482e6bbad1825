#include "worker/plugin/probe.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "futured/v1/worker.pb.h"
#include "worker/plugin/loader.hpp"
#include "worker/translate.hpp"

namespace futured::worker {

int probe(const std::string& file) {
  const int out = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (out < 0 || ::dup2(STDERR_FILENO, STDOUT_FILENO) < 0) return 1;
  v1::Probe answer;
  const Result<LoadedPlugin> loaded = load_plugin(file);
  if (loaded) {
    answer.set_plugin(loaded->plugin.name);
    answer.set_version(loaded->plugin.version);
    for (TaskType type : loaded->types) {
      type.plugin = &loaded->plugin;
      *answer.add_types() = to_wire(type, true);
    }
  } else {
    answer.set_error(loaded.status().message());
  }
  const std::string bytes = answer.SerializeAsString();
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t n = ::write(out, bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return 1;
    at += static_cast<std::size_t>(n);
  }
  return 0;
}

}  // namespace futured::worker
