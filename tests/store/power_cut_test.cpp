// The power goes while a store works: what was said to be committed is there afterwards, and nothing that was never
// said.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <string>

#include "tests/store/faulty_disk.hpp"
#include "tests/store/store_room.hpp"

using namespace futured;
using namespace futured::test;
using store::Records;

namespace {

struct Promised {
  enum class What { task, outcome, forgotten } what = What::task;
  store::Lsn lsn = 0;
};

unsigned cuts() {
  const char* wanted = std::getenv("FUTURED_POWER_CUTS");
  return wanted == nullptr ? 2000 : static_cast<unsigned>(std::strtoul(wanted, nullptr, 10));
}

TEST_CASE("power cut: what was committed is there, whatever part of the rest the disk kept") {
  std::uint64_t promises = 0, reached = 0;
  for (unsigned seed = 1; seed <= cuts(); ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    Folder folder(Folder::On::memory);
    FaultyDisk disk;
    const std::string path = folder.file("queue.db");
    // Small checkpoints and groups, so that both are cut often.
    const store::SqliteConfig config{path, false, 0, 1 + random() % 4000, static_cast<int>(2 + random() % 12)};
    {
      REQUIRE(store::SqliteStore::open(config, [] {}).ok());
    }
    std::map<TaskNumber, Promised> said;
    store::Lsn committed = 0;
    TaskNumber next = 1;
    std::uint32_t epoch = 0;
    {
      disk.watch(std::filesystem::path(path).parent_path());
      disk.cut_at(1 + random() % 120);
      Bell bell;
      auto opened = store::SqliteStore::open(config, bell.ring());
      if (opened.ok()) {
        store::Store& s = **opened;
        epoch = s.opened().epoch;
        store::Lsn lsn = 0;
        std::vector<TaskNumber> live, ended;
        const auto pick = [&](std::vector<TaskNumber>& from) {
          const std::size_t at = random() % from.size();
          const TaskNumber n = from[at];
          from.erase(from.begin() + static_cast<std::ptrdiff_t>(at));
          return n;
        };
        bool failed = false;
        while (!failed && lsn < 400) {
          Records r;
          const auto count = static_cast<std::uint32_t>(1 + random() % 4);
          accept(r, next, count, next);
          for (; next < r.numbers_until; ++next) {
            live.push_back(next);
            said[next] = {Promised::What::task, lsn + 1};
          }
          if (random() % 2 == 0) {
            const TaskNumber n = pick(live);
            r.outcomes.push_back(outcome(n));
            said[n] = {Promised::What::outcome, lsn + 1};
            ended.push_back(n);
          }
          if (!ended.empty() && random() % 4 == 0) {
            const TaskNumber n = pick(ended);
            r.forgotten.push_back(n);
            said[n] = {Promised::What::forgotten, lsn + 1};
          }
          r.lsn = ++lsn;
          s.append(std::move(r));
          const auto look = [&] {
            const store::Committed c = s.take_committed();
            committed = c.lsn;
            failed = !c.failure.ok();
            return failed || committed == lsn;
          };
          // Sometimes it is ahead of the disk, mostly not.
          if (random() % 3 == 0) {
            look();
          } else {
            REQUIRE(bell.wait(look));
          }
        }
      }
    }
    reached += disk.cut() ? 1 : 0;
    disk.power_on(random);
    Bell bell;
    auto again = store::SqliteStore::open(config, bell.ring());
    REQUIRE_MESSAGE(again.ok(), again.status().message());
    CHECK((*again)->opened().epoch > epoch);
    const auto claimed = claim_all(**again, bell, 50);
    std::set<TaskNumber> live, ended;
    for (const auto& t : claimed.tasks) {
      live.insert(t.row.number);
      REQUIRE(t.row.input.view() == "in-" + std::to_string(t.row.number));
    }
    for (const auto& o : claimed.outcomes) {
      ended.insert(o.number);
      REQUIRE(o.result.view() == "out-" + std::to_string(o.number));
    }
    for (const auto& entry : said) {
      const TaskNumber number = entry.first;
      const Promised& promise = entry.second;
      CAPTURE(number);
      const bool is_live = live.count(number) != 0;
      const bool is_ended = ended.count(number) != 0;
      REQUIRE_FALSE((is_live && is_ended));
      if (promise.lsn > committed) continue;  // nothing was said of it
      ++promises;
      REQUIRE(is_live == (promise.what == Promised::What::task));
      REQUIRE(is_ended == (promise.what == Promised::What::outcome));
      if (promise.what != Promised::What::forgotten) REQUIRE((*again)->opened().next_number > number);
    }
    for (const TaskNumber n : live) REQUIRE(said.count(n) == 1);
    for (const TaskNumber n : ended) REQUIRE(said.count(n) == 1);
  }
  MESSAGE(cuts() << " power cuts, " << reached << " while it worked; promises kept: " << promises);
  CHECK(reached > cuts() / 2);
  CHECK(promises > cuts());
}

}  // namespace
