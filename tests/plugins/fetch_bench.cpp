// Fetches COUNT times URL through the async lane of the fetch plugin, WINDOW calls open at once, and prints how long it
// took: fetch_bench FETCH_SO URL COUNT WINDOW
#include <chrono>
#include <cstdio>
#include <deque>
#include <string>

#include "fetch/fetch.pb.h"
#include "tests/support/plugin_harness.hpp"

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: fetch_bench FETCH_SO URL COUNT WINDOW\n");
    return 2;
  }
  futured::test::PluginHarness plugin(argv[1]);
  if (!plugin.error().empty()) {
    std::fprintf(stderr, "%s\n", plugin.error().c_str());
    return 1;
  }
  futured::plugins::fetch::FetchRequest request;
  request.set_url(argv[2]);
  const std::string input = request.SerializeAsString();
  const int count = std::stoi(argv[3]);
  const auto window = static_cast<std::size_t>(std::stoi(argv[4]));
  const auto begin = std::chrono::steady_clock::now();
  std::deque<futured::test::Running> open;
  int good = 0;
  const auto collect = [&] {
    good += open.front().wait(std::chrono::seconds(60)).ok ? 1 : 0;
    open.pop_front();
  };
  for (int i = 0; i < count; ++i) {
    open.push_back(plugin.start("fetch", input));
    if (open.size() >= window) {
      plugin.flush();
      collect();
    }
  }
  plugin.flush();
  while (!open.empty()) collect();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("%d of %d pages in %.3f s\n", good, count, took.count());
  return good == count ? 0 : 1;
}
