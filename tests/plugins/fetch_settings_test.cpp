// Runs in a program of its own for each configuration: the state of a plugin is one per process.
#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "fetch/fetch.pb.h"
#include "tests/plugins/plugin_files.hpp"
#include "tests/support/http_server.hpp"
#include "tests/support/plugin_harness.hpp"

using futured::plugins::fetch::FetchRequest;
using futured::test::HttpServer;
using futured::test::Outcome;
using futured::test::plugin_file;
using futured::test::PluginHarness;
using futured::test::Running;

namespace {
std::string get(const std::string& url) {
  FetchRequest request;
  request.set_url(url);
  return request.SerializeAsString();
}
}  // namespace

TEST_CASE("settings: unknown or wrong ones are refused by name") {
  PluginHarness plugin(plugin_file("fetch"), R"({"max_transfers": 0, "max_transfer": 5, "private_addresses": 1})");
  CHECK(plugin.error().find("max_transfers = 0 must be a whole number from 1") != std::string::npos);
  CHECK(plugin.error().find("'max_transfer' is no setting") != std::string::npos);
  CHECK(plugin.error().find("private_addresses = 1 must be true or false") != std::string::npos);
}

TEST_CASE("settings: private addresses can be forbidden, also behind a redirect or a name") {
  PluginHarness plugin(plugin_file("fetch"), R"({"private_addresses": false})");
  REQUIRE(plugin.error() == "");
  HttpServer server;
  for (const std::string task : {"fetch", "fetch.sync"}) {
    for (const std::string& url :
         {server.url("/bytes/1"), "http://localhost:" + std::to_string(server.port()) + "/bytes/1",
          "http://[::ffff:127.0.0.1]:" + std::to_string(server.port()) + "/", std::string("http://0x7f.1:80/")}) {
      const Outcome outcome = plugin.run(task, get(url));
      INFO(outcome.message);
      CHECK_FALSE(outcome.ok);
      CHECK(outcome.permanent);
      CHECK(outcome.message.find("private_addresses = false") != std::string::npos);
    }
  }
  CHECK(server.connections() == 0);
}

TEST_CASE("settings: no more transfers at once than allowed, the rest waits its turn and can be cancelled there") {
  PluginHarness plugin(plugin_file("fetch"), R"({"max_transfers": 8, "max_per_host": 3})");
  REQUIRE(plugin.error() == "");
  HttpServer one;
  HttpServer two;
  HttpServer three;
  std::vector<Running> calls;
  for (int i = 0; i < 12; ++i) {
    for (HttpServer* server : {&one, &two, &three})
      calls.push_back(plugin.start("fetch", get(server->url("/delay/20"))));
  }
  calls.push_back(plugin.start("fetch", get(one.url("/hang"))));
  plugin.flush();
  calls.back().cancel();
  CHECK_FALSE(calls.back().wait().ok);
  calls.pop_back();
  for (const Running& call : calls) CHECK(call.wait().ok);
  CHECK(one.most_open() <= 3);
  CHECK(two.most_open() <= 3);
  CHECK(three.most_open() <= 3);
  CHECK(one.requests() == 12);
}

TEST_CASE("settings: a page that stalls is given up") {
  PluginHarness plugin(plugin_file("fetch"), R"({"stall_timeout": 1, "stall_speed": 1000})");
  REQUIRE(plugin.error() == "");
  HttpServer server;
  for (const std::string task : {"fetch", "fetch.sync"}) {
    const Outcome outcome = plugin.run(task, get(server.url("/trickle")));
    CHECK_FALSE(outcome.ok);
    CHECK(outcome.message.find("gave up waiting") != std::string::npos);
  }
}

TEST_CASE("settings: a body above what the worker keeps in memory is refused") {
  PluginHarness plugin(plugin_file("fetch"), R"({"max_body": 1000})");
  REQUIRE(plugin.error() == "");
  HttpServer server;
  CHECK(plugin.run("fetch", get(server.url("/bytes/1000"))).ok);
  CHECK(plugin.run("fetch", get(server.url("/bytes/1001"))).message.find("max_body") != std::string::npos);
}
