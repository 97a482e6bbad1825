#include "tests/sim/shrink.hpp"

#include <cstdio>
#include <type_traits>
#include <vector>

#include "tests/sim/world.hpp"

namespace futured::sim {

namespace {

constexpr std::uint64_t kVariations = 40;  // histories tried with each smaller mixture

/// All mixtures that differ from this one in one member, which is at its least, or half of what it was.
std::vector<Mixture> smaller(const Mixture& from) {
  std::vector<Mixture> out;
  std::size_t members = 0;
  Mixture(from).each([&](const char*, auto&, auto) { ++members; });
  for (const bool half : {false, true}) {
    for (std::size_t wanted = 0; wanted < members; ++wanted) {
      Mixture m = from;
      bool changed = false;
      std::size_t at = 0;
      m.each([&](const char* name, auto& value, auto least) {
        if (at++ != wanted) return;
        using Value = std::remove_reference_t<decltype(value)>;
        const std::string text = name;
        const bool countable = text == "clients" || text == "tasks" || text == "workers" || text == "threads" ||
                               text == "async_slots" || text == "faults_until";
        const auto aim = static_cast<Value>(least);
        if (value == aim || (half && !countable)) return;
        const auto to = half ? static_cast<Value>(aim + (value - aim) / 2) : aim;
        changed = to != value;
        value = to;
      });
      if (changed) out.push_back(m);
    }
  }
  return out;
}

}  // namespace

std::string kind_of(const std::string& what) {
  std::string out;
  for (const char c : what) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit) {
      out += c;
    } else if (out.empty() || out.back() != '#') {
      out += '#';
    }
  }
  return out;
}

std::string wrong_in(std::uint64_t seed, const Mixture* mixture, std::uint64_t variation, bool trace) {
  Sightings ignored;
  try {
    World::Options o;
    o.trace = trace;
    o.mixture = mixture;
    o.variation = variation;
    World world(seed, o, ignored);
    world.run();
  } catch (const Violation& v) {
    return v.what();
  }
  return {};
}

Failing shrink(std::uint64_t seed) {
  Failing best;
  {
    Random random(seed);
    best.mixture = Mixture::of(random);
  }
  best.what = wrong_in(seed, nullptr, 0, false);
  const std::string kind = kind_of(best.what);
  for (bool better = !best.what.empty(); better;) {
    better = false;
    for (const Mixture& candidate : smaller(best.mixture)) {
      for (std::uint64_t v = 0; v < kVariations && !better; ++v) {
        const std::string what = wrong_in(seed, &candidate, v, false);
        if (what.empty() || kind_of(what) != kind) continue;
        best = {candidate, v, what};
        better = true;
      }
      if (better) break;
    }
    if (better) std::fprintf(stderr, "still wrong with %s\n", best.mixture.text().c_str());
  }
  return best;
}

}  // namespace futured::sim
