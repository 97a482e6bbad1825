// The worker session, driven by hand: no socket, no thread, no clock.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "worker/session/session.hpp"

namespace futured::worker::test {

constexpr Time kMs = 1'000'000;
constexpr Time kSecond = 1000 * kMs;

// Type numbers of the types below.
constexpr std::uint32_t kBlock = 0;   // thread lane
constexpr std::uint32_t kLater = 1;   // async lane
constexpr std::uint32_t kNarrow = 2;  // async lane, one at a time

inline AttemptToken token(std::uint64_t n) { return {1, 1, n}; }

// Carries out the orders of a session into lists that a test can look at.
struct Bench {
  explicit Bench(SessionConfig config = {}) : s(config) {
    const CallType types[] = {{Lane::thread, 0}, {Lane::async, 0}, {Lane::async, 1}};
    s.set_types(types);
  }
  explicit Bench(std::uint32_t threads, std::uint32_t async) : Bench(slots(threads, async)) {}
  static SessionConfig slots(std::uint32_t threads, std::uint32_t async) {
    SessionConfig c;
    c.threads = threads;
    c.async_slots = async;
    return c;
  }

  void act() {
    while (!s.actions().empty()) {
      Actions a;
      std::swap(a, s.actions());
      disconnects += a.disconnect ? 1 : 0;
      connects += a.connect ? 1 : 0;
      for (const CallId id : a.take_back) s.taken_back(id, not_begun.erase(id) > 0, now);
      stopped.insert(stopped.end(), a.stop.begin(), a.stop.end());
      for (const CallId id : a.start[0]) {
        not_begun.insert(id);
        started.push_back(id);
      }
      started.insert(started.end(), a.start[1].begin(), a.start[1].end());
      for (Message& m : a.say) said.push_back(std::move(m));
    }
  }
  void turn(Time pass = 0) {
    now += pass;
    s.tick(now);
    act();
    s.flush(now);
    act();
  }
  void begin() {
    s.start(now);
    act();
    s.welcome({}, now);
    act();
    turn();
    take<SayHello>();
  }
  // Ids of the calls, 0 for those that will not run.
  std::vector<CallId> run(std::uint32_t type, const std::vector<std::uint64_t>& numbers) {
    std::vector<NewCall> calls;
    for (const std::uint64_t n : numbers) calls.push_back({token(n), type});
    s.run(calls, now);
    act();
    std::vector<CallId> ids;
    for (const NewCall& c : calls) ids.push_back(c.id);
    return ids;
  }
  // A thread of the lane takes the call.
  void begins(CallId id) { not_begun.erase(id); }
  void ends(CallId id, std::string reply = "", bool fails = false) {
    begins(id);
    s.ended(id, Slice::of(std::move(reply)), fails ? std::make_unique<Failure>() : nullptr, now);
    act();
  }
  // The messages of one kind said so far, which are then forgotten.
  template <class M>
  std::vector<M> take() {
    std::vector<M> out;
    std::erase_if(said, [&](Message& m) {
      if (!std::holds_alternative<M>(m)) return false;
      out.push_back(std::move(std::get<M>(m)));
      return true;
    });
    return out;
  }
  // Tokens of the reports said.
  std::vector<std::uint64_t> reported() {
    std::vector<std::uint64_t> out;
    for (const SayRan& r : take<SayRan>()) {
      for (std::uint32_t i = 0; i < r.count; ++i) out.push_back(s.report(r.first + i).token.task);
    }
    return out;
  }

  Session s;
  Time now = kSecond;
  int connects = 0, disconnects = 0;
  std::set<CallId> not_begun;
  std::vector<CallId> started, stopped;
  std::vector<Message> said;
};

using Numbers = std::vector<std::uint64_t>;

}  // namespace futured::worker::test
