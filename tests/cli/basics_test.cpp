#include <doctest/doctest.h>

#include <cstdio>
#include <fstream>

#include "tests/cli/fut.hpp"

using namespace futured::test;

TEST_CASE("without a daemon fut says how to start one, exit code 69") {
  const TempDir nowhere;
  FutProcess fut({"ping"}, {"FUTURED_CONNECT=ipc://" + (nowhere.path() / "no.sock").string()});
  const Said said = fut.finish();
  CHECK(said.code == 69);
  CHECK(said.out.empty());
  CHECK(has(said.err, "no daemon"));
  CHECK(has(said.err, "futured"));
}

TEST_CASE("a closed standard output is an error, exit code 74, and its number goes to nothing else") {
  Desk& desk = Desk::shared();
  const auto closed = [&](const std::string& redirection, const std::string& words) {
    const std::string script = bin("fut") + " " + words + " " + redirection;
    FutProcess fut({"exec", "sh", "-c", script}, desk.environment());
    return fut.finish();
  };
  const Said out = closed(">&-", "run echo 12345678");
  CHECK(out.code == 74);
  CHECK(has(out.err, "cannot write standard output"));
  CHECK(closed(">&-", "list").code == 74);
  CHECK(closed("2>&-", "run echo hello").out == "hello");
  CHECK(closed("<&- 2>&-", "run echo hello").out == "hello");
  CHECK(closed("<&- >&- 2>&-", "run echo hello").code == 74);
  CHECK(closed("<&-", "run echo -").code == 65);
  CHECK(closed("<&-", "map echo").code == 74);
}

TEST_CASE("a command that waits says when the connection is lost and when it is back, unless it is to be quiet") {
  Desk desk({"--processes", "1"});
  FutProcess waits({"run", "sleep", "seconds=600"}, desk.environment());
  FutProcess quiet({"-q", "run", "sleep", "seconds=600"}, desk.environment());
  while (desk.fut({"list", "-q", "state=running"}).out.size() < 4) REQUIRE(waits.so_far().err.empty());
  desk.daemon().kill();
  CHECK(waits.err_has("fut: the connection to " + desk.daemon().endpoint() + " was lost; connecting again\n"));
  desk.daemon().start();
  CHECK(waits.err_has("fut: connected to " + desk.daemon().endpoint() + " again\n"));
  const Said said = waits.finish();
  CHECK(said.code == 1);
  CHECK(has(said.err, "lost"));
  CHECK(!has(quiet.finish().err, "connect"));
}

TEST_CASE("wrong words are a usage error that names the nearest, exit code 2") {
  CHECK(Desk::shared().fut({"sumbit", "echo"}).code == 2);
  CHECK(has(Desk::shared().fut({"sumbit", "echo"}).err, "did you mean 'submit'?"));
  CHECK(Desk::shared().fut({"list", "stat=failed"}).code == 2);
  CHECK(Desk::shared().fut({}).code == 2);
  CHECK(Desk::shared().fut({"--help"}).code == 0);
  CHECK(has(Desk::shared().fut({"map", "--help"}).out, "example:"));
}

TEST_CASE("help and help COMMAND are --help; the exit codes are listed") {
  const auto same = [](const std::vector<std::string>& words, const std::vector<std::string>& as) {
    const Said said = Desk::shared().fut(words);
    CHECK(said.code == 0);
    CHECK(said.out == Desk::shared().fut(as).out);
    CHECK(!said.out.empty());
  };
  same({"help"}, {"--help"});
  same({"help", "map"}, {"map", "--help"});
  same({"help", "worker", "list"}, {"worker", "list", "--help"});
  CHECK(Desk::shared().fut({"help", "sumbit"}).code == 2);
  const std::string help = Desk::shared().fut({"help"}).out;
  for (const char* code : {"65   the input was refused", "74   standard input", "124  waited too long"}) {
    CAPTURE(code);
    CHECK(has(help, code));
  }
}

TEST_CASE("an input above the daemon's limit is refused by every command, exit code 65") {
  Desk desk({"--processes", "1", "--payload-limit", "1000"});
  const std::string large(2000, 'x');
  for (const char* verb : {"run", "submit"}) {
    CAPTURE(verb);
    const Said said = desk.fut({verb, "echo", "-"}, large);
    CHECK(said.code == 65);
    CHECK(has(said.err, "input of 2000 bytes; the daemon's limit is 1000"));
  }
  CHECK(desk.fut({"exec", "echo", large}).code == 65);
}

TEST_CASE("what a failed task had written is printed all the same") {
  const Said said = Desk::shared().fut({"run", "exec", "--", "sh", "-c", "echo hi; exit 4"});
  CHECK(said.code == 1);
  CHECK(has(said.out, R"("stdout":"hi\n")"));
  CHECK(has(said.err, "exit"));
  const Said again = Desk::shared().fut({"submit", "exec", "--keep", "1m", "--", "sh", "-c", "echo hi; exit 4"});
  const std::string number = again.out.substr(0, again.out.size() - 1);
  CHECK(has(Desk::shared().fut({"result", number}).out, R"("stdout":"hi\n")"));
  CHECK(has(Desk::shared().fut({"show", "-j", number}).out, R"("stdout":"hi\n")"));
}

TEST_CASE("ping answers") {
  CHECK(Desk::shared().fut({"ping"}).code == 0);
  const auto json = Desk::shared().fut({"ping", "-j"}).json();
  CHECK(json.find("round_trip")->real() != nullptr);
}

TEST_CASE("run prints the exact bytes of a result without schema") {
  const Said said = Desk::shared().fut({"run", "echo", "hello"});
  CHECK(said.code == 0);
  CHECK(said.out == "hello");
  CHECK(said.err.empty());
  const std::string raw("\x00\xff\n\x01", 4);
  CHECK(Desk::shared().fut({"run", "echo", "-"}, raw).out == raw);
}

TEST_CASE("run prints a message as JSON") {
  CHECK(Desk::shared().fut({"run", "primes", "below=100"}).out == "{\"count\":25}\n");
  CHECK(Desk::shared().fut({"run", "primes", "--input-json", "{\"below\":10}"}).out == "{\"count\":4}\n");
  CHECK(Desk::shared().fut({"run", "primes", "-"}, "{\"below\":\"11\"}").out == "{\"count\":4}\n");
}

TEST_CASE("run -j prints the record with the result") {
  const auto task = Desk::shared().fut({"run", "primes", "below=100", "-j", "-l", "a=b", "-p", "3"}).json();
  CHECK(text_of(task, "state") == "succeeded");
  CHECK(text_of(*task.find("result"), "count") == "25");
  CHECK(text_of(*task.find("labels"), "a") == "b");
  CHECK(text_of(task, "priority") == "3");
  CHECK(text_of(task, "id").size() == 32);
  CHECK(task.find("error")->is_null());
  CHECK(has(text_of(task, "ended"), "Z"));
  for (const char* key :
       {"number", "task", "reason", "pool", "group", "attempts", "submitted", "started", "retry_of", "existing"}) {
    CAPTURE(key);
    CHECK(task.find(key) != nullptr);
  }
}

TEST_CASE("bytes that are not text are base64 in JSON") {
  const auto task = Desk::shared().fut({"run", "echo", "-", "-j"}, std::string("\x00\xff", 2)).json();
  CHECK(task.find("result")->dump() == R"({"bytes":"AP8="})");
}

TEST_CASE("an unknown task is refused with the nearest, exit code 65") {
  const Said said = Desk::shared().fut({"run", "ecoh", "x"});
  CHECK(said.code == 65);
  CHECK(has(said.err, "did you mean 'echo'?"));
  CHECK(Desk::shared().fut({"submit", "ecoh", "x"}).code == 65);
}

TEST_CASE("a wrong input is refused before it is queued, exit code 65") {
  const auto before = text_of(Desk::shared().fut({"status", "-j"}).json(), "submitted_total");
  Said said = Desk::shared().fut({"run", "primes", "blow=100"});
  CHECK(said.code == 65);
  CHECK(has(said.err, "did you mean 'below'?"));
  said = Desk::shared().fut({"submit", "primes", "below=many"});
  CHECK(said.code == 65);
  CHECK(has(said.err, "'below' wants a whole number"));
  said = Desk::shared().fut({"submit", "primes"});
  CHECK(said.code == 65);
  CHECK(has(said.err, "required field below"));
  CHECK(text_of(Desk::shared().fut({"status", "-j"}).json(), "submitted_total") == before);
}

TEST_CASE("a task that fails makes exit code 1 and a reason") {
  const Said said = Desk::shared().fut({"run", "fetch", "url=http://127.0.0.1:1/"});
  CHECK(said.code == 1);
  CHECK(said.out.empty());
  CHECK(has(said.err, "failed"));
  const auto task = Desk::shared().fut({"run", "-j", "fetch", "url=http://127.0.0.1:1/"}).json();
  CHECK(text_of(task, "state") == "failed");
  CHECK(text_of(*task.find("error"), "kind") == "error");
}

TEST_CASE("a full daemon or a wrong version of the world aside, status and catalog are JSON as promised") {
  const auto status = Desk::shared().fut({"status", "-j"}).json();
  for (const char* key : {"version", "pid", "uptime", "epoch", "store", "tasks", "workers", "pools", "submitted_total",
                          "completed_total"}) {
    CAPTURE(key);
    CHECK(status.find(key) != nullptr);
  }
  CHECK(text_of(status, "pid") == std::to_string(Desk::shared().daemon().pid()));
  const auto catalog = Desk::shared().fut({"catalog", "-j"}).json();
  REQUIRE(catalog.items() != nullptr);
  bool primes = false;
  for (const auto& type : *catalog.items()) {
    if (text_of(type, "name") != "primes") continue;
    primes = true;
    CHECK(text_of(type, "lane") == "thread");
    const auto& fields = *type.find("fields")->items();
    REQUIRE(fields.size() == 1);
    CHECK(text_of(fields[0], "name") == "below");
    CHECK(text_of(fields[0], "required") == "true");
  }
  CHECK(primes);
  CHECK(has(Desk::shared().fut({"catalog", "fetch"}).out, "url"));
  CHECK(Desk::shared().fut({"catalog", "fecth"}).code == 65);
  CHECK(has(Desk::shared().fut({"catalog", "-q"}).out, "echo\n"));
}

TEST_CASE("people see the status, pools, workers and catalog as text") {
  CHECK(has(Desk::shared().fut({"status"}).out, "futured"));
  CHECK(has(Desk::shared().fut({"pool", "list"}).out, "default"));
  CHECK(has(Desk::shared().fut({"worker", "list"}).out, "WORKER"));
  CHECK(has(Desk::shared().fut({"catalog"}).out, "primes"));
}

TEST_CASE("workers and pools are JSON arrays with the keys of the contract") {
  Desk::shared().fut({"run", "echo", "x"});  // a worker is there
  const auto workers = Desk::shared().fut({"worker", "list", "-j"}).json();
  REQUIRE(workers.items() != nullptr);
  REQUIRE(!workers.items()->empty());
  for (const char* key : {"id", "pid", "host", "pool", "state", "running", "slots"}) {
    CAPTURE(key);
    CHECK(workers.items()->front().find(key) != nullptr);
  }
  CHECK(text_of(Desk::shared().fut({"pool", "list", "-j"}).json().items()->front(), "name") == "default");
}

TEST_CASE("scale changes the number of processes, and wants the pool where there are several") {
  Desk desk({"--processes", "1"});
  CHECK(desk.fut({"scale", "2"}).code == 0);
  CHECK(text_of(desk.fut({"pool", "list", "-j"}).json().items()->front(), "processes") == "2");
  CHECK(desk.fut({"scale", "defualt=1"}).code == 2);
  CHECK(has(desk.fut({"scale", "defualt=1"}).err, "did you mean 'default'?"));
  CHECK(desk.fut({"scale", "many"}).code == 2);
}

TEST_CASE("completions are valid for their shells") {
  const TempDir folder;
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    const Said said = Desk::shared().fut({"completions", shell});
    CHECK(said.code == 0);
    CHECK(has(said.out, "fut"));
    CHECK(has(said.out, "submit"));
    if (std::system(("command -v " + shell + " >/dev/null 2>&1").c_str()) != 0) {
      std::printf("skipped: completions for %s, which is not installed\n", shell.c_str());
      continue;
    }
    const auto file = folder.path() / shell;
    std::ofstream(file) << said.out;
    CHECK(std::system((shell + " -n " + file.string()).c_str()) == 0);
  }
  CHECK(Desk::shared().fut({"completions", "tcsh"}).code == 2);
}

TEST_CASE("bash completes verbs, options and task names") {
  const TempDir folder;
  const auto file = folder.path() / "completions";
  std::ofstream(file) << Desk::shared().fut({"completions", "bash"}).out;
  const auto complete = [&](const std::string& words, int at) {
    const auto result = folder.path() / "result";
    std::string environment;
    for (const auto& variable : Desk::shared().environment()) environment += variable + " ";
    const std::string command = "PATH=" + from_environment("FUTURED_BIN_DIR") + ":$PATH " + environment +
                                "bash -c 'source " + file.string() + "; COMP_WORDS=(" + words +
                                "); COMP_CWORD=" + std::to_string(at) +
                                "; _fut 2>/dev/null; echo \"${COMPREPLY[@]}\"' > " + result.string();
    CHECK(std::system(command.c_str()) == 0);
    std::ifstream in(result);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  CHECK(has(complete("fut su", 1), "submit"));
  CHECK(has(complete("fut run pri", 2), "primes"));
  CHECK(has(complete("fut run echo --pri", 3), "--priority"));
  CHECK(has(complete("fut worker l", 2), "list"));
}

TEST_CASE("embedded runs without any daemon") {
  const TempDir nowhere;
  const std::vector<std::string> alone{"FUTURED_CONNECT=", "XDG_RUNTIME_DIR=" + nowhere.path().string(),
                                       "HOME=" + nowhere.path().string()};
  FutProcess run({"run", "--embedded", "--plugin-dir", plugin_dir(), "echo", "x"}, alone);
  const Said said = run.finish();
  CHECK(said.code == 0);
  CHECK(said.out == "x");
  CHECK(!has(said.err, "fut:"));
  FutProcess map({"map", "--embedded", "-q", "--plugin-dir", plugin_dir(), "--ordered", "-r", "echo", "{}"}, alone);
  CHECK(map.finish("1\n2\n3\n").out == "1\n2\n3\n");
  FutProcess exec({"exec", "--embedded", "--plugin-dir", plugin_dir(), "sh", "-c", "exit 3"}, alone);
  CHECK(exec.finish().code == 3);
}
