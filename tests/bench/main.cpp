// futured-bench [--json FILE] [NAME...]: runs all benchmarks, or those named; turns:TEXT only what has TEXT in its
// name.
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
  void (*run_some)(futured::bench::Report&, const std::string& only) = nullptr;
};

constexpr Bench kBenches[] = {
    {"throughput", "no-op tasks per second through client, daemon and 2 worker processes", futured::bench::throughput},
    {"round_trip", "submit to result, one task at a time, three processes", futured::bench::round_trip},
    {"downloads", "pages of 0.2 s by the async lane", futured::bench::downloads},
    {"state_change", "what a task costs the scheduler, with 1000 and with 1 M queued", futured::bench::state_change},
    {"memory", "what a queued task takes, 1 M of them", futured::bench::memory},
    {"turns", "the longest turn of the loop while things happen to 1 M tasks",
     [](futured::bench::Report& report) { futured::bench::turns(report, ""); }, futured::bench::turns},
    {"ping", "what another client notices while things happen to 1 M tasks", futured::bench::ping},
    {"lateness", "how late 100,000 delayed tasks start", futured::bench::lateness},
    {"simulator", "histories per second of tests/sim", futured::bench::simulator},
};

void usage(std::FILE* out) {
  std::fputs("usage: futured-bench [--json FILE] [NAME...]\n", out);
  for (const Bench& b : kBenches) std::fprintf(out, "  %-14s %s\n", b.name, b.summary);
}

const Bench* find(const std::string& word) {
  const std::string name = word.substr(0, word.find(':'));
  const auto* at =
      std::find_if(std::begin(kBenches), std::end(kBenches), [&](const Bench& b) { return name == b.name; });
  if (at == std::end(kBenches) || (name != word && at->run_some == nullptr)) return nullptr;
  return at;
}

}  // namespace

int main(int argc, char** argv) {
  std::string json;
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--help" || word == "-h") {
      usage(stdout);
      return 0;
    }
    if (word == "--json" && i + 1 < argc) {
      json = argv[++i];
    } else if (find(word) != nullptr) {
      words.push_back(word);
    } else {
      std::fprintf(stderr, "there is no benchmark '%s'\n", word.c_str());
      usage(stderr);
      return 2;
    }
  }
  if (words.empty()) {
    for (const Bench& b : kBenches) words.emplace_back(b.name);
  }
  futured::raise_file_limit();
  futured::bench::find_programs();
  futured::bench::Report report;
  for (const std::string& word : words) {
    const Bench& bench = *find(word);
    try {
      if (const std::size_t colon = word.find(':'); colon != std::string::npos) {
        bench.run_some(report, word.substr(colon + 1));
      } else {
        bench.run(report);
      }
    } catch (const std::exception& e) {
      report.failed(word, e.what());
    }
  }
  if (!report.write_json(json)) {
    std::fprintf(stderr, "cannot write %s\n", json.c_str());
    return 1;
  }
  return report.any_failed() ? 1 : 0;
}
