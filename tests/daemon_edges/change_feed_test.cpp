#include "daemon/change_feed.hpp"

#include <doctest/doctest.h>

using futured::daemon::ChangeFeed;
namespace v1 = futured::v1;

namespace {
v1::ChangeRecord change(std::uint64_t number, const std::string& type = "echo") {
  v1::ChangeRecord c;
  c.mutable_task()->set_number(number);
  c.mutable_task()->set_type(type);
  c.mutable_task()->set_state(v1::STATE_RUNNING);
  c.set_what("started");
  return c;
}
void add(ChangeFeed& feed, const v1::ChangeRecord& c) {
  v1::ChangeRecord& into = feed.add();
  CHECK_FALSE(into.has_task());  // whatever its memory was used for before
  const std::uint64_t sequence = into.sequence();
  into = c;
  into.set_sequence(sequence);
}
std::vector<std::uint64_t> numbers(const v1::Reply& reply) {
  std::vector<std::uint64_t> out;
  for (const auto& c : reply.changes()) out.push_back(c.task().number());
  return out;
}
}  // namespace

TEST_CASE("a watcher gets what came after its cursor, once") {
  ChangeFeed feed;
  add(feed, change(1));
  std::string cursor = feed.now();
  add(feed, change(2));
  add(feed, change(3));
  v1::Reply reply;
  REQUIRE(feed.read({}, cursor, reply).ok());
  CHECK(numbers(reply) == std::vector<std::uint64_t>{2, 3});
  CHECK(reply.changes(1).sequence() == reply.changes(0).sequence() + 1);
  v1::Reply nothing;
  REQUIRE(feed.read({}, cursor, nothing).ok());
  CHECK(nothing.changes().empty());
  CHECK(cursor == feed.now());
}

TEST_CASE("what does not match is passed over and not looked at again") {
  ChangeFeed feed;
  std::string cursor = feed.now();
  for (std::uint64_t n = 1; n <= 10; ++n) add(feed, change(n, n % 5 == 0 ? "fetch" : "echo"));
  v1::Selector selector;
  selector.add_types("fetch");
  v1::Reply reply;
  REQUIRE(feed.read(selector, cursor, reply).ok());
  CHECK(numbers(reply) == std::vector<std::uint64_t>{5, 10});
  CHECK(cursor == feed.now());
}

TEST_CASE("a long answer comes in pages, and who is too far behind sees a gap in the sequence") {
  ChangeFeed feed;
  std::string cursor = feed.now();
  for (std::uint64_t n = 1; n <= ChangeFeed::kKept + 100; ++n) add(feed, change(n));
  std::vector<std::uint64_t> all;
  std::uint64_t last = 0;
  for (;;) {
    v1::Reply page;
    REQUIRE(feed.read({}, cursor, page).ok());
    if (page.changes().empty()) break;
    CHECK(static_cast<std::size_t>(page.changes_size()) <= ChangeFeed::kPage);
    if (all.empty()) CHECK(page.changes(0).sequence() == 101);
    for (const auto& c : page.changes()) {
      CHECK(c.sequence() > last);
      last = c.sequence();
      all.push_back(c.task().number());
    }
  }
  CHECK(all.size() == ChangeFeed::kKept);
  CHECK(all.front() == 101);
}

TEST_CASE("a cursor of another daemon is refused") {
  const ChangeFeed feed;
  v1::Reply reply;
  std::string foreign = "far too long for one";
  CHECK_FALSE(feed.read({}, foreign, reply).ok());
  foreign = std::string(8, '\xff');
  CHECK_FALSE(feed.read({}, foreign, reply).ok());
  const ChangeFeed before("before");
  const ChangeFeed after("after.");
  foreign = before.now();
  CHECK(after.read({}, foreign, reply).code() == futured::Code::forgotten);
}

TEST_CASE("who comes back after a while in which nothing was noted sees a gap") {
  ChangeFeed feed("origin");
  add(feed, change(1));
  std::string cursor = feed.now();
  feed.skip();
  add(feed, change(2));
  v1::Reply reply;
  REQUIRE(feed.read({}, cursor, reply).ok());
  REQUIRE(reply.changes_size() == 1);
  CHECK(reply.changes(0).sequence() == 3);
}
