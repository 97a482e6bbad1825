// Simulates histories of the scheduler with real sessions around it.
//
//   sim [--seeds FROM..TO | --seeds N]   histories FROM .. TO-1 (default 0..30000); must-see counters from 5000 on
//   sim --seed N [--trace]               one history, told as it goes
//
// Exit status 1 and the command that repeats it if anything was wrong.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/sim/world.hpp"

namespace {

using namespace futured::sim;

constexpr std::uint64_t kTwice = 100;      // every so many seeds the history is repeated and compared
constexpr std::uint64_t kMustSee = 5'000;  // from so many histories on everything must have been seen

int usage(const char* wrong) {
  std::fprintf(stderr, "sim: %s\nusage: sim [--seeds FROM..TO | --seeds N] [--seed N [--trace]]\n", wrong);
  return 2;
}

bool number(const char*& text, std::uint64_t& out) {
  char* end = nullptr;
  out = std::strtoull(text, &end, 10);
  const bool ok = end != text;
  text = end;
  return ok;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t from = 0;
  std::uint64_t to = 30'000;
  bool trace = false;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--trace") {
      trace = true;
      continue;
    }
    if ((flag != "--seeds" && flag != "--seed") || i + 1 >= argc)
      return usage(("cannot make sense of " + flag).c_str());
    const char* text = argv[++i];
    if (!number(text, from)) return usage("a seed is a number");
    if (flag == "--seed") {
      to = from + 1;
    } else if (std::strncmp(text, "..", 2) == 0) {
      text += 2;
      if (!number(text, to)) return usage("--seeds FROM..TO takes two numbers");
    } else {
      to = from;
      from = 0;
    }
    if (*text != '\0') return usage("a number is followed by something else");
  }

  Sightings seen{};
  Sightings ignored{};
  std::uint64_t steps = 0;
  for (std::uint64_t seed = from; seed < to; ++seed) {
    try {
      World world(seed, trace, seen);
      world.run();
      steps += world.steps();
      if (seed % kTwice != 0 && to - from > 1) continue;
      World again(seed, false, ignored);
      again.run();
      if (again.hash() != world.hash()) throw Violation("the same seed gave other actions");
    } catch (const Violation& v) {
      std::printf("seed %llu: %s\nto repeat: %s --seed %llu --trace\n", static_cast<unsigned long long>(seed), v.what(),
                  argv[0], static_cast<unsigned long long>(seed));
      return 1;
    }
  }
  const std::uint64_t histories = to > from ? to - from : 0;
  std::printf("%llu histories, %llu steps, no violation\n", static_cast<unsigned long long>(histories),
              static_cast<unsigned long long>(steps));
  bool all = true;
  for (std::size_t i = 0; i < kSeen; ++i) {
    std::printf("%10llu  %s\n", static_cast<unsigned long long>(seen[i]), name_of(static_cast<Seen>(i)));
    all = all && seen[i] > 0;
  }
  if (all || histories < kMustSee) return 0;
  std::printf("something that must be seen in so many histories was not: the simulation proves less than it should\n");
  return 1;
}
