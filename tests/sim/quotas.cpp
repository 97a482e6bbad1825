#include "tests/sim/quotas.hpp"

#include <algorithm>

namespace futured::sim {

namespace {
constexpr Time kTolerance = 10 * kMs;       // starts that a busy loop is late with may come at once
constexpr std::uint64_t kLongWindow = 200;  // a turn of a share takes 64 tasks; fairness is over several
}  // namespace

void Quotas::reset() {
  limits_.clear();
  paused_pools_.clear();
  paused_types_.clear();
  shares_.clear();
}

void Quotas::set_limit(const std::string& name, std::uint32_t running, std::uint32_t starts, Time per, Time now) {
  Limit& l = limits_[name];
  if (running != 0 && l.running.size() > running) ++seen_.times[static_cast<std::size_t>(Seen::limit_lowered)];
  l.bounds.push_back({now, running});
  l.starts = starts;
  l.per = per;
  l.started.clear();
}

void Quotas::set_paused(const std::string& pool, const std::string& type, bool paused) {
  std::set<std::string>& set = pool.empty() ? paused_types_ : paused_pools_;
  const std::string& name = pool.empty() ? type : pool;
  if (paused) {
    set.insert(name);
  } else {
    set.erase(name);
  }
}

std::string Quotas::sent(TaskNumber number, const scheduler::Spec& spec, const std::string& pool, Time now) {
  if (paused_pools_.count(pool) != 0) return "it was sent to a worker although pool " + pool + " is paused";
  if (paused_types_.count(spec.type) != 0) return "it was sent to a worker although type " + spec.type + " is paused";
  if (spec.limit.empty()) return {};
  Limit& l = limits_[spec.limit];
  l.sent[number] = now;
  if (l.starts == 0) return {};
  while (!l.started.empty() && l.started.front() <= now - l.per) l.started.pop_front();
  l.started.push_back(now);
  const Time interval = std::max<Time>(l.per / l.starts, 1);
  const auto most = static_cast<std::uint64_t>(l.starts + 1 + (interval < kTolerance ? kTolerance / interval : 0));
  if (l.started.size() <= most) return {};
  return "limit " + spec.limit + " allows " + std::to_string(l.starts) + " starts in " + std::to_string(l.per / kMs) +
         " ms, and this is number " + std::to_string(l.started.size());
}

std::string Quotas::began(TaskNumber number, const scheduler::Spec& spec, Time now,
                          const std::function<bool(TaskNumber)>& counts) {
  if (spec.limit.empty()) return {};
  Limit& l = limits_[spec.limit];
  l.running.insert(number);
  const auto sent = l.sent.find(number);
  if (sent == l.sent.end() || l.bounds.empty()) return {};
  // What was sent before the bound was lowered may still begin; so the largest bound since then counts.
  std::uint64_t most = 0;
  for (std::size_t i = l.bounds.size(); i-- > 0;) {
    if (l.bounds[i].running == 0) return {};
    most = std::max<std::uint64_t>(most, l.bounds[i].running);
    if (l.bounds[i].from < sent->second) break;
    if (i == 0) return {};  // it was sent before there was a bound
  }
  const auto running = std::count_if(l.running.begin(), l.running.end(), counts);
  if (static_cast<std::uint64_t>(running) <= most) return {};
  (void)now;
  return "limit " + spec.limit + " allows " + std::to_string(most) + " at once, and " + std::to_string(running) +
         " run";
}

void Quotas::ended(TaskNumber number, const scheduler::Spec& spec) {
  if (!spec.limit.empty()) limits_[spec.limit].running.erase(number);
}

std::string Quotas::share_of(const scheduler::Spec& spec) {
  return spec.fair.empty() ? "owner " + std::to_string(spec.owner) : spec.fair;
}

void Quotas::waits(const scheduler::Spec& spec, const std::string& pool, std::int64_t by) {
  auto& shares = shares_[{pool, spec.type, spec.priority}];
  Share& share = shares[share_of(spec)];
  const bool before = share.waiting > 0;
  share.waiting += by;
  // Shares are compared while all of them have something.
  if (before != (share.waiting > 0)) {
    for (auto& [name, other] : shares) other.sent = 0;
  }
}

std::string Quotas::share_sent(const scheduler::Spec& spec, const std::string& pool) {
  auto& shares = shares_[{pool, spec.type, spec.priority}];
  Share& mine = shares[share_of(spec)];
  ++mine.sent;
  for (const auto& [name, other] : shares) {
    if (other.waiting <= 0 || &other == &mine) continue;
    if (mine.sent > 2 * other.sent + kLongWindow) {
      return "share " + share_of(spec) + " was given " + std::to_string(mine.sent) + " calls while share " + name +
             ", which has tasks too, was given " + std::to_string(other.sent);
    }
    if (mine.sent >= kLongWindow && other.sent > 64) {
      ++seen_.times[static_cast<std::size_t>(Seen::shares_took_turns)];
    }
  }
  return {};
}

}  // namespace futured::sim
