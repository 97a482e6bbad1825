#include "client/cli/output.hpp"

#include <doctest/doctest.h>

#include "client/cli/progress.hpp"
#include "client/cli/records.hpp"
#include "client/cli/terminal.hpp"

using namespace futured;
using namespace futured::cli;
using namespace std::chrono_literals;

TEST_CASE("a table lines its columns up, numbers to the right") {
  Table table({{"NAME", false, false}, {"N", true, false}});
  table.row({"a", "1"});
  table.row({"long", "100"});
  CHECK(table.text(0) == "NAME    N\na       1\nlong  100\n");
}

TEST_CASE("a table that is too wide cuts the columns that may be cut") {
  Table table({{"ID", true, false}, {"TEXT", false, true}, {"MORE", false, true}});
  table.row({"1", "a text of some length", "short"});
  const std::string text = table.text(20);
  CHECK(text == "ID  TEXT       MORE\n 1  a text o\xe2\x80\xa6  short\n");
  for (std::size_t width = 1; width < 30; ++width) CHECK(!table.text(width).empty());
}

TEST_CASE("letters of several bytes and wide ones are counted in columns") {
  CHECK(text_width("gr\xc3\xbc\xc3\x9f") == 4);
  CHECK(text_width("\xe6\xbc\xa2\xe5\xad\x97") == 4);
  CHECK(text_width("e\xcc\x81") == 1);
  CHECK(cut("\xe6\xbc\xa2\xe5\xad\x97", 3) == "\xe6\xbc\xa2\xe2\x80\xa6");
  CHECK(cut("abc", 3) == "abc");
  CHECK(cut("abc", 1) == ".");
  CHECK(cut("abc", 0).empty());
}

TEST_CASE("text from elsewhere cannot drive the terminal") {
  CHECK(harmless("a\033[31mb\n") == "a\\x1b[31mb\\x0a");
  CHECK(harmless("\xff\xc2\x9b") == "?\\x9b");
  CHECK(harmless("gr\xc3\xbc\xc3\x9f") == "gr\xc3\xbc\xc3\x9f");
}

TEST_CASE("colours stand in a table only where they are wanted, and do not shift it") {
  Table table({{"A", false, false}, {"B", false, false}});
  table.row({{"x", Colour::red}, "y"});
  CHECK(table.text(0, false) == "A  B\nx  y\n");
  CHECK(table.text(0, true).find("\033[31mx\033[0m  y") != std::string::npos);
}

TEST_CASE("a task as JSON has the keys of the contract, in their order") {
  v1::TaskRecord task;
  task.set_number(7);
  task.set_id(std::string(16, '\x01'));
  task.set_type("echo");
  task.set_state(v1::STATE_FAILED);
  task.mutable_error()->set_kind(v1::ERROR_KIND_EXIT);
  task.mutable_error()->set_status(3);
  task.set_submitted_unix_ns(1'000'000'000);
  const auto json = json_of(task);
  const std::vector<std::string> keys{"id",       "number", "task",   "state",    "reason",    "pool",
                                      "priority", "labels", "group",  "attempts", "submitted", "started",
                                      "ended",    "error",  "result", "retry_of", "existing"};
  REQUIRE(json.members()->size() >= keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) CHECK((*json.members())[i].first == keys[i]);
  CHECK(json.find("error")->dump() == R"({"kind":"exit","message":"","signal":null,"status":3,"retryable":true})");
  CHECK(json.find("submitted")->dump() == "\"1970-01-01T00:00:01.000Z\"");
  CHECK(json.find("started")->is_null());
  CHECK(json.find("state")->dump() == "\"failed\"");
}

TEST_CASE("the status as JSON has the keys of the contract") {
  const auto json = json_of(v1::DaemonStatus());
  for (const char* key : {"version", "pid", "uptime", "epoch", "store", "tasks", "workers", "pools", "submitted_total",
                          "completed_total"}) {
    CAPTURE(key);
    CHECK(json.find(key) != nullptr);
  }
  for (const char* key : {"waiting", "queued", "running", "succeeded", "failed", "cancelled", "expired"}) {
    CAPTURE(key);
    CHECK(json.find("tasks")->find(key) != nullptr);
  }
}

TEST_CASE("progress shows what fits, and tells rate and time left") {
  const Progress::Time start{};
  Progress progress(start);
  progress.done = 100;
  progress.failed = 2;
  progress.running = 5;
  progress.total = 200;
  const std::string line = progress.line(start + 1s, 200);
  CHECK(line == "100/200 50%  2 failed  100/s  eta 1.00s  5 in flight");
  CHECK(progress.line(start + 1s, 20) == "100/200 50%");
  CHECK(progress.line(start + 1s, 3).size() == 3);
  CHECK(progress.summary(start + 2s) == "100 tasks in 2.00s (50/s): 98 succeeded, 2 failed");
}

TEST_CASE("progress that goes on at one rate shows that rate") {
  const Progress::Time start{};
  Progress progress(start);
  std::string line;
  for (int i = 1; i <= 50; ++i) {
    progress.done += 10;
    line = progress.line(start + i * 100ms, 80);
  }
  CHECK(line.find("100/s") != std::string::npos);
}
