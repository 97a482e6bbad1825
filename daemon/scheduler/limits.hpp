// Named bounds on how many tasks run at once and how often one starts. A task counts from its dispatch to the end of
// the attempt. What waits for a limit is parked here by class, so that a freed place wakes one flow of each class that
// could use it, the one with the highest priority, and of the share that was served longest ago: nobody is looked for.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
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
    limits_[id].changed = false;
    by_name_.erase(l.name);
    l = Limit{};
    free_.push_back(id);
  }
  const std::map<std::string, LimitId>& names() const { return by_name_; }

  // ---- what waits for it
  /// Where a flow stands in line: by priority, then by share, then among the flows of its share. Who was served longest
  /// ago is first.
  struct Place {
    std::int32_t priority = 0;
    std::uint32_t share = 0;
    std::uint64_t share_served = 0;  ///< where the share stands, if none of it is parked yet
    std::uint64_t served = 0;
    FlowId flow = 0;
  };
  void park(LimitId id, std::uint32_t cls, const Place& place, Time now) {
    Entry& e = limits_[id];
    Line& line = e.parked[cls];
    const std::uint32_t share = FUTURED_MUTANT(limit_knows_no_shares) ? place.flow : place.share;
    const auto [it, first] = line.shares.try_emplace(share);
    if (first) {
      it->second.served = FUTURED_MUTANT(limit_knows_no_shares) ? place.served : place.share_served;
      line.order.insert({-place.priority, it->second.served, share});
    }
    it->second.flows.emplace(place.served, place.flow);
    ++e.flows;
    arm(id, e.limit.opens(now));
  }
  void unpark(LimitId id, std::uint32_t cls, const Place& place) {
    Entry& e = limits_[id];
    const auto line = e.parked.find(cls);
    if (line == e.parked.end()) return;
    const std::uint32_t share = FUTURED_MUTANT(limit_knows_no_shares) ? place.flow : place.share;
    const auto it = line->second.shares.find(share);
    if (it == line->second.shares.end() || it->second.flows.erase({place.served, place.flow}) == 0) return;
    --e.flows;
    if (!it->second.flows.empty()) return;
    line->second.order.erase({-place.priority, it->second.served, share});
    line->second.shares.erase(it);
    if (line->second.shares.empty()) e.parked.erase(line);
  }
  /// A task of this share starts: those of it that are parked stand behind the other shares.
  void serve(LimitId id, std::uint32_t cls, std::int32_t priority, std::uint32_t share, std::uint64_t served) {
    if (FUTURED_MUTANT(limit_knows_no_shares)) return;
    Entry& e = limits_[id];
    const auto line = e.parked.find(cls);
    if (line == e.parked.end()) return;
    const auto it = line->second.shares.find(share);
    if (it == line->second.shares.end()) return;
    line->second.order.erase({-priority, it->second.served, share});
    it->second.served = served;
    line->second.order.insert({-priority, served, share});
  }
  /// One that was woken, or was never parked, does not use the next place: others are woken in the next turn.
  void pass_on(LimitId id) {
    Entry& e = limits_[id];
    if (!e.parked.empty() && e.armed == kNever) arm(id, e.limit.opens(0));
  }
  /// The bounds were changed: as many as there are may start, and are woken in portions.
  void change(LimitId id) { limits_[id].changed = true; }
  /// The first flow of each class, if one more may start now; after a change many of them, up to the budget, and the
  /// others are armed for now.
  void wake(LimitId id, Time now, std::size_t& budget, std::vector<FlowId>& out) {
    Entry& e = limits_[id];
    const bool all = std::exchange(e.changed, false);
    if (e.parked.empty()) return arm(id, kNever);
    const Time opens = e.limit.opens(now);
    if (opens > now) return arm(id, opens);
    arm(id, kNever);
    if (!all) {
      for (const auto& [cls, line] : e.parked) out.push_back(first_of(line));
      budget -= std::min(budget, e.parked.size());
      return;
    }
    for (const auto& [cls, line] : e.parked) {
      for (const auto& [priority, served, share] : line.order) {
        for (const auto& [at, flow] : line.shares.at(share).flows) {
          if (budget == 0) {
            e.changed = true;
            return arm(id, now);
          }
          --budget;
          out.push_back(flow);
        }
      }
    }
  }
  /// When a rate allows the next start of something parked.
  Time next_deadline() const { return rates_.empty() ? kNever : rates_.begin()->first; }
  LimitId next_due(Time now) const {
    return rates_.empty() || rates_.begin()->first > now ? kNoLimit : rates_.begin()->second;
  }

 private:
  friend struct Invariants;

  struct Line {
    struct Share {
      std::uint64_t served = 0;
      std::set<std::pair<std::uint64_t, FlowId>> flows;  // by when each was served
    };
    std::set<std::tuple<std::int32_t, std::uint64_t, std::uint32_t>> order;  // priority downwards, served, share
    std::unordered_map<std::uint32_t, Share> shares;                         // looked up, never walked
  };
  struct Entry {
    Limit limit;
    std::map<std::uint32_t, Line> parked;  // by class
    std::size_t flows = 0;                 // in all of them
    bool changed = false;
    Time armed = kNever;
  };
  static FlowId first_of(const Line& line) {
    return line.shares.at(std::get<2>(*line.order.begin())).flows.begin()->second;
  }
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
