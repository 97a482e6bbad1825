// Timers against a sorted set, and many deadlines at once.
#include <random>
#include <set>

#include "tests/scheduler/fixture.hpp"

using namespace futured;
using namespace futured::scheduler;
using futured::scheduler::test::Bench;

TEST_CASE("timers behave like a set sorted by time and number") {
  std::mt19937 random(7);
  Timers timers;
  std::set<std::pair<Time, TaskNumber>> model;
  struct Armed {
    TaskNumber number = 0;
    Time at = kNever;
  };
  std::vector<Armed> slots(200);
  TaskNumber next_number = 1;
  for (int n = 0; n < 100'000; ++n) {
    const TaskSlot slot = random() % slots.size();
    Armed& a = slots[slot];
    if (a.at == kNever) a.number = next_number++;  // a slot is used again for another task once it has no time
    const Time at = random() % 3 == 0 ? kNever : static_cast<Time>(random() % 50);
    if (a.at != kNever) model.erase({a.at, a.number});
    if (at != kNever) model.insert({at, a.number});
    a.at = at;
    timers.set(slot, a.number, at);
    REQUIRE(timers.size() == model.size());
    REQUIRE(timers.has(slot) == (at != kNever));
    REQUIRE(timers.next() == (model.empty() ? kNever : model.begin()->first));
    if (!model.empty()) REQUIRE(slots[timers.first()].number == model.begin()->second);
  }
  while (!model.empty()) {
    const TaskSlot slot = timers.first();
    REQUIRE(slots[slot].number == model.begin()->second);
    model.erase(model.begin());
    timers.set(slot, slots[slot].number, kNever);
  }
  CHECK(timers.size() == 0);
}

TEST_CASE("a hundred thousand deadlines in one moment are met in portions, in order") {
  constexpr std::size_t kMany = 100'000;
  constexpr std::uint64_t kPortion = 4096;
  Limits limits;
  limits.window_tasks = limits.first_window_tasks = kMany;
  Scheduler s(limits, 1);
  Actions actions;
  s.handle(event::ClientHello{1, Bench::stream(1), 0, 0, UINT64_MAX, UINT64_MAX}, 1, actions);
  const SessionId c = actions.client_welcomes[0].session;
  s.handle(event::PoolDefined{"default", {{"t", Lane::thread}}, 0}, 1, actions);
  Spec sp = Bench::spec();
  std::vector<Slice> payloads(kMany);
  SUBCASE("delays") { sp.delay_ns = 1000; }
  SUBCASE("deadlines") { sp.deadline_ns = 1000; }
  SUBCASE("expiry") { sp.expires_ns = 1000; }
  s.handle(event::Submit{c, 0, {&sp, 1}, {}, payloads}, 1, actions);
  s.advance(1, actions);
  CHECK(s.next_deadline() == 1001);
  const auto left = [&] { return sp.delay_ns != 0 ? s.counts().waiting : s.counts().queued; };
  REQUIRE(left() == kMany);
  std::size_t turns = 0;
  std::uint64_t told = 0;
  while (s.next_deadline() <= 1001) {
    REQUIRE(++turns < 100);
    const std::uint64_t before = left();
    actions.clear();
    s.advance(1001, actions);
    CHECK(before - left() <= kPortion);
    CHECK(actions.outcomes.size() <= kPortion);
    for (const Outcome& o : actions.outcomes) CHECK(o.handle == told++);
  }
  CHECK(left() == 0);
  CHECK(turns >= kMany / kPortion);
  CHECK(told == (sp.delay_ns != 0 ? 0 : kMany));
  const auto wrong = Invariants::check(s);
  for (const std::string& line : wrong) FAIL_CHECK(line);
}
