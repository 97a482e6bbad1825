// What a daemon does with its process and the file system around it: folders, locks, signals, going to the background.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "proto/status.hpp"

namespace futured::daemon {

/// Path of an ipc:// endpoint; empty for other endpoints.
std::string ipc_path(const std::string& endpoint);

/// Where a daemon without `listen` listens: the first of the places that clients look at which fits this user.
/// A folder of the user's own is made private (0700). Internal: none can be made, or one is not this user's; the text
/// says why.
Result<std::string> default_endpoint();

/// mkdir -p; folders that it makes have mode 0700.
Status make_folder(const std::string& path);

/// An exclusive claim, held until destroyed: a lock file with the pid of its owner. Binding an ipc socket replaces
/// whatever is there, so this is what keeps a second daemon off the first one's socket.
class Claim {
 public:
  /// Refused: another process (or daemon in this process) has it; the text names its pid.
  static Result<std::unique_ptr<Claim>> take(const std::string& path, const std::string& what);
  ~Claim();
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

 private:
  explicit Claim(int fd) : fd_(fd) {}
  int fd_;
};

/// A private folder (0700) for the sockets and slots files of one daemon, removed with everything in it at the end.
/// What daemons that were killed left behind is removed at the next start.
class RuntimeDir {
 public:
  static Result<std::unique_ptr<RuntimeDir>> make();
  ~RuntimeDir();
  RuntimeDir(const RuntimeDir&) = delete;
  RuntimeDir& operator=(const RuntimeDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  RuntimeDir() = default;
  std::string path_;
  std::unique_ptr<Claim> claim_;
};

/// SIGTERM, SIGINT, SIGHUP as readable events instead of interruptions. Made before any thread is started.
class Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  int fd() const { return fd_; }
  /// The next signal that has come; 0: none.
  int next();

 private:
  int fd_ = -1;
};

/// For the program, not for a library: a lost connection is no signal, as many files as are allowed may be open, and
/// descendants whose parent died become children of this process.
void prepare_process();

/// The way of the program to the background and its standing there. One object in main, before any thread.
class Background {
 public:
  struct Options {
    bool daemonize = false;
    std::string pidfile;   ///< empty: none
    std::string log_file;  ///< standard error goes there (appending)
  };
  /// With `daemonize` only the background process returns from here; the foreground one waits for ready() or failed()
  /// and exits with 0, or with the message on standard error and the code given.
  static Result<std::unique_ptr<Background>> enter(const Options& options);
  ~Background();  ///< removes the pidfile if it is ours
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  /// The daemon accepts connections: writes the pidfile, lets the foreground process go, tells systemd. Refused: the
  /// pidfile is another running process's, or not a pidfile.
  Status ready();
  /// Says `message` wherever somebody can still read it; returns `code`.
  int failed(const std::string& message, int code);

 private:
  Background() = default;
  Options options_;
  int foreground_ = -1;  // pipe to the waiting process
  int terminal_ = -1;    // standard error as it was before the log file took its place
  int pidfile_ = -1;     // ours, locked
};

/// Sends `state` ("READY=1", "STOPPING=1") to $NOTIFY_SOCKET, if set.
void notify_service_manager(const std::string& state);

}  // namespace futured::daemon
