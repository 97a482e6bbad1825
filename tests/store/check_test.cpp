// A check of a store finds what is not true of it, and nothing else.
#include <doctest/doctest.h>
#include <sqlite3.h>

#include <string>

#include "daemon/store/sqlite_check.hpp"
#include "tests/store/store_room.hpp"

using namespace futured;
using namespace futured::test;
using store::Records;

namespace {

/// A store with a batch of four: 1 and 2 live, 2 tried once, 3 and 4 ended; and a batch of another stream.
std::string filled(const Folder& folder) {
  const std::string path = folder.file("queue.db");
  Bell bell;
  auto s = store::SqliteStore::open({path}, bell.ring());
  REQUIRE(s.ok());
  Records r;
  accept(r, 1, 4);
  accept(r, 5, 2, 0, 2);
  commit(**s, bell, r, 1);
  Records more;
  more.progress.push_back({2, "p"});
  more.outcomes.push_back(outcome(3));
  more.outcomes.push_back(outcome(4, TaskState::failed));
  commit(**s, bell, more, 2);
  return path;
}

std::string wrong(const std::string& path) {
  const auto found = store::check_store(path);
  REQUIRE_MESSAGE(found.ok(), found.status().message());
  std::string all;
  for (const std::string& what : *found) all += what + "\n";
  return all;
}

std::string after(const char* sql) {
  const Folder folder;
  const std::string path = filled(folder);
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
  CHECK(sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(db);
  return wrong(path);
}

TEST_CASE("store check: a store at work and one at rest are whole") {
  const Folder folder;
  const std::string path = filled(folder);
  CHECK(wrong(path).empty());
  Bell bell;
  auto s = store::SqliteStore::open({path}, bell.ring());
  REQUIRE(s.ok());
  CHECK(wrong(path).empty());  // while a daemon uses it
  CHECK((*s)->close(7).ok());
  CHECK(wrong(path).empty());
}

TEST_CASE("store check: each rule finds its breach") {
  CHECK(after("DELETE FROM meta") == "`meta` has 0 rows instead of one\n");
  CHECK(after("INSERT INTO task VALUES(3, 0, x'')") == "task 3 has ended and has not ended\n");
  CHECK(after("UPDATE batch SET count = 3 WHERE first = 1") == "the outcome of task 4 belongs to no batch\n");
  CHECK(after("INSERT INTO task VALUES(9, 0, x'')") == "task 9 belongs to no batch\n");
  CHECK(after("DELETE FROM task WHERE number = 2") == "there is progress of task 2, which is not there\n");
  CHECK(after("UPDATE outcome SET state = 2 WHERE number = 3") == "the outcome of task 3 has the state 2\n");
  CHECK(after("UPDATE batch SET count = 5 WHERE first = 1; UPDATE stream SET accepted = 9") ==
        "the batches of tasks 1 and 5 overlap\n");
  CHECK(after("UPDATE stream SET accepted = 1 WHERE accepted = 2") ==
        "the batch of task 5 is beyond what its stream has accepted\n");
  CHECK(after("UPDATE meta SET next_number = 6") == "task 6 was given out, and the next number is 6\n");
}

TEST_CASE("store check: what is no store is said to be none") {
  const Folder folder;
  CHECK(store::check_store(folder.file("none")).status().code() == Code::not_found);
}

}  // namespace
