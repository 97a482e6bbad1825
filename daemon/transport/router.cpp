#include "daemon/transport/router.hpp"

#include <sys/stat.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>
#include <zmq.hpp>

#include "proto/envelope.hpp"

namespace futured::daemon {
namespace {

constexpr std::size_t kRouteBytes = 5;  // a zero byte and the Route

// Flow control is the credit of the protocol. These bound what a peer that ignores it can pile up.
constexpr int kSendMessages = 1000;
constexpr int kReceiveMessages = 256;
constexpr int kLingerMs = 1000;

// The bytes of a small frame, right behind the counter: libzmq's own small messages keep the whole arena of the read
// that brought them (about 18 KB) alive.
class PackedBlob final : public Blob {
 public:
  static Slice copy(const void* data, std::size_t size) {
    if (size == 0) return {};
    void* room = ::operator new(sizeof(PackedBlob) + size);
    auto* blob = ::new (room) PackedBlob;
    char* bytes = static_cast<char*>(room) + sizeof(PackedBlob);
    std::memcpy(bytes, data, size);
    return {blob, bytes, size};
  }
  static void operator delete(void* room) { ::operator delete(room); }
};

// A large frame as it came.
class MessageBlob final : public Blob {
 public:
  explicit MessageBlob(zmq::message_t&& message) : message_(std::move(message)) {}
  Slice slice() const { return {this, message_.data<char>(), message_.size()}; }

 private:
  zmq::message_t message_;
};

void release_slice(void*, void* slice) { delete static_cast<Slice*>(slice); }

// A recv or send that a signal interrupted has done nothing.
template <class Call>
int again(Call call) {
  int rc = 0;
  do {
    rc = call();
  } while (rc == -1 && zmq_errno() == EINTR);
  return rc;
}

int receive_frame(void* socket, zmq::message_t& into) {
  return again([&] { return zmq_msg_recv(into.handle(), socket, ZMQ_DONTWAIT); });
}

}  // namespace

struct RouterContext::State {
  zmq::context_t context{1};
};

RouterContext::RouterContext() : state_(std::make_unique<State>()) {}
RouterContext::~RouterContext() = default;

struct Router::State {
  zmq::socket_t socket;
  zmq::socket_t monitor;
};

Router::Router(std::unique_ptr<State> state) : state_(std::move(state)) {}

Router::~Router() {
  if (state_->monitor) zmq_socket_monitor(state_->socket.handle(), nullptr, 0);
}

Result<std::unique_ptr<Router>> Router::bind(RouterContext& context, const std::string& endpoint,
                                             std::uint64_t frame_limit) {
  const bool ipc = endpoint.rfind("ipc://", 0) == 0;
  try {
    auto state = std::make_unique<State>();
    state->socket = zmq::socket_t(context.state_->context, zmq::socket_type::router);
    zmq::socket_t& s = state->socket;
    s.set(zmq::sockopt::linger, kLingerMs);
    s.set(zmq::sockopt::sndhwm, kSendMessages);
    s.set(zmq::sockopt::rcvhwm, kReceiveMessages);
    s.set(zmq::sockopt::router_mandatory, true);
    s.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(frame_limit));
    s.set(zmq::sockopt::handshake_ivl, 5000);
    s.set(zmq::sockopt::backlog, 1024);
    s.set(zmq::sockopt::ipv6, endpoint.find('[') != std::string::npos);
    if (!ipc) {
      // A local peer that dies is noticed by the kernel, and one that is stopped for a while is no dead one.
      s.set(zmq::sockopt::heartbeat_ivl, 5000);
      s.set(zmq::sockopt::heartbeat_timeout, 20000);
      s.set(zmq::sockopt::heartbeat_ttl, 20000);
      s.set(zmq::sockopt::tcp_keepalive, 1);
    }

    static std::atomic<std::uint64_t> count{0};
    const std::string events = "inproc://futured-monitor-" + std::to_string(++count);
    if (zmq_socket_monitor(s.handle(), events.c_str(), ZMQ_EVENT_DISCONNECTED) != 0) throw zmq::error_t();
    state->monitor = zmq::socket_t(context.state_->context, zmq::socket_type::pair);
    state->monitor.set(zmq::sockopt::linger, 0);
    // The I/O thread waits when the queue of events is full: there must be no such moment.
    state->monitor.set(zmq::sockopt::rcvhwm, 0);
    state->monitor.connect(events);

    const mode_t before = ipc ? umask(0077) : 0;
    const int bound = zmq_bind(s.handle(), endpoint.c_str());
    const int error = zmq_errno();
    if (ipc) umask(before);
    if (bound != 0) {
      const bool malformed = error == EINVAL || error == EPROTONOSUPPORT || error == ENOCOMPATPROTO;
      return Status(malformed ? Code::invalid : Code::internal,
                    "cannot listen on " + endpoint + ": " + zmq_strerror(error));
    }

    auto router = std::unique_ptr<Router>(new Router(std::move(state)));
    zmq::socket_t& own = router->state_->socket;
    router->endpoint_ = own.get(zmq::sockopt::last_endpoint);
    router->fd_ = own.get(zmq::sockopt::fd);
    router->monitor_fd_ = router->state_->monitor.get(zmq::sockopt::fd);
    // The fd of a socket shows a message only after a receive has found nothing.
    std::vector<int> none;
    router->disconnected(none);
    return router;
  } catch (const zmq::error_t& e) {
    return Status(Code::internal, "cannot listen on " + endpoint + ": " + e.what());
  }
}

bool Router::readable() {
  int events = 0;
  std::size_t size = sizeof events;
  if (again([&] { return zmq_getsockopt(state_->socket.handle(), ZMQ_EVENTS, &events, &size); }) != 0) return false;
  return (events & ZMQ_POLLIN) != 0;
}

Router::Next Router::next(Route& from) {
  zmq::message_t id;
  void* socket = state_->socket.handle();
  if (receive_frame(socket, id) < 0) return Next::nothing;
  const char* bytes = id.data<char>();
  if (id.size() == kRouteBytes && bytes[0] == 0 && id.more()) {
    std::memcpy(&from, bytes + 1, sizeof from);
    return Next::message;
  }
  bool more = id.more();
  while (more && receive_frame(socket, id) >= 0) more = id.more();
  return Next::dropped;
}

bool Router::rest(Frames& frames, Origin* origin) {
  frames.clear();
  bool more = true;
  bool fits = true;
  for (std::size_t n = 0; more; ++n) {
    zmq::message_t part;
    if (receive_frame(state_->socket.handle(), part) < 0) return false;
    more = part.more();
    if (n == 0 && origin != nullptr) {
      origin->fd = zmq_msg_get(part.handle(), ZMQ_SRCFD);
      const char* address = zmq_msg_gets(part.handle(), "Peer-Address");
      origin->address = address != nullptr ? address : "";
    }
    if (n > wire::kMaxFrames) {
      fits = false;
      frames.clear();
    } else if (part.size() >= wire::kFramedFrom) {
      frames.push_back((new MessageBlob(std::move(part)))->slice());
    } else {
      frames.push_back(PackedBlob::copy(part.data(), part.size()));
    }
  }
  return fits;
}

Router::Sent Router::send(Route to, Frames& frames) {
  void* socket = state_->socket.handle();
  std::array<char, kRouteBytes> id{};
  std::memcpy(id.data() + 1, &to, sizeof to);
  const auto begin = [&] {
    return again([&] { return zmq_send(socket, id.data(), id.size(), ZMQ_SNDMORE | ZMQ_DONTWAIT); });
  };
  if (begin() < 0) {
    // libzmq may not have heard yet that the peer has read, or is gone: readable() makes it listen.
    if (zmq_errno() == EAGAIN) {
      readable();
      if (begin() < 0) return zmq_errno() == EAGAIN ? Sent::full : Sent::gone;
    } else {
      return Sent::gone;
    }
  }
  // From here on libzmq takes every frame; it drops them if the connection ends meanwhile.
  for (std::size_t i = 0; i < frames.size(); ++i) {
    Slice& frame = frames[i];
    const int flags = ZMQ_DONTWAIT | (i + 1 < frames.size() ? ZMQ_SNDMORE : 0);
    int rc = 0;
    if (frame.size() >= wire::kFramedFrom) {
      void* data = const_cast<char*>(frame.data());  // libzmq only reads it
      const std::size_t size = frame.size();
      zmq::message_t part(data, size, release_slice, new Slice(std::move(frame)));
      rc = again([&] { return zmq_msg_send(part.handle(), socket, flags); });
    } else {
      rc = again([&] { return zmq_send(socket, frame.data(), frame.size(), flags); });
    }
    if (rc < 0) return Sent::gone;
  }
  frames.clear();
  return Sent::ok;
}

void Router::disconnected(std::vector<int>& fds) {
  // An event is two frames: number (16 bits) and value (32 bits, here the fd), then the endpoint.
  zmq::message_t part;
  while (receive_frame(state_->monitor.handle(), part) >= 0) {
    if (part.size() >= 6 && part.more()) {
      std::uint16_t event = 0;
      std::int32_t value = 0;
      std::memcpy(&event, part.data(), sizeof event);
      std::memcpy(&value, part.data<char>() + 2, sizeof value);
      if (event == ZMQ_EVENT_DISCONNECTED) fds.push_back(value);
    }
    bool more = part.more();
    while (more && receive_frame(state_->monitor.handle(), part) >= 0) more = part.more();
  }
}

}  // namespace futured::daemon
