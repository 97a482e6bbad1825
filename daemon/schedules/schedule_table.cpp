#include "daemon/schedules/schedule_table.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "proto/nearest.hpp"

namespace futured::schedules {

Status ScheduleTable::add(Schedule schedule, WallTime now) {
  // A longer one is not repeated: cut off it might end within a letter.
  if (schedule.name.empty() || schedule.name.size() > Schedule::kMostName) {
    return {Code::invalid, "a schedule needs a name of at most " + std::to_string(Schedule::kMostName) + " bytes"};
  }
  const std::string what = "schedule '" + schedule.name + "'";
  if (schedules_.contains(schedule.name)) {
    return {Code::invalid, what + " exists; remove it first, or take another name"};
  }
  if (const auto* every = std::get_if<Every>(&schedule.when)) {
    if (every->interval < Schedule::kMinInterval) {
      return {Code::invalid,
              what + ": the interval of " + std::to_string(every->interval) + " ns is too short; 1 ms is the least"};
    }
  } else if (std::get<Calendar>(schedule.when).zone == nullptr) {
    return {Code::invalid, what + " has no time zone"};
  }
  Schedule::State& state = schedule.state;
  state.passed = std::max(state.passed == kNoTime && state.last_fire == kNoTime ? now : state.passed, state.last_fire);
  schedule.running.clear();
  schedule.next_fire = kNever;
  std::string name = schedule.name;
  Schedule& added = schedules_.emplace(std::move(name), std::move(schedule)).first->second;
  if (!added.state.paused) set_next(added, next_due(added, added.state.passed));
  return {};
}

Status ScheduleTable::pause(std::string_view name) {
  const auto it = known(name);
  if (!it) return it.status();
  (*it)->second.state.paused = true;
  set_next((*it)->second, kNever);
  return {};
}

Status ScheduleTable::resume(std::string_view name, WallTime now) {
  const auto it = known(name);
  if (!it) return it.status();
  Schedule& schedule = (*it)->second;
  if (!schedule.state.paused) return {};
  schedule.state.paused = false;
  schedule.state.passed = std::max(schedule.state.passed, now);
  set_next(schedule, next_due(schedule, schedule.state.passed));
  return {};
}

Status ScheduleTable::remove(std::string_view name) {
  const auto it = known(name);
  if (!it) return it.status();
  set_next((*it)->second, kNever);
  schedules_.erase(*it);
  return {};
}

bool ScheduleTable::ended(std::string_view name, RunNumber run) {
  const auto it = schedules_.find(name);
  return it != schedules_.end() && it->second.running.erase(run) != 0;
}

Status ScheduleTable::still_runs(std::string_view name, RunNumber run) {
  const auto it = known(name);
  if (!it) return it.status();
  Schedule& schedule = (*it)->second;
  if (run == 0 || run > schedule.state.fired) {
    return {Code::invalid, "schedule '" + schedule.name + "' has no run " + std::to_string(run) + ": it fired " +
                               std::to_string(schedule.state.fired) + " times"};
  }
  schedule.running.insert(run);
  return {};
}

const Schedule* ScheduleTable::find(std::string_view name) const {
  const auto it = schedules_.find(name);
  return it == schedules_.end() ? nullptr : &it->second;
}

std::vector<RunNumber> ScheduleTable::running(std::string_view name) const {
  const Schedule* schedule = find(name);
  if (schedule == nullptr) return {};
  return {schedule->running.begin(), schedule->running.end()};
}

Result<ScheduleTable::Schedules::iterator> ScheduleTable::known(std::string_view name) {
  const auto it = schedules_.find(name);
  if (it != schedules_.end()) return it;
  if (name.size() > Schedule::kMostName) return Status(Code::not_found, "there is no schedule of so long a name");
  std::vector<std::string_view> names;
  for (const auto& entry : schedules_) names.push_back(entry.first);
  const std::string near = nearest(name, names);
  return Status(Code::not_found, "there is no schedule '" + std::string(name) + "'" +
                                     (near.empty() ? "" : "; did you mean '" + near + "'?"));
}

void ScheduleTable::set_next(Schedule& schedule, WallTime next) {
  const std::string_view name = schedules_.find(schedule.name)->first;
  if (schedule.next_fire != kNever) deadlines_.erase({schedule.next_fire, name});
  schedule.next_fire = next;
  if (next != kNever) deadlines_.emplace(next, name);
}

std::vector<std::string_view> ScheduleTable::due(WallTime now) const {
  std::vector<std::string_view> names;
  for (auto it = deadlines_.begin(); it != deadlines_.end() && it->first <= now; ++it) names.push_back(it->second);
  return names;
}

void ScheduleTable::advance(WallTime now, std::vector<Fire>& fires) {
  // First who is due, then their turns: these change the order.
  for (const std::string_view name : due(now)) advance(schedules_.find(name)->second, now, fires);
}

void ScheduleTable::advance(Schedule& schedule, WallTime now, std::vector<Fire>& fires) {
  Schedule::State& state = schedule.state;
  WallTime due = schedule.next_fire;
  if (const auto* every = std::get_if<Every>(&schedule.when); every != nullptr && schedule.catch_up != CatchUp::all) {
    // All but the newest at once: of short intervals there may be millions.
    const auto missed = (static_cast<std::uint64_t>(now) - static_cast<std::uint64_t>(due)) /
                        static_cast<std::uint64_t>(every->interval);
    state.skipped += missed;
    due += static_cast<WallTime>(missed * static_cast<std::uint64_t>(every->interval));
  }
  const std::size_t most = schedule.catch_up == CatchUp::all ? Schedule::kMostFires : kMostSkips;
  for (std::size_t n = 0; due <= now && n < most; ++n) {
    const WallTime following = next_due(schedule, due);
    const bool newest = following > now;
    bool fires_now = schedule.catch_up == CatchUp::all;
    if (newest && schedule.catch_up == CatchUp::once) fires_now = true;
    if (newest && schedule.catch_up == CatchUp::skip) fires_now = now - due < Schedule::kLate;
    if (schedule.overlap == Overlap::skip && !schedule.running.empty()) fires_now = false;
    state.passed = due;
    if (fires_now) {
      state.last_fire = due;
      Fire& fire = fires.emplace_back(Fire{schedule.name, schedule.target, due, ++state.fired, {}});
      if (schedule.overlap == Overlap::replace) fire.replaces.assign(schedule.running.begin(), schedule.running.end());
      schedule.running.insert(fire.number);
    } else {
      ++state.skipped;
    }
    due = following;
  }
  set_next(schedule, due);
}

}  // namespace futured::schedules
