// Waking the loop, with a system call only if it sleeps. Any thread; wake_now() also from a signal handler.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace futured::worker {

class Wakeup {
 public:
  Wakeup() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;
  ~Wakeup() {
    if (fd_ >= 0) ::close(fd_);
  }

  /// Readable once woken; -1 if the process has no descriptors left.
  int fd() const { return fd_; }
  // Each of these exchanges reads from the one before it, so whoever finds the other's mark sees what was published
  // before it; no fence is needed.

  /// The loop is about to sleep: after this it must look once more for what others have published.
  void arm() { armed_.exchange(true, std::memory_order_acq_rel); }
  /// The loop is awake.
  void disarm() { armed_.exchange(false, std::memory_order_acq_rel); }
  /// fd() was readable.
  void drain() {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto n = ::read(fd_, &count, sizeof count);
  }
  /// Something was published: wakes the loop unless it is awake, or being woken.
  void wake() {
    if (armed_.exchange(false, std::memory_order_acq_rel)) write_one();
  }
  /// Wakes the loop in any case; at the latest its next sleep ends at once.
  void wake_now() {
    armed_.exchange(false, std::memory_order_acq_rel);
    write_one();
  }

 private:
  void write_one() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto n = ::write(fd_, &one, sizeof one);
  }
  int fd_;
  std::atomic<bool> armed_{false};
};

}  // namespace futured::worker
