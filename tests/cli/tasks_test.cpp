#include <doctest/doctest.h>

#include "tests/cli/fut.hpp"

using namespace futured::test;

static std::string submitted(const std::vector<std::string>& words) {
  std::vector<std::string> all{"submit"};
  all.insert(all.end(), words.begin(), words.end());
  const Said said = Desk::shared().fut(all);
  REQUIRE_MESSAGE(said.code == 0, said.err);
  REQUIRE(said.out.ends_with("\n"));
  return said.out.substr(0, said.out.size() - 1);
}

TEST_CASE("submit prints a number, and the result waits there") {
  const std::string number = submitted({"echo", "kept"});
  CHECK(Desk::shared().fut({"result", number}).out == "kept");
  CHECK(Desk::shared().fut({"result", number}).out == "kept");
  CHECK(Desk::shared().fut({"result", "last"}).out == "kept");
}

TEST_CASE("submit -j prints the record, and its id names the task too") {
  const auto task = Desk::shared().fut({"submit", "-j", "echo", "x"}).json();
  const std::string id = text_of(task, "id");
  REQUIRE(id.size() == 32);
  CHECK(Desk::shared().fut({"result", id}).out == "x");
  CHECK(text_of(Desk::shared().fut({"result", id, "-j"}).json(), "number") == text_of(task, "number"));
}

TEST_CASE("submit --wait is run") {
  CHECK(Desk::shared().fut({"submit", "--wait", "primes", "below=100"}).out == "{\"count\":25}\n");
}

TEST_CASE("one field of a result is printed raw") {
  const std::string number = submitted({"exec", "--", "printf", "a\\000b"});
  CHECK(Desk::shared().fut({"result", number, "--field", "stdout"}).out == std::string("a\0b", 3));
  CHECK(Desk::shared().fut({"result", number, "--field", "status"}).out == "0");
  const Said wrong = Desk::shared().fut({"result", number, "--field", "nothing"});
  CHECK(wrong.code == 2);
  CHECK(has(wrong.err, "stdout"));
}

TEST_CASE("a task that never was makes exit code 4") {
  for (const char* verb : {"show", "result", "wait", "cancel", "list"}) {
    CAPTURE(verb);
    const Said said = Desk::shared().fut({verb, "999999999"});
    CHECK(said.code == 4);
    CHECK(has(said.err, "999999999"));
  }
}

TEST_CASE("a task that is forgotten makes exit code 5") {
  const std::string number = submitted({"echo", "x", "--keep", "1ms"});
  Desk::shared().fut({"wait", number, "--timeout", "10s"});
  Said said;
  for (int i = 0; i < 1000; ++i) {  // forgetting is swept now and then
    said = Desk::shared().fut({"result", number});
    if (said.code == 5) break;
  }
  CHECK(said.code == 5);
  CHECK(has(said.err, "forgotten"));
}

TEST_CASE("wait tells in its exit code how tasks ended") {
  const std::string good = submitted({"echo", "x"});
  const std::string bad = submitted({"exec", "--", "false"});
  const std::string stopped = submitted({"sleep", "seconds=600"});
  CHECK(Desk::shared().fut({"cancel", stopped}).code == 0);
  CHECK(Desk::shared().fut({"wait", good}).code == 0);
  CHECK(Desk::shared().fut({"wait", bad}).code == 1);
  CHECK(Desk::shared().fut({"wait", stopped}).code == 3);
  CHECK(Desk::shared().fut({"wait", good, stopped}).code == 3);
  const Said all = Desk::shared().fut({"wait", "-j", good, bad, stopped});
  CHECK(all.code == 1);
  CHECK(all.json_lines().size() == 3);
  CHECK(Desk::shared().fut({"result", bad}).code == 1);
  CHECK(Desk::shared().fut({"result", stopped}).code == 3);
}

TEST_CASE("wait gives up after its time, exit code 124") {
  const std::string number = submitted({"sleep", "seconds=600"});
  CHECK(Desk::shared().fut({"wait", number, "--timeout", "50ms"}).code == 124);
  CHECK(Desk::shared().fut({"cancel", number, "--grace", "1s"}).code == 0);
}

TEST_CASE("wait --any is content with the first") {
  const std::string slow = submitted({"sleep", "seconds=600"});
  const std::string quick = submitted({"sleep", "seconds=0"});
  const Said said = Desk::shared().fut({"wait", "--any", "-j", slow, quick});
  CHECK(said.code == 0);
  REQUIRE(said.json_lines().size() == 1);
  CHECK(text_of(said.json_lines()[0], "number") == quick);
  CHECK(Desk::shared().fut({"cancel", slow}).code == 0);
}

TEST_CASE("cancel reaches running tasks, and says how many") {
  const std::string number = submitted({"sleep", "seconds=600", "-g", "to-be-cancelled"});
  const auto said = Desk::shared().fut({"cancel", "group=to-be-cancelled", "-j"}).json();
  CHECK(text_of(said, "cancelled") + text_of(said, "asked_to_stop") != "00");
  CHECK(Desk::shared().fut({"wait", number, "--timeout", "30s"}).code == 3);
  const Said again = Desk::shared().fut({"cancel", number});
  CHECK(again.code == 0);
  CHECK(has(again.err, "had ended: cancelled"));
}

TEST_CASE("cancel tells what is cancelled from what was only asked to stop") {
  Desk desk({"--processes", "1", "--async-slots", "1"});
  // Deaf to the polite request, so that it still runs when fut answers.
  const std::string deaf = "trap '' TERM; while :; do sleep 0.1; done";
  CHECK(desk.fut({"submit", "exec", "--", "sh", "-c", deaf}).out == "1\n");
  while (!has(desk.fut({"list", "1"}).out, "running")) {
  }
  CHECK(desk.fut({"submit", "sleep", "seconds=600"}).out == "2\n");
  CHECK(desk.fut({"cancel", "all", "--grace", "2s"}).out == "cancelled 1 task; asked 1 running task to stop\n");
  CHECK(desk.fut({"cancel", "1", "--grace", "1s"}).out == "asked 1 running task to stop\n");
  CHECK(desk.fut({"wait", "1", "2", "--timeout", "30s"}).code == 3);
}

TEST_CASE("the record of a task says nothing that is not known") {
  const std::string slow = submitted({"exec", "--keep", "1m", "--", "sh", "-c", "sleep 0.5; echo hi"});
  const auto running = Desk::shared().fut({"list", "-j", slow}).json();
  REQUIRE(running.items()->at(0).find("result") != nullptr);
  CHECK(running.items()->at(0).find("result")->is_null());
  const auto waited = Desk::shared().fut({"wait", "-j", slow}).json_lines();
  REQUIRE(waited.at(0).find("result") != nullptr);
  CHECK(text_of(*waited.at(0).find("result"), "stdout") == "hi\n");
  // It has ended: its result is not asked for again.
  CHECK(Desk::shared().fut({"wait", "-j", slow}).json_lines().at(0).find("result")->is_null());
  CHECK(Desk::shared().fut({"list", "-j", slow}).json().items()->at(0).find("result")->is_null());
  const auto shown = Desk::shared().fut({"show", "-j", slow}).json();
  REQUIRE(shown.find("result") != nullptr);
  CHECK(text_of(*shown.find("result"), "stdout") == "hi\n");
}

TEST_CASE("list selects by number, range, state, label, group and task") {
  const std::string a = submitted({"echo", "x", "-l", "list=one", "-g", "list-group"});
  const std::string b = submitted({"primes", "below=10", "-l", "list=one"});
  Desk::shared().fut({"wait", a, b});
  const auto numbers = [](const std::vector<std::string>& words) {
    std::vector<std::string> all{"list", "-q"};
    all.insert(all.end(), words.begin(), words.end());
    return Desk::shared().fut(all).out;
  };
  CHECK(numbers({"label=list=one"}) == b + "\n" + a + "\n");
  CHECK(numbers({"label=list=one", "task=echo"}) == a + "\n");
  CHECK(numbers({"label=list=one", "task=echo", "task=primes"}) == b + "\n" + a + "\n");
  CHECK(numbers({"group=list-group"}) == a + "\n");
  CHECK(numbers({a + "-" + b}) == b + "\n" + a + "\n");
  CHECK(numbers({"label=list=one", "state=failed"}).empty());
  CHECK(numbers({"label=list=one", "-n", "1"}) == b + "\n");
  const auto json = Desk::shared().fut({"list", "-j", "label=list=one"}).json();
  REQUIRE(json.items() != nullptr);
  REQUIRE(json.items()->size() == 2);
  CHECK(text_of(json.items()->front(), "state") == "succeeded");
  CHECK(Desk::shared().fut({"list", "-j", "group=nothing"}).json().items()->empty());
  const Said table = Desk::shared().fut({"list", a});
  CHECK(has(table.out, "NUMBER"));
  CHECK(has(table.out, "list=one"));
}

TEST_CASE("show prints everything of a task with its attempts") {
  const std::string number = submitted({"exec", "--", "sh", "-c", "exit 4"});
  Desk::shared().fut({"wait", number});
  const auto task = Desk::shared().fut({"show", number, "-j"}).json();
  CHECK(text_of(task, "state") == "failed");
  REQUIRE(task.find("attempts")->items() != nullptr);
  REQUIRE(task.find("attempts")->items()->size() == 1);
  const auto& attempt = task.find("attempts")->items()->front();
  CHECK(text_of(attempt, "attempt") == "1");
  CHECK(text_of(attempt, "outcome") == "failed");
  for (const char* key : {"worker", "pid", "started", "ended", "message"}) CHECK(attempt.find(key) != nullptr);
  CHECK(has(Desk::shared().fut({"show", number}).out, "ATTEMPT"));
  const std::string good = submitted({"primes", "below=100"});
  Desk::shared().fut({"wait", good});
  CHECK(text_of(*Desk::shared().fut({"show", good, "-j"}).json().find("result"), "count") == "25");
}

TEST_CASE("a task that ran often enough fails with all its attempts") {
  const std::string number = submitted({"exec", "--retries", "2", "--", "false"});
  CHECK(Desk::shared().fut({"wait", number}).code == 1);
  CHECK(Desk::shared().fut({"show", number, "-j"}).json().find("attempts")->items()->size() == 3);
}

TEST_CASE("Ctrl-C on run cancels the task, exit code 130; detached it goes on") {
  FutProcess run({"run", "sleep", "seconds=600", "-g", "run-cancelled"}, Desk::shared().environment());
  while (Desk::shared().fut({"list", "-q", "group=run-cancelled", "state=running"}).out.empty()) {
  }
  run.signal(SIGINT);
  CHECK(run.finish().code == 130);
  CHECK(Desk::shared().fut({"wait", "group=run-cancelled", "--timeout", "30s"}).code == 3);

  FutProcess detached({"run", "--detach", "sleep", "seconds=600", "-g", "run-detached"}, Desk::shared().environment());
  while (Desk::shared().fut({"list", "-q", "group=run-detached", "state=running"}).out.empty()) {
  }
  detached.signal(SIGINT);
  const Said said = detached.finish();
  CHECK(said.code == 130);
  CHECK(has(said.err, "goes on"));
  CHECK(!Desk::shared().fut({"list", "-q", "group=run-detached", "state=running"}).out.empty());
  CHECK(Desk::shared().fut({"cancel", "group=run-detached"}).code == 0);
}
