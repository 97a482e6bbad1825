// The numbers of a map while it runs and at its end, as text. Plain values, one thread; time is an argument.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace futured::cli {

/// "1 task", "2 tasks".
inline std::string counted_tasks(std::uint64_t n) { return std::to_string(n) + (n == 1 ? " task" : " tasks"); }

class Progress {
 public:
  using Time = std::chrono::steady_clock::time_point;
  explicit Progress(Time start) : start_(start), last_(start) {}

  std::uint64_t done = 0;  ///< of which:
  std::uint64_t failed = 0, cancelled = 0;
  std::uint64_t running = 0;  ///< submitted and not done
  std::optional<std::uint64_t> total;
  bool total_is_guess = false;

  /// One line of at most `width` columns, the less important left out: "1200/5000 24%  310/s  2 failed  eta 12s".
  std::string line(Time now, std::size_t width);
  /// "1000 tasks in 3.21s (311/s): 998 succeeded, 2 failed".
  std::string summary(Time now) const;

 private:
  Time start_, last_;
  std::uint64_t done_at_last_ = 0;
  double rate_ = 0;  ///< of late, per second
};

}  // namespace futured::cli
