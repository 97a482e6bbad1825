// A worker session under random events.
#include <map>
#include <random>

#include "tests/worker/session_bench.hpp"

namespace {

using namespace futured;
using namespace futured::worker;
using namespace futured::worker::test;

// Whatever happens in whatever order, each call that was received comes to exactly one end: reported once (and again
// only on a new connection under the same number), or given back.
TEST_CASE("each call is reported once or given back, under random events") {
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const auto one_of = [&random](std::uint64_t n) { return random() % n; };
    Bench b(Bench::slots(static_cast<std::uint32_t>(one_of(4)), static_cast<std::uint32_t>(1 + one_of(5))));
    b.begin();
    std::uint64_t next = 1;
    std::uint64_t credit[2] = {0, 0};
    std::uint64_t sent[2] = {0, 0};
    std::map<std::uint64_t, std::uint64_t> report_of;  // task -> report number
    std::set<std::uint64_t> open, returned;
    std::uint64_t reported = 0;
    std::vector<CallId> live;
    const auto credits = [&credit](const Credits& c) {
      for (int l = 0; l < 2; ++l) credit[l] = std::max(credit[l], c.lane[l]);
    };
    const auto listen = [&] {
      for (const Message& m : b.said) {
        if (const auto* hello = std::get_if<SayHello>(&m)) {
          credit[0] = credit[1] = sent[0] = sent[1] = 0;
          credits(hello->credits);
        } else if (const auto* c = std::get_if<SayCredit>(&m)) {
          credits(c->credits);
        } else if (const auto* ran = std::get_if<SayRan>(&m)) {
          credits(ran->credits);
          for (std::uint64_t i = ran->first; i < ran->first + ran->count; ++i) {
            const std::uint64_t task = b.s.report(i).token.task;
            const auto [it, is_new] = report_of.emplace(task, i);
            REQUIRE(it->second == i);
            REQUIRE(returned.count(task) == 0);
            if (is_new) REQUIRE(open.erase(task) == 1);
          }
          reported = std::max(reported, ran->first + ran->count);
        } else if (const auto* back = std::get_if<SayRecalled>(&m)) {
          credits(back->credits);
          for (std::size_t i = 0; i < back->tokens.size(); ++i) {
            if (!back->returned[i]) continue;
            REQUIRE(open.erase(back->tokens[i].task) == 1);
            returned.insert(back->tokens[i].task);
          }
        } else if (const auto* announce = std::get_if<SayAnnounce>(&m)) {
          for (const auto* column : {&announce->running, &announce->waiting, &announce->ended}) {
            for (const AttemptToken& t : *column) REQUIRE((open.count(t.task) + report_of.count(t.task)) == 1);
          }
        }
      }
      b.said.clear();
    };
    const auto some_tokens = [&] {
      std::vector<AttemptToken> t;
      for (std::uint64_t i = one_of(12); i > 0; --i) t.push_back(token(1 + one_of(next)));
      std::sort(t.begin(), t.end());
      t.erase(std::unique(t.begin(), t.end()), t.end());
      return t;
    };
    const auto step = [&] {
      b.now += static_cast<Time>(one_of(3 * kMs));
      switch (one_of(12)) {
        case 0:
        case 1:
        case 2:
          if (b.s.ready()) {
            const auto type = static_cast<std::uint32_t>(one_of(3));
            const std::size_t l = type == kBlock ? 0 : 1;
            Numbers n;
            for (; sent[l] < credit[l] && n.size() < 4; ++sent[l]) {
              open.insert(next);
              n.push_back(next++);
            }
            for (const CallId id : b.run(type, n)) live.push_back(id);
          }
          break;
        case 3:
        case 4:
        case 5:
        case 6:
          if (!b.started.empty()) {
            const std::size_t i = one_of(b.started.size());
            const CallId id = b.started[i];
            b.started.erase(b.started.begin() + static_cast<std::ptrdiff_t>(i));
            if (one_of(2) != 0) b.s.started(id, b.now);
            b.s.served(Lane::thread, 1, static_cast<Time>(one_of(10 * kMs)));
            b.ends(id, "", one_of(3) == 0);
          }
          break;
        case 7:
          b.s.recall(some_tokens());
          break;
        case 8:
          b.s.stop(some_tokens());
          break;
        case 9:
          if (!b.started.empty()) b.begins(b.started[one_of(b.started.size())]);
          break;
        case 10:
          b.s.ran_ack(one_of(reported + 2));
          break;
        default:
          if (one_of(20) == 0) b.s.lost(b.now);
          break;
      }
      b.act();
      b.turn();
      if (!b.s.ready()) {
        listen();
        b.now = std::max(b.now, std::min(b.s.next_deadline(), b.now + kSecond));
        b.turn();
        b.s.welcome({}, b.now);
        b.act();
        b.turn();
      }
      listen();
    };
    for (int i = 0; i < 500; ++i) step();
    REQUIRE(b.disconnects == 0);
    // The end: everything that can end does.
    b.s.drain(one_of(2) == 0, b.now);
    b.act();
    for (int i = 0; i < 10'000 && b.s.ending() == Ending::none; ++i) {
      if (b.started.empty()) {
        b.s.ran_ack(reported);
      } else {
        const CallId id = b.started.back();
        b.started.pop_back();
        b.ends(id);
      }
      b.turn();
      listen();
    }
    REQUIRE(b.s.ending() == Ending::drained);
    REQUIRE(open.empty());
    REQUIRE(report_of.size() + returned.size() == next - 1);
  }
}

}  // namespace
