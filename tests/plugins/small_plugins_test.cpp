// echo, sleep and primes.
#include <doctest/doctest.h>

#include <chrono>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "primes/primes.pb.h"
#include "sleep/sleep.pb.h"
#include "tests/plugins/plugin_files.hpp"
#include "tests/support/plugin_harness.hpp"

namespace {

using namespace std::chrono_literals;
using futured::plugins::primes::PrimesReply;
using futured::plugins::primes::PrimesRequest;
using futured::plugins::sleep::SleepRequest;
using futured::test::Outcome;
using futured::test::plugin_file;
using futured::test::PluginHarness;
using futured::test::Running;

std::string sleep_request(double seconds) {
  SleepRequest request;
  request.set_seconds(seconds);
  return request.SerializeAsString();
}

std::string primes_request(std::uint64_t below) {
  PrimesRequest request;
  request.set_below(below);
  return request.SerializeAsString();
}

std::uint64_t primes_below(PluginHarness& plugin, std::uint64_t below) {
  const Outcome outcome = plugin.run("primes", primes_request(below));
  REQUIRE(outcome.ok);
  PrimesReply reply;
  REQUIRE(reply.ParseFromString(outcome.reply));
  return reply.count();
}

}  // namespace

TEST_CASE("echo replies with its input, whatever the bytes") {
  PluginHarness plugin(plugin_file("echo"));
  REQUIRE(plugin.error() == "");
  const std::string zeros("a\0b\xff", 4);
  CHECK(plugin.run("echo", zeros).reply == zeros);
  CHECK(plugin.run("echo", "").reply == "");
  CHECK(plugin.run("echo", std::string(5 << 20, 'e')).reply.size() == 5 << 20);
  CHECK(plugin.type("echo")->lane == FUTURED_LANE_THREAD);
  CHECK(plugin.type("echo")->flags == FUTURED_IDEMPOTENT);
  CHECK(plugin.description()->schema_kind == nullptr);
}

TEST_CASE("sleep ends after its time and not before") {
  PluginHarness plugin(plugin_file("sleep"));
  REQUIRE(plugin.error() == "");
  const auto begin = std::chrono::steady_clock::now();
  const Outcome outcome = plugin.run("sleep", sleep_request(0.05));
  CHECK(outcome.ok);
  CHECK(outcome.reply == "");
  CHECK(std::chrono::steady_clock::now() - begin >= 50ms);
  CHECK(plugin.run("sleep", sleep_request(0)).ok);
}

TEST_CASE("ten thousand sleeps need the time of one") {
  PluginHarness plugin(plugin_file("sleep"));
  const auto begin = std::chrono::steady_clock::now();
  std::vector<Running> calls;
  for (int i = 0; i < 10'000; ++i) calls.push_back(plugin.start("sleep", sleep_request(0.3)));
  for (const Running& call : calls) CHECK(call.wait().ok);
  CHECK(std::chrono::steady_clock::now() - begin < 40s);
}

TEST_CASE("a shorter sleep overtakes a longer one") {
  PluginHarness plugin(plugin_file("sleep"));
  const Running longer = plugin.start("sleep", sleep_request(60));
  CHECK(plugin.run("sleep", sleep_request(0.01)).ok);
  CHECK_FALSE(longer.ended());
  longer.cancel();
  longer.wait();
}

TEST_CASE("a cancelled sleep ends at once, and exactly once") {
  PluginHarness plugin(plugin_file("sleep"));
  std::vector<Running> calls;
  for (int i = 0; i < 200; ++i) calls.push_back(plugin.start("sleep", sleep_request(i % 2 == 0 ? 3600 : 0.002)));
  const auto begin = std::chrono::steady_clock::now();
  for (const Running& call : calls) call.cancel();
  for (const Running& call : calls) {
    call.wait();
    CHECK(call.endings() == 1);
  }
  CHECK(std::chrono::steady_clock::now() - begin < 40s);
  CHECK(calls[0].wait().message.find("cancelled") != std::string::npos);
}

TEST_CASE("sleep refuses what is no duration, for good") {
  PluginHarness plugin(plugin_file("sleep"));
  for (const double seconds : {-1.0, 1e300, std::numeric_limits<double>::quiet_NaN()}) {
    const Outcome outcome = plugin.run("sleep", sleep_request(seconds));
    CHECK_FALSE(outcome.ok);
    CHECK(outcome.permanent);
    CHECK(outcome.message.find("seconds = ") == 0);
  }
}

TEST_CASE("a typed task refuses bytes that are not its message, and says so") {
  PluginHarness plugin(plugin_file("sleep"));
  const Outcome garbage = plugin.run("sleep", "\xff\xff\xff garbage");
  CHECK_FALSE(garbage.ok);
  CHECK(garbage.permanent);
  CHECK(garbage.message.find("futured.plugins.sleep.SleepRequest") != std::string::npos);
  CHECK(garbage.message.find("task 'sleep'") != std::string::npos);
  const Outcome missing = plugin.run("sleep", "");
  CHECK_FALSE(missing.ok);
  CHECK(missing.permanent);
  CHECK(missing.message.find("lacks a required field of futured.plugins.sleep.SleepRequest") != std::string::npos);
}

TEST_CASE("primes counts the primes below a number") {
  PluginHarness plugin(plugin_file("primes"));
  REQUIRE(plugin.error() == "");
  const std::vector<std::pair<std::uint64_t, std::uint64_t>> known = {{0, 0},
                                                                      {1, 0},
                                                                      {2, 0},
                                                                      {3, 1},
                                                                      {4, 2},
                                                                      {5, 2},
                                                                      {10, 4},
                                                                      {25, 9},
                                                                      {26, 9},
                                                                      {100, 25},
                                                                      {1'000'000, 78498},
                                                                      {1'048'577, 82025},
                                                                      {10'000'000, 664579}};
  for (const auto& row : known) {
    CAPTURE(row.first);
    CHECK(primes_below(plugin, row.first) == row.second);
  }
}

TEST_CASE("primes stops soon after it is cancelled and tells how far it is") {
  PluginHarness plugin(plugin_file("primes"));
  const Running call = plugin.start("primes", primes_request(100'000'000'000'000));
  while (call.progress() < 0) std::this_thread::yield();
  const auto begin = std::chrono::steady_clock::now();
  call.cancel();
  CHECK_FALSE(call.wait().ok);
  CHECK(std::chrono::steady_clock::now() - begin < 40s);
}

TEST_CASE("primes refuses a number that it could not hold the sieve for") {
  PluginHarness plugin(plugin_file("primes"));
  const Outcome outcome = plugin.run("primes", primes_request(2'000'000'000'000'000));
  CHECK(outcome.permanent);
  CHECK(outcome.message.find("at most") != std::string::npos);
}

TEST_CASE("a reply above the worker's limit is a failure that says so") {
  PluginHarness plugin(plugin_file("primes"));
  PluginHarness::limit_replies(1);
  const Outcome outcome = plugin.run("primes", primes_request(100));
  PluginHarness::limit_replies(64 << 20);
  CHECK_FALSE(outcome.ok);
  CHECK(outcome.message.find("limit for replies") != std::string::npos);
}
