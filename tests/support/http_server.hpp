// A loopback HTTP/1.1 server for tests: one thread, any number of connections, keep-alive. Its pages are named by path:
//
//   /bytes/N         N bytes          /delay/MS    "late" after a while      /hang        never answers
//   /chunked/N       N bytes, length not told                               /endless     a body without end, fast
//   /trickle         a byte now and then, without end                       /status/N    that status, body "status N"
//   /redirect/N      N redirects, then "there"                              /loop        redirects to itself
//   /to?URL          redirects to URL  /echo        method, headers and body of the request as text
//   /headers         too many headers           /hold        "held", when release() is called
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "worker/plugins/common/loop.hpp"

namespace futured::test {

class HttpServer {
 public:
  HttpServer();
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string url(const std::string& path) const { return "http://127.0.0.1:" + std::to_string(port_) + path; }
  std::uint16_t port() const { return port_; }
  int connections() const { return accepted_; }
  int requests() const { return requests_; }
  /// Requests that wait for their answer now.
  int open() const { return open_; }
  int most_open() const { return most_open_; }
  /// Answers every /hold that waits now.
  void release();

 private:
  struct Connection {
    int fd = -1;
    std::string in;
    std::string out;
    bool endless = false;
    bool busy = false;
    bool held = false;
    plugins::Loop::Timer timer{};
  };

  void accept_all();
  void serve(const std::shared_ptr<Connection>& connection);
  void answer(const std::shared_ptr<Connection>& connection, const std::string& head, const std::string& body);
  void reply(const std::shared_ptr<Connection>& connection, const std::string& bytes);
  void write_out(const std::shared_ptr<Connection>& connection);
  void trickle(const std::shared_ptr<Connection>& connection);
  void drop(const std::shared_ptr<Connection>& connection);
  void set_busy(Connection& connection, bool busy);

  plugins::Loop loop_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::map<int, std::shared_ptr<Connection>> connections_;
  std::atomic<int> accepted_{0};
  std::atomic<int> requests_{0};
  std::atomic<int> open_{0};
  std::atomic<int> most_open_{0};
};

}  // namespace futured::test
