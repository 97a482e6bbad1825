// futured-bench [--json FILE] [NAME...]: runs all benchmarks, or those named.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "client/demo/page_server.hpp"
#include "tests/bench/benches.hpp"

namespace {

struct Bench {
  const char* name;
  const char* summary;
  void (*run)(futured::bench::Report&);
};

constexpr Bench kBenches[] = {
    {"throughput", "no-op tasks per second through client, daemon and 2 worker processes", futured::bench::throughput},
    {"round_trip", "submit to result, one task at a time, three processes", futured::bench::round_trip},
    {"downloads", "pages of 0.2 s by the async lane", futured::bench::downloads},
    {"state_change", "what a task costs the scheduler, with 1000 and with 1 M queued", futured::bench::state_change},
    {"memory", "what a queued task takes, 1 M of them", futured::bench::memory},
};

void usage(std::FILE* out) {
  std::fputs("usage: futured-bench [--json FILE] [NAME...]\n", out);
  for (const Bench& b : kBenches) std::fprintf(out, "  %-14s %s\n", b.name, b.summary);
}

}  // namespace

int main(int argc, char** argv) {
  std::string json;
  std::vector<std::string> names;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--help" || word == "-h") {
      usage(stdout);
      return 0;
    }
    if (word == "--json" && i + 1 < argc) {
      json = argv[++i];
    } else if (std::any_of(std::begin(kBenches), std::end(kBenches), [&](const Bench& b) { return word == b.name; })) {
      names.push_back(word);
    } else {
      std::fprintf(stderr, "there is no benchmark '%s'\n", word.c_str());
      usage(stderr);
      return 2;
    }
  }
  futured::raise_file_limit();
  futured::bench::find_programs();
  futured::bench::Report report;
  for (const Bench& b : kBenches) {
    if (!names.empty() && std::find(names.begin(), names.end(), b.name) == names.end()) continue;
    try {
      b.run(report);
    } catch (const std::exception& e) {
      report.failed(b.name, e.what());
    }
  }
  if (!report.write_json(json)) {
    std::fprintf(stderr, "cannot write %s\n", json.c_str());
    return 1;
  }
  return report.any_failed() ? 1 : 0;
}
