// Everything the daemon receives and sends: ROUTER sockets, one for each endpoint, and in-process pipes.
//
// Owned and used by the loop thread, except connect() and wake(), which any thread may call while the Transport lives.
// It never blocks outside wait() and never waits for a peer. A message that is lost with a connection is not told
// apart here: next_gone() tells the loss of the connection, the protocol above recovers.
#pragma once

#include <poll.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "proto/bytes.hpp"
#include "proto/pipe.hpp"
#include "proto/status.hpp"

namespace futured::daemon {

/// One connection of one peer, from 1; never reused by one Transport.
using ConnectionId = std::uint64_t;
using Frames = std::vector<Slice>;

/// Who is at the other end, as the kernel says (nothing of it comes from a message body).
struct Peer {
  static constexpr std::uint32_t kUnknown = 0xffffffff;
  std::uint32_t uid = kUnknown;  ///< of a local peer at the time it connected
  std::uint32_t pid = 0;         ///< 0: not known (TCP)
  bool local_process = false;    ///< in-process pipe
  std::string address;           ///< for people: "pid 4711", "127.0.0.1", "in-process"
};

class Transport {
 public:
  enum class Sent : std::uint8_t {
    ok,
    full,  ///< the peer does not read; the message is untouched
    gone,  ///< there is no such connection (any more); next_gone() names it unless it has already
  };
  struct Counters {
    std::uint64_t malformed_multipart =
        0;                         ///< messages with more frames than the protocol knows, or of an unnamed peer
    std::uint64_t unroutable = 0;  ///< sends that found nobody
    std::uint64_t full = 0;        ///< sends refused because the peer does not read
  };

  /// Binds every endpoint: ipc:// (its folder is created with mode 0700, a lock file keeps other daemons out) or
  /// tcp:// (port 0 or * for any). None is fine: then only connect() and worker_endpoint() lead here. Invalid: a
  /// malformed endpoint. Refused: another daemon owns it; the text names its pid. Internal: the system said no.
  static Result<std::unique_ptr<Transport>> open(const std::vector<std::string>& endpoints, std::uint64_t frame_limit);
  virtual ~Transport() = default;

  /// What is listened on, with real port numbers. Constant.
  virtual const std::vector<std::string>& endpoints() const = 0;
  /// The endpoint for workers of this host: the first ipc endpoint, else a private socket made at the first call.
  virtual Result<std::string> worker_endpoint() = 0;

  /// Sleeps until a message or the end of a connection can be had, an fd of `fds` is ready (revents are set), wake()
  /// was called, or the timeout passed (ns; 0: only look; < 0: for ever). May return early for no visible reason.
  virtual void wait(std::int64_t timeout_ns, std::span<struct pollfd> fds) = 0;

  /// The next message, in turn over sockets and pipes. False: nothing (more) until wait() has looked again.
  virtual bool receive(ConnectionId& from, Frames& message) = 0;
  /// Never blocks. `message` is consumed if ok, untouched if full.
  virtual Sent send(ConnectionId to, Frames&& message) = 0;

  /// Connections found dead, each once, after everything that could be received from them was. A connection ended by
  /// close() is not named.
  virtual bool next_gone(ConnectionId& which) = 0;
  /// Ends a connection: what it still sends is dropped at once, and it is cut soon after what was sent to it has left.
  virtual void close(ConnectionId which) = 0;
  virtual Peer peer(ConnectionId which) const = 0;

  /// Any thread: a new in-process connection.
  virtual std::unique_ptr<wire::Pipe::End> connect() = 0;
  /// Any thread, async-signal-safe: ends a wait() that is under way or comes next.
  virtual void wake() = 0;

  virtual Counters counters() const = 0;
};

}  // namespace futured::daemon
