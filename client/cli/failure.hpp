// How fut ends: the exit codes that scripts rely on, and the error that carries one up to main().
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "proto/status.hpp"

namespace futured::cli {

enum class Exit : int {
  done = 0,
  task_failed = 1,
  usage = 2,
  cancelled = 3,  ///< or expired
  no_such_task = 4,
  forgotten = 5,
  input_refused = 65,
  no_daemon = 69,
  internal = 70,     ///< the daemon or fut itself went wrong
  io = 74,           ///< standard input or output, or a file
  refused_now = 75,  ///< full or draining: the same command may work later
  version = 76,
  not_allowed = 77,
  waited_too_long = 124,
  interrupted = 130,
};

/// For --help: what scripts rely on.
inline constexpr std::string_view kExitCodes =
    "  0    done                          65   the input was refused\n"
    "  1    a task failed                 69   no daemon\n"
    "  2    wrong words                   70   the daemon or fut itself went wrong\n"
    "  3    cancelled or expired          74   standard input or output cannot be used\n"
    "  4    no such task                  75   refused for now: full, or draining\n"
    "  5    the task is forgotten         76   another version of the protocol\n"
    "  124  waited too long               77   not allowed\n"
    "  130  interrupted\n"
    "Of several tasks: 1 over 3 over 0. exec ends with the status of its command, 128 + signal, 127 or 126.\n";

/// Ends the command: main() prints `fut: MESSAGE` and exits with the code. An empty message prints nothing.
class Failure : public std::runtime_error {
 public:
  Failure(Exit code, const std::string& message) : std::runtime_error(message), code_(code) {}
  Exit code() const { return code_; }

 private:
  Exit code_;
};

inline Exit exit_of(Code code) {
  switch (code) {
    case Code::ok:
      return Exit::done;
    case Code::invalid:
      return Exit::usage;
    case Code::not_found:
      return Exit::no_such_task;
    case Code::forgotten:
      return Exit::forgotten;
    case Code::refused:
      return Exit::refused_now;
    case Code::not_allowed:
      return Exit::not_allowed;
    case Code::version:
      return Exit::version;
    case Code::unavailable:
      return Exit::no_daemon;
    case Code::internal:
      break;
  }
  return Exit::internal;
}

/// The value, or Failure with the exit code of its Status.
template <class T>
T expect(Result<T> result) {
  if (!result) throw Failure(exit_of(result.status().code()), result.status().message());
  return std::move(*result);
}
/// The same with one exit code for all reasons.
template <class T>
T expect(Result<T> result, Exit code) {
  if (!result) throw Failure(code, result.status().message());
  return std::move(*result);
}

/// Failure if it is not ok. `not_found`: what is missing there is no task, but a word of this command.
inline void expect(const Status& status, Exit not_found = Exit::usage) {
  if (status.ok()) return;
  throw Failure(status.code() == Code::not_found ? not_found : exit_of(status.code()), status.message());
}

/// Several tasks: a failed one weighs more than a cancelled one, that more than success.
inline Exit worse(Exit a, Exit b) {
  const auto weight = [](Exit e) {
    return e == Exit::done ? 0 : e == Exit::cancelled ? 1 : e == Exit::task_failed ? 3 : 2;
  };
  return weight(a) >= weight(b) ? a : b;
}

}  // namespace futured::cli
