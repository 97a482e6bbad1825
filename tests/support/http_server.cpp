#include "tests/support/http_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace futured::test {
namespace {

std::string head(const std::string& status, std::size_t size, const std::string& more = {}) {
  return "HTTP/1.1 " + status + "\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(size) + "\r\n" +
         more + "\r\n";
}

}  // namespace

HttpServer::HttpServer() {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener_, generic, size) != 0 || listen(listener_, 4096) != 0 ||
      getsockname(listener_, generic, &size) != 0 || !loop_.start("http-server").ok()) {
    std::perror("http server of the tests");
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  loop_.post([this] { loop_.watch(listener_, EPOLLIN, [this](std::uint32_t) { accept_all(); }); });
}

HttpServer::~HttpServer() {
  loop_.stop();
  for (const auto& [fd, connection] : connections_) close(fd);
  close(listener_);
}

void HttpServer::accept_all() {
  while (true) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    ++accepted_;
    auto connection = std::make_shared<Connection>();
    connection->fd = fd;
    connections_[fd] = connection;
    loop_.watch(fd, EPOLLIN, [this, connection](std::uint32_t events) {
      if ((events & EPOLLOUT) != 0) write_out(connection);
      if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
      std::array<char, 65536> buffer;
      const ssize_t n = read(connection->fd, buffer.data(), buffer.size());
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (n <= 0) return drop(connection);
      connection->in.append(buffer.data(), static_cast<std::size_t>(n));
      if (!connection->busy) serve(connection);
    });
  }
}

void HttpServer::release() {
  loop_.post([this] {
    // Answering may drop a connection from the map.
    const auto connections = connections_;
    for (const auto& [fd, connection] : connections) {
      if (std::exchange(connection->held, false)) answer(connection, head("200 OK", 4), "held");
    }
  });
}

void HttpServer::set_busy(Connection& connection, bool busy) {
  if (connection.busy == busy) return;
  connection.busy = busy;
  open_ += busy ? 1 : -1;
  if (open_ > most_open_) most_open_ = open_.load();
}

void HttpServer::drop(const std::shared_ptr<Connection>& connection) {
  if (connection->fd < 0) return;
  set_busy(*connection, false);
  loop_.cancel(connection->timer);
  loop_.unwatch(connection->fd);
  connections_.erase(connection->fd);
  close(connection->fd);
  connection->fd = -1;
}

void HttpServer::serve(const std::shared_ptr<Connection>& connection) {
  std::string& in = connection->in;
  const std::size_t end = in.find("\r\n\r\n");
  if (end == std::string::npos) return;
  const std::string request = in.substr(0, end + 4);
  std::size_t body_size = 0;
  const std::size_t length = request.find("Content-Length: ");
  if (length != std::string::npos) body_size = std::stoul(request.substr(length + 16));
  if (in.size() < request.size() + body_size) return;
  const std::string body = in.substr(request.size(), body_size);
  in.erase(0, request.size() + body_size);
  ++requests_;
  set_busy(*connection, true);

  const std::size_t space = request.find(' ');
  const bool no_body = request.starts_with("HEAD ");
  const std::string path = request.substr(space + 1, request.find(' ', space + 1) - space - 1);
  const auto number = [&path](std::string_view prefix) { return std::stoul(path.substr(prefix.size())); };
  const auto redirect = [&](const std::string& to) {
    answer(connection, head("302 Found", 0, "Location: " + to + "\r\n"), "");
  };

  if (path.starts_with("/bytes/")) {
    const std::size_t size = number("/bytes/");
    answer(connection, head("200 OK", size), no_body ? "" : std::string(size, 'y'));
  } else if (path.starts_with("/delay/")) {
    connection->timer = loop_.after(std::chrono::milliseconds(number("/delay/")),
                                    [this, connection] { answer(connection, head("200 OK", 4), "late"); });
  } else if (path == "/hold") {
    connection->held = true;
  } else if (path.starts_with("/status/")) {
    const std::string text = "status " + path.substr(8);
    answer(connection, head(path.substr(8) + " Whatever", text.size()), text);
  } else if (path.starts_with("/chunked/")) {
    std::string chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (std::size_t left = number("/chunked/"); left > 0;) {
      const std::size_t size = std::min<std::size_t>(left, 4096);
      std::array<char, 16> line;
      std::snprintf(line.data(), line.size(), "%zx\r\n", size);
      chunks += line.data() + std::string(size, 'c') + "\r\n";
      left -= size;
    }
    answer(connection, chunks + "0\r\n\r\n", "");
  } else if (path == "/endless") {
    connection->endless = true;
    reply(connection, "HTTP/1.1 200 OK\r\n\r\n");
  } else if (path == "/trickle") {
    reply(connection, "HTTP/1.1 200 OK\r\n\r\n");
    trickle(connection);
  } else if (path.starts_with("/redirect/")) {
    const std::size_t left = number("/redirect/");
    if (left == 0) return answer(connection, head("200 OK", 5), "there");
    redirect("/redirect/" + std::to_string(left - 1));
  } else if (path == "/loop") {
    redirect("/loop");
  } else if (path.starts_with("/to?")) {
    redirect(path.substr(4));
  } else if (path == "/echo") {
    const std::string text = request + body;
    answer(connection, head("200 OK", text.size()), no_body ? "" : text);
  } else if (path == "/headers") {
    std::string lines = "HTTP/1.1 200 OK\r\n";
    for (int i = 0; i < 6000; ++i) lines += "X-Header-" + std::to_string(i) + ": " + std::string(80, 'h') + "\r\n";
    reply(connection, lines);
  } else if (path != "/hang") {
    answer(connection, head("404 Not Found", 0), "");
  }
}

void HttpServer::answer(const std::shared_ptr<Connection>& connection, const std::string& header,
                        const std::string& body) {
  set_busy(*connection, false);
  reply(connection, header + body);
  if (connection->fd >= 0) serve(connection);
}

void HttpServer::reply(const std::shared_ptr<Connection>& connection, const std::string& bytes) {
  connection->out += bytes;
  write_out(connection);
}

void HttpServer::write_out(const std::shared_ptr<Connection>& connection) {
  std::string& out = connection->out;
  for (int turns = 0; connection->fd >= 0; ++turns) {
    if (out.empty() && connection->endless) out.assign(65536, 'e');
    if (out.empty() || turns == 4) break;
    const ssize_t n = send(connection->fd, out.data(), out.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) break;
    if (n <= 0) return drop(connection);
    out.erase(0, static_cast<std::size_t>(n));
  }
  loop_.rewatch(connection->fd, out.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

void HttpServer::trickle(const std::shared_ptr<Connection>& connection) {
  connection->timer = loop_.after(std::chrono::milliseconds(100), [this, connection] {
    reply(connection, "t");
    if (connection->fd >= 0) trickle(connection);
  });
}

}  // namespace futured::test
