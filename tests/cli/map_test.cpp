#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <set>

#include "tests/cli/fut.hpp"

using namespace futured::test;

TEST_CASE("map runs one task a line and prints a line of JSON each, with its index") {
  const Said said = Desk::shared().fut({"map", "primes", "below={}"}, "10\n100\n1000\n");
  CHECK(said.code == 0);
  const auto lines = said.json_lines();
  REQUIRE(lines.size() == 3);
  std::set<std::string> seen;
  for (const auto& line : lines) {
    seen.insert(text_of(line, "index") + ":" + text_of(*line.find("result"), "count"));
    CHECK(text_of(line, "state") == "succeeded");
    CHECK(text_of(line, "task") == "primes");
    CHECK(text_of(line, "number") != "null");
    CHECK(text_of(line, "id").size() == 32);
    CHECK(line.find("error")->is_null());
    for (const char* unknown : {"pool", "attempt_count", "submitted", "started", "ended", "input_bytes"}) {
      CAPTURE(unknown);
      REQUIRE(line.find(unknown) != nullptr);
      CHECK(line.find(unknown)->is_null());
    }
  }
  CHECK(seen == std::set<std::string>{"0:4", "1:25", "2:168"});
  CHECK(has(said.err, "3 tasks in"));
  CHECK(has(said.err, "3 succeeded"));
}

TEST_CASE("map prints results as they complete, or in the order of the lines") {
  const Said unordered = Desk::shared().fut({"map", "sleep", "seconds={}"}, "1\n0\n");
  CHECK(text_of(unordered.json_lines().at(0), "index") == "1");
  const Said ordered = Desk::shared().fut({"map", "--ordered", "sleep", "seconds={}"}, "0.3\n0\n");
  CHECK(text_of(ordered.json_lines().at(0), "index") == "0");
}

TEST_CASE("without braces the line is the input, and bare results are one a line") {
  const Said said = Desk::shared().fut({"map", "-r", "-q", "--ordered", "echo"}, "a b\n\n{}\nlast");
  CHECK(said.out == "a b\n\n{}\nlast\n");
  CHECK(said.err.empty());
  CHECK(Desk::shared().fut({"map", "-r", "-q", "echo", "<{}{{}}>"}, "x\n").out == "<x{}>\n");
}

TEST_CASE("lines may be JSON, or end with a zero byte") {
  CHECK(Desk::shared().fut({"map", "--jsonl", "-rq", "primes"}, "{\"below\":10}\n").out == "{\"count\":4}\n");
  CHECK(Desk::shared().fut({"map", "-0rq", "--ordered", "echo"}, std::string_view("a\nb\0c", 5)).out == "a\nb\nc\n");
}

TEST_CASE("map refuses an input without a place for the line, exit code 65") {
  CHECK(Desk::shared().fut({"map", "primes", "below=10"}, "x\n").code == 65);
  CHECK(has(Desk::shared().fut({"map", "primes", "blow={}"}, "1\n").err, "did you mean 'below'?"));
}

TEST_CASE("a line that cannot be an input is one that failed, and the others go on") {
  const Said said = Desk::shared().fut({"map", "--ordered", "primes", "below={}"}, "10\nten\n100\n");
  CHECK(said.code == 1);
  const auto lines = said.json_lines();
  REQUIRE(lines.size() == 3);
  CHECK(text_of(lines[1], "state") == "failed");
  CHECK(text_of(*lines[1].find("error"), "kind") == "rejected");
  CHECK(has(text_of(*lines[1].find("error"), "message"), "'below'"));
  CHECK(text_of(lines[2], "state") == "succeeded");
}

TEST_CASE("many lines arrive each once, in order where asked") {
  std::string input;
  for (int i = 0; i < 20'000; ++i) input += std::to_string(i) + "\n";
  const Said ordered = Desk::shared().fut({"map", "-r", "--ordered", "echo"}, input);
  CHECK(ordered.code == 0);
  CHECK(ordered.out == input);
  const Said narrow =
      Desk::shared().fut({"map", "-P", "3", "--window", "5", "-rq", "--ordered", "echo"}, input.substr(0, 3890));
  CHECK(narrow.out == input.substr(0, 3890));
}

TEST_CASE("results come before the input has ended") {
  FutProcess fut({"map", "-rq", "echo"}, Desk::shared().environment());
  REQUIRE(fut.write("first\n"));
  CHECK(fut.out_has("first\n"));
  REQUIRE(fut.write("second\n"));
  CHECK(fut.out_has("second\n"));
  CHECK(fut.finish().code == 0);
}

TEST_CASE("map of a command runs it for each line, in the client's folder") {
  const Said said =
      Desk::shared().fut({"map", "-rq", "--ordered", "--", "sh", "-c", "echo \"$0:{}\"; pwd", "a{}"}, "1\n2\n");
  const std::string here = std::filesystem::current_path().string();
  CHECK(said.out == "a1:1\n" + here + "\na2:2\n" + here + "\n");
  const Said json = Desk::shared().fut({"map", "--", "sh", "-c", "echo {}; exit {}"}, "0\n3\n");
  CHECK(json.code == 1);
  CHECK(json.json_lines().size() == 2);
  for (const auto& line : json.json_lines()) {
    const std::string status = text_of(*line.find("result"), "status");
    CHECK(text_of(line, "index") == (status == "0" ? "0" : "1"));
    CHECK(text_of(*line.find("result"), "stdout") == status + "\n");
  }
}

TEST_CASE("braces in the environment are nobody's place") {
  auto environment = Desk::shared().environment();
  environment.push_back("FUT_TEST_BRACES=a{}b");
  FutProcess fut({"map", "-rq", "--", "sh", "-c", "echo $FUT_TEST_BRACES {}"}, environment);
  CHECK(fut.finish("x\n").out == "a{}b x\n");
}

TEST_CASE("after so many failures what has not started is cancelled") {
  std::string input;
  for (int i = 0; i < 2000; ++i) input += "1\n";
  const Said said = Desk::shared().fut({"map", "--max-fails", "2", "-P", "4", "--", "sh", "-c", "exit {}"}, input);
  CHECK(said.code == 1);
  CHECK(said.json_lines().size() >= 2);
  CHECK(said.json_lines().size() < 50);
  CHECK(has(said.err, "tasks have failed"));
  CHECK(has(Desk::shared().fut({"map", "--max-fails", "1", "-P", "1", "--", "sh", "-c", "exit {}"}, "1\n2\n3\n").err,
            "fut: 1 task has failed"));
}

TEST_CASE("Ctrl-C stops a map soon, exit code 130, and nothing of it is left running") {
  FutProcess fut({"map", "-g", "interrupted", "sleep", "seconds={}"}, Desk::shared().environment());
  std::string input = "0\n";
  for (int i = 0; i < 50; ++i) input += "600\n";
  REQUIRE(fut.write(input));
  REQUIRE(fut.out_has("\"index\":0"));
  fut.signal(SIGINT);
  CHECK(fut.finish().code == 130);
  CHECK(Desk::shared().fut({"wait", "group=interrupted", "--timeout", "30s"}).code == 3);
}

TEST_CASE("a reader that goes away ends a map quietly, as it ends other filters") {
  FutProcess fut({"map", "-r", "echo"}, Desk::shared().environment());
  REQUIRE(fut.write("x\n"));
  REQUIRE(fut.out_has("x\n"));
  fut.close_out();
  REQUIRE(fut.write("y\n"));
  const Said said = fut.finish();
  CHECK(said.code == 128 + SIGPIPE);
  CHECK(said.err.empty());
}

TEST_CASE("no lines are no tasks") {
  const Said said = Desk::shared().fut({"map", "echo"}, "");
  CHECK(said.code == 0);
  CHECK(said.out.empty());
}

TEST_CASE("the progress line is on a terminal, but not on the one where the lines are typed") {
  if (::access("/dev/pts/ptmx", F_OK) != 0) {
    std::puts("skipped: the progress line on a terminal: there are no pseudo terminals (/dev/pts is not mounted)");
    return;
  }
  const auto seen = [](const std::string& before, const std::string& typed) {
    const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    REQUIRE(terminal >= 0);
    REQUIRE(::grantpt(terminal) == 0);
    REQUIRE(::unlockpt(terminal) == 0);
    const std::string name = ::ptsname(terminal);
    const int held = ::open(name.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);  // or what was written goes with fut
    std::string script = before + bin("fut") + " map sleep seconds={} 2>" + name;
    if (!typed.empty()) {
      script += " <" + name;
      REQUIRE(::write(terminal, typed.data(), typed.size()) == static_cast<ssize_t>(typed.size()));
    }
    FutProcess fut({"exec", "sh", "-c", script}, Desk::shared().environment());
    CHECK(fut.finish().code == 0);
    std::array<char, 4096> text{};
    const ssize_t n = ::read(terminal, text.data(), text.size());
    ::close(held);
    ::close(terminal);
    return n > 0 ? std::string(text.data(), static_cast<std::size_t>(n)) : std::string();
  };
  const std::string piped = seen("echo 0.5 | ", "");
  CHECK(has(piped, "in flight"));
  CHECK(has(piped, "1 task in"));
  const std::string typed = seen("", "0.5\n\x04");
  CHECK(!has(typed, "in flight"));
  CHECK(has(typed, "1 task in"));
}
