// The only file of the worker that knows ZeroMQ.
#include <poll.h>

#include <atomic>
#include <optional>
#include <utility>
#include <zmq.hpp>

#include "worker/link/link.hpp"

namespace futured::worker {
namespace {

constexpr std::size_t kKeepFrom = 8192;  // smaller received frames are copied: keeping one would pin its whole buffer
constexpr std::int64_t kFrameLimit = 80LL << 20;
constexpr std::size_t kMostFrames = 65;
constexpr int kHeartbeatMs = 2000;
constexpr int kHeartbeatTimeoutMs = 6000;
constexpr int kHandshakeMs = 5000;
constexpr int kMonitored = ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                           ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;

class ZmqBlob final : public Blob {
 public:
  explicit ZmqBlob(zmq::message_t&& m) : message(std::move(m)) {}
  zmq::message_t message;
};

Slice to_slice(zmq::message_t&& m) {
  if (m.size() < kKeepFrom) return Slice::copy({static_cast<const char*>(m.data()), m.size()});
  auto* blob = new ZmqBlob(std::move(m));
  return {blob, static_cast<const char*>(blob->message.data()), blob->message.size()};
}

zmq::message_t to_message(Slice&& slice) {
  if (slice.size() < kKeepFrom) return {slice.data(), slice.size()};
  auto* kept = new Slice(std::move(slice));
  const auto drop = [](void*, void* hint) { delete static_cast<Slice*>(hint); };
  return {const_cast<char*>(kept->data()), kept->size(), drop, kept};
}

class ZmqLink final : public Link {
 public:
  explicit ZmqLink(std::string endpoint) : endpoint_(std::move(endpoint)) {}
  ZmqLink(const ZmqLink&) = delete;
  ZmqLink& operator=(const ZmqLink&) = delete;
  ~ZmqLink() override { close(0); }

  Status connect() override {
    close(0);
    try {
      socket_.emplace(context_, zmq::socket_type::dealer);
      socket_->set(zmq::sockopt::linger, 0);
      socket_->set(zmq::sockopt::reconnect_ivl, -1);  // its own reconnection would replay what it had queued
      socket_->set(zmq::sockopt::immediate, 1);
      socket_->set(zmq::sockopt::sndhwm, 0);  // the credits of the protocol bound what is under way
      socket_->set(zmq::sockopt::rcvhwm, 0);
      socket_->set(zmq::sockopt::maxmsgsize, kFrameLimit);
      socket_->set(zmq::sockopt::heartbeat_ivl, kHeartbeatMs);
      socket_->set(zmq::sockopt::heartbeat_timeout, kHeartbeatTimeoutMs);
      socket_->set(zmq::sockopt::heartbeat_ttl, kHeartbeatTimeoutMs);
      socket_->set(zmq::sockopt::handshake_ivl, kHandshakeMs);
      socket_->set(zmq::sockopt::tcp_keepalive, 1);
      const std::string name = "inproc://futured-worker-link-" + std::to_string(++connections_);
      if (zmq_socket_monitor(socket_->handle(), name.c_str(), kMonitored) != 0) throw zmq::error_t();
      monitor_.emplace(context_, zmq::socket_type::pair);
      monitor_->set(zmq::sockopt::linger, 0);
      monitor_->connect(name);
      socket_->connect(endpoint_);
      socket_fd_ = socket_->get(zmq::sockopt::fd);
      monitor_fd_ = monitor_->get(zmq::sockopt::fd);
      lost_ = false;
      writable_ = false;
      look_ = look_at_monitor_ = true;
    } catch (const zmq::error_t& e) {
      close(0);
      return {Code::unavailable, "cannot connect to " + endpoint_ + ": " + e.what()};
    }
    return {};
  }

  bool send(Frames message) override {
    if (!socket_ || lost_) return false;
    if (!writable_) {
      // Until the connection stands there is nowhere to put a message (IMMEDIATE): keep what is to be said first.
      unsent_.push_back(std::move(message));
      return true;
    }
    return send_now(std::move(message));
  }

  bool receive(std::vector<Frames>& into, std::size_t most) override {
    if (!socket_) return false;
    if (look_at_monitor_) look_at_monitor();
    if (!send_unsent()) lost_ = true;
    try {
      for (; look_ && most > 0; --most) look_ = receive_one(into);
    } catch (const zmq::error_t&) {
      lost_ = true;
      look_ = false;
    }
    // A lost connection may still have delivered: that comes first.
    return !lost_ || look_;
  }

  void wait(Wakeup& wakeup, Time timeout) override {
    pollfd fds[3] = {{wakeup.fd(), POLLIN, 0}, {-1, POLLIN, 0}, {-1, POLLIN, 0}};
    try {
      if (socket_) {
        fds[1].fd = socket_fd_;
        fds[2].fd = monitor_fd_;
        if (look_ || !writable_) {
          const int events = socket_->get(zmq::sockopt::events);
          look_ = (events & ZMQ_POLLIN) != 0;
          if (!writable_ && (events & ZMQ_POLLOUT) != 0) timeout = 0;
        }
        if (lost_ || look_ || look_at_monitor_) timeout = 0;
      }
    } catch (const zmq::error_t&) {
      lost_ = true;
      timeout = 0;
    }
    timespec t{};
    if (timeout != kNever) t = {timeout / 1'000'000'000, timeout % 1'000'000'000};
    if (::ppoll(fds, 3, timeout == kNever ? nullptr : &t, nullptr) <= 0) return;
    if (fds[0].revents != 0) wakeup.drain();
    look_ = look_ || fds[1].revents != 0;
    look_at_monitor_ = look_at_monitor_ || fds[2].revents != 0;
  }

  void close(Time linger) override {
    try {
      if (socket_) {
        socket_->set(zmq::sockopt::linger, static_cast<int>(linger / 1'000'000));
        zmq_socket_monitor(socket_->handle(), nullptr, 0);
      }
    } catch (const zmq::error_t&) {
      // Closing anyway.
    }
    monitor_.reset();
    socket_.reset();
    unsent_.clear();
    lost_ = true;
  }

 private:
  bool send_now(Frames message) {
    look_ = true;
    try {
      for (std::size_t i = 0; i < message.size(); ++i) {
        const bool more = i + 1 < message.size();
        const auto flags = more ? zmq::send_flags::dontwait | zmq::send_flags::sndmore : zmq::send_flags::dontwait;
        zmq::message_t m = to_message(std::move(message[i]));
        if (!socket_->send(m, flags)) {
          lost_ = true;  // without a high-water mark only a missing peer refuses
          return false;
        }
      }
    } catch (const zmq::error_t&) {
      lost_ = true;
      return false;
    }
    return true;
  }

  bool send_unsent() {
    if (writable_ || lost_) return true;
    try {
      if ((socket_->get(zmq::sockopt::events) & ZMQ_POLLOUT) == 0) return true;
    } catch (const zmq::error_t&) {
      return false;
    }
    writable_ = true;
    for (Frames& m : std::exchange(unsent_, {})) {
      if (!send_now(std::move(m))) return false;
    }
    return true;
  }

  bool receive_one(std::vector<Frames>& into) {
    zmq::message_t m;
    if (!socket_->recv(m, zmq::recv_flags::dontwait)) return false;
    Frames frames;
    bool more = m.more();
    frames.push_back(to_slice(std::move(m)));
    while (more) {
      zmq::message_t next;
      if (!socket_->recv(next, zmq::recv_flags::dontwait)) break;
      more = next.more();
      // More frames than any message has: one too many stays, so that the message is refused as a whole.
      if (frames.size() <= kMostFrames) frames.push_back(to_slice(std::move(next)));
    }
    into.push_back(std::move(frames));
    return true;
  }

  void look_at_monitor() {
    look_at_monitor_ = false;
    try {
      for (zmq::message_t m; monitor_->recv(m, zmq::recv_flags::dontwait); m.rebuild()) {
        while (m.more() && monitor_->recv(m, zmq::recv_flags::dontwait)) {
        }
        lost_ = look_ = true;  // only losses are monitored
      }
    } catch (const zmq::error_t&) {
      lost_ = true;
    }
  }

  const std::string endpoint_;
  zmq::context_t context_{1};
  std::optional<zmq::socket_t> socket_, monitor_;
  std::vector<Frames> unsent_;
  std::uint64_t connections_ = 0;
  int socket_fd_ = -1, monitor_fd_ = -1;
  bool lost_ = true;
  bool writable_ = false;
  // The descriptor of a ZeroMQ socket tells of a message once, and any use of the socket may take that sign: these say
  // that there may be something which the descriptor does not show. To ask each time would cost two system calls each.
  bool look_ = true, look_at_monitor_ = true;
};

}  // namespace

Result<std::unique_ptr<Link>> make_zmq_link(const std::string& endpoint) {
  if (endpoint.find("://") == std::string::npos) {
    return Status(Code::invalid, "\"" + endpoint +
                                     "\" is not an endpoint; one looks like ipc:///run/futured/futured.sock "
                                     "or tcp://host:4800");
  }
  return std::unique_ptr<Link>(new ZmqLink(endpoint));
}

}  // namespace futured::worker
