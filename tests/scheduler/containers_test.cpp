// The containers of the scheduler against those of the standard library, by chance.
#include <doctest/doctest.h>

#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "daemon/scheduler/chunked.hpp"
#include "daemon/scheduler/key_table.hpp"
#include "daemon/scheduler/retention.hpp"
#include "daemon/scheduler/ring.hpp"

using namespace futured;
using namespace futured::scheduler;

TEST_CASE("a ring is a queue whose positions go on for ever") {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    Ring<std::string> ring;
    std::deque<std::string> model;
    std::uint64_t begin = random() % 2 == 0 ? 0 : random() % 1000;
    ring.start_at(begin);
    for (int step = 0; step < 400; ++step) {
      switch (random() % 8) {
        case 0:
        case 1:
        case 2:
          for (unsigned n = random() % 200; n > 0; --n) {
            const std::string value = std::to_string(random());
            ring.push_back(value);
            model.push_back(value);
          }
          break;
        case 3:
        case 4:
          for (unsigned n = random() % 200; n > 0 && !model.empty(); --n, ++begin) {
            ring.pop_front();
            model.pop_front();
          }
          break;
        case 5: {
          const std::size_t n = model.empty() ? 0 : random() % (model.size() + 1);
          ring.pop_front_to(begin + n);
          model.erase(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(n));
          begin += n;
          break;
        }
        case 6: {
          const std::size_t n = model.empty() ? 0 : random() % (model.size() + 1);
          ring.pop_back_to(begin + n);
          model.resize(n);
          break;
        }
        default:
          if (model.empty()) ring.start_at(begin = random() % 5000);
          break;
      }
      REQUIRE(ring.begin() == begin);
      REQUIRE(ring.size() == model.size());
      REQUIRE(ring.empty() == model.empty());
      if (model.empty()) continue;
      REQUIRE(ring.front() == model.front());
      REQUIRE(ring.back() == model.back());
      const std::size_t at = random() % model.size();
      REQUIRE(ring[begin + at] == model[at]);
    }
    for (std::size_t i = 0; i < model.size(); ++i) REQUIRE(ring[begin + i] == model[i]);
  }
}

TEST_CASE("an array in chunks keeps its elements where they are") {
  Chunked<int> a;
  a.push_back(0);
  const int* first = &a[0];
  for (int i = 1; i < 20'000; ++i) a.push_back(i);
  CHECK(&a.front() == first);
  for (int i = 0; i < 20'000; ++i) REQUIRE(a[static_cast<std::size_t>(i)] == i);
  for (int i = 20'000; i > 5; --i) a.pop_back();
  CHECK(a.size() == 5);
  CHECK(a.back() == 4);
  a.push_back(9);
  CHECK(a.back() == 9);
}

TEST_CASE("a key leads to its task until it is dropped") {
  std::mt19937 random(1);
  KeyTable table;
  std::map<std::string, TaskNumber> model;
  for (TaskNumber n = 1; n <= 50'000; ++n) {
    const std::string key = "key " + std::to_string(random() % 20'000);
    if (random() % 3 == 0) {
      table.erase(key);
      model.erase(key);
    } else {
      table.set(key, {n, n});
      model[key] = n;
    }
    REQUIRE(table.size() == model.size());
  }
  for (const auto& [key, task] : model) REQUIRE(table.find(key)->task == task);
  CHECK(table.find("none") == nullptr);
}

TEST_CASE("retention gives up in order of time what is still kept, and the rest goes by and by") {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    Retention retention;
    std::set<TaskNumber> kept;
    std::map<TaskNumber, Time> until;
    TaskNumber next = 1;
    Time now = 1'000'000'000;
    const auto is_kept = [&](TaskNumber n) { return kept.count(n) != 0; };
    for (int step = 0; step < 3000; ++step) {
      now += static_cast<Time>(random() % 20'000'000);
      for (unsigned n = random() % 8; n > 0; --n, ++next) {
        const std::int64_t seconds = random() % 2 == 0 ? 10 : 50;
        retention.keep(next, now, seconds * 1'000'000'000);
        kept.insert(next);
        until[next] = now + seconds * 1'000'000'000;
      }
      for (unsigned n = random() % 7; n > 0 && !kept.empty(); --n) {
        // Mostly new ones, so that what is kept no longer lies about for long.
        auto it = kept.lower_bound(next - std::min<TaskNumber>(next, random() % 500));
        if (it == kept.end()) it = kept.begin();
        kept.erase(it);
        retention.gone();
      }
      if (retention.tidy(random() % 100, is_kept)) REQUIRE(retention.size() > 0);
      retention.advance(now, 100, [&](TaskNumber n) {
        REQUIRE(until[n] <= now);
        kept.erase(n);
      });
      if (random() % 50 == 0 && retention.size() > 0) kept.erase(retention.pop_oldest());
      REQUIRE(retention.size() >= kept.size());
      // Bounded by what is kept.
      REQUIRE(retention.size() <= 3 * kept.size() + 4000);
    }
    for (const TaskNumber n : kept) REQUIRE(until[n] > now - 20'000'000'000);
    std::set<TaskNumber> given;
    retention.advance(kNever - 1, SIZE_MAX, [&](TaskNumber n) { given.insert(n); });
    for (const TaskNumber n : kept) REQUIRE(given.count(n) == 1);
    CHECK(retention.size() == 0);
  }
}
