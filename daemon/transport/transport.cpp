#include "daemon/transport/transport.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <unordered_map>
#include <utility>

#include "daemon/log.hpp"
#include "daemon/process.hpp"
#include "daemon/transport/pipes.hpp"
#include "daemon/transport/router.hpp"

namespace futured::daemon {
namespace {

constexpr std::size_t kMaxIpcPath = 107;
// After a hint that a connection has ended, how often and how long to look whether it really has.
constexpr std::int64_t kFirstLookNs = 250'000;
constexpr std::int64_t kLastLookNs = 100'000'000;
// The end of a connection is told at the latest after this, even if a flood of other messages keeps the socket from
// ever running empty.
constexpr std::int64_t kTellGoneNs = 500'000'000;
// A connection that was closed here is cut after this: what was last sent to it (why) is on its way first.
constexpr std::int64_t kCloseNs = 500'000'000;
// While some source has messages, the others are looked at once in so many.
constexpr unsigned kLookAtOthers = 64;

std::int64_t monotonic_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

// A number that the kernel gives to no other socket before the next boot; 0: not a socket (any more).
std::uint64_t socket_cookie(int fd) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

Peer peer_of(const std::string& address, bool ipc) {
  Peer peer;
  peer.address = address;
  unsigned uid = 0;
  unsigned gid = 0;
  unsigned pid = 0;
  if (ipc && std::sscanf(address.c_str(), "localhost:%u:%u:%u", &uid, &gid, &pid) == 3) {
    peer.uid = uid;
    peer.pid = pid;
    peer.address = "pid " + std::to_string(pid);
  }
  return peer;
}

class SocketTransport final : public Transport {
 public:
  SocketTransport(std::uint64_t frame_limit, std::shared_ptr<Waker> waker)
      : frame_limit_(frame_limit), waker_(std::move(waker)), pipes_(waker_) {}

  Status listen(const std::string& endpoint) {
    const std::string path = ipc_path(endpoint);
    const bool wildcard = path == "*";
    if (endpoint.rfind("ipc://", 0) == 0 && !wildcard) {
      if (path.empty()) return {Code::invalid, "cannot listen on \"" + endpoint + "\": a path must follow ipc://"};
      if (path[0] == '@') {
        return {Code::invalid, "cannot listen on \"" + endpoint +
                                   "\": abstract sockets have no permissions; use a path in a folder of your own"};
      }
      if (path.size() > kMaxIpcPath) {
        return {Code::invalid, "cannot listen on \"" + endpoint + "\": the path has " + std::to_string(path.size()) +
                                   " bytes, a socket may have " + std::to_string(kMaxIpcPath) + "; use a shorter one"};
      }
      // Binding replaces whatever is there. What a daemon before this one left behind is a socket.
      struct stat there {};
      if (lstat(path.c_str(), &there) == 0 && !S_ISSOCK(there.st_mode)) {
        return {Code::invalid, "cannot listen on " + endpoint + ": " + path + " is there already and is " +
                                   (S_ISLNK(there.st_mode)   ? "a symbolic link"
                                    : S_ISDIR(there.st_mode) ? "a folder"
                                                             : "a file") +
                                   ", not a socket; remove it or name another path"};
      }
      const std::size_t slash = path.rfind('/');
      if (slash != std::string::npos && slash > 0) {
        if (Status s = make_folder(path.substr(0, slash)); !s.ok()) {
          return {s.code(), "cannot listen on " + endpoint + ": " + s.message()};
        }
      }
      auto claim = Claim::take(path + ".lock", endpoint);
      if (!claim) return claim.status();
      claims_.push_back(std::move(*claim));
    } else if (endpoint.rfind("tcp://", 0) == 0) {
      log_warning("listening on " + endpoint + ": whoever can reach this port can run tasks as this user");
    } else if (!wildcard) {
      return {Code::invalid, "cannot listen on \"" + endpoint + "\": an endpoint begins with ipc:// or tcp://"};
    }
    auto router = Router::bind(context(), endpoint, frame_limit_);
    if (!router) return router.status();
    endpoints_.push_back((*router)->endpoint());
    add(std::move(*router));
    return {};
  }

  const std::vector<std::string>& endpoints() const override { return endpoints_; }

  Result<std::string> worker_endpoint() override {
    for (const std::string& e : endpoints_) {
      if (e.rfind("ipc://", 0) == 0) return e;
    }
    if (worker_endpoint_.empty()) {
      auto folder = RuntimeDir::make();
      if (!folder) return folder.status();
      auto router = Router::bind(context(), "ipc://" + (*folder)->path() + "/workers.sock", frame_limit_);
      if (!router) return router.status();
      private_folder_ = std::move(*folder);
      worker_endpoint_ = (*router)->endpoint();
      add(std::move(*router));
    }
    return worker_endpoint_;
  }

  void wait(std::int64_t timeout_ns, std::span<struct pollfd> fds) override {
    const std::int64_t now = monotonic_ns();
    cut_closed(now);
    bool ready = look_at_suspects(now) || tell_overdue(now) || !gone_.empty() || pipes_.ready();
    for (Source& s : sources_) {
      if (!s.ready && s.sent) {
        s.ready = s.router->readable();
        s.sent = false;
      }
      ready = ready || s.ready;
    }
    if (!suspects_.empty() || !dying_.empty() || !closed_.empty()) {
      const std::int64_t limit = std::max<std::int64_t>(next_look(now) - now, 0);
      timeout_ns = timeout_ns < 0 ? limit : std::min(timeout_ns, limit);
    }
    if (ready) timeout_ns = 0;

    polled_.clear();
    polled_.push_back({waker_->fd(), POLLIN, 0});
    for (const Source& s : sources_) {
      polled_.push_back({s.router->fd(), POLLIN, 0});
      polled_.push_back({s.router->monitor_fd(), POLLIN, 0});
    }
    const std::size_t own = polled_.size();
    polled_.insert(polled_.end(), fds.begin(), fds.end());

    if (timeout_ns != 0 && !waker_->arm()) timeout_ns = 0;
    const timespec limit{timeout_ns / 1'000'000'000, timeout_ns % 1'000'000'000};
    const int rc = ppoll(polled_.data(), polled_.size(), timeout_ns < 0 ? nullptr : &limit, nullptr);
    const bool polled = rc > 0;
    if (waker_->disarm(polled && polled_[0].revents != 0)) pipes_.collect();
    for (std::size_t i = 0; i < fds.size(); ++i) fds[i].revents = polled ? polled_[own + i].revents : short{0};
    if (!polled) return;
    bool ended = false;
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      if (polled_[1 + 2 * i].revents != 0) sources_[i].ready = true;
      if (polled_[2 + 2 * i].revents != 0) {
        disconnected_.clear();
        sources_[i].router->disconnected(disconnected_);
        for (const int fd : disconnected_) ended = suspect(fd) || ended;
      }
    }
    if (ended) look_at_suspects(monotonic_ns());
  }

  bool receive(ConnectionId& from, Frames& message) override {
    // The pipes are one more source, the last.
    const std::size_t n = sources_.size() + 1;
    if (++received_ % kLookAtOthers == 0) {
      for (Source& s : sources_) s.ready = true;
    }
    for (std::size_t tried = 0; tried < n; ++tried) {
      const std::size_t at = turn_;
      turn_ = turn_ + 1 < n ? turn_ + 1 : 0;
      if (at == sources_.size()) {
        ended_pipes_.clear();
        const bool got = pipes_.receive(from, message, ended_pipes_);
        gone_.insert(gone_.end(), ended_pipes_.begin(), ended_pipes_.end());
        if (got) return true;
      } else if (sources_[at].ready && receive_from(at, from, message)) {
        return true;
      }
    }
    return false;
  }

  Sent send(ConnectionId to, Frames&& message) override {
    const auto it = connections_.find(to);
    if (it == connections_.end()) {
      if (pipes_.has(to)) {
        if (pipes_.send(to, std::move(message))) return Sent::ok;
      }
      ++counters_.unroutable;
      return Sent::gone;
    }
    Connection& c = it->second;
    if (c.state != Connection::open) {
      ++counters_.unroutable;
      return Sent::gone;
    }
    Source& source = sources_[c.source];
    source.sent = true;
    switch (source.router->send(c.route, message)) {
      case Router::Sent::ok:
        return Sent::ok;
      case Router::Sent::full:
        ++counters_.full;
        return Sent::full;
      case Router::Sent::gone:
        break;
    }
    ++counters_.unroutable;
    dies(c, monotonic_ns());
    return Sent::gone;
  }

  bool next_gone(ConnectionId& which) override {
    if (gone_.empty()) return false;
    which = gone_.front();
    gone_.pop_front();
    return true;
  }

  void close(ConnectionId which) override {
    const auto it = connections_.find(which);
    if (it == connections_.end()) {
      pipes_.close(which);
      std::erase(gone_, which);
      return;
    }
    Connection& c = it->second;
    c.told = true;
    std::erase(gone_, which);
    if (c.state != Connection::open) return;
    if (socket_cookie(c.fd) != c.cookie || c.cookie == 0) {
      dies(c, monotonic_ns());
      return;
    }
    c.state = Connection::closed;
    closed_.push_back({which, monotonic_ns() + kCloseNs});
  }

  Peer peer(ConnectionId which) const override {
    const auto it = connections_.find(which);
    if (it != connections_.end()) return it->second.peer;
    Peer peer;
    if (pipes_.has(which)) {
      peer.local_process = true;
      peer.uid = static_cast<std::uint32_t>(geteuid());
      peer.pid = static_cast<std::uint32_t>(getpid());
      peer.address = "in-process";
    }
    return peer;
  }

  std::unique_ptr<wire::Pipe::End> connect() override { return pipes_.connect(next_id_.fetch_add(1)); }
  void wake() override { waker_->wake(); }
  Counters counters() const override { return counters_; }

 private:
  struct Source {
    std::unique_ptr<Router> router;
    std::uint32_t index;
    bool ready = true;  // a receive may bring something
    bool sent = false;  // since the last look: the router may know of messages that its fd does not show
    bool ipc = false;
  };

  // open -> dying: libzmq has dropped it; what it sent is still to be received.
  // open -> closed: close(); what it sends is thrown away until it is found dying.
  // A dying connection is forgotten once its socket has run empty: nothing can come from it any more.
  struct Connection {
    enum State : std::uint8_t { open, closed, dying };
    ConnectionId id = 0;
    std::uint32_t source = 0;
    Router::Route route = 0;
    int fd = -1;
    std::uint64_t cookie = 0;
    State state = open;
    bool told = false;  // next_gone() has it or need not have it
    Peer peer;
  };
  struct Suspect {
    ConnectionId id;
    std::int64_t look;   // when next
    std::int64_t pause;  // after that
  };
  struct Dying {
    ConnectionId id;
    std::uint32_t source;
    std::int64_t tell;
  };

  struct Closed {
    ConnectionId id;
    std::int64_t cut;
  };

  static std::uint64_t key(std::uint32_t source, Router::Route route) { return std::uint64_t{source} << 32 | route; }

  RouterContext& context() {
    if (!context_) context_ = std::make_unique<RouterContext>();
    return *context_;
  }

  void add(std::unique_ptr<Router> router) {
    Source s;
    s.ipc = router->endpoint().rfind("ipc://", 0) == 0;
    s.router = std::move(router);
    s.index = static_cast<std::uint32_t>(sources_.size());
    sources_.push_back(std::move(s));
  }

  bool receive_from(std::size_t at, ConnectionId& from, Frames& message) {
    // False with s.ready still set: a message was thrown away, and it is the others' turn.
    Source& s = sources_[at];
    Router::Route route = 0;
    switch (s.router->next(route)) {
      case Router::Next::nothing:
        s.ready = false;
        s.sent = false;
        ran_empty(s.index);
        return false;
      case Router::Next::dropped:
        ++counters_.malformed_multipart;
        return false;
      case Router::Next::message:
        break;
    }
    const auto it = routes_.find(key(s.index, route));
    Connection* c = it != routes_.end() ? it->second : nullptr;
    Router::Origin origin;
    const bool fits = s.router->rest(message, c != nullptr ? nullptr : &origin);
    if (c == nullptr) c = &meet(s, route, origin);
    if (!fits) {
      ++counters_.malformed_multipart;
      return false;
    }
    if (c->told) return false;  // closed, or reported: it does not exist for the caller any more
    from = c->id;
    return true;
  }

  Connection& meet(const Source& source, Router::Route route, const Router::Origin& origin) {
    const ConnectionId id = next_id_.fetch_add(1);
    Connection& c = connections_[id];
    c.id = id;
    c.source = source.index;
    c.route = route;
    c.fd = origin.fd;
    c.cookie = socket_cookie(origin.fd);
    c.peer = peer_of(origin.address, source.ipc);
    routes_[key(c.source, c.route)] = &c;
    if (c.cookie == 0) {
      dies(c, monotonic_ns());
      return c;
    }
    const auto [holder, fresh] = by_fd_.try_emplace(c.fd, id);
    if (!fresh) {
      // The fd has been used again. An older connection that held it is gone, or it would still hold it.
      const auto old = connections_.find(std::exchange(holder->second, id));
      if (old != connections_.end() && old->second.state != Connection::dying) dies(old->second, monotonic_ns());
    }
    return c;
  }

  // True if a connection of ours was on that fd.
  bool suspect(int fd) {
    const auto it = by_fd_.find(fd);
    if (it == by_fd_.end()) return false;
    suspects_.push_back({it->second, 0, kFirstLookNs});
    return true;
  }

  // libzmq announces the end of a connection a moment before it closes the fd. An fd that still has the same socket
  // after the last look was announced for the connection that had the number before.
  bool look_at_suspects(std::int64_t now) {
    bool found = false;
    for (std::size_t i = 0; i < suspects_.size();) {
      Suspect& s = suspects_[i];
      if (s.look > now) {
        ++i;
        continue;
      }
      const auto it = connections_.find(s.id);
      bool done = it == connections_.end() || it->second.state == Connection::dying;
      if (!done && socket_cookie(it->second.fd) != it->second.cookie) {
        dies(it->second, now);
        found = done = true;
      }
      if (done || s.pause > kLastLookNs) {
        s = suspects_.back();
        suspects_.pop_back();
        continue;
      }
      s.look = now + s.pause;
      s.pause *= 2;
      ++i;
    }
    return found;
  }

  // libzmq cannot close one connection of many. It sees this as the peer leaving.
  void cut_closed(std::int64_t now) {
    while (!closed_.empty() && closed_.front().cut <= now) {
      const auto it = connections_.find(closed_.front().id);
      closed_.pop_front();
      if (it == connections_.end() || it->second.state != Connection::closed) continue;
      Connection& c = it->second;
      if (socket_cookie(c.fd) == c.cookie) {
        ::shutdown(c.fd, SHUT_RDWR);
      } else {
        dies(c, now);
      }
    }
  }

  void dies(Connection& c, std::int64_t now) {
    c.state = Connection::dying;
    dying_.push_back({c.id, c.source, now + kTellGoneNs});
    sources_[c.source].ready = true;
    const auto it = by_fd_.find(c.fd);
    if (it != by_fd_.end() && it->second == c.id) by_fd_.erase(it);
  }

  void ran_empty(std::uint32_t source) {
    for (std::size_t i = 0; i < dying_.size();) {
      if (dying_[i].source != source) {
        ++i;
        continue;
      }
      const auto it = connections_.find(dying_[i].id);
      if (it != connections_.end()) {
        if (!it->second.told) gone_.push_back(it->first);
        routes_.erase(key(source, it->second.route));
        connections_.erase(it);
      }
      dying_.erase(dying_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  bool tell_overdue(std::int64_t now) {
    bool told = false;
    for (Dying& d : dying_) {
      if (d.tell > now) continue;
      const auto it = connections_.find(d.id);
      if (it == connections_.end() || it->second.told) continue;
      it->second.told = true;
      gone_.push_back(d.id);
      told = true;
    }
    return told;
  }

  std::int64_t next_look(std::int64_t now) const {
    std::int64_t at = now + kTellGoneNs;
    for (const Suspect& s : suspects_) at = std::min(at, s.look);
    if (!closed_.empty()) at = std::min(at, closed_.front().cut);
    return at;
  }

  const std::uint64_t frame_limit_;
  std::vector<std::string> endpoints_;
  std::string worker_endpoint_;
  // Released last: the socket files are gone by then.
  std::vector<std::unique_ptr<Claim>> claims_;
  std::unique_ptr<RuntimeDir> private_folder_;
  std::unique_ptr<RouterContext> context_;
  std::vector<Source> sources_;

  const std::shared_ptr<Waker> waker_;
  Pipes pipes_;
  std::atomic<ConnectionId> next_id_{1};
  std::unordered_map<ConnectionId, Connection> connections_;  // of the sockets
  std::unordered_map<std::uint64_t, Connection*> routes_;
  std::unordered_map<int, ConnectionId> by_fd_;  // not the dying ones
  std::vector<Suspect> suspects_;
  std::vector<Dying> dying_;
  std::deque<Closed> closed_;
  std::deque<ConnectionId> gone_;
  std::size_t turn_ = 0;
  unsigned received_ = 0;
  Counters counters_;
  // Scratch, kept for its memory.
  std::vector<struct pollfd> polled_;
  std::vector<int> disconnected_;
  std::vector<ConnectionId> ended_pipes_;
};

}  // namespace

Result<std::unique_ptr<Transport>> Transport::open(const std::vector<std::string>& endpoints,
                                                   std::uint64_t frame_limit) {
  auto waker = std::make_shared<Waker>();
  if (!waker->ok()) return Status(Code::internal, std::string("cannot make an eventfd: ") + std::strerror(errno));
  auto transport = std::make_unique<SocketTransport>(frame_limit, std::move(waker));
  for (const std::string& endpoint : endpoints) {
    if (Status s = transport->listen(endpoint); !s.ok()) return s;
  }
  return Result<std::unique_ptr<Transport>>(std::move(transport));
}

}  // namespace futured::daemon
