// How fast the simulator of tests/sim goes through histories, and how many different transitions it has seen.
#include <cstdio>

#include "tests/bench/benches.hpp"

namespace futured::bench {
namespace {
constexpr const char* kSeeds = "0..4000";  // below what must have seen everything
constexpr int kRuns = 3;
}  // namespace

void simulator(Report& report) {
  std::vector<double> rates;
  std::size_t transitions = 0;
  for (int run = 0; run < kRuns; ++run) {
    const std::string text = futured::bench::run({sibling("sim"), "--seeds", kSeeds});
    double rate = 0;
    if (std::sscanf(text.c_str(), "%*u histories, %*u steps, %lf histories a second, %zu transitions", &rate,
                    &transitions) != 2) {
      throw Failure("the simulator says something else than before: " + text.substr(0, 200));
    }
    rates.push_back(rate);
  }
  Figure figure;
  figure.more_is_better = true;
  figure.name = std::string("simulated histories, seeds ") + kSeeds;
  figure.value = median(rates);
  figure.unit = "/s";
  report.add(figure);
  figure.name = std::string("different transitions, seeds ") + kSeeds;
  figure.value = static_cast<double>(transitions);
  figure.unit = "";
  report.add(figure);
}

}  // namespace futured::bench
