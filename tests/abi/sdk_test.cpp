#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "sdk/sdk.pb.h"
#include "tests/support/plugin_harness.hpp"

namespace {

using namespace std::chrono_literals;
using futured::test::CallOptions;
using futured::test::Outcome;
using futured::test::PluginHarness;
using futured::test::Running;
using futured::test::sdk::Number;

PluginHarness& sdk() {
  static PluginHarness& plugin = *new PluginHarness(FUTURED_TEST_PLUGIN_DIR "/sdk.so", R"({"a": 1})");
  return plugin;
}

std::string number(std::int64_t value) {
  Number n;
  n.set_value(value);
  return n.SerializeAsString();
}

}  // namespace

TEST_CASE("SDK: the description says what the definition said") {
  REQUIRE(sdk().error() == "");
  const futured_plugin& plugin = *sdk().description();
  CHECK(std::string(plugin.name) == "sdk");
  CHECK(plugin.type_count == 13);
  const futured_task_type& twice = *sdk().type("sdk.twice");
  CHECK(std::string(twice.input_type) == "futured.test.sdk.Number");
  CHECK(std::string(twice.reply_type) == "futured.test.sdk.Number");
  CHECK(twice.flags == FUTURED_IDEMPOTENT);
  CHECK(std::string(twice.summary) == "message to message");
  CHECK(sdk().type("sdk.reverse")->input_type == nullptr);
  CHECK(sdk().type("sdk.outcome")->reply_type != nullptr);
  CHECK(sdk().type("sdk.later")->lane == FUTURED_LANE_ASYNC);
  CHECK(sdk().type("sdk.later")->max_concurrency == 5);
  CHECK(plugin.schema.size > 0);
  CHECK((plugin.fini == nullptr));
}

TEST_CASE("SDK: messages and bytes go in and come out") {
  CHECK(sdk().run("sdk.twice", number(21)).reply == number(42));
  CHECK(sdk().run("sdk.reverse", "abc").reply == "cba");
  CHECK(sdk().run("sdk.reverse", "").reply == "");
  CHECK(sdk().run("sdk.lambda", "four").reply == "4");
  CHECK(sdk().run("sdk.outcome", number(5)).reply == number(5));
  CHECK(sdk().run("sdk.outcome", number(-5)).message == "negative");
  CHECK(sdk().run("sdk.nothing", "x").ok);
  CHECK(sdk().run("sdk.nothing", "").message == "empty");
  CHECK(sdk().run("sdk.config", "").reply.starts_with(R"({"a": 1})"));
}

TEST_CASE("SDK: whatever a task throws becomes a failure") {
  const Outcome full = sdk().run("sdk.fail", "failure");
  CHECK(full.message == "full");
  CHECK(full.kind == FUTURED_EXIT);
  CHECK(full.status == 9);
  CHECK(full.signal == 2);
  CHECK(full.permanent);
  CHECK(full.retry_after_ns == 3'000'000'000);
  CHECK(full.reply == number(7));
  const Outcome standard = sdk().run("sdk.fail", "exception");
  CHECK(standard.message == "a standard exception");
  CHECK(standard.kind == FUTURED_ERROR);
  CHECK_FALSE(standard.permanent);
  CHECK(sdk().run("sdk.fail", "memory").message.find("memory") != std::string::npos);
  CHECK(sdk().run("sdk.fail", "int").message.find("not a std::exception") != std::string::npos);
  CHECK(sdk().run("sdk.later", "throw").message == "thrown on the loop thread");
}

TEST_CASE("SDK: a bad request is refused for good before the task sees it, an incomplete reply is a failure") {
  CHECK(sdk().run("sdk.twice", "\xff").permanent);
  CHECK(sdk().run("sdk.twice", "").message.find("required field") != std::string::npos);
  CHECK(sdk().run("sdk.incomplete", number(1)).message.find("required field") != std::string::npos);
}

TEST_CASE("SDK: async calls are ended once, from any thread") {
  CHECK(sdk().run("sdk.later", "text").reply == "text");
  CHECK(sdk().run("sdk.later", "fail").message == "failed later");
  std::vector<Running> calls;
  for (int i = 0; i < 100; ++i) calls.push_back(sdk().start("sdk.later", "twice"));
  for (const Running& call : calls) CHECK(call.wait().reply == "twice");
}

TEST_CASE("SDK: on_cancel is called once, at once if the call was cancelled before, and beside the end") {
  for (const std::string input : {"", "throw"}) {
    const Running call = sdk().start("sdk.until_cancelled", input);
    CHECK_FALSE(call.ended());
    call.cancel();
    CHECK(call.wait().reply == "cancelled");
    call.cancel();
    CHECK(call.endings() == 1);
  }
  bool logged = false;
  for (const std::string& line : PluginHarness::logged()) logged |= line == "thrown in a callback";
  CHECK(logged);
  const Running blocked = sdk().start("sdk.blocked", "");
  blocked.cancel();
  CHECK(blocked.wait().reply == "told");
  // A storm of cancels beside completions from other threads.
  std::vector<Running> calls;
  for (int i = 0; i < 500; ++i) calls.push_back(sdk().start("sdk.later", "storm"));
  std::thread other([&calls] {
    for (const Running& call : calls) call.cancel();
  });
  for (const Running& call : calls) {
    call.wait();
    CHECK(call.endings() == 1);
  }
  other.join();
}

TEST_CASE("SDK: on_writable comes when there is room again") {
  CallOptions options;
  options.room = 0;
  const Running call = sdk().start("sdk.emit", "", options);
  call.wait_refused();
  call.grant(2);
  call.wait_refused();
  CHECK_FALSE(call.ended());
  call.grant(100);
  CHECK(call.wait().ok);
  CHECK(call.output(1) == "chunk");
}

TEST_CASE("SDK: a call knows what the host tells of it") {
  CallOptions options;
  options.attempt = 3;
  options.number = 99;
  options.live = true;
  const Running call = sdk().start("sdk.values", "", options);
  CHECK(call.wait().reply == "sdk.values task-" + std::to_string(call.id()) + " 99 3 no deadline 00-trace - - live");
  options.deadline = 5s;
  CHECK(sdk().run("sdk.values", "", options).reply.find(" deadline ") != std::string::npos);
}

TEST_CASE("SDK: init tells why it refuses") {
  // The plugin is loaded once per process; init is called anew, which a worker would not do.
  CHECK(PluginHarness(FUTURED_TEST_PLUGIN_DIR "/sdk.so", "refuse").error() == "refused as asked");
  CHECK(PluginHarness(FUTURED_TEST_PLUGIN_DIR "/sdk.so", "throw").error() == "init threw");
}
