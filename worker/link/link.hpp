// The connection to the daemon as the worker's loop sees it: encoded messages out and in, and a place to sleep.
// All functions belong to the loop thread. The connection never mends itself: when it is lost, connect() makes a new
// one that shares nothing with the old one.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proto/bytes.hpp"
#include "proto/pipe.hpp"
#include "proto/status.hpp"
#include "worker/session/action.hpp"
#include "worker/wakeup.hpp"

namespace futured::worker {

class Link {
 public:
  using Frames = std::vector<Slice>;

  virtual ~Link() = default;
  /// Drops what there is and begins a new connection. Ok does not mean that anybody answers.
  virtual Status connect() = 0;
  /// False: the connection is lost, and so is the message.
  virtual bool send(Frames message) = 0;
  /// Appends at most `most` messages. False: the connection is lost and nothing more will come of it.
  virtual bool receive(std::vector<Frames>& into, std::size_t most) = 0;
  /// Until something can be received, the connection is lost, the wakeup is used, or `timeout` ns have passed
  /// (kNever: no limit; 0: only look). May also return early.
  virtual void wait(Wakeup& wakeup, Time timeout) = 0;
  /// Ends the connection. `linger` ns are given to what has been sent.
  virtual void close(Time linger) = 0;
};

/// ZeroMQ DEALER to `endpoint`. Invalid: not an endpoint.
Result<std::unique_ptr<Link>> make_zmq_link(const std::string& endpoint);

/// A pipe to a daemon in this process. `connect` gives a new end each time, or null if there is no daemon any more;
/// it is called on the loop thread. `wakeup` must be usable as long as the other end may send.
using PipeConnector = std::function<std::unique_ptr<wire::Pipe::End>()>;
std::unique_ptr<Link> make_pipe_link(PipeConnector connect, Wakeup& wakeup);

}  // namespace futured::worker
