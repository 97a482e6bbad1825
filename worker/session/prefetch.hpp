// How many calls a lane asks for beyond its slots: enough to be busy for a round trip. One thread; no clock.
#pragma once

#include <algorithm>
#include <cstdint>

#include "worker/session/action.hpp"

namespace futured::worker {

class Prefetch {
 public:
  static constexpr std::uint32_t kMost = 1024;
  static constexpr Time kCover = 1'000'000;       ///< work to have at hand: about a round trip under load
  static constexpr Time kLong = 5'000'000;        ///< calls longer than this: at most one ahead per slot
  static constexpr Time kVeryLong = 100'000'000;  ///< than this: none ahead, the round trip is lost in the noise
  static constexpr std::uint32_t kUnknownAsync = 16;

  Prefetch(Lane lane, std::uint32_t slots) : lane_(lane), slots_(slots) {}

  /// `calls` have been served in `busy` of one slot's time, summed.
  void served(std::uint64_t calls, Time busy) {
    if (calls == 0) return;
    const double sample = static_cast<double>(std::max<Time>(busy, 0)) / static_cast<double>(calls);
    const double weight = known_ ? static_cast<double>(calls) / static_cast<double>(calls + 8) : 1.0;
    mean_ += (sample - mean_) * weight;
    known_ = true;
  }
  /// Mean service time; 0 while unknown.
  Time mean() const { return known_ ? static_cast<Time>(mean_) : 0; }

  std::uint32_t window() const {
    if (slots_ == 0) return 0;
    return slots_ + ahead();
  }

 private:
  std::uint32_t ahead() const {
    const std::uint32_t one_each = std::min(slots_, kMost);
    // Many async slots are themselves the concurrency; asking for twice as many of an unknown kind would only starve
    // the neighbours.
    if (!known_) return lane_ == Lane::async ? std::min(one_each, kUnknownAsync) : one_each;
    if (mean_ > static_cast<double>(kVeryLong)) return 0;
    if (mean_ > static_cast<double>(kLong)) return one_each;
    const double cover = static_cast<double>(slots_) * static_cast<double>(kCover) / std::max(mean_, 1.0);
    return std::max(one_each, static_cast<std::uint32_t>(std::min(cover, static_cast<double>(kMost))));
  }

  Lane lane_;
  std::uint32_t slots_;
  double mean_ = 0;
  bool known_ = false;
};

}  // namespace futured::worker
