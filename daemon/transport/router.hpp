// One listening ROUTER socket and its monitor: libzmq behind plain types. Loop thread only, nothing blocks.
//
// How to sleep on it: fd() becomes readable when libzmq has news, which any call here may already have swallowed. So
// poll fd() only after receive() said `nothing` and nothing was sent since, or after readable() said false.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "proto/bytes.hpp"
#include "proto/status.hpp"

namespace futured::daemon {

/// The libzmq context: one I/O thread, started with the first socket. Outlives its routers.
class RouterContext {
 public:
  RouterContext();
  ~RouterContext();  ///< waits for what routers still had to send, at most their linger time
  RouterContext(const RouterContext&) = delete;
  RouterContext& operator=(const RouterContext&) = delete;

 private:
  friend class Router;
  struct State;
  std::unique_ptr<State> state_;
};

class Router {
 public:
  using Frames = std::vector<Slice>;
  /// How libzmq names a connection: drawn by the socket, ascending, unique for 2^32 connections.
  using Route = std::uint32_t;
  /// Where a message came from, as libzmq knows it.
  struct Origin {
    int fd = -1;          ///< of the connection when it sent the message; it may be closed or reused by now
    std::string address;  ///< ipc: "localhost:UID:GID:PID"; tcp: the address
  };
  enum class Next : std::uint8_t {
    message,  ///< one has begun: rest() must follow
    dropped,  ///< one was thrown away: its sender has a name of its own choosing, which the protocol does not allow
    nothing,
  };
  enum class Sent : std::uint8_t { ok, full, gone };

  /// Invalid: not an endpoint. Internal: the system said no.
  static Result<std::unique_ptr<Router>> bind(RouterContext& context, const std::string& endpoint,
                                              std::uint64_t frame_limit);
  ~Router();
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  const std::string& endpoint() const { return endpoint_; }
  int fd() const { return fd_; }
  int monitor_fd() const { return monitor_fd_; }

  bool readable();
  Next next(Route& from);
  /// The frames of the message that next() began; `origin` is filled unless null. False: it has too many frames and
  /// was thrown away.
  bool rest(Frames& frames, Origin* origin);
  /// Frames are consumed if ok, untouched if full.
  Sent send(Route to, Frames& frames);

  /// Appends the fds of connections that libzmq is closing or has closed.
  void disconnected(std::vector<int>& fds);

 private:
  struct State;
  explicit Router(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
  std::string endpoint_;
  int fd_ = -1;
  int monitor_fd_ = -1;
};

}  // namespace futured::daemon
