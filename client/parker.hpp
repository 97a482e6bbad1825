// One thread sleeps, any thread wakes it; a wake-up before the sleep is kept. A futex with a deadline.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "futured/detail/cell.hpp"

namespace futured::detail {

class Parker {
 public:
  /// Returns when notified, at the deadline, or for no reason; the notification is used up.
  void park(Deadline deadline) {
    std::uint32_t expected = kEmpty;
    if (!word_.compare_exchange_strong(expected, kAsleep, std::memory_order_acquire)) {
      // Reads the latest notification, so that what was published before it is seen.
      word_.exchange(kEmpty, std::memory_order_acq_rel);
      return;
    }
    timespec ts{};
    timespec* until = nullptr;
    if (deadline != Deadline::max()) {
      const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch()).count();
      ts.tv_sec = static_cast<time_t>(ns / 1'000'000'000);
      ts.tv_nsec = static_cast<long>(ns % 1'000'000'000);
      until = &ts;
    }
    // FUTEX_WAIT_BITSET takes an absolute time of CLOCK_MONOTONIC, which is steady_clock.
    syscall(SYS_futex, &word_, FUTEX_WAIT_BITSET_PRIVATE, kAsleep, until, nullptr, FUTEX_BITSET_MATCH_ANY);
    word_.exchange(kEmpty, std::memory_order_acq_rel);
  }
  void unpark() {
    if (word_.exchange(kNotified, std::memory_order_acq_rel) == kAsleep) {
      syscall(SYS_futex, &word_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
    }
  }

 private:
  static constexpr std::uint32_t kEmpty = 0, kNotified = 1, kAsleep = 2;
  std::atomic<std::uint32_t> word_{kEmpty};
};

}  // namespace futured::detail
