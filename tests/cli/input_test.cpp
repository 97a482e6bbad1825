#include "client/cli/input.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

using namespace futured;
using futured::cli::Input;
using futured::cli::TaskInfo;
using futured::cli::Template;

namespace {

TaskInfo with_schema() {
  std::ifstream file(std::getenv("SCHEMA_SET"), std::ios::binary);
  TaskInfo info;
  info.name = "visit";
  info.input_type = info.reply_type = "test.old.Request";
  auto loaded = schema::Schema::load(std::string(std::istreambuf_iterator<char>(file), {}));
  REQUIRE(loaded.ok());
  info.schema = *loaded;
  return info;
}

TaskInfo plain() {
  TaskInfo info;
  info.name = "echo";
  return info;
}

/// The input as JSON; or why there is none.
std::string input(const TaskInfo& task, const Input::Words& words, Input::Lines lines = Input::Lines::none,
                  std::string_view line = {}) {
  const auto parsed = Input::parse(task, words, lines);
  if (!parsed) return "parse: " + parsed.status().message();
  const auto bytes = parsed->bytes(line);
  return bytes ? task.show(*bytes).dump() : "bytes: " + bytes.status().message();
}

Input::Words words(std::vector<std::string> list) {
  Input::Words out;
  out.words = std::move(list);
  return out;
}

std::string member(const std::string& json, std::string_view name) {
  const auto value = schema::Json::parse(json);
  if (!value) return json;
  const schema::Json* found = value->find(name);
  return found != nullptr ? found->dump() : "absent";
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a template puts the line in each place, and two pairs of braces are one") {
  CHECK(Template("a{}b{}").fill("X") == "aXbX");
  CHECK(Template("{{}}").fill("X") == "{}");
  CHECK(Template("{{}}{}").fill("X") == "{}X");
  CHECK(Template("{x}{").fill("X") == "{x}{");
  CHECK(Template("{}").fill("{}") == "{}");
  CHECK(Template("{}", false).fill("X") == "{}");
  CHECK(!Template("{{}} {").has_place());
  CHECK(Template("").fill("X").empty());
}

TEST_CASE("a task without schema takes one word as its bytes") {
  CHECK(input(plain(), words({"a=b"})) == "\"a=b\"");
  CHECK(input(plain(), words({})) == "\"\"");
  CHECK(has(input(plain(), words({"a", "b"})), "takes one input"));
  Input::Words after;
  after.after = {"-x"};
  after.dashes = true;
  CHECK(input(plain(), after) == "\"-x\"");
}

TEST_CASE("JSON for a task without schema is undone as it is printed") {
  Input::Words w;
  w.json = R"({"bytes":"AP8="})";
  CHECK(input(plain(), w) == R"({"bytes":"AP8="})");
  w.json = R"("text")";
  CHECK(input(plain(), w) == "\"text\"");
  w.json = R"({"a":1})";
  CHECK(input(plain(), w) == R"("{\"a\":1}")");
}

TEST_CASE("fields are text, JSON or files") {
  const auto path = std::filesystem::temp_directory_path() / ("futured-input-" + std::to_string(::getpid()));
  std::ofstream(path) << "from a file";
  const std::string got = input(
      with_schema(), words({"url=http://x/?a=b@c:=d", "numbers:=[1,2]", "body@" + path.string(), "headers=h: @"}));
  std::filesystem::remove(path);
  CHECK(member(got, "url") == "\"http://x/?a=b@c:=d\"");
  CHECK(member(got, "numbers") == "[1,2]");
  CHECK(member(got, "body") == "\"from a file\"");
  CHECK(member(got, "headers") == "[\"h: @\"]");
  CHECK(has(input(with_schema(), words({"url@/does/not/exist"})), "'/does/not/exist' cannot be read"));
}

TEST_CASE("words after two dashes fill argv where there is one") {
  Input::Words w = words({"url=x"});
  w.after = {"ls", "-l", "a=b"};
  w.dashes = true;
  CHECK(member(input(with_schema(), w), "argv") == R"(["ls","-l","a=b"])");
}

TEST_CASE("a word that is no field is refused with the fields there are") {
  CHECK(has(input(with_schema(), words({"hello"})), "it has: url, below"));
  CHECK(has(input(with_schema(), words({"ulr=x"})), "did you mean 'url'?"));
  CHECK(has(input(with_schema(), words({"=x"})), "is no field"));
}

TEST_CASE("whole JSON is changed by fields that come with it") {
  Input::Words w = words({"below=9"});
  w.json = R"({"url":"x","below":1})";
  CHECK(member(input(with_schema(), w), "below") == "9");
  w.json = R"({"url":"x","blow":1})";
  CHECK(has(input(with_schema(), w), "did you mean 'below'?"));
  w.json = "{";
  CHECK(has(input(with_schema(), w), "--input-json is not JSON"));
}

TEST_CASE("map puts the line into values after they were parsed") {
  const auto lines = Input::Lines::text;
  CHECK(member(input(with_schema(), words({"url=http://{}/{{}}"}), lines, "a=b\"c"), "url") == R"("http://a=b\"c/{}")");
  CHECK(member(input(with_schema(), words({"url=x", "headers:=[\"h: {}\"]"}), lines, "\"]"), "headers") ==
        R"(["h: \"]"])");
  CHECK(member(input(with_schema(), words({"url=x", "below={}"}), lines, "7"), "below") == "7");
  CHECK(has(input(with_schema(), words({"url=x", "below={}"}), lines, "seven"), "'below' wants a whole number"));
  CHECK(input(plain(), words({"<{}>"}), lines, "x") == "\"<x>\"");
  CHECK(input(plain(), words({}), lines, "x y") == "\"x y\"");
}

TEST_CASE("map refuses an input that no line would change") {
  const auto lines = Input::Lines::text;
  CHECK(has(input(with_schema(), words({"url=x"}), lines, "l"), "put {} where the line belongs"));
  CHECK(has(input(with_schema(), words({"url=x", "inner:={}"}), lines, "l"), "empty JSON object"));
  CHECK(has(input(with_schema(), words({"ulr={}"}), lines, "l"), "parse: test.old.Request has no field 'ulr'"));
  CHECK(has(input(plain(), words({"-"}), lines, "l"), "standard input has the lines"));
}

TEST_CASE("a line of JSON is a whole input") {
  const std::string line = R"({"url":"x","below":3})";
  CHECK(member(input(with_schema(), words({}), Input::Lines::jsonl, line), "below") == "3");
  CHECK(member(input(with_schema(), words({}), Input::Lines::text, line), "below") == "3");
  CHECK(has(input(with_schema(), words({}), Input::Lines::jsonl, "x"), "not JSON"));
  CHECK(has(input(with_schema(), words({}), Input::Lines::text, "x"), "takes fields"));
  CHECK(has(input(with_schema(), words({"url=x"}), Input::Lines::jsonl, line), "no other input"));
  CHECK(input(plain(), words({}), Input::Lines::jsonl, R"({"bytes":"AP8="})") == R"({"bytes":"AP8="})");
}
