// Each story in this folder is a test case of its name. With --rewrite the stories are brought up to date instead: read
// the difference before you commit it, and commit only what you can explain.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "tests/scenarios/runner.hpp"

namespace fs = std::filesystem;
using futured::scheduler::scenario::Report;
using futured::scheduler::scenario::Runner;

namespace {

std::vector<std::string> stories;  // names of files; test cases point into them
bool rewrite = false;

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE_MESSAGE(in, "cannot read ", path.string());
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void play() {
  const std::string name = doctest::getContextOptions()->currentTest->m_name;
  const fs::path path = fs::path(FUTURED_SCENARIO_DIR) / name;
  const std::string shown = "tests/scenarios/" + name;
  const std::string text = read(path);
  const Report report = Runner(shown).run(text);
  if (report.error_line != 0) {
    ADD_FAIL_CHECK_AT(shown.c_str(), report.error_line, report.error);
    return;
  }
  if (rewrite) {
    const std::string now = print(report.story);
    if (now == text) return;
    std::ofstream(path, std::ios::binary) << now;
    std::cout << "rewritten: " << shown << "\n";
    return;
  }
  for (const auto& d : report.differences) {
    ADD_FAIL_CHECK_AT(shown.c_str(), d.line, "\n", d.commands, "expected:\n", d.expected, "actual:\n", d.actual);
  }
  if (report.differences.empty()) {
    CHECK_MESSAGE(print(report.story) == text, shown, " is not laid out as --rewrite does it");
  }
}

Report tell(const std::string& text) { return Runner("story").run(text); }

}  // namespace

TEST_CASE("a story that tells what happens passes, one that does not is told where") {
  const std::string story = "client alice\nworker w1\n# who asks\nsubmit alice echo as=t1\n----\n";
  const std::string told = "alice: t1 accepted as 1\nw1: run t1 (attempt 1)\n";
  CHECK(tell(story + told).differences.empty());
  const Report wrong = tell(story + "alice: t1 accepted as 1\n");
  REQUIRE(wrong.differences.size() == 1);
  CHECK(wrong.differences[0].line == 6);
  CHECK(wrong.differences[0].expected == "  alice: t1 accepted as 1\n");
  CHECK(wrong.differences[0].actual == "  alice: t1 accepted as 1\n  w1: run t1 (attempt 1)\n");
  CHECK(print(wrong.story) == story + told);
  CHECK(print(tell("\n\nclient alice\nworker w1\n# who asks\nsubmit alice echo as=t1\n\n").story) == story + told);
}

TEST_CASE("what a story says wrongly is an error with its line and the nearest word") {
  const auto error = [](const std::string& line) {
    const Report r = tell("# a comment\n\nclient alice\nworker w1\nsubmit alice echo as=t1\n" + line + "\n----\n");
    CHECK(r.error_line == 6);
    return r.error;
  };
  CHECK(error("submitt alice echo") == "'submitt' is no command, client or worker; did you mean 'submit'?");
  CHECK(error("submit alice echo prioriti=5") == "unknown option 'prioriti'; did you mean 'priority'?");
  CHECK(error("submit alice echo priority=high") == "priority=high: a whole number is wanted");
  CHECK(error("submit alice echo keep=soon").find("keep=soon: ") == 0);
  CHECK(error("submit alice echo as=t1") == "there is a task 't1' already");
  CHECK(error("submit bob echo") == "no client is called 'bob'");
  CHECK(error("submit alice echo \"hello") == "a quotation mark is missing");
  CHECK(error("alice cancel t1") == "a client does not know 'cancel'; did you mean 'cancels'?");
  CHECK(error("w1 succeds t1") == "a worker does not know 'succeds'; did you mean 'succeeds'?");
  CHECK(error("w1 succeeds t2") == "no task is called 't2'");
  CHECK(error("w1 succeeds 7") == "w1 was never sent 7; name the attempt: 7@1");
  CHECK(error("w1 fails t1 kind=timeot") == "kind=timeot: there is no such kind of error; did you mean 'timeout'?");
  CHECK(error("limits tasks=1") == "limits stand before everything else");
}

int main(int argc, char** argv) {
  rewrite = std::find(argv + 1, argv + argc, std::string_view("--rewrite")) != argv + argc;
  for (const auto& entry : fs::directory_iterator(FUTURED_SCENARIO_DIR)) {
    const std::string name = entry.path().filename().string();
    if (entry.path().extension() == ".txt" && name != "CMakeLists.txt") stories.push_back(name);
  }
  std::sort(stories.begin(), stories.end());
  for (std::size_t i = 0; i < stories.size(); ++i) {
    doctest::detail::regTest(doctest::detail::TestCase(play, __FILE__, static_cast<unsigned>(__LINE__ + i),
                                                       doctest_detail_test_suite_ns::getCurrentTestSuite()) *
                             stories[i].c_str());
  }
  return doctest::Context(argc, argv).run();
}
