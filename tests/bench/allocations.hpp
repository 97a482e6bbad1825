// Counts what a thread allocates: this program has an operator new of its own for it.
#pragma once

#include <cstdint>

namespace futured::bench {

/// How often this thread has called operator new since it started.
std::uint64_t allocations();

}  // namespace futured::bench
