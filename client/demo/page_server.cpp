#include "client/demo/page_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>

namespace futured {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kMaxRequestBytes = 16 * 1024;

Status failure(const char* what) {
  return {Code::internal, std::string(what) + ": " + std::generic_category().message(errno)};
}

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& o) noexcept {
    std::swap(fd_, o.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

class PageServer::Loop {
 public:
  Loop(Descriptor listener, Descriptor epoll, Descriptor stop, Options options, std::atomic<std::uint64_t>& served)
      : listener_(std::move(listener)),
        epoll_(std::move(epoll)),
        stop_(std::move(stop)),
        options_(options),
        served_(served) {
    answer_ = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(options.page_bytes) +
              "\r\n\r\n" + std::string(options.page_bytes, 'y');
  }

  bool watch(int fd, std::uint32_t events, int operation = EPOLL_CTL_ADD) const {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    return ::epoll_ctl(epoll_.get(), operation, fd, &event) == 0;
  }

  bool prepare() const { return watch(listener_.get(), EPOLLIN) && watch(stop_.get(), EPOLLIN); }

  void stop() const {
    const std::uint64_t one = 1;
    (void)!::write(stop_.get(), &one, sizeof one);
  }

  void run() {
    std::array<epoll_event, 256> events{};
    for (;;) {
      const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait_ms());
      if (n < 0 && errno != EINTR) return;
      for (int i = 0; i < n; ++i) {
        const epoll_event& e = events[static_cast<std::size_t>(i)];
        if (e.data.fd == stop_.get()) return;
        if (e.data.fd == listener_.get()) {
          accept_all();
        } else {
          serve(e.data.fd, e.events);
        }
      }
      answer_due();
    }
  }

 private:
  struct Connection {
    Descriptor socket;
    std::uint64_t serial = 0;  ///< tells this connection from an earlier one with the same descriptor
    std::string in, out;
    std::size_t out_sent = 0;
    bool watches_write = false;
  };
  struct Due {
    Clock::time_point when;
    int fd;
    std::uint64_t serial;
  };

  int wait_ms() const {
    if (due_.empty()) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(due_.front().when - Clock::now()).count();
    return static_cast<int>(std::max<std::int64_t>(left, 0));
  }

  void accept_all() {
    for (;;) {
      Descriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (socket.get() < 0) {
        // Out of descriptors: the backlog holds the rest until one is closed.
        if (errno == EMFILE || errno == ENFILE) watch_listener(false);
        return;
      }
      const int on = 1;
      (void)::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      const int fd = socket.get();
      if (!watch(fd, EPOLLIN)) return;
      Connection connection;
      connection.socket = std::move(socket);
      connection.serial = ++serials_;
      connections_[fd] = std::move(connection);
    }
  }

  void serve(int fd, std::uint32_t events) {
    const auto it = connections_.find(fd);
    if (it == connections_.end()) return;
    Connection& c = it->second;
    if ((events & (EPOLLERR | EPOLLHUP)) != 0 || !read_requests(c) || !flush(c)) close(it);
  }

  void close(std::unordered_map<int, Connection>::iterator it) {
    connections_.erase(it);
    watch_listener(true);
  }

  void watch_listener(bool wanted) {
    if (accepting_ == wanted) return;
    accepting_ = wanted;
    (void)watch(listener_.get(), wanted ? std::uint32_t{EPOLLIN} : 0U, EPOLL_CTL_MOD);
  }

  /// False if the connection is over.
  bool read_requests(Connection& c) {
    std::array<char, 4096> buffer;
    for (;;) {
      const ssize_t n = ::recv(c.socket.get(), buffer.data(), buffer.size(), 0);
      if (n == 0) return false;
      if (n < 0) {
        if (errno == EINTR) continue;
        if (errno != EAGAIN) return false;
        break;
      }
      c.in.append(buffer.data(), static_cast<std::size_t>(n));
      if (c.in.size() > kMaxRequestBytes) return false;
    }
    // A request has no body here, so an empty line ends it.
    for (std::size_t end = c.in.find("\r\n\r\n"); end != std::string::npos; end = c.in.find("\r\n\r\n")) {
      c.in.erase(0, end + 4);
      due_.push_back({Clock::now() + options_.delay, c.socket.get(), c.serial});
    }
    return true;
  }

  void answer_due() {
    const auto now = Clock::now();
    for (; !due_.empty() && due_.front().when <= now; due_.pop_front()) {
      const auto it = connections_.find(due_.front().fd);
      if (it == connections_.end() || it->second.serial != due_.front().serial) continue;
      it->second.out += answer_;
      served_.fetch_add(1, std::memory_order_relaxed);
      if (!flush(it->second)) close(it);
    }
  }

  /// False if the connection is over.
  bool flush(Connection& c) {
    while (c.out_sent < c.out.size()) {
      const ssize_t n =
          ::send(c.socket.get(), c.out.data() + c.out_sent, c.out.size() - c.out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0) {
        if (errno == EINTR) continue;
        if (errno != EAGAIN) return false;
        return want_write(c, true);
      }
      c.out_sent += static_cast<std::size_t>(n);
    }
    c.out.clear();
    c.out_sent = 0;
    return want_write(c, false);
  }

  bool want_write(Connection& c, bool wanted) const {
    if (c.watches_write == wanted) return true;
    c.watches_write = wanted;
    return watch(c.socket.get(), wanted ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
  }

  Descriptor listener_, epoll_, stop_;
  const Options options_;
  std::atomic<std::uint64_t>& served_;
  std::string answer_;
  std::unordered_map<int, Connection> connections_;
  std::deque<Due> due_;  ///< in order of time: the delay is the same for all
  std::uint64_t serials_ = 0;
  bool accepting_ = true;
};

Result<std::unique_ptr<PageServer>> PageServer::start(Options options) {
  Descriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  Descriptor epoll(::epoll_create1(EPOLL_CLOEXEC));
  Descriptor stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (listener.get() < 0 || epoll.get() < 0 || stop.get() < 0) return failure("the page server cannot open a socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener.get(), raw, size) != 0 || ::listen(listener.get(), SOMAXCONN) != 0 ||
      ::getsockname(listener.get(), raw, &size) != 0) {
    return failure("the page server cannot listen on 127.0.0.1");
  }
  std::unique_ptr<PageServer> server(new PageServer);
  server->port_ = ntohs(address.sin_port);
  server->loop_ =
      std::make_unique<Loop>(std::move(listener), std::move(epoll), std::move(stop), options, server->served_);
  if (!server->loop_->prepare()) return failure("the page server cannot watch its sockets");
  server->thread_ = std::thread([loop = server->loop_.get()] { loop->run(); });
  return server;
}

PageServer::~PageServer() {
  if (!thread_.joinable()) return;
  loop_->stop();
  thread_.join();
}

std::string PageServer::url(std::size_t page) const {
  return "http://127.0.0.1:" + std::to_string(port_) + "/" + std::to_string(page);
}

void raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace futured
