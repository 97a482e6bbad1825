// A real daemon in a folder of its own, for tests: started, waited for, stopped or killed, cleaned up.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

extern char** environ;

namespace futured::test {

inline std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) throw std::runtime_error(std::string(name) + " is not set: run this test with ctest");
  return value;
}
inline std::string bin(const std::string& program) { return from_environment("FUTURED_BIN_DIR") + "/" + program; }
inline std::string plugin_dir() { return from_environment("FUTURED_PLUGIN_DIR"); }

/// A new folder, removed at the end.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "futured-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A program that runs beside the test. Killed at the end if it has not ended.
class Program {
 public:
  Program(const std::vector<std::string>& words, const std::vector<std::string>& more_environment,
          const std::string& output_file) {
    std::vector<std::string> environment;
    for (char** e = environ; *e != nullptr; ++e) environment.emplace_back(*e);
    environment.insert(environment.end(), more_environment.begin(), more_environment.end());
    std::vector<char*> argv;
    std::vector<char*> envp;
    for (const std::string& w : words) argv.push_back(const_cast<char*>(w.c_str()));
    // Later settings win, so they come first.
    for (auto e = environment.rbegin(); e != environment.rend(); ++e) envp.push_back(const_cast<char*>(e->c_str()));
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, output_file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    const int error = posix_spawn(&pid_, argv[0], &files, nullptr, argv.data(), envp.data());
    posix_spawn_file_actions_destroy(&files);
    if (error != 0) throw std::runtime_error("cannot start " + words[0]);
  }
  ~Program() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      (void)wait_for_end(std::chrono::seconds(10));
    }
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number) const {
    if (pid_ > 0) ::kill(pid_, number);
  }
  /// The wait status, or -1 if it did not end within `limit`.
  int wait_for_end(std::chrono::milliseconds limit) {
    if (pid_ <= 0) return status_;
    const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
    pollfd p{fd, POLLIN, 0};
    const int ready = poll(&p, 1, static_cast<int>(limit.count()));
    close(fd);
    if (ready <= 0) return -1;
    waitpid(pid_, &status_, 0);
    pid_ = -1;
    return status_;
  }

 private:
  pid_t pid_ = -1;
  int status_ = 0;
};

/// `futured` with its socket in a temporary folder, which is also its XDG_RUNTIME_DIR.
class DaemonProcess {
 public:
  /// Returns when the daemon accepts connections; throws with its log if it does not.
  explicit DaemonProcess(std::vector<std::string> flags = {"--processes", "2"}) : flags_(std::move(flags)) { start(); }

  std::string endpoint() const { return "ipc://" + (dir_.path() / "futured.sock").string(); }
  const std::filesystem::path& folder() const { return dir_.path(); }
  pid_t pid() const { return program_->pid(); }
  Program& program() { return *program_; }
  std::string log() const {
    std::string text;
    if (FILE* f = fopen(log_file().c_str(), "r")) {
      char buffer[4096];
      for (std::size_t n = 0; (n = fread(buffer, 1, sizeof buffer, f)) > 0;) text.append(buffer, n);
      fclose(f);
    }
    return text;
  }
  /// SIGTERM; the exit status as from waitpid, -1 if it does not end.
  int terminate(std::chrono::milliseconds limit = std::chrono::seconds(30)) {
    program_->signal(SIGTERM);
    return program_->wait_for_end(limit);
  }
  void kill() {
    program_->signal(SIGKILL);
    (void)program_->wait_for_end(std::chrono::seconds(10));
  }
  /// After terminate() or kill(): another daemon at the same endpoint.
  void start() {
    const std::filesystem::path pidfile = dir_.path() / "pid";
    std::filesystem::remove(pidfile);
    std::vector<std::string> words = {bin("futured"),   "--listen",     endpoint(),  "--pidfile",
                                      pidfile.string(), "--plugin-dir", plugin_dir()};
    words.insert(words.end(), flags_.begin(), flags_.end());
    program_ = std::make_unique<Program>(words, std::vector<std::string>{"XDG_RUNTIME_DIR=" + dir_.path().string()},
                                         log_file());
    // The daemon writes the pidfile when it accepts connections.
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!std::filesystem::exists(pidfile)) {
      if (program_->wait_for_end(std::chrono::milliseconds(2)) != -1 || std::chrono::steady_clock::now() > limit) {
        throw std::runtime_error("the daemon did not start:\n" + log());
      }
    }
  }

 private:
  std::string log_file() const { return (dir_.path() / "log").string(); }
  TempDir dir_;
  std::vector<std::string> flags_;
  std::unique_ptr<Program> program_;
};

}  // namespace futured::test
