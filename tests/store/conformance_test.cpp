// What every store promises. Each case runs on all of them.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "daemon/store/memory_store.hpp"
#include "tests/store/store_room.hpp"

using namespace futured;
using namespace futured::test;
using store::Records;

namespace {

/// A medium on which a store is started again and again.
struct Medium {
  virtual ~Medium() = default;
  virtual std::unique_ptr<store::Store> start(Bell& bell) = 0;
};
struct MemoryMedium final : Medium {
  std::shared_ptr<store::MemoryStore::Image> image = std::make_shared<store::MemoryStore::Image>();
  std::unique_ptr<store::Store> start(Bell&) override {
    return std::make_unique<store::MemoryStore>(image, std::string(16, 'i'));
  }
};
struct SqliteMedium final : Medium {
  Folder folder{Folder::On::memory};
  std::unique_ptr<store::Store> start(Bell& bell) override {
    auto opened = store::SqliteStore::open({folder.file("queue.db"), false, 1 << 16}, bell.ring());
    REQUIRE_MESSAGE(opened.ok(), opened.status().message());
    return std::move(*opened);
  }
};

struct Started {
  explicit Started(Medium& m) : medium(m), s(m.start(bell)) {}
  Medium& medium;
  Bell bell;
  std::unique_ptr<store::Store> s;
  store::Lsn lsn = 0;

  store::Committed commit(Records r) { return test::commit(*s, bell, std::move(r), ++lsn); }
  /// As after a crash, but that all appended is committed.
  void again() {
    s.reset();
    s = medium.start(bell);
    lsn = 0;
  }
};

std::unique_ptr<Medium> make(const std::string& kind) {
  if (kind == "memory") return std::make_unique<MemoryMedium>();
  return std::make_unique<SqliteMedium>();
}

#define ON_EVERY_STORE(name)                        \
  static void name(Medium& medium);                 \
  TEST_CASE("store: " #name) {                      \
    for (const char* kind : {"memory", "sqlite"}) { \
      CAPTURE(kind);                                \
      const auto medium = make(kind);               \
      name(*medium);                                \
    }                                               \
  }                                                 \
  static void name(Medium& medium)

ON_EVERY_STORE(accepted_tasks_are_claimed_by_the_next_start) {
  Started at(medium);
  CHECK(claim_all(*at.s, at.bell).tasks.empty());
  Records r;
  accept(r, 1, 5);
  accept(r, 6, 2, 0, 2);
  CHECK(at.commit(r).lsn == 1);
  at.again();
  CHECK(at.s->opened().live == 7);
  const auto claimed = claim_all(*at.s, at.bell);
  CHECK(numbers(claimed.tasks) == std::vector<TaskNumber>{1, 2, 3, 4, 5, 6, 7});
  CHECK(claimed.tasks[3].row.input.view() == "in-4");
  REQUIRE(claimed.batches.size() == 2);
  CHECK(claimed.batches[1].first == 6);
  CHECK(claimed.batches[1].stream == stream(2));
  CHECK(claimed.batches[0].specs == "specs");
  CHECK(claimed.batches[0].submitted == 1001);
  CHECK(claimed.streams.size() == 2);
}

ON_EVERY_STORE(tasks_of_this_start_are_not_claimed) {
  Started at(medium);
  Records r;
  accept(r, 1, 3);
  at.commit(r);
  CHECK(claim_all(*at.s, at.bell).tasks.empty());
}

ON_EVERY_STORE(an_outcome_takes_the_place_of_its_task) {
  Started at(medium);
  Records r;
  accept(r, 1, 3);
  r.progress.push_back({2, "tried once"});
  at.commit(r);
  Records ended;
  ended.outcomes.push_back(outcome(2));
  ended.outcomes.push_back(outcome(3, TaskState::failed));
  ended.outcomes.back().taken = true;
  ended.outcomes.back().until = INT64_MAX;
  at.commit(ended);
  at.again();
  const auto claimed = claim_all(*at.s, at.bell);
  CHECK(numbers(claimed.tasks) == std::vector<TaskNumber>{1});
  REQUIRE(numbers(claimed.outcomes) == std::vector<TaskNumber>{2});  // 3 is nobody's any more
  CHECK(claimed.outcomes[0].result.view() == "out-2");
  CHECK(claimed.outcomes[0].data == "data-2");
}

ON_EVERY_STORE(the_progress_of_a_task_is_the_last_that_was_said) {
  Started at(medium);
  Records r;
  accept(r, 1, 2);
  r.progress.push_back({1, "one"});
  at.commit(r);
  Records more;
  more.progress.push_back({1, "two"});
  at.commit(more);
  at.again();
  const auto claimed = claim_all(*at.s, at.bell);
  CHECK(claimed.tasks[0].progress == "two");
  CHECK(claimed.tasks[1].progress.empty());
}

ON_EVERY_STORE(what_is_taken_is_owed_to_nobody_and_still_history) {
  Started at(medium);
  Records r;
  accept(r, 1, 1);
  r.outcomes.push_back(outcome(1));
  r.outcomes.back().until = INT64_MAX;
  at.commit(r);
  Records taken;
  taken.taken.push_back(1);
  at.commit(taken);
  at.again();
  CHECK(claim_all(*at.s, at.bell).outcomes.empty());
  CHECK(numbers(ask(*at.s, at.bell, {}).outcomes) == std::vector<TaskNumber>{1});
}

ON_EVERY_STORE(the_batch_goes_with_its_last_task) {
  Started at(medium);
  Records r;
  accept(r, 1, 2);
  r.outcomes.push_back(outcome(1));
  at.commit(r);
  Records gone;
  gone.forgotten.push_back(1);
  at.commit(gone);
  store::HistoryQuery by_id;
  by_id.ids.push_back({stream(1), 0});
  CHECK(ask(*at.s, at.bell, by_id).outcomes.empty());
  at.again();
  CHECK(claim_all(*at.s, at.bell).batches.size() == 1);  // 2 is still there
  Records last;
  last.outcomes.push_back(outcome(2));
  at.commit(last);
  Records gone_too;
  gone_too.forgotten.push_back(2);
  at.commit(gone_too);
  at.again();
  CHECK(claim_all(*at.s, at.bell).batches.empty());
}

ON_EVERY_STORE(history_is_paged_newest_first_and_filtered) {
  Started at(medium);
  Records r;
  accept(r, 1, 10);
  for (TaskNumber n = 1; n <= 10; ++n) {
    r.outcomes.push_back(outcome(n, n % 3 == 0 ? TaskState::failed : TaskState::succeeded));
  }
  at.commit(r);
  store::HistoryQuery q;
  q.limit = 4;
  auto page = ask(*at.s, at.bell, q);
  CHECK(numbers(page.outcomes) == std::vector<TaskNumber>{10, 9, 8, 7});
  CHECK(page.next == 6);
  CHECK(page.outcomes[0].result.empty());  // not asked for
  CHECK(page.batches.size() == 1);
  q.from = page.next;
  page = ask(*at.s, at.bell, q);
  q.from = page.next;
  q.with_results = true;
  page = ask(*at.s, at.bell, q);
  CHECK(numbers(page.outcomes) == std::vector<TaskNumber>{2, 1});
  CHECK(page.outcomes[1].result.view() == "out-1");
  CHECK(page.next == 0);
  store::HistoryQuery failed;
  failed.state = TaskState::failed;
  failed.limit = 2;
  page = ask(*at.s, at.bell, failed);
  CHECK(numbers(page.outcomes) == std::vector<TaskNumber>{9, 6});
  CHECK(page.next == 3);
  failed.down_to = 7;
  CHECK(numbers(ask(*at.s, at.bell, failed).outcomes) == std::vector<TaskNumber>{9});
}

ON_EVERY_STORE(history_is_asked_for_by_number_and_by_id) {
  Started at(medium);
  Records r;
  accept(r, 1, 3, 0, 1);
  accept(r, 4, 3, 100, 2);
  for (TaskNumber n = 1; n <= 5; ++n) r.outcomes.push_back(outcome(n));
  at.commit(r);
  store::HistoryQuery q;
  q.numbers = {2, 6, 4, 2, 99};  // 6 has not ended, 99 never was
  q.ids = {{stream(2), 101}, {stream(2), 103}, {stream(9), 0}, {stream(1), 3}};
  CHECK(numbers(ask(*at.s, at.bell, q).outcomes) == std::vector<TaskNumber>{5, 4, 2});
}

ON_EVERY_STORE(streams_settings_and_workers_are_what_was_said_last) {
  Started at(medium);
  Records r;
  r.streams = {{stream(1), 5, false}, {stream(2), 7, false}};
  r.settings = {{"pause/cpu", "on", false}, {"limit/api", "3", false}};
  r.workers = {{std::string(16, 'w'), "pid 7", false}, {std::string(16, 'v'), "pid 8", false}};
  at.commit(r);
  Records more;
  more.streams = {{stream(1), 9, false}, {stream(2), 0, true}};
  more.settings = {{"pause/cpu", "", true}, {"limit/api", "4", false}};
  more.workers = {{std::string(16, 'w'), "", true}};
  at.commit(more);
  at.again();
  REQUIRE(at.s->opened().settings.size() == 1);
  CHECK(at.s->opened().settings[0].name == "limit/api");
  CHECK(at.s->opened().settings[0].data == "4");
  REQUIRE(at.s->opened().workers.size() == 1);
  CHECK(at.s->opened().workers[0].instance == std::string(16, 'v'));
  const auto claimed = claim_all(*at.s, at.bell);
  REQUIRE(claimed.streams.size() == 1);
  CHECK(claimed.streams[0].accepted == 9);
}

ON_EVERY_STORE(epochs_grow_and_numbers_are_never_given_out_twice) {
  Started at(medium);
  const std::uint32_t epoch = at.s->opened().epoch;
  const std::string id = at.s->opened().id;
  CHECK(id.size() == 16);
  CHECK(at.s->opened().next_number == 1);
  Records r;
  r.numbers_until = 1000;
  at.commit(r);
  at.again();
  CHECK(at.s->opened().epoch > epoch);
  CHECK(at.s->opened().id == id);
  CHECK(at.s->opened().next_number == 1000);
  CHECK(at.s->close(17).ok());
  at.again();
  CHECK(at.s->opened().next_number == 17);  // it said that nothing above was given out
}

ON_EVERY_STORE(an_outcome_is_said_once) {
  Started at(medium);
  Records r;
  accept(r, 1, 1);
  r.outcomes.push_back(outcome(1));
  at.commit(r);
  store::HistoryQuery q;
  q.with_results = true;
  CHECK(ask(*at.s, at.bell, q).outcomes.at(0).state == TaskState::succeeded);
  CHECK(at.s->lag() == 0);
}

/// What a store tells when it is started again, in words.
std::string told(store::Store& s, Bell& bell) {
  std::string text = "next " + std::to_string(s.opened().next_number);
  for (const auto& x : s.opened().settings) text += "\nsetting " + x.name + "=" + x.data;
  for (const auto& x : s.opened().workers) text += "\nworker " + x.instance + "=" + x.data;
  const auto claimed = claim_all(s, bell, 5);
  std::vector<std::string> streams;
  for (const auto& x : claimed.streams) {
    streams.push_back("\nstream " + to_string(TaskId{x.stream, 0}) + " " + std::to_string(x.accepted));
  }
  std::sort(streams.begin(), streams.end());
  for (const auto& x : streams) text += x;
  for (const auto& x : claimed.batches) {
    text += "\nbatch " + std::to_string(x.first) + "+" + std::to_string(x.count) + " " + x.specs;
  }
  for (const auto& x : claimed.tasks) {
    text += "\ntask " + std::to_string(x.row.number) + " " + std::string(x.row.input.view()) + " " + x.progress;
  }
  for (const auto& x : claimed.outcomes) text += "\nowed " + std::to_string(x.number) + " " + x.data;
  store::HistoryQuery q;
  q.with_results = true;
  q.limit = 4;
  do {
    const auto page = ask(s, bell, q);
    for (const auto& x : page.outcomes) {
      text += "\nended " + std::to_string(x.number) + " " + std::string(name(x.state)) + " " +
              std::string(x.result.view()) + " " + std::string(x.input.view()) + (x.taken ? " taken" : "");
    }
    q.from = page.next;
  } while (q.from != 0);
  return text;
}

/// Random lives of tasks, in random portions: what ends within a transaction is left out of it, and nobody can tell.
TEST_CASE("store: sqlite tells what memory tells, whatever was committed together") {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto chance = [&](unsigned of) { return random() % of == 0; };
    MemoryMedium memory;
    SqliteMedium sqlite;
    TaskNumber next = 1;
    std::vector<TaskNumber> live, kept;
    for (int start = 0; start < 3; ++start) {
      Started a(memory), b(sqlite);
      REQUIRE(told(*a.s, a.bell) == told(*b.s, b.bell));
      store::Lsn lsn = 0;
      const auto pick = [&](std::vector<TaskNumber>& from) {
        const std::size_t at = random() % from.size();
        const TaskNumber n = from[at];
        from.erase(from.begin() + static_cast<std::ptrdiff_t>(at));
        return n;
      };
      for (int step = 0; step < 40; ++step) {
        Records r;
        if (chance(2)) {
          const auto count = static_cast<std::uint32_t>(1 + random() % 6);
          accept(r, next, count, next, static_cast<std::uint8_t>(1 + random() % 3));
          for (; count != 0 && next < r.numbers_until; ++next) live.push_back(next);
        }
        while (!live.empty() && chance(2)) {
          const TaskNumber n = live[random() % live.size()];
          r.progress.push_back({n, "p" + std::to_string(step)});
        }
        while (!live.empty() && !chance(3)) {
          auto row = outcome(pick(live), chance(3) ? TaskState::failed : TaskState::succeeded);
          row.taken = chance(3);
          if (chance(2)) row.input = Slice::copy("again");
          kept.push_back(row.number);
          r.outcomes.push_back(std::move(row));
        }
        if (!kept.empty() && chance(2)) r.taken.push_back(kept[random() % kept.size()]);
        while (!kept.empty() && chance(2)) r.forgotten.push_back(pick(kept));
        if (chance(4)) r.settings.push_back({"s" + std::to_string(random() % 3), std::to_string(step), chance(3)});
        if (chance(4)) r.workers.push_back({"w" + std::to_string(random() % 3), std::to_string(step), chance(3)});
        if (chance(6)) r.streams.push_back({stream(static_cast<std::uint8_t>(1 + random() % 3)), next, chance(3)});
        r.lsn = ++lsn;
        Records copy = r;
        a.s->append(std::move(r));
        b.s->append(std::move(copy));
        if (chance(5)) {
          REQUIRE(b.bell.wait([&] { return b.s->take_committed().lsn == lsn; }));
        }
      }
      if (chance(2)) {
        CHECK(a.s->close(next).ok());
        CHECK(b.s->close(next).ok());
      }
    }
    Started a(memory), b(sqlite);
    REQUIRE(told(*a.s, a.bell) == told(*b.s, b.bell));
  }
}

}  // namespace
