// Link: one connection to a daemon that moves encoded messages. It is used under one mutex of its owner, by any thread;
// it never blocks and never connects again: after `lost` it is to be dropped and another made.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proto/envelope.hpp"
#include "proto/pipe.hpp"
#include "proto/status.hpp"

namespace futured::client {

class Link {
 public:
  enum class State : std::uint8_t {
    open,     ///< or not known to be otherwise
    refused,  ///< nobody listens there
    lost,     ///< it was open
  };

  Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  virtual ~Link() = default;

  /// False: dropped, because the connection is gone or its queue is full.
  virtual bool send(wire::Frames message) = 0;
  /// Appends up to `max` messages to `into`. False when nothing is left to receive now.
  virtual bool receive(std::vector<wire::Frames>& into, std::size_t max) = 0;
  /// True if receive() has something that data_fd() does not tell of any more, as send() and receive() may cause.
  virtual bool readable() = 0;
  /// What the connection is known to be. Call when state_fd() was readable.
  virtual State state() = 0;
  /// The last call: waits at most this long for what was sent to leave.
  virtual void finish(int patience_ms) = 0;
  /// To poll for input: something to receive; below 0: a link that calls when there is.
  virtual int data_fd() const = 0;
  /// To poll for input: a change of state; below 0: receive() tells.
  virtual int state_fd() const = 0;
};

/// Makes links to one place.
using LinkFactory = std::function<Result<std::unique_ptr<Link>>()>;

/// ipc:// or tcp://. `linger_ms`: how long what was sent may still leave after the link is dropped.
Result<std::unique_ptr<Link>> make_zmq_link(const std::string& endpoint, int linger_ms = 2000);

/// The end of a pipe as a link. `wake` is called from the other side's threads when there is something to receive.
std::unique_ptr<Link> make_pipe_link(std::unique_ptr<wire::Pipe::End> end, std::function<void()> wake);

}  // namespace futured::client
