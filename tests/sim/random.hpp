// The only source of chance in a history: a seed gives the same numbers everywhere.
#pragma once

#include <cstdint>

namespace futured::sim {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  /// low .. high, both included.
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(high - low + 1));
  }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(next() % n); }
  bool chance(double p) { return static_cast<double>(next() >> 11) * 0x1.0p-53 < p; }
  /// Small values often, large ones sometimes: spreads over magnitudes.
  std::int64_t skewed(std::int64_t low, std::int64_t high) {
    const std::int64_t a = between(low, high);
    const std::int64_t b = between(low, a);
    return between(low, b);
  }

 private:
  std::uint64_t state_;
};

}  // namespace futured::sim
