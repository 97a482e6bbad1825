// Searches a smaller history that is still wrong.
#pragma once

#include <cstdint>
#include <string>

#include "tests/sim/mixture.hpp"

namespace futured::sim {

struct Failing {
  Mixture mixture;
  std::uint64_t variation = 0;
  std::string what;  ///< what is wrong; empty: nothing
};

/// Of one history.
std::string wrong_in(std::uint64_t seed, const Mixture* mixture, std::uint64_t variation, bool trace);
/// What is wrong, without the numbers in it.
std::string kind_of(const std::string& what);
/// One change after the other, as long as some history with the smaller mixture is wrong in the same way.
Failing shrink(std::uint64_t seed);

}  // namespace futured::sim
