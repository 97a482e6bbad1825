#include <fstream>
#include <futured/executor.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/demo/page_server.hpp"
#include "fetch/fetch.pb.h"
#include "tests/bench/benches.hpp"
#include "tests/support/daemon_process.hpp"

namespace futured::bench {
namespace {

using plugins::fetch::FetchReply;
using plugins::fetch::FetchRequest;

constexpr std::size_t kFew = 15;
constexpr std::size_t kManyPages = 5000;
constexpr double kFewTarget = 0.3;
constexpr int kCurlParallel = 300;  // the most that curl does
constexpr int kRuns = 3;

double fetch(Executor& executor, const PageServer& server, std::size_t pages) {
  std::vector<FetchRequest> requests(pages);
  for (std::size_t i = 0; i < pages; ++i) requests[i].set_url(server.url(i));
  const std::size_t page_bytes = PageServer::Options().page_bytes;
  const auto start = Clock::now();
  std::size_t taken = 0;
  for (const auto& page : as_completed(executor.submit_many<FetchReply>("fetch", requests))) {
    const FetchReply reply = page.result();
    if (reply.status() != 200 || reply.size() != page_bytes || reply.body().size() != page_bytes) {
      throw Failure("a page is not whole: " + reply.url());
    }
    ++taken;
  }
  if (taken != pages) throw Failure("pages are missing");
  return seconds_since(start);
}

double curl(const test::TempDir& scratch, const PageServer& server, std::size_t pages) {
  const auto config = scratch.path() / "urls";
  std::ofstream out(config);
  for (std::size_t i = 0; i < pages; ++i) out << "url = " << server.url(i) << "\noutput = /dev/null\n";
  out.close();
  const std::uint64_t before = server.served();
  const auto start = Clock::now();
  run({"curl", "-Z", "--parallel-max", std::to_string(kCurlParallel), "--no-progress-meter", "--fail", "--config",
       config.string()});
  const double seconds = seconds_since(start);
  if (server.served() - before != pages) throw Failure("curl did not read all pages");
  return seconds;
}

}  // namespace

void downloads(Report& report) {
  auto started = PageServer::start(PageServer::Options());
  if (!started.ok()) throw Failure(started.status().message());
  const std::unique_ptr<PageServer> server = std::move(started.value());

  Figure few;
  few.name = "15 pages of 0.2 s, async lane";
  few.unit = "s";
  few.floor = 0.2;
  few.floor_name = "the delay of a page";
  few.target = kFewTarget;
  Figure many;
  many.unit = "s";
  many.floor_name = "curl -Z --parallel-max 300";

  const test::TempDir scratch;
  for (const int slots : {kCurlParallel, 2000}) {
    const test::DaemonProcess daemon(
        {"--log-level", "warning", "--processes", "1", "--async-slots", std::to_string(slots)});
    auto executor = Executor::connect(daemon.endpoint());
    fetch(executor, *server, 1);
    std::vector<double> runs, floor;
    if (slots == kCurlParallel) {
      for (int i = 0; i < 5; ++i) runs.push_back(fetch(executor, *server, kFew));
      few.value = median(runs);
      report.add(few);
      runs.clear();
    }
    for (int i = 0; i < kRuns; ++i) {
      // curl in between, so that what else the machine does falls on both.
      floor.push_back(curl(scratch, *server, kManyPages));
      runs.push_back(fetch(executor, *server, kManyPages));
    }
    many.name = "5000 pages of 0.2 s, one process, " + std::to_string(slots) + " slots";
    many.value = median(runs);
    many.floor = median(floor);
    many.target_ratio = 1;
    report.add(many);
  }
}

}  // namespace futured::bench
