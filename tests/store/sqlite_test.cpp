// Which files a store of SQLite takes for its own, and who may use them.
#include <doctest/doctest.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/store/store_room.hpp"

using namespace futured;
using namespace futured::test;
using store::SqliteStore;

namespace {

std::string refusal(const store::SqliteConfig& config) {
  auto opened = SqliteStore::open(config, [] {});
  REQUIRE_FALSE(opened.ok());
  return opened.status().message();
}

void run_sql(const std::string& path, const char* sql) {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
  CHECK(sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(db);
}

TEST_CASE("sqlite store: a missing file is made, for its owner alone") {
  const Folder folder;
  const std::string path = folder.file("queue.db");
  {
    REQUIRE(SqliteStore::open({path}, [] {}).ok());
  }
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  CHECK_FALSE(std::filesystem::exists(path + ".new"));
}

TEST_CASE("sqlite store: a missing file is refused if it has to be there, and not made") {
  const Folder folder;
  const std::string path = folder.file("queue.db");
  CHECK(refusal({path, true}).find("there is no such file") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(path));
  {
    REQUIRE(SqliteStore::open({path}, [] {}).ok());
  }
  CHECK(SqliteStore::open({path, true}, [] {}).ok());
}

TEST_CASE("sqlite store: what is left of a start that was killed while it made the file is in nobody's way") {
  const Folder folder;
  const std::string path = folder.file("queue.db");
  for (const char* suffix : {".new", ".new-wal", ".new-shm"}) std::ofstream(path + suffix) << "half of something";
  CHECK(SqliteStore::open({path}, [] {}).ok());
}

TEST_CASE("sqlite store: files of others are refused and stay as they are") {
  const Folder folder;
  const std::string text = folder.file("notes.txt");
  std::ofstream(text) << std::string(500, 'x');
  CHECK(refusal({text}).find("not a store of futured") != std::string::npos);
  CHECK(std::filesystem::file_size(text) == 500);
  const std::string empty = folder.file("empty");
  std::ofstream(empty).flush();
  CHECK(refusal({empty}).find("not a store of futured") != std::string::npos);
  const std::string other = folder.file("other.db");
  run_sql(other, "CREATE TABLE t(x)");
  const auto size = std::filesystem::file_size(other);
  CHECK(refusal({other}).find("not a store of futured") != std::string::npos);
  CHECK(std::filesystem::file_size(other) == size);
  CHECK(refusal({folder.file("no/such/folder/queue.db")}).find("No such file or directory") != std::string::npos);
}

TEST_CASE("sqlite store: what a newer futured wrote is refused") {
  const Folder folder;
  const std::string path = folder.file("queue.db");
  {
    REQUIRE(SqliteStore::open({path}, [] {}).ok());
  }
  run_sql(path, "PRAGMA user_version = 99; PRAGMA wal_checkpoint(TRUNCATE)");
  CHECK(refusal({path}).find("written by a newer futured (schema 99") != std::string::npos);
}

TEST_CASE("sqlite store: a second daemon on the same store is refused, until the first has gone") {
  const Folder folder;
  const std::string path = folder.file("queue.db");
  auto first = SqliteStore::open({path}, [] {});
  REQUIRE(first.ok());
  const std::string why = refusal({path});
  CHECK(why.find("another daemon uses it (process " + std::to_string(::getpid()) + ")") != std::string::npos);
  first->reset();
  CHECK(SqliteStore::open({path}, [] {}).ok());
}

TEST_CASE("sqlite store: a damaged file is refused, not repaired") {
  const Folder folder;
  const std::string path = folder.file("queue.db");
  {
    REQUIRE(SqliteStore::open({path}, [] {}).ok());
  }
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(100);  // the first page of the schema
    file << std::string(2000, '\xff');
  }
  const auto size = std::filesystem::file_size(path);
  CHECK(refusal({path}).find("malformed") != std::string::npos);
  CHECK(std::filesystem::file_size(path) == size);
}

TEST_CASE("sqlite store: outcomes whose time has passed are forgotten") {
  const Folder folder;
  Bell bell;
  auto opened = SqliteStore::open({folder.file("queue.db")}, bell.ring());
  REQUIRE(opened.ok());
  store::Records r;
  accept(r, 1, 3);
  for (TaskNumber n = 1; n <= 3; ++n) {
    r.outcomes.push_back(outcome(n));
    r.outcomes.back().until = n == 2 ? INT64_MAX : 1;
  }
  commit(**opened, bell, r, 1);
  REQUIRE(eventually([&] { return numbers(ask(**opened, bell, {}).outcomes) == std::vector<TaskNumber>{2}; }));
}

}  // namespace
