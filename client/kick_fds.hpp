// Eventfds on which threads sleep while they drive. Whoever wakes a waiter has read its descriptor a moment before he
// writes to it, and by then the waiter may have gone on and its connection may be closed. So these are never closed,
// but handed on: a late write wakes the next owner for nothing, and never reaches a file that got the number.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <mutex>
#include <vector>

#include "client/cell.hpp"

namespace futured::detail {

class KickFds {
 public:
  /// Below 0: there is none to be had.
  static int take() {
    Pool& p = pool();
    const std::lock_guard lock(p.mutex);
    if (p.forks != fork_generation()) {
      // The parent's, which sleeps on them, too.
      for (const int fd : p.free) ::close(fd);
      p.free.clear();
      p.forks = fork_generation();
    }
    if (p.free.empty()) return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const int fd = p.free.back();
    p.free.pop_back();
    return fd;
  }
  /// One that take() gave to this process.
  static void give_back(int fd) {
    if (fd < 0) return;
    Pool& p = pool();
    const std::lock_guard lock(p.mutex);
    p.free.push_back(fd);
  }

 private:
  struct Pool {
    std::mutex mutex;
    std::vector<int> free;
    unsigned forks = fork_generation();
  };
  static Pool& pool() {
    static auto* const p = new Pool;
    return *p;
  }
};

}  // namespace futured::detail
