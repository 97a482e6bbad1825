// primes: counts the primes below a number. The example of a CPU-bound task: it blocks its thread, looks at cancelled()
// every few hundred microseconds and tells how far it is.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <futured/plugin.hpp>
#include <string>
#include <vector>

#include "primes/primes.pb.h"
#include "primes_schema.hpp"

namespace {

using futured::plugin::Call;
using futured::plugin::Cancelled;
using futured::plugin::Failure;
using futured::plugin::Outcome;
using futured::plugins::primes::PrimesReply;
using futured::plugins::primes::PrimesRequest;

constexpr std::uint64_t largest = 1'000'000'000'000'000;
constexpr std::uint64_t segment_odds = 1 << 18;  // fits the second-level cache, takes well below a millisecond

std::uint64_t square_root(std::uint64_t n) {
  auto r = static_cast<std::uint64_t>(std::sqrt(static_cast<double>(n)));
  while (r * r > n) --r;
  while ((r + 1) * (r + 1) <= n) ++r;
  return r;
}

/// The odd primes up to and including `limit`.
std::vector<std::uint32_t> small_primes(std::uint64_t limit) {
  std::vector<char> composite(limit / 2 + 1, 0);
  std::vector<std::uint32_t> primes;
  for (std::uint64_t i = 3; i <= limit; i += 2) {
    if (composite[i / 2] != 0) continue;
    primes.push_back(static_cast<std::uint32_t>(i));
    for (std::uint64_t j = i * i; j <= limit; j += 2 * i) composite[j / 2] = 1;
  }
  return primes;
}

// A segmented sieve over the odd numbers.
Outcome<PrimesReply> primes(const PrimesRequest& request, Call call) {
  const std::uint64_t below = request.below();
  if (below > largest) {
    return Failure("below = " + std::to_string(below) + " is too large: at most 1000000000000000 (10^15)").permanent();
  }
  PrimesReply reply;
  std::uint64_t count = below > 2 ? 1 : 0;  // 2, the even one
  if (below > 3) {
    const std::vector<std::uint32_t> base = small_primes(square_root(below - 1));
    std::vector<std::uint64_t> next(base.size());  // next multiple to strike out, as the index of an odd number
    for (std::size_t i = 0; i < base.size(); ++i) next[i] = (std::uint64_t{base[i]} * base[i]) / 2;
    const std::uint64_t odds = below / 2;  // the odd number of index i is 2i + 1; index 0, the 1, is no prime
    std::vector<char> composite(segment_odds);
    for (std::uint64_t low = 0; low < odds; low += segment_odds) {
      if (call.cancelled()) return Cancelled();
      const std::uint64_t size = std::min(segment_odds, odds - low);
      std::fill_n(composite.begin(), size, char{0});
      if (low == 0) composite[0] = 1;
      for (std::size_t i = 0; i < base.size() && std::uint64_t{base[i]} * base[i] / 2 < low + size; ++i) {
        std::uint64_t j = next[i];
        for (; j < low + size; j += base[i]) composite[j - low] = 1;
        next[i] = j;
      }
      count +=
          static_cast<std::uint64_t>(std::count(composite.begin(), composite.begin() + static_cast<long>(size), 0));
      if ((low / segment_odds) % 64 == 63) {
        call.progress(static_cast<double>(low + size) / static_cast<double>(odds), std::to_string(count) + " primes");
      }
    }
  }
  reply.set_count(count);
  return reply;
}

}  // namespace

FUTURED_PLUGIN("primes", "0.1.0", schema(primes_schema),
               blocking<primes>("primes", "counts the primes below a number").idempotent())
