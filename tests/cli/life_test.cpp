// The life of a task through `fut`: flags, verbs, exit codes and JSON keys, with a real daemon.
#include <doctest/doctest.h>

#include "tests/cli/fut.hpp"

using namespace futured::test;

namespace {

Said fut(const std::vector<std::string>& words) { return Desk::shared().fut(words); }

std::string submitted(std::vector<std::string> words) {
  words.insert(words.begin(), "submit");
  const Said said = fut(words);
  REQUIRE_MESSAGE(said.code == 0, said.err);
  return said.out.substr(0, said.out.size() - 1);
}

futured::schema::Json shown(const std::string& number) { return fut({"show", number, "-j"}).json(); }

}  // namespace

TEST_CASE("retries are tried, shown and logged one by one") {
  const std::string flag = (Desk::shared().daemon().folder() / "flag").string();
  const std::string script = "echo try; test -e " + flag + " || { touch " + flag + "; exit 7; }";
  const std::string number = submitted({"exec", "--retries", "2", "--backoff", "10ms..1s", "--", "sh", "-c", script});
  CHECK(fut({"wait", number}).code == 0);
  CHECK(fut({"logs", "-f", number}).out == "try\n");  // of the last attempt
  const auto task = shown(number);
  REQUIRE(task.find("attempts")->items()->size() == 2);
  CHECK(text_of(task.find("attempts")->items()->at(0), "outcome") == "failed");
  CHECK(text_of(task.find("attempts")->items()->at(1), "outcome") == "succeeded");
  CHECK(text_of(task, "retries_left") == "1");
  CHECK(fut({"logs", number, "--attempt", "1"}).out == "try\n");
  const auto chunks = fut({"logs", number, "-j"}).json_lines();
  REQUIRE_FALSE(chunks.empty());
  for (const char* key : {"number", "attempt", "stream", "offset", "data"}) CHECK(chunks[0].find(key) != nullptr);
}

TEST_CASE("times that are over have exit codes and kinds of their own") {
  const Said timeout = fut({"run", "exec", "--timeout", "100ms", "--", "sleep", "60"});
  CHECK(timeout.code == 1);
  CHECK(has(timeout.err, "timeout: the attempt took longer than its timeout of 0.1 s"));
  const Said deadline = fut({"run", "sleep", "seconds=60", "--deadline", "100ms"});
  CHECK(deadline.code == 1);
  CHECK(has(deadline.err, "deadline: its deadline of 0.1 s passed"));
  const Said expired = fut({"run", "echo", "x", "--delay", "1h", "--expires", "100ms"});
  CHECK(expired.code == 3);
  CHECK(has(expired.err, "expired"));
  const std::string number = submitted({"sleep", "seconds=60", "--timeout", "50ms"});
  CHECK(fut({"wait", number}).code == 1);
  CHECK(text_of(*shown(number).find("error"), "kind") == "timeout");
}

TEST_CASE("what waits says so, and for what") {
  const std::string first = submitted({"echo", "world", "--delay", "1h"});
  const std::string second = submitted({"echo", "hello ", "--input-from", first});
  const std::string third = submitted({"echo", "x", "-a", first + "," + second + ":failure"});
  CHECK(text_of(shown(first), "reason") == "delayed");
  CHECK(shown(first).find("due")->text() != nullptr);
  CHECK(text_of(shown(second), "reason") == "blocked");
  CHECK(text_of(shown(second), "after") == "[" + first + "]");
  CHECK(has(fut({"explain", second}).out, "it waits for task " + first + " to end"));
  const auto why = fut({"explain", first, "-j"}).json_lines();
  REQUIRE(why.size() == 1);
  CHECK(text_of(why[0], "reason") == "delayed");
  CHECK(fut({"cancel", first}).code == 0);
  CHECK(fut({"wait", second}).code == 3);
  CHECK(text_of(*shown(second).find("error"), "kind") == "dependency");
  CHECK(has(fut({"result", second}).err, "task " + first + " was cancelled"));
  CHECK(fut({"result", third}).out == "x");
}

TEST_CASE("a task may wait for the last one, and take its result") {
  const std::string first = submitted({"echo", "world", "--delay", "200ms"});
  const std::string second = submitted({"echo", "hello ", "--input-from", "last"});
  CHECK(text_of(shown(second), "after") == "[" + first + "]");
  const std::string third = submitted({"echo", "x", "--after", first + ",last:any"});
  CHECK(text_of(shown(third), "after") == "[" + first + "," + second + "]");
  CHECK(fut({"result", second}).out == "hello world");
  CHECK(fut({"result", third}).out == "x");
  const TempDir nowhere;  // of somebody who has submitted nothing
  FutProcess other({"submit", "echo", "x", "--after", "last"}, {"FUTURED_CONNECT=" + Desk::shared().daemon().endpoint(),
                                                                "XDG_STATE_HOME=" + nowhere.path().string()});
  const Said none = other.finish();
  CHECK(none.code == 4);
  CHECK(has(none.err, "no task was submitted from here"));
}

TEST_CASE("a submit that is refused says so, and has a number all the same") {
  const Said said = fut({"submit", "echo", "x", "--pool", "nope"});
  CHECK(said.code == 65);
  CHECK(said.out.find_first_not_of("0123456789\n") == std::string::npos);
  CHECK(has(said.err, "(echo) failed: rejected: unknown pool 'nope'"));
  CHECK(fut({"submit", "echo", "x", "--after", "99999999"}).code == 65);
  const Said json = fut({"-j", "submit", "echo", "x", "--pool", "nope"});
  CHECK(json.code == 65);
  CHECK(text_of(json.json(), "state") == "failed");
}

TEST_CASE("the wait for a task that is cancelled names no reason where there is none") {
  const std::string number = submitted({"sleep", "seconds=600"});
  FutProcess wait({"wait", number}, Desk::shared().environment());
  FutProcess json({"-j", "wait", number}, Desk::shared().environment());
  while (text_of(fut({"status", "-j"}).json(), "clients") != "3") {
  }
  CHECK(fut({"cancel", number}).code == 0);
  CHECK(wait.finish().out == number + " sleep cancelled\n");
  CHECK(text_of(json.finish().json_lines().at(0), "error") == "null");
}

TEST_CASE("a key that is taken is the same task") {
  const auto one = fut({"submit", "-j", "echo", "x", "--key", "cli"}).json();
  CHECK(text_of(one, "existing") == "false");
  const Said two = fut({"submit", "-j", "echo", "y", "--key", "cli"});
  CHECK(text_of(two.json(), "existing") == "true");
  CHECK(text_of(two.json(), "input_differs") == "true");
  CHECK(text_of(two.json(), "number") == text_of(one, "number"));
  CHECK(text_of(two.json(), "key") == "cli");
  CHECK(fut({"run", "echo", "y", "--key", "cli"}).out == "x");
  CHECK(fut({"list", "-q", "key=cli"}).out == text_of(one, "number") + "\n");
}

TEST_CASE("limits, pauses and groups are set, listed and undone") {
  CHECK(fut({"limit", "set", "cli", "2", "--rate", "100/m"}).code == 0);
  const auto limits = fut({"limit", "list", "-j"}).json();
  REQUIRE(limits.items()->size() == 1);
  CHECK(text_of(limits.items()->at(0), "key") == "cli");
  CHECK(text_of(limits.items()->at(0), "running") == "2");
  CHECK(text_of(limits.items()->at(0), "rate") == "100/m");
  CHECK(fut({"limit", "remove", "cli"}).code == 0);
  CHECK(fut({"limit", "remove", "cli"}).code == 2);

  CHECK(fut({"pause", "task=primes"}).code == 0);
  const std::string paused = submitted({"primes", "below=10"});
  CHECK(text_of(shown(paused), "reason") == "paused");
  CHECK(fut({"wait", paused, "--timeout", "50ms"}).code == 124);
  CHECK(fut({"resume", "task=primes"}).code == 0);
  CHECK(fut({"wait", paused, "--timeout", "20s"}).code == 0);
  CHECK(fut({"pause", "nowhere"}).code == 2);

  const std::string good = submitted({"echo", "x", "-g", "cli"});
  const std::string bad = submitted({"exec", "-g", "cli", "--", "false"});
  CHECK(fut({"wait", "group=cli"}).code == 1);
  const auto groups = fut({"group", "list", "cli", "-j"}).json();
  CHECK(text_of(*groups.items()->at(0).find("tasks"), "failed") == "1");
  CHECK(text_of(groups.items()->at(0), "closed") == "false");
  const Said retried = fut({"retry", good, bad});
  CHECK(has(retried.err, "task " + good + " has succeeded"));
  CHECK(text_of(fut({"show", "last", "-j"}).json(), "retry_of") == bad);
  CHECK(fut({"wait", "last"}).code == 1);
  CHECK(fut({"group", "close", "cli"}).code == 0);
  CHECK(fut({"run", "echo", "x", "-g", "cli"}).code == 65);
  CHECK(fut({"group", "close", "no-such-group"}).code == 2);
  CHECK(fut({"forget", "group=cli", good}).out != "");
}

TEST_CASE("forgotten is 5 and unknown is 4, for the verbs about a task") {
  const std::string number = submitted({"echo", "x"});
  CHECK(fut({"wait", number}).code == 0);
  CHECK(fut({"forget", number}).out == "forgot 1 task\n");
  for (const char* verb : {"show", "result", "wait", "logs", "explain", "forget", "retry"}) {
    CAPTURE(verb);
    CHECK(fut({verb, number}).code == 5);
    CHECK(fut({verb, "999999999"}).code == 4);
  }
}

TEST_CASE("watch shows every retry and every end, also of what is short and not kept") {
  FutProcess watch({"watch", "label=seen=yes"}, Desk::shared().environment());
  // It changes again and again, so that it does not matter when the watching begins.
  const std::string restless =
      submitted({"exec", "--retries", "100000", "--backoff", "20ms..20ms", "-l", "seen=yes", "--", "false"});
  CHECK(watch.out_has("retrying: waiting (backoff"));
  const std::string failing = submitted({"exec", "--retries", "2", "-l", "seen=yes", "--", "sh", "-c", "exit 7"});
  CHECK(watch.out_has(" " + failing + " exec ended: failed: exit: command 'sh' ended with status 7\n"));
  for (const char* attempt : {"1", "2"}) {
    CAPTURE(attempt);
    CHECK(has(watch.so_far().out, "; attempt " + std::string(attempt) + " failed: command 'sh' ended with status 7"));
  }
  const std::string brief = submitted({"echo", "x", "--keep", "0", "-l", "seen=yes"});
  CHECK(watch.out_has(" " + brief + " echo ended: succeeded\n"));
  CHECK(fut({"cancel", restless}).code == 0);
  CHECK(watch.out_has(" " + restless + " exec ended: cancelled\n"));
}

TEST_CASE("watch tells what happens, through a pipe, until its reader has gone") {
  FutProcess watch({"watch", "-j", "label=cli=watched"}, Desk::shared().environment());
  // It changes again and again, so that it does not matter when the watching begins.
  const std::string number =
      submitted({"exec", "--retries", "100000", "--backoff", "20ms..20ms", "-l", "cli=watched", "--", "false"});
  CHECK(watch.out_has("\n"));
  CHECK(fut({"cancel", number}).code == 0);
  CHECK(watch.out_has("\"what\":\"ended\""));
  const std::string line = watch.so_far().out.substr(0, watch.so_far().out.find('\n'));
  const auto change = futured::schema::Json::parse(line);
  REQUIRE(change.ok());
  for (const char* key : {"sequence", "at", "what", "number", "state", "labels"}) CHECK(change->find(key) != nullptr);
  watch.signal(SIGINT);
  CHECK(watch.finish().code == 130);
}

TEST_CASE("a full daemon makes exit code 75, at once or after the patience") {
  Desk desk({"--processes", "1", "--max-queued-tasks", "3"});
  for (int i = 0; i < 3; ++i) CHECK(desk.fut({"submit", "sleep", "seconds=600"}).code == 0);
  for (const char* how : {"fail", "100ms"}) {
    CAPTURE(how);
    const Said said = desk.fut({"submit", "echo", "x", "--on-full", how});
    CHECK(said.code == 75);
    CHECK(has(said.err, "is full"));
  }
  CHECK(desk.fut({"cancel", "1", "--grace", "1s"}).code == 0);
  CHECK(desk.fut({"wait", "1"}).code == 3);
  CHECK(desk.fut({"run", "echo", "room"}).out == "room");
}

TEST_CASE("a worker that is killed or drained is replaced") {
  Desk desk({"--processes", "1"});
  const auto worker = [&] {
    for (;;) {
      const auto list = desk.fut({"worker", "list", "-j"}).json();
      for (const auto& w : *list.items()) {
        if (text_of(w, "state") == "ready") return text_of(w, "id");
      }
    }
  };
  const std::string first = worker();
  CHECK(desk.fut({"worker", "kill", first}).code == 0);
  CHECK(desk.fut({"run", "echo", "x"}).out == "x");
  const std::string second = worker();
  CHECK(second != first);
  CHECK(desk.fut({"worker", "drain", second}).code == 0);
  CHECK(desk.fut({"run", "echo", "x"}).out == "x");
  CHECK(desk.fut({"worker", "kill", "999"}).code == 2);
  CHECK(has(desk.fut({"worker", "kill", "first"}).err, "'first' is no worker"));
}

TEST_CASE("flags that cannot be are refused with what to write instead") {
  for (const auto& [words, part] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"--timeout", "0"}, "wants a time above 0"},
           {{"--delay", "1h", "--at", "17:30"}, "--delay and --at exclude each other"},
           {{"--after", "x"}, "'x' names no task"},
           {{"--after", "1:later"}, "success, failure or any"},
           {{"--input-from", "x"}, "the number or the full id of a task"},
           {{"--backoff", "5s..1s"}, "as in 1s..5m"},
           {{"--retries", "-1"}, "--retries"},
           {{"--crashes", "often"}, "never"},
           {{"--on-full", "sometimes"}, "block, fail"},
           {{"--key", ""}, "wants a name"}}) {
    std::vector<std::string> all{"submit", "echo", "x"};
    all.insert(all.end(), words.begin(), words.end());
    const Said said = fut(all);
    CAPTURE(said.err);
    CHECK(said.code == 2);
    CHECK(has(said.err, part));
  }
  for (const char* verb : {"submit", "explain", "retry", "forget", "logs", "watch", "top", "pause", "resume"}) {
    CAPTURE(verb);
    const Said help = fut({verb, "--help"});
    CHECK(help.code == 0);
    CHECK(has(help.out, "fut " + std::string(verb)));
  }
}
