// What a store does when its disk does not.
#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "tests/store/faulty_disk.hpp"
#include "tests/store/store_room.hpp"

using namespace futured;
using namespace futured::test;
using store::Records;
using store::SqliteStore;

namespace {

std::uint64_t size_of_file(const std::string& path) {
  std::error_code none;
  const auto size = std::filesystem::file_size(path, none);
  return none ? 0 : size;
}

TEST_CASE("disk: the first error ends the store: nothing is acknowledged from there on") {
  for (std::uint64_t n = 1; n <= 6; ++n) {
    CAPTURE(n);
    const Folder folder;
    FaultyDisk disk;
    Bell bell;
    auto opened = SqliteStore::open({folder.file("queue.db")}, bell.ring());
    REQUIRE(opened.ok());
    Records good;
    accept(good, 1, 2);
    CHECK(commit(**opened, bell, good, 1).failure.ok());
    disk.fail_at(n);
    store::Committed c;
    store::Lsn lsn = 1;
    while (c.failure.ok()) {
      Records r;
      accept(r, 10 * lsn, 2, 10 * lsn);
      c = commit(**opened, bell, r, lsn + 1);
      if (c.failure.ok()) lsn = c.lsn;
    }
    CHECK(c.lsn == lsn);
    CHECK(c.failure.message().find("disk I/O error") != std::string::npos);
    disk.fail_at(0);
    Records late;
    late.lsn = lsn + 2;
    late.forgotten.push_back(1);
    (*opened)->append(late);
    CHECK_FALSE((*opened)->close(100).ok());
    CHECK((*opened)->take_committed().lsn == lsn);
  }
}

TEST_CASE("disk: when it is full new tasks are refused, outcomes are still kept, and it goes on when there is space") {
  const Folder folder;
  const std::string path = folder.file("queue.db");
  FaultyDisk disk;
  Bell bell;
  store::SqliteConfig config{path, false, 4 << 20};
  auto opened = SqliteStore::open(config, bell.ring());
  REQUIRE(opened.ok());
  store::Store& s = **opened;
  disk.limit(8 << 20, [&] { return size_of_file(path + ".reserve"); });
  store::Lsn lsn = 0;
  TaskNumber next = 1;
  std::vector<TaskNumber> accepted;
  // Until it is full.
  for (bool full = false; !full;) {
    Records r;
    accept(r, next, 1, next);
    r.tasks[0].input = Slice::copy(std::string(100'000, 'x'));
    const auto c = commit(s, bell, r, ++lsn);
    REQUIRE(c.failure.ok());
    REQUIRE(c.lsn == lsn);
    full = !c.refused.empty();
    if (full) {
      CHECK(c.refused[0].first == next);
      CHECK(c.refused[0].why.find("disk of the store is full") != std::string::npos);
    } else {
      accepted.push_back(next);
    }
    ++next;
    REQUIRE(next < 1000);
  }
  REQUIRE(accepted.size() > 10);
  // What was accepted still ends, and what is said of the refused one is left out.
  Records r;
  for (const TaskNumber n : accepted) r.outcomes.push_back(outcome(n));
  r.outcomes.push_back(outcome(next - 1, TaskState::cancelled));
  accept(r, next, 1, next);
  auto c = commit(s, bell, r, ++lsn);
  CHECK(c.failure.ok());
  REQUIRE(c.refused.size() == 1);
  CHECK(c.refused[0].first == next);
  store::HistoryQuery all;
  CHECK(ask(s, bell, all).outcomes.size() == accepted.size());
  // There is space again.
  disk.limit(0);
  REQUIRE(eventually([&] {
    ++next;
    Records more;
    accept(more, next, 1, next);
    return commit(s, bell, more, ++lsn).refused.empty();
  }));
}

TEST_CASE("disk: what waits for a slow disk is counted and committed in the end") {
  const Folder folder;
  FaultyDisk disk;
  Bell bell;
  auto opened = SqliteStore::open({folder.file("queue.db")}, bell.ring());
  REQUIRE(opened.ok());
  disk.stall(true);
  store::Lsn lsn = 0;
  std::uint64_t bytes = 0;
  for (TaskNumber n = 1; n <= 100; ++n) {
    Records r;
    accept(r, n, 1, n);
    r.lsn = ++lsn;
    bytes += r.size();
    (*opened)->append(std::move(r));
  }
  CHECK((*opened)->lag() == bytes);
  CHECK((*opened)->take_committed().lsn == 0);
  disk.stall(false);
  REQUIRE(bell.wait([&] { return (*opened)->take_committed().lsn == lsn; }));
  CHECK((*opened)->lag() == 0);
}

}  // namespace
