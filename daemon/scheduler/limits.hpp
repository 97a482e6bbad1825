// Named bounds on how many tasks run at once and how often one starts. A task counts from its dispatch to the end of
// the attempt. What waits for a limit is parked here by class, so that a freed place wakes one flow of each class that
// could use it, the one with the highest priority: nobody is looked for.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "daemon/scheduler/event.hpp"
#include "daemon/scheduler/mutants.hpp"

namespace futured::scheduler {

using LimitId = std::uint32_t;
inline constexpr LimitId kNoLimit = UINT32_MAX;

struct Limit {
  std::string name;
  std::uint32_t running = 0;  ///< bound of tasks at once; 0: none
  std::uint32_t starts = 0;   ///< bound of starts within `per`; 0: none
  Time per = 0;
  bool set = false;  ///< by an order, not only named by tasks
  std::uint32_t in_use = 0;
  std::uint64_t waiting = 0;  ///< queued tasks that count against it when they run
  std::uint32_t users = 0;    ///< flows that name it
  Time next_start = 0;        ///< of the evenly spaced starts, the next

  /// When one more may start; <= now: at once. kNever: when one ends.
  Time opens(Time now) const {
    if (running != 0 && in_use >= running) return kNever;
    return starts == 0 ? now : next_start - tolerance();
  }
  void start(Time now) {
    ++in_use;
    if (starts != 0 && !FUTURED_MUTANT(rate_ignored)) next_start = std::max(next_start, now) + interval();
  }

 private:
  Time interval() const { return std::max<Time>(per / starts, 1); }
  /// Starts are spaced evenly; a loop that is late by less than this makes up for it.
  Time tolerance() const { return std::max<Time>(interval(), kTolerance) - interval(); }
  static constexpr Time kTolerance = 10'000'000;
};

class LimitTable {
 public:
  /// Finds it, or makes one without bounds; the caller adds itself to `users` or sets it.
  LimitId named(const std::string& name) {
    const auto [it, added] = by_name_.try_emplace(name, kNoLimit);
    if (!added) return it->second;
    if (free_.empty()) {
      it->second = static_cast<LimitId>(limits_.size());
      limits_.emplace_back();
    } else {
      it->second = free_.back();
      free_.pop_back();
    }
    limits_[it->second].limit = Limit{};
    limits_[it->second].limit.name = name;
    return it->second;
  }
  LimitId find(const std::string& name) const {
    const auto it = by_name_.find(name);
    return it == by_name_.end() ? kNoLimit : it->second;
  }
  Limit& operator[](LimitId id) { return limits_[id].limit; }
  const Limit& operator[](LimitId id) const { return limits_[id].limit; }
  /// Frees it if nothing names it and nobody set it.
  void drop_if_free(LimitId id) {
    Limit& l = limits_[id].limit;
    if (l.users != 0 || l.set || l.in_use != 0) return;
    rates_.erase({limits_[id].armed, id});
    limits_[id].armed = kNever;
    by_name_.erase(l.name);
    l = Limit{};
    free_.push_back(id);
  }
  const std::map<std::string, LimitId>& names() const { return by_name_; }

  // ---- what waits for it
  /// `served`: by it those of the same priority stand in line.
  struct Place {
    std::int32_t priority = 0;
    std::uint64_t served = 0;
    FlowId flow = 0;
    bool operator<(const Place& o) const {
      return std::tie(o.priority, served, flow) < std::tie(priority, o.served, o.flow);
    }
  };
  void park(LimitId id, std::uint32_t cls, const Place& place, Time now) {
    Entry& e = limits_[id];
    e.parked[cls].insert(place);
    arm(id, e.limit.opens(now));
  }
  void unpark(LimitId id, std::uint32_t cls, const Place& place) {
    Entry& e = limits_[id];
    const auto at = e.parked.find(cls);
    if (at == e.parked.end()) return;
    at->second.erase(place);
    if (at->second.empty()) e.parked.erase(at);
  }
  /// One that was woken, or was never parked, does not use the next place: others are woken in the next turn.
  void pass_on(LimitId id) {
    Entry& e = limits_[id];
    if (!e.parked.empty() && e.armed == kNever) arm(id, e.limit.opens(0));
  }
  /// The first flow of each class, if one more may start now.
  void wake(LimitId id, Time now, std::vector<FlowId>& out) {
    Entry& e = limits_[id];
    if (e.parked.empty()) return arm(id, kNever);
    const Time opens = e.limit.opens(now);
    if (opens > now) return arm(id, opens);
    arm(id, kNever);
    for (const auto& [cls, flows] : e.parked) out.push_back(flows.begin()->flow);
  }
  /// All of them: the bounds were changed.
  void wake_all(LimitId id, std::vector<FlowId>& out) {
    for (const auto& [cls, flows] : limits_[id].parked) {
      for (const Place& place : flows) out.push_back(place.flow);
    }
  }
  /// When a rate allows the next start of something parked.
  Time next_deadline() const { return rates_.empty() ? kNever : rates_.begin()->first; }
  LimitId next_due(Time now) const {
    return rates_.empty() || rates_.begin()->first > now ? kNoLimit : rates_.begin()->second;
  }

 private:
  friend struct Invariants;

  struct Entry {
    Limit limit;
    std::map<std::uint32_t, std::set<Place>> parked;  // by class
    Time armed = kNever;
  };
  void arm(LimitId id, Time at) {
    Entry& e = limits_[id];
    if (e.armed == at) return;
    if (e.armed != kNever) rates_.erase({e.armed, id});
    e.armed = at;
    if (at != kNever) rates_.emplace(at, id);
  }

  std::vector<Entry> limits_;
  std::vector<LimitId> free_;
  std::map<std::string, LimitId> by_name_;
  std::set<std::pair<Time, LimitId>> rates_;
};

}  // namespace futured::scheduler
