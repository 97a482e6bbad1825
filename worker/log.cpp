#include "worker/log.hpp"

#include <unistd.h>

#include <cstddef>
#include <string>

namespace futured::worker {

void log_line(std::string_view text) {
  constexpr std::size_t kMost = 4000;  // below PIPE_BUF: lines of several processes do not mix
  std::string line = "futured-worker[" + std::to_string(::getpid()) + "]: ";
  line += text.substr(0, kMost - line.size());
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ' && c != '\t') c = ' ';
  }
  line += '\n';
  [[maybe_unused]] const auto n = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace futured::worker
