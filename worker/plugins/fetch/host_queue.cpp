#include "worker/plugins/fetch/host_queue.hpp"

#include <algorithm>
#include <iterator>

namespace futured::plugins::fetch {
namespace {

constexpr std::size_t most_scouts = 64;
// curl keeps the answer of the resolver for 60 s.
constexpr auto name_lasts = std::chrono::seconds(50);

}  // namespace

HostQueue::~HostQueue() {
  for (const auto& [key, host] : hosts_) delete host;
}

HostQueue::Place HostQueue::add(const Site& site, Job* job) {
  auto& host = hosts_[site.key];
  if (host == nullptr) {
    host = new Host;
    host->key = site.key;
    host->needs_name = site.needs_name;
  }
  host->waiting.push_back(job);
  make_ready(host);
  return {host, std::prev(host->waiting.end())};
}

void HostQueue::remove(const Place& place) { place.host->waiting.erase(place.at); }

void HostQueue::make_ready(Host* host) {
  if (host->listed || host->waiting.empty()) return;
  host->listed = true;
  ready_.push_back(host);
}

bool HostQueue::may_start(const Host& host, Time now) const {
  if (host.waiting.empty() || host.active >= most_per_host_) return false;
  return !host.needs_name || now < host.resolved_until || (!host.scouting && scouts_ < most_scouts);
}

HostQueue::Next HostQueue::next(Time now) {
  forget_idle(now);
  while (active_ < most_) {
    if (ready_.empty()) {
      if (scouts_ >= most_scouts || without_scout_.empty()) break;
      ready_.push_back(without_scout_.front());
      without_scout_.pop_front();
    }
    Host* host = ready_.front();
    ready_.pop_front();
    host->listed = false;
    if (!may_start(*host, now)) {
      // One of its transfers or its scout makes it ready again; if all scouts are out, it waits for any of them.
      if (!host->waiting.empty() && host->active < most_per_host_ && !host->scouting) {
        host->listed = true;
        without_scout_.push_back(host);
      }
      continue;
    }
    Job* job = host->waiting.front();
    host->waiting.pop_front();
    ++host->active;
    ++active_;
    const bool scout = host->needs_name && now >= host->resolved_until;
    if (scout) {
      host->scouting = true;
      ++scouts_;
    }
    make_ready(host);
    return {job, scout};
  }
  return {};
}

void HostQueue::scout_passed(Host* host) {
  if (!host->scouting) return;
  host->scouting = false;
  --scouts_;
  make_ready(host);
}

void HostQueue::resolved(Host* host, Time now) {
  host->resolved_until = now + name_lasts;
  scout_passed(host);
  make_ready(host);
}

void HostQueue::done(Host* host, bool scout) {
  --host->active;
  --active_;
  if (scout) scout_passed(host);
  make_ready(host);
}

Job* HostQueue::first_waiting(const Host* host) { return host->waiting.empty() ? nullptr : host->waiting.front(); }

void HostQueue::forget_idle(Time now) {
  if (hosts_.size() < sweep_at_) return;
  std::erase_if(hosts_, [now](const auto& entry) {
    Host* host = entry.second;
    if (host->listed || host->active > 0 || !host->waiting.empty() || now < host->resolved_until) return false;
    delete host;
    return true;
  });
  sweep_at_ = std::max(many_hosts, 2 * hosts_.size());
}

}  // namespace futured::plugins::fetch
