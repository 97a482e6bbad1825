#include "proto/ids.hpp"

#include <doctest/doctest.h>

#include "proto/bytes.hpp"
#include "proto/nearest.hpp"
#include "proto/task_state.hpp"

using namespace futured;

TEST_CASE("a task id survives its text form") {
  TaskId id;
  for (std::size_t i = 0; i < id.stream.bytes.size(); ++i) id.stream.bytes[i] = static_cast<std::uint8_t>(i * 23 + 7);
  id.seq = 0x1234567890;
  const std::string text = to_string(id);
  CHECK(text.size() == 32);
  CHECK(parse_task_id(text) == id);
  std::string upper = text;
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  CHECK(parse_task_id(upper) == id);
}

TEST_CASE("a text that is not 32 hex digits is no task id") {
  CHECK_FALSE(parse_task_id(""));
  CHECK_FALSE(parse_task_id(std::string(31, 'a')));
  CHECK_FALSE(parse_task_id(std::string(33, 'a')));
  CHECK_FALSE(parse_task_id(std::string(31, 'a') + "g"));
}

TEST_CASE("a token survives its wire form and differs in every part") {
  const AttemptToken token{0xfedcba98, 77, 0x0123456789abcdef};
  std::string raw;
  put_token(raw, token);
  REQUIRE(raw.size() == kTokenBytes);
  CHECK(get_token(raw.data()) == token);
  CHECK(AttemptToken{1, 2, 3} != AttemptToken{1, 3, 3});
  CHECK(AttemptToken{1, 2, 3} != AttemptToken{2, 2, 3});
  CHECK(AttemptToken{1, 2, 3} != AttemptToken{1, 2, 4});
}

TEST_CASE("slices keep the bytes they share alive") {
  Slice part;
  {
    const Slice whole = Slice::copy("hello, world");
    part = whole.sub(7, 5);
  }
  CHECK(part.view() == "world");
  const Slice copy = part;
  part = Slice{};
  CHECK(copy.view() == "world");
  CHECK(part.empty());
}

TEST_CASE("names of states and reasons are the words users see, unknown values included") {
  CHECK(name(TaskState::succeeded) == "succeeded");
  CHECK(name(static_cast<TaskState>(200)) == "unknown");
  CHECK(name(Reason::no_worker) == "no_worker");
  CHECK(name(ErrorKind::too_large) == "too_large");
  CHECK(name(static_cast<ErrorKind>(99)) == "error");
}

TEST_CASE("the nearest name is one that could have been meant") {
  const std::vector<std::string> names = {"echo", "exec", "fetch", "fetch.sync", "primes"};
  CHECK(nearest("eco", names) == "echo");
  CHECK(nearest("fecth", names) == "fetch");
  CHECK(nearest("zzzzzz", names).empty());
  CHECK(nearest(std::string(100'000, 'x'), names).empty());
}
