// A small HTTP/1.1 server on loopback whose pages take a while: what downloads are shown with and measured against.
// One thread of its own with one epoll; holds as many waiting requests as the process may open files.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "proto/status.hpp"

namespace futured {

class PageServer {
 public:
  struct Options {
    std::chrono::milliseconds delay{200};  ///< between a request and its answer
    std::size_t page_bytes = 20000;        ///< of each answer's body, whatever the path
  };

  /// Listens on a free port of 127.0.0.1 and starts the thread.
  static Result<std::unique_ptr<PageServer>> start(Options options);
  /// Drops what is open and joins the thread. Any thread but the server's.
  ~PageServer();
  PageServer(const PageServer&) = delete;
  PageServer& operator=(const PageServer&) = delete;

  std::string url(std::size_t page) const;
  /// Answers sent so far. Any thread.
  std::uint64_t served() const { return served_.load(std::memory_order_relaxed); }

 private:
  class Loop;
  PageServer() = default;

  std::unique_ptr<Loop> loop_;
  std::thread thread_;
  std::uint16_t port_ = 0;
  std::atomic<std::uint64_t> served_{0};
};

/// Lets this process, and those it starts, open as many files as the system allows.
void raise_file_limit();

}  // namespace futured
