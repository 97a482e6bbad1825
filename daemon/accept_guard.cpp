// libzmq aborts the process when accept() on a local socket fails for want of a file descriptor, which is in the hands
// of whoever opens connections. Its call ends up here instead: what would use up the last descriptors is closed at
// once, so that accept() never fails and the daemon keeps some for its own needs (files, worker processes).
//
// Part of the program futured only: a library has no business in its host's system calls.
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <ctime>
#include <string>

#include "daemon/log.hpp"

namespace {

constexpr int kReserve = 64;
constexpr int kLeast = 32;  // of a limit that is hardly more than the reserve
constexpr std::int64_t kLogEvery = 60;

int most_descriptors() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur > (1U << 30)) return 1 << 30;
  return static_cast<int>(files.rlim_cur);
}

void tell(int limit) {
  static std::atomic<std::int64_t> next{0};
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  std::int64_t at = next.load();
  if (now.tv_sec < at || !next.compare_exchange_strong(at, now.tv_sec + kLogEvery)) return;
  futured::daemon::log_error(
      "refuses connections: nearly all of the " + std::to_string(limit) +
      " file descriptors that this process may have are in use; close clients, or raise the limit (ulimit -n, "
      "LimitNOFILE= of systemd)");
}

}  // namespace

extern "C" {

__attribute__((visibility("default"))) int accept4(int listener, sockaddr* address, socklen_t* size, int flags) {
  const int fd = static_cast<int>(syscall(SYS_accept4, listener, address, size, flags));
  const int limit = most_descriptors();
  if (fd < 0) {
    if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) return fd;
    // Even the reserve is used up (or the whole system's): the peer stays in the backlog. The pause keeps the caller,
    // who is told at once that somebody waits, from spinning.
    tell(limit);
    const timespec pause{0, 10'000'000};
    nanosleep(&pause, nullptr);
    errno = EAGAIN;
    return -1;
  }
  // The kernel gives the lowest free number: a high one means that the table is nearly full.
  if (fd < limit - kReserve || fd < kLeast) return fd;
  tell(limit);
  close(fd);
  errno = ECONNABORTED;
  return -1;
}

__attribute__((visibility("default"))) int accept(int listener, sockaddr* address, socklen_t* size) {
  return accept4(listener, address, size, 0);
}

}  // extern "C"
