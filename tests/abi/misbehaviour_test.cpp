// The plugins that tests of workers rely on to misbehave do so, each in its own way.
#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>

#include "tests/support/plugin_harness.hpp"

namespace {

using namespace std::chrono_literals;
using futured::test::CallOptions;
using futured::test::Outcome;
using futured::test::PluginHarness;
using futured::test::Running;

std::string file(const std::string& name) { return std::string(FUTURED_TEST_PLUGIN_DIR) + "/" + name + ".so"; }

std::string broken(const std::string& name) { return file("broken/" + name); }

/// The wait status of a child that does this and then leaves with status 42; -1 if it was still there after `limit`.
int in_child(const std::function<void()>& act, std::chrono::milliseconds limit) {
  const pid_t pid = fork();
  if (pid == 0) {
    act();
    _exit(42);
  }
  pollfd ended{static_cast<int>(syscall(SYS_pidfd_open, pid, 0)), POLLIN, 0};
  REQUIRE(ended.fd >= 0);
  const bool left = poll(&ended, 1, static_cast<int>(limit.count())) == 1;
  close(ended.fd);
  if (!left) kill(pid, SIGKILL);
  int status = 0;
  waitpid(pid, &status, 0);
  return left ? status : -1;
}
int loading(const std::string& name, std::chrono::milliseconds limit = 60s) {
  return in_child([&name] { const PluginHarness plugin(broken(name)); }, limit);
}
int running(const std::string& task, const std::string& input = "", std::chrono::milliseconds limit = 60s) {
  return in_child([&] { PluginHarness(file("bad")).run(task, input); }, limit);
}

bool aborted(int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT; }

}  // namespace

TEST_CASE("plugins that end the process at load or init") {
  CHECK(aborted(loading("constructor_abort")));
  CHECK(WEXITSTATUS(loading("constructor_exit")) == 0);
  CHECK(loading("constructor_hang", 500ms) == -1);
  CHECK(aborted(loading("describe_abort")));
  CHECK(aborted(loading("init_abort")));
  CHECK(loading("init_hang", 500ms) == -1);
}

TEST_CASE("plugins that are refused") {
  CHECK(PluginHarness(broken("no_symbol")).error().find("futured_plugin_v1") != std::string::npos);
  CHECK(PluginHarness(broken("null_plugin")).error().find("null") != std::string::npos);
  CHECK(PluginHarness(broken("wrong_abi")).error().find("9999") != std::string::npos);
  CHECK(PluginHarness(broken("init_refuses")).error() == "the licence of this plugin has expired: renew it");
  CHECK(PluginHarness(broken("not_elf")).error() != "");
}

TEST_CASE("plugins that describe what cannot be") {
  CHECK(PluginHarness(broken("duplicate_task")).description()->type_count == 2);
  CHECK(PluginHarness(broken("no_tasks")).description()->type_count == 0);
  CHECK(PluginHarness(broken("null_name")).description()->types[0]->name == nullptr);
  CHECK((PluginHarness(broken("null_run")).type("broken.task")->run == nullptr));
  CHECK(PluginHarness(broken("bad_lane")).type("broken.task")->lane == 77);
  CHECK(PluginHarness(broken("bad_name")).type("a name with spaces") != nullptr);
  CHECK(std::string(PluginHarness(broken("long_name")).description()->types[0]->name).size() == 65);
  CHECK(PluginHarness(broken("garbage_schema")).description()->schema.size == 33);
}

TEST_CASE("tasks that end the process or never end") {
  CHECK(aborted(running("bad.abort")));
  CHECK(aborted(running("bad.throw")));
  CHECK(WTERMSIG(running("bad.segv")) == SIGSEGV);
  CHECK(WEXITSTATUS(running("bad.exit")) == 3);
  CHECK(WEXITSTATUS(running("bad.exit", "0")) == 0);
  CHECK(running("bad.hang", "", 500ms) == -1);
  CHECK(running("bad.spin", "", 500ms) == -1);
  CHECK(running("bad.silent", "", 500ms) == -1);
  CHECK(running("bad.deaf", "2", 500ms) == -1);
  CHECK(aborted(running("bad.forget")));  // by the harness, which notices
}

TEST_CASE("a second ending changes nothing") {
  PluginHarness plugin(file("bad"));
  const Running call = plugin.start("bad.twice", "");
  CHECK(call.wait().reply == "first");
  CHECK(plugin.run("bad.late", "early").reply == "early");
}

TEST_CASE("structs of another size are read and written only as far as they go") {
  PluginHarness smaller(file("smaller"));
  REQUIRE(smaller.error() == "");
  CHECK(smaller.run("abi.smaller", "x").reply == "x");
  const Outcome small = smaller.run("abi.smaller", "fail");
  CHECK(small.message == "small");
  CHECK(small.reply == "");
  CHECK(small.retry_after_ns == 0);
  CHECK(smaller.run("abi.smaller", "get").reply == "kept");
  const Running call = smaller.start("abi.smaller", "x");
  call.cancel();
  CHECK(call.wait().ok);
  PluginHarness larger(file("larger"));
  REQUIRE(larger.error() == "");
  CHECK(larger.run("abi.larger", "x").reply == "x");
  CHECK(larger.run("abi.larger", "fail").message == "large");
}

TEST_CASE("test.*: the helpers do what they say") {
  PluginHarness plugin(file("test"));
  REQUIRE(plugin.error() == "");
  CHECK(plugin.run("test.noop", "x").ok);
  CHECK(plugin.run("test.async_noop", "x").ok);
  CHECK(plugin.run("test.sleep_ms", "5").reply == "5");
  CHECK(plugin.run("test.sleep_ms", "five").permanent);
  const Running sleeping = plugin.start("test.sleep_ms", "100000");
  sleeping.cancel();
  CHECK_FALSE(sleeping.wait().ok);
  CHECK(plugin.run("test.fail", "because").message == "because");
  CHECK(plugin.run("test.reject", "because").permanent);
  CHECK(plugin.run("test.big", "100000").reply == std::string(100000, 'b'));
  CallOptions second;
  second.attempt = 2;
  second.number = 17;
  CHECK_FALSE(plugin.run("test.flaky", "2").ok);
  CHECK(plugin.run("test.flaky", "2", second).reply == "2");
  CHECK(plugin.run("test.crash_until", "2", second).reply == "2");
  CHECK_FALSE(plugin.run("test.retry_after", "2 5").ok);
  CHECK(plugin.run("test.retry_after", "2 5", second).reply == "2");
  CHECK(plugin.run("test.retry_after", "").permanent);
  CHECK(plugin.run("test.pid", "").reply == std::to_string(getpid()));
  CHECK(plugin.run("test.header", "traceparent").reply == "00-trace");
  const Running emitting = plugin.start("test.emit", "3");
  CHECK(emitting.wait().ok);
  CHECK(emitting.output(1) == "out 1\nout 2\nout 3\n");
  CHECK(emitting.output(2) == "err 1\nerr 2\nerr 3\n");

  std::string until = "/tmp/futured-until-XXXXXX";
  close(mkstemp(until.data()));
  std::ofstream(until + ".1") << "fail";
  std::ofstream(until + ".2") << "value";
  CHECK(plugin.run("test.until", until).message == "attempt 1 was told to fail");
  CHECK(plugin.run("test.until", until, second).reply == "value");
  for (const char* end : {"", ".1", ".2"}) unlink((until + end).c_str());
  std::string path = "/tmp/futured-sidelog-XXXXXX";
  close(mkstemp(path.data()));
  CHECK(plugin.run("test.sidelog", path + " 1 the value", second).reply == "the value");
  std::ifstream log(path);
  std::string what;
  std::string token;
  std::string pid;
  std::int64_t start = 0;
  std::int64_t end = 0;
  log >> what >> token >> pid >> start;
  CHECK(what + " " + token + " " + pid == "start 17.2 " + std::to_string(getpid()));
  log >> what >> token >> pid >> end;
  CHECK(what + " " + token + " " + pid == "end 17.2 " + std::to_string(getpid()));
  CHECK(end - start >= 1'000'000);
  unlink(path.c_str());
}
