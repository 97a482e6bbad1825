// The classic example of concurrent.futures, the download of 15 pages, in four ways on an embedded daemon:
// one after the other, by threads, by worker processes, and by the async lane.
//
//   futured-demo [--live]     --live: real sites; without it a server of this process serves the pages, 0.2 s each
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <futured/embedded.hpp>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client/demo/page_server.hpp"
#include "fetch/fetch.pb.h"

namespace {

using futured::plugins::fetch::FetchReply;
using futured::plugins::fetch::FetchRequest;
using FetchFuture = futured::Future<FetchReply>;
using Urls = std::vector<std::string>;

constexpr std::size_t kPages = 15;
constexpr std::uint32_t kWorkers = 5;

const Urls& live_urls() {
  static const Urls urls = {"https://www.debian.org/",       "https://www.kernel.org/",
                            "https://www.gnu.org/",          "https://www.python.org/",
                            "https://www.wikipedia.org/",    "https://www.ietf.org/",
                            "https://zeromq.org/",           "https://curl.se/",
                            "https://sqlite.org/index.html", "https://cmake.org/",
                            "https://www.mozilla.org/",      "https://www.apache.org/",
                            "https://www.freedesktop.org/",  "https://www.openstreetmap.org/",
                            "https://example.com/"};
  return urls;
}

FetchRequest request_for(const std::string& url) {
  FetchRequest request;
  request.set_url(url);
  return request;
}

/// False if the page could not be read; either way a line says so.
bool report(const FetchFuture& page, const std::string& url) {
  try {
    std::printf("Read %llu from %s\n", static_cast<unsigned long long>(page.result().size()), url.c_str());
    return true;
  } catch (const futured::Error& e) {
    std::printf("Could not read %s: %s\n", url.c_str(), e.what());
    return false;
  }
}

struct Way {
  const char* title;
  std::string_view task;
  futured::EmbeddedOptions pool;
  bool in_turn;  ///< each page is asked for when the one before has come
};

struct Outcome {
  double seconds = 0;
  std::size_t failures = 0;
};

Outcome download(const Way& way, const Urls& urls) {
  auto executor = futured::Executor::embedded(way.pool);
  executor.submit("echo", "").result();  // the time of starting a process is not the time of a download

  Outcome outcome;
  const auto start = std::chrono::steady_clock::now();
  if (way.in_turn) {
    for (const std::string& url : urls) {
      if (!report(executor.submit<FetchReply>(way.task, request_for(url)), url)) ++outcome.failures;
    }
  } else {
    std::map<FetchFuture, std::string> url_of;
    for (const std::string& url : urls) url_of[executor.submit<FetchReply>(way.task, request_for(url))] = url;
    for (const FetchFuture& page : futured::as_completed(url_of)) {
      if (!report(page, url_of[page])) ++outcome.failures;
    }
  }
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return outcome;
}

int run(bool live) {
  std::unique_ptr<futured::PageServer> server;
  Urls urls = live_urls();
  if (!live) {
    auto started = futured::PageServer::start(futured::PageServer::Options());
    if (!started.ok()) {
      std::fprintf(stderr, "%s\n", started.status().message().c_str());
      return 1;
    }
    server = std::move(started.value());
    urls.clear();
    for (std::size_t i = 0; i < kPages; ++i) urls.push_back(server->url(i));
  }

  const auto plugins = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "plugins";
  const auto pool = [&](std::uint32_t processes, std::uint32_t threads) {
    return futured::EmbeddedOptions().plugin_dir(plugins.string()).processes(processes).threads(threads);
  };
  const Way ways[] = {
      {"one after the other", "fetch.sync", pool(1, 1), true},
      {"by 5 threads of one process", "fetch.sync", pool(1, kWorkers), false},
      {"by 5 processes of one thread", "fetch.sync", pool(kWorkers, 1), false},
      {"by the async lane of one process", "fetch", pool(1, 1), false},
  };
  std::vector<Outcome> outcomes;
  for (const Way& way : ways) {
    std::printf("\n%s:\n", way.title);
    outcomes.push_back(download(way, urls));
  }

  std::printf("\n%-36s %-12s %10s\n", "15 pages", "task", "seconds");
  std::size_t failures = 0;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    failures += outcomes[i].failures;
    std::printf("%-36s %-12s %10.3f\n", ways[i].title, std::string(ways[i].task).c_str(), outcomes[i].seconds);
  }
  if (failures != 0) std::printf("%zu downloads failed\n", failures);
  return failures == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  const bool live = words.size() == 1 && words[0] == "--live";
  if (!words.empty() && !live) {
    std::fputs("usage: futured-demo [--live]\n", stderr);
    return 2;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a line as each page completes, into a pipe too
  try {
    return run(live);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "futured-demo: %s\n", e.what());
    return 1;
  }
}
