// Child processes for tests; killed and reaped at the latest by the destructor.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

extern char** environ;

namespace futured::test {

inline std::string in_bin(const std::string& name) {
  const char* dir = std::getenv("FUTURED_BIN_DIR");
  return std::string(dir == nullptr ? "." : dir) + "/" + name;
}
inline std::string plugin(const std::string& name) {
  const char* dir = std::getenv("FUTURED_PLUGIN_DIR");
  return std::string(dir == nullptr ? "." : dir) + "/" + name + ".so";
}

class Process {
 public:
  /// `out`: file for standard output; empty: ours.
  explicit Process(std::vector<std::string> argv, const std::string& out = "") {
    std::vector<char*> raw;
    for (std::string& a : argv) raw.push_back(a.data());
    raw.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (!out.empty()) posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (posix_spawn(&pid_, raw[0], &actions, nullptr, raw.data(), environ) != 0) pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    (void)wait();
  }
  pid_t pid() const { return pid_; }
  void signal(int s) const {
    if (pid_ > 0) ::kill(pid_, s);
  }
  /// Wait status.
  int wait() {
    int status = -1;
    if (pid_ > 0) ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }
  /// User and system time so far, in seconds.
  double cpu() const {
    std::ifstream in("/proc/" + std::to_string(pid_) + "/stat");
    std::string line;
    std::getline(in, line);
    std::istringstream fields(line.substr(line.rfind(')') + 1));
    std::string skip;
    for (int i = 3; i < 14; ++i) fields >> skip;
    double user = 0;
    double system = 0;
    fields >> user >> system;
    return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
  }

 private:
  pid_t pid_ = -1;
};

}  // namespace futured::test
