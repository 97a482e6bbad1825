// The in-process connections of a daemon and what wakes its loop.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "proto/pipe.hpp"

namespace futured::daemon {

/// Ends the sleep of one thread from any other. The system call is spared while nobody sleeps.
class Waker {
 public:
  Waker();
  ~Waker();
  Waker(const Waker&) = delete;
  Waker& operator=(const Waker&) = delete;

  bool ok() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  /// Any thread.
  void wake();
  /// The sleeper, before it sleeps. False: it was woken already and must not.
  bool arm();
  /// The sleeper, after: true if wake() was called since the last time. `readable`: fd() was.
  bool disarm(bool readable);

 private:
  int fd_;
  std::atomic<bool> woken_{false};
  std::atomic<bool> asleep_{false};
};

/// The loop's ends of all pipes. Loop thread, except connect().
class Pipes {
 public:
  using Id = std::uint64_t;
  using Frames = std::vector<Slice>;

  explicit Pipes(std::shared_ptr<Waker> waker) : shared_(std::make_shared<Shared>(std::move(waker))) {}
  ~Pipes();  ///< closes them all
  Pipes(const Pipes&) = delete;
  Pipes& operator=(const Pipes&) = delete;

  /// Any thread.
  std::unique_ptr<wire::Pipe::End> connect(Id id);
  /// Takes in what other threads did. To be called when the waker has been woken.
  void collect();
  /// There may be something to receive.
  bool ready() const { return !ready_.empty(); }
  /// The next message, the pipes in turn. An ended pipe is forgotten and appended to `ended`.
  bool receive(Id& from, Frames& message, std::vector<Id>& ended);
  bool has(Id id) const { return pipes_.count(id) != 0; }
  /// False: closed by the other end.
  bool send(Id to, Frames&& message);
  void close(Id id);

 private:
  struct Shared {
    explicit Shared(std::shared_ptr<Waker> w) : waker(std::move(w)) {}
    const std::shared_ptr<Waker> waker;
    std::mutex mutex;
    std::vector<std::pair<Id, std::unique_ptr<wire::Pipe::End>>> fresh;
    std::vector<Id> readable;
  };
  struct Connection {
    std::unique_ptr<wire::Pipe::End> end;
    std::vector<Frames> inbox;
    std::size_t taken = 0;  // of the inbox
    bool queued = false;    // in ready_
  };

  std::shared_ptr<Shared> shared_;
  std::unordered_map<Id, Connection> pipes_;
  std::deque<Id> ready_;
};

}  // namespace futured::daemon
