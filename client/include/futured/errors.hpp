// What the client API throws. Every error says what happened, to which task or endpoint, and what to do next.
// Wrong arguments throw std::invalid_argument.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "proto/status.hpp"
#include "proto/task_state.hpp"

namespace futured {

/// Base of everything below.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The caller's own patience ended; the task goes on. (A task's own timeout is a TaskError of kind timeout.)
class TimeoutError : public Error {
 public:
  using Error::Error;
};

/// The future was cancelled; kind is `dependency` if a task it waited for can never succeed.
class CancelledError : public Error {
 public:
  explicit CancelledError(const std::string& message = "the future was cancelled", ErrorKind k = ErrorKind::none)
      : Error(message), kind(k) {}
  ErrorKind kind;
};

/// The task had not started when its `expires` was over.
class ExpiredError : public CancelledError {
 public:
  using CancelledError::CancelledError;
};

/// The executor cannot be used (any more): its daemon refused it, it was closed, its initializer failed, or the
/// process forked.
class BrokenExecutor : public Error {
 public:
  using Error::Error;
};

/// submit() after shutdown().
class ShutdownError : public Error {
 public:
  using Error::Error;
};

/// The future is not in a state that allows this.
class InvalidStateError : public Error {
 public:
  using Error::Error;
};

/// The daemon takes no more tasks now, and the task said OnFull::fail, or its patience ended.
class QueueFull : public Error {
 public:
  explicit QueueFull(const std::string& message, std::size_t n = 0) : Error(message), submitted(n) {}
  std::size_t submitted;  ///< of submit_many: how many of the first inputs are tasks all the same
};

/// No task of that id or number was ever known.
class NotFound : public Error {
 public:
  using Error::Error;
};

/// The task was known; its retention has passed.
class Forgotten : public Error {
 public:
  using Error::Error;
};

/// connect() failed. `code()` is unavailable (nobody answers), version or not_allowed, or refused (draining, full).
class ConnectError : public BrokenExecutor {
 public:
  ConnectError(Code code, const std::string& message) : BrokenExecutor(message), code_(code) {}
  Code code() const { return code_; }

 private:
  Code code_;
};

/// "no daemon at E: start one with `futured`"
class NoDaemonError : public ConnectError {
 public:
  explicit NoDaemonError(const std::string& message) : ConnectError(Code::unavailable, message) {}
};

/// The daemon speaks no protocol version that this client speaks.
class VersionError : public ConnectError {
 public:
  explicit VersionError(const std::string& message) : ConnectError(Code::version, message) {}
};

/// The daemon does not let this user in.
class NotAllowedError : public ConnectError {
 public:
  explicit NotAllowedError(const std::string& message) : ConnectError(Code::not_allowed, message) {}
};

/// The task ended as `failed`. Kinds `timeout` (an attempt took longer than the task's timeout) and `deadline` (all of
/// it did) are the task's own; the caller's patience is TimeoutError.
class TaskError : public Error {
 public:
  struct Details {
    ErrorKind kind = ErrorKind::error;
    std::string message;
    int status = 0;
    int signal = 0;
    std::uint32_t attempts = 0;
    bool permanent = false;
    std::string reply;
  };
  explicit TaskError(Details d)
      : Error(d.message.empty() ? "the task failed: " + std::string(name(d.kind)) : d.message),
        kind(d.kind),
        status(d.status),
        signal(d.signal),
        attempts(d.attempts),
        permanent(d.permanent),
        reply_(std::make_shared<const std::string>(std::move(d.reply))) {}

  ErrorKind kind;
  int status;              ///< kind exit: the exit status
  int signal;              ///< kinds exit and crashed: the signal, or 0
  std::uint32_t attempts;  ///< how often it was tried
  bool permanent;          ///< another attempt cannot help
  /// What the task had to say beside its failure, as bytes; often empty.
  const std::string& reply() const { return *reply_; }

 private:
  std::shared_ptr<const std::string> reply_;  // shared: copying an exception must not throw
};

/// The task was refused for what it is (kind rejected or too_large): submitting it again will not help.
class RejectedError : public TaskError {
 public:
  using TaskError::TaskError;
};

}  // namespace futured
