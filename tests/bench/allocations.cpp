#include "tests/bench/allocations.hpp"

#include <cstdlib>
#include <new>

namespace {
thread_local std::uint64_t made = 0;
}  // namespace

namespace futured::bench {
std::uint64_t allocations() { return made; }
}  // namespace futured::bench

// The array and nothrow forms of the library call these.
void* operator new(std::size_t size) {
  ++made;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
