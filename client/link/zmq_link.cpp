// The only file of the client that includes zmq.hpp.
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <mutex>
#include <utility>
#include <zmq.hpp>

#include "client/link/link.hpp"

namespace futured::client {

namespace {

/// One for the process, never destroyed: tearing a context down at exit waits for sockets that others own. A child
/// made by fork gets one of its own: the parent's has no threads there.
void* context() {
  static std::mutex mutex;
  static void* ctx = nullptr;
  static pid_t owner = 0;
  const std::lock_guard lock(mutex);
  if (owner != getpid()) {
    ctx = zmq_ctx_new();
    owner = getpid();
  }
  return ctx;
}

/// A received frame, kept where libzmq put it.
class MessageBlob final : public Blob {
 public:
  explicit MessageBlob(zmq_msg_t* from) {
    zmq_msg_init(&message_);
    zmq_msg_move(&message_, from);
  }
  Slice slice() { return {this, static_cast<const char*>(zmq_msg_data(&message_)), zmq_msg_size(&message_)}; }

 private:
  ~MessageBlob() override { zmq_msg_close(&message_); }
  zmq_msg_t message_;
};

std::string last_error() { return zmq_strerror(zmq_errno()); }

class ZmqLink final : public Link {
 public:
  ZmqLink() = default;
  ~ZmqLink() override {
    if (socket_ != nullptr) zmq_socket_monitor(socket_, nullptr, 0);
    if (monitor_ != nullptr) zmq_close(monitor_);
    if (socket_ != nullptr) zmq_close(socket_);
  }

  Status connect(const std::string& endpoint, int linger_ms) {
    static std::atomic<std::uint64_t> count{0};
    socket_ = zmq_socket(context(), ZMQ_DEALER);
    monitor_ = zmq_socket(context(), ZMQ_PAIR);
    if (socket_ == nullptr || monitor_ == nullptr) return {Code::internal, "cannot make a socket: " + last_error()};
    const int unlimited = 0, never = -1, none = 0;
    const std::int64_t largest = static_cast<std::int64_t>(wire::kFrameLimit);
    zmq_setsockopt(socket_, ZMQ_SNDHWM, &unlimited, sizeof unlimited);
    zmq_setsockopt(socket_, ZMQ_RCVHWM, &unlimited, sizeof unlimited);
    zmq_setsockopt(socket_, ZMQ_RECONNECT_IVL, &never, sizeof never);
    zmq_setsockopt(socket_, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    zmq_setsockopt(socket_, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
    zmq_setsockopt(monitor_, ZMQ_LINGER, &none, sizeof none);
    const std::string name = "inproc://futured-client-" + std::to_string(count++);
    const int events = ZMQ_EVENT_CONNECTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED |
                       ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                       ZMQ_EVENT_MONITOR_STOPPED;
    if (zmq_socket_monitor(socket_, name.c_str(), events) != 0 || zmq_connect(monitor_, name.c_str()) != 0) {
      return {Code::internal, "cannot watch a socket: " + last_error()};
    }
    if (zmq_connect(socket_, endpoint.c_str()) != 0) {
      return {Code::invalid, "cannot connect to '" + endpoint + "': " + last_error() +
                                 " (an endpoint is ipc:///path or tcp://host:port)"};
    }
    return {};
  }

  bool send(wire::Frames message) override {
    unsure_ = true;
    for (std::size_t i = 0; i < message.size(); ++i) {
      const int flags = ZMQ_DONTWAIT | (i + 1 < message.size() ? ZMQ_SNDMORE : 0);
      if (!send_frame(std::move(message[i]), flags)) {
        // Only the first frame can find no peer; a peer that goes later swallows the rest.
        return false;
      }
    }
    return true;
  }

  bool receive(std::vector<wire::Frames>& into, std::size_t max) override {
    for (std::size_t n = 0; n < max; ++n) {
      wire::Frames frames;
      bool more = true;
      while (more) {
        zmq_msg_t m;
        zmq_msg_init(&m);
        if (zmq_msg_recv(&m, socket_, ZMQ_DONTWAIT) < 0) {
          zmq_msg_close(&m);
          unsure_ = false;
          return false;  // frames of a message come together: there is none
        }
        more = zmq_msg_more(&m) != 0;
        // Beyond what a message may have, frames are only counted: the envelope refuses it.
        if (frames.size() <= wire::kMaxFrames + 1) frames.push_back(keep(&m, frames.empty()));
        zmq_msg_close(&m);
      }
      into.push_back(std::move(frames));
    }
    unsure_ = true;
    return true;
  }

  bool readable() override {
    if (!unsure_) return false;
    int events = 0;
    std::size_t size = sizeof events;
    unsure_ = zmq_getsockopt(socket_, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN) != 0;
    return unsure_;
  }

  State state() override {
    for (int event = next_event(); event >= 0; event = next_event()) {
      if (event == ZMQ_EVENT_CONNECTED) {
        connected_ = true;
      } else if (event != 0) {
        state_ = connected_ ? State::lost : State::refused;
      }
    }
    return state_;
  }

  void finish(int patience_ms) override {
    // The monitor of a closed socket ends when everything of the socket has: after its last message has left.
    (void)state();
    zmq_close(std::exchange(socket_, nullptr));
    zmq_pollitem_t item{monitor_, 0, ZMQ_POLLIN, 0};
    while (zmq_poll(&item, 1, patience_ms) > 0) {
      if (next_event() == ZMQ_EVENT_MONITOR_STOPPED) return;
    }
  }

  int data_fd() const override { return fd_of(socket_); }
  int state_fd() const override { return fd_of(monitor_); }

 private:
  /// Of the monitor; 0: the second half of one, below 0: none.
  int next_event() {
    zmq_msg_t m;
    zmq_msg_init(&m);
    int event = -1;
    if (zmq_msg_recv(&m, monitor_, ZMQ_DONTWAIT) >= 0) {
      std::uint16_t raw = 0;
      if (zmq_msg_size(&m) >= sizeof raw && zmq_msg_more(&m) != 0) {
        std::memcpy(&raw, zmq_msg_data(&m), sizeof raw);
      }
      event = raw;
    }
    zmq_msg_close(&m);
    return event;
  }

  static int fd_of(void* socket) {
    int fd = -1;
    std::size_t size = sizeof fd;
    zmq_getsockopt(socket, ZMQ_FD, &fd, &size);
    return fd;
  }

  bool send_frame(Slice frame, int flags) {
    zmq_msg_t m;
    if (frame.size() < wire::kFramedFrom) {
      if (zmq_msg_init_size(&m, frame.size()) != 0) return false;
      if (!frame.empty()) std::memcpy(zmq_msg_data(&m), frame.data(), frame.size());
    } else {
      // libzmq writes large frames from where they are; the slice goes when they have left.
      auto* held = new Slice(std::move(frame));
      const auto drop = [](void*, void* hint) { delete static_cast<Slice*>(hint); };
      if (zmq_msg_init_data(&m, const_cast<char*>(held->data()), held->size(), drop, held) != 0) {
        delete held;
        return false;
      }
    }
    if (zmq_msg_send(&m, socket_, flags) < 0) {
      zmq_msg_close(&m);
      return false;
    }
    return true;
  }

  /// Small frames are copied, because each would hold on to libzmq's whole receive buffer; frame 0 is read at once.
  static Slice keep(zmq_msg_t* m, bool first) {
    const std::size_t size = zmq_msg_size(m);
    if (!first && size < wire::kFramedFrom) {
      return Slice::copy({static_cast<const char*>(zmq_msg_data(m)), size});
    }
    return (new MessageBlob(m))->slice();
  }

  void* socket_ = nullptr;
  void* monitor_ = nullptr;
  State state_ = State::open;
  bool connected_ = false;
  bool unsure_ = true;  // there may be a message that the descriptor does not show; asking costs two system calls
};

}  // namespace

Result<std::unique_ptr<Link>> make_zmq_link(const std::string& endpoint, int linger_ms) {
  auto link = std::make_unique<ZmqLink>();
  if (Status s = link->connect(endpoint, linger_ms); !s.ok()) return s;
  return std::unique_ptr<Link>(std::move(link));
}

}  // namespace futured::client
