#include "client/cli/selector.hpp"

#include <doctest/doctest.h>

using futured::Code;
using futured::Result;
using futured::Status;
using futured::TaskNumber;
using futured::cli::parse_selection;
using futured::cli::Selection;

static Result<Selection> parse(const std::vector<std::string>& words) {
  return parse_selection(words, [] { return Result<TaskNumber>(TaskNumber{42}); });
}

static std::string refused(const std::string& word) {
  const auto selection = parse({word});
  return selection ? "accepted" : selection.status().message();
}

TEST_CASE("numbers, ranges and ids name tasks exactly") {
  const auto s = parse({"12", "3-7", "0123456789abcdef0123456789abcdef"});
  REQUIRE(s.ok());
  CHECK(s->exact());
  CHECK(s->numbers == std::vector<TaskNumber>{12});
  REQUIRE(s->selector.numbers_size() == 2);
  CHECK(s->selector.numbers(1).first() == 3);
  CHECK(s->selector.numbers(1).last() == 7);
  REQUIRE(s->selector.ids_size() == 1);
  CHECK(s->selector.ids(0).size() == 16);
  CHECK(futured::to_hex(s->selector.ids(0)) == "0123456789abcdef0123456789abcdef");
}

TEST_CASE("last is the number that was remembered, and is asked for only then") {
  CHECK(parse({"last"})->numbers == std::vector<TaskNumber>{42});
  const auto none = [] { return Result<TaskNumber>(Status(Code::not_found, "none")); };
  CHECK(parse_selection({"5"}, none).ok());
  CHECK(!parse_selection({"last"}, none).ok());
}

TEST_CASE("all means what has not ended") {
  const auto s = parse({"all"});
  CHECK(s->selector.live());
  CHECK(!s->selector.all());
  CHECK(!s->exact());
}

TEST_CASE("pairs select by what tasks are") {
  const auto s = parse({"state=failed", "state=running", "label=a=b=c", "group=G", "task=echo", "pool=P", "key=K"});
  REQUIRE(s.ok());
  CHECK(s->selector.states_size() == 2);
  CHECK(s->selector.states(0) == futured::v1::STATE_FAILED);
  CHECK(s->selector.labels(0).name() == "a");
  CHECK(s->selector.labels(0).value() == "b=c");
  CHECK(s->selector.groups(0) == "G");
  CHECK(s->selector.types(0) == "echo");
  CHECK(s->selector.pools(0) == "P");
  CHECK(s->selector.keys(0) == "K");
  CHECK(!s->exact());
}

TEST_CASE("what selects nothing is refused with what would") {
  CHECK(refused("state=faild").find("did you mean 'failed'?") != std::string::npos);
  CHECK(refused("stat=failed").find("did you mean 'state='?") != std::string::npos);
  CHECK(refused("label=a").find("label=name=value") != std::string::npos);
  CHECK(refused("lst").find("did you mean 'last'?") != std::string::npos);
  CHECK(refused("0").find("begin with 1") != std::string::npos);
  CHECK(refused("7-3").find("3-7") != std::string::npos);
  CHECK(refused("banana").find("selects nothing") != std::string::npos);
  CHECK(refused("99999999999999999999").find("selects nothing") != std::string::npos);
}
