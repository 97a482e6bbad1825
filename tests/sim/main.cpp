// Simulates histories of the scheduler with real sessions around it.
//
//   sim [--seeds FROM..TO | --seeds N]   histories FROM .. TO-1 (default 0..30000); must-see counters from 5000 on
//   sim --seeds ... --all                goes on after a violation, and tells at the end what was wrong how often
//   sim --seed N [--trace]               one history, told as it goes
//   sim --seed N --shrink                a smaller one that is wrong too, told as it goes
//   sim --seed N --with NAME=VALUE,... [--variation V] [--trace]   one with this mixture, as --shrink prints it
//
// Exit status 1 and the command that repeats it if anything was wrong.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <utility>

#include "tests/sim/shrink.hpp"
#include "tests/sim/world.hpp"

namespace {

using namespace futured::sim;

using Count = unsigned long long;
constexpr std::uint64_t kTwice = 100;      // every so many seeds the history is repeated and compared
constexpr std::uint64_t kCover = 4;        // every so many seeds its transitions are counted
constexpr std::uint64_t kMustSee = 5'000;  // from so many histories on everything must have been seen

int usage(const char* wrong) {
  std::fprintf(stderr,
               "sim: %s\nusage: sim [--seeds FROM..TO | --seeds N [--all]] [--seed N [--trace | --shrink] "
               "[--with NAME=VALUE,... [--variation V]]]\n",
               wrong);
  return 2;
}

bool number(const char*& text, std::uint64_t& out) {
  char* end = nullptr;
  out = std::strtoull(text, &end, 10);
  const bool ok = end != text;
  text = end;
  return ok;
}

int one_smaller(const char* program, std::uint64_t seed) {
  const Failing f = shrink(seed);
  if (f.what.empty()) {
    std::printf("seed %llu: nothing is wrong\n", static_cast<Count>(seed));
    return 0;
  }
  (void)wrong_in(seed, &f.mixture, f.variation, true);
  std::printf("seed %llu: %s\nto repeat: %s --seed %llu --with %s --variation %llu --trace\n", static_cast<Count>(seed),
              f.what.c_str(), program, static_cast<Count>(seed), f.mixture.text().c_str(),
              static_cast<Count>(f.variation));
  return 1;
}

int all(std::uint64_t from, std::uint64_t to) {
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> found;  // how often, and the first
  for (std::uint64_t seed = from; seed < to; ++seed) {
    const std::string what = wrong_in(seed, nullptr, 0, false);
    if (!what.empty()) ++found.try_emplace(kind_of(what), 0, seed).first->second.first;
  }
  for (const auto& [what, n] : found) {
    std::printf("%6llu times, first seed %llu: %s\n", static_cast<Count>(n.first), static_cast<Count>(n.second),
                what.c_str());
  }
  return found.empty() ? 0 : 1;
}

int many(const char* program, std::uint64_t from, std::uint64_t to, bool trace) {
  Sightings seen;
  Sightings ignored;
  std::uint64_t steps = 0;
  const auto began = std::chrono::steady_clock::now();
  for (std::uint64_t seed = from; seed < to; ++seed) {
    try {
      World::Options options;
      options.trace = trace;
      options.cover = seed % kCover == 0;
      World world(seed, options, seen);
      world.run();
      steps += world.steps();
      if (seed % kTwice != 0 && to - from > 1) continue;
      World again(seed, {}, ignored);
      again.run();
      if (again.hash() != world.hash()) throw Violation("the same seed gave other actions");
    } catch (const Violation& v) {
      std::printf("seed %llu: %s\nto repeat: %s --seed %llu --trace\n", static_cast<Count>(seed), v.what(), program,
                  static_cast<Count>(seed));
      return 1;
    }
  }
  const std::uint64_t histories = to > from ? to - from : 0;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  std::printf("%llu histories, %llu steps, %.0f histories a second, %zu transitions, no violation\n",
              static_cast<Count>(histories), static_cast<Count>(steps),
              static_cast<double>(histories) / (seconds > 0 ? seconds : 1), seen.transitions.size());
  bool all = true;
  for (std::size_t i = 0; i < kSeen; ++i) {
    std::printf("%10llu  %s\n", static_cast<Count>(seen.times[i]), name_of(static_cast<Seen>(i)));
    all = all && seen.times[i] > 0;
  }
  if (all || histories < kMustSee) return 0;
  std::printf("something that must be seen in so many histories was not: the simulation proves less than it should\n");
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t from = 0;
  std::uint64_t to = 30'000;
  std::uint64_t variation = 0;
  bool trace = false;
  bool smaller = false;
  bool go_on = false;
  bool with = false;
  Mixture mixture;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--trace") {
      trace = true;
      continue;
    }
    if (flag == "--all") {
      go_on = true;
      continue;
    }
    if (flag == "--shrink") {
      smaller = true;
      continue;
    }
    if (i + 1 >= argc) return usage(("cannot make sense of " + flag).c_str());
    const char* text = argv[++i];
    if (flag == "--with") {
      with = mixture.set(text);
      if (!with) return usage("--with takes NAME=VALUE,..., as --shrink prints it");
      continue;
    }
    if (flag != "--seeds" && flag != "--seed" && flag != "--variation") {
      return usage(("cannot make sense of " + flag).c_str());
    }
    if (!number(text, flag == "--variation" ? variation : from)) return usage("a seed is a number");
    if (flag == "--variation") continue;
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
  if (go_on) return all(from, to);
  if (smaller) return one_smaller(argv[0], from);
  if (with) {
    const std::string wrong = wrong_in(from, &mixture, variation, trace);
    std::printf("seed %llu: %s\n", static_cast<Count>(from), wrong.empty() ? "no violation" : wrong.c_str());
    return wrong.empty() ? 0 : 1;
  }
  return many(argv[0], from, to, trace);
}
