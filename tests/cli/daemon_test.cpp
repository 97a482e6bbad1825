// What an operator does with the daemon as a whole: reload, drain, shutdown.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/cli/fut.hpp"

namespace {

using namespace futured;
using namespace futured::test;

struct ConfigFile {
  TempDir folder;
  std::string path = folder.path() / "futured.toml";
  void write(const std::string& text) const { std::ofstream(path) << text; }
};

std::string processes(const Desk& desk, const std::string& pool) {
  const Said said = desk.fut({"pool", "list", "-j"});
  const schema::Json pools = said.json();
  for (const auto& p : *pools.items()) {
    if (text_of(p, "name") == pool) return text_of(p, "processes");
  }
  return "no pool";
}

TEST_CASE("reload takes over what it can, names what needs a restart, and a wrong file changes nothing") {
  const ConfigFile file;
  file.write("drain_timeout = \"20s\"\n[[pool]]\nname = \"a\"\n[[pool]]\nname = \"b\"\nthreads = 2\n");
  Desk desk({"--config", file.path, "--log-level", "info"});
  CHECK(desk.fut({"reload"}).err == "fut: the daemon has read its configuration again: nothing has changed\n");

  file.write(
      "drain_timeout = \"2.5s\"\nlog_level = \"error\"\nstore_must_exist = false\nmax_queued_tasks = 7\n"
      "[[pool]]\nname = \"a\"\nprocesses = 2\n[[pool]]\nname = \"b\"\nthreads = 3\nplugins = [\"echo\"]\n"
      "[[pool]]\nname = \"c\"\n[plugin.fetch]\nagent = \"me\"\n");
  const Said said = desk.fut({"reload", "-j"});
  CHECK(said.code == 0);
  const std::string changed = R"(["drain_timeout = 2.5s","pool a: processes = 2"])";
  CHECK(text_of(said.json(), "changed") == changed);
  const std::string fixed =
      R"=(["max_queued_tasks","plugin.fetch","pool b: threads","pool b: plugins","pool c (new)"])=";
  CHECK(text_of(said.json(), "needs_restart") == fixed);
  CHECK(processes(desk, "a") == "2");

  SUBCASE("the file beats what was scaled by hand") {
    CHECK(desk.fut({"scale", "a=0"}).code == 0);
    const Said again = desk.fut({"reload"});
    CHECK(has(again.err, "again: pool a: processes = 2\n"));
    CHECK(has(again.err, "warning: needs a restart: max_queued_tasks, "));
    CHECK(processes(desk, "a") == "2");
  }
  SUBCASE("a wrong file") {
    file.write("[[pool]]\nname = \"a\"\nproceses = 3\n");
    const Said wrong = desk.fut({"reload"});
    CHECK(wrong.code == 65);
    CHECK(wrong.err == "fut: " + file.path +
                           ":3: a pool has no key `proceses`; did you mean `processes`?; the daemon goes on as "
                           "before\n");
    std::filesystem::remove(file.path);
    CHECK(desk.fut({"reload"}).code == 65);
    CHECK(processes(desk, "a") == "2");
  }
  SUBCASE("SIGHUP does the same and says so in the log") {
    file.write("log_level = \"off\"\n[[pool]]\nname = \"a\"\nprocesses = 3\n[[pool]]\nname = \"b\"\nthreads = 2\n");
    desk.daemon().program().signal(SIGHUP);
    while (processes(desk, "a") != "3") {
    }
    while (
        !has(desk.daemon().log(), "info: the configuration was read again; drain_timeout = 30s, pool a: processes")) {
    }
  }
}

TEST_CASE("without a configuration file there is nothing to reload") {
  const Said said = Desk::shared().fut({"reload"});
  CHECK(said.code == 2);
  CHECK(has(said.err, "without a configuration file"));
}

TEST_CASE("shutdown ends the daemon, and then there is none") {
  Desk desk({"--processes", "1"});
  CHECK(desk.fut({"run", "echo", "x"}).code == 0);
  CHECK(desk.fut({"shutdown"}).code == 0);
  CHECK(desk.daemon().program().wait_for_end(std::chrono::seconds(30)) == 0);
  CHECK(desk.fut({"ping"}).code == 69);
  Desk other({"--processes", "1"});
  const Said task = other.fut({"submit", "sleep", "seconds=600"});
  CHECK(task.code == 0);
  CHECK(other.fut({"shutdown", "--now"}).code == 0);
  CHECK(other.daemon().program().wait_for_end(std::chrono::seconds(30)) == 0);
}

TEST_CASE("drain: what runs ends, nothing starts or is taken, the daemon stays, until that is undone") {
  Desk desk({"--processes", "1"});
  const TempDir folder;
  const std::string gate = folder.path() / "gate";
  REQUIRE(::mkfifo(gate.c_str(), 0600) == 0);
  CHECK(desk.fut({"submit", "exec", "--", "cat", gate}).out == "1\n");
  while (desk.fut({"list", "-q", "state=running"}).out.empty()) {
  }
  CHECK(desk.fut({"submit", "echo", "held", "--after", "1"}).out == "2\n");
  CHECK(desk.fut({"submit", "echo", "gone", "--delay", "1h"}).out == "3\n");
  CHECK(desk.fut({"cancel", "3"}).code == 0);
  const Said said = desk.fut({"drain"});
  CHECK(said.code == 0);
  CHECK(has(said.err, "1 task still runs"));
  FutProcess waits({"-j", "drain", "--wait"}, desk.environment());
  CHECK(text_of(desk.fut({"status", "-j"}).json(), "draining") == "true");
  CHECK(has(desk.fut({"status"}).out, "draining"));
  for (const char* verb : {"run", "submit"}) {
    const Said refused = desk.fut({verb, "echo", "x"});
    CHECK(refused.code == 75);
    CHECK(has(refused.err, "the daemon is draining and takes no new tasks"));
  }
  CHECK(desk.fut({"retry", "3"}).code == 75);
  CHECK(desk.fut({"schedule", "add", "tick", "--every", "50ms", "echo", "tick"}).code == 0);

  std::ofstream(gate) << "said";
  CHECK(waits.finish().out == "{\"draining\":true,\"running\":0}\n");
  CHECK(desk.fut({"result", "1"}).code == 0);
  CHECK(has(desk.fut({"explain", "2"}).out, "2 queued: the daemon is draining and starts nothing more"));
  CHECK(desk.fut({"list", "-q", "label=schedule=tick"}).out.empty());

  CHECK(has(desk.fut({"drain", "--undo"}).err, "takes and starts tasks again"));
  CHECK(desk.fut({"result", "2"}).out == "held");
  CHECK(desk.fut({"run", "echo", "x"}).out == "x");
  while (desk.fut({"list", "-q", "label=schedule=tick"}).out.empty()) {
  }
  CHECK(desk.fut({"drain", "--undo", "--wait"}).code == 2);
}

TEST_CASE("a drain that is undone tells those who wait for it; a daemon that drains can be shut down") {
  Desk desk({"--processes", "1"});
  CHECK(desk.fut({"submit", "sleep", "seconds=600"}).code == 0);
  while (desk.fut({"list", "-q", "state=running"}).out.empty()) {
  }
  FutProcess waits({"drain", "--wait"}, desk.environment());
  while (text_of(desk.fut({"status", "-j"}).json(), "draining") != "true") {
  }
  CHECK(desk.fut({"drain", "--undo"}).code == 0);
  const Said undone = waits.finish();
  CHECK(undone.code == 75);
  CHECK(has(undone.err, "the drain was undone"));
  CHECK(desk.fut({"drain"}).code == 0);
  CHECK(desk.fut({"shutdown", "--now"}).code == 0);
  CHECK(desk.daemon().program().wait_for_end(std::chrono::seconds(30)) == 0);
}

TEST_CASE("a daemon that leaves refuses new tasks for now, exit code 75") {
  Desk desk({"--processes", "1"});
  const Said number = desk.fut({"submit", "sleep", "seconds=600"});
  while (desk.fut({"list", "-q", "state=running"}).out.empty()) {
  }
  FutProcess shutdown({"shutdown"}, desk.environment());
  while (text_of(desk.fut({"status", "-j"}).json(), "draining") != "true") {
  }
  const Said run = desk.fut({"run", "echo", "x"});
  CHECK(run.code == 75);
  CHECK(has(run.err, "takes no new tasks"));
  CHECK(desk.fut({"map", "echo"}, "x\n").code == 75);
  CHECK(desk.fut({"cancel", "all", "--grace", "1s"}).code == 0);
  CHECK(shutdown.finish().code == 0);
}

}  // namespace
