// Which waiting transfer may start next. Hosts take turns. A host whose name is not known to be resolved gets one scout
// first: each name lookup is a thread, and a thousand transfers to a new host are to cost one of them, not a thousand.
// No curl, no sockets, no clock: time is an argument. One thread. Does not own the jobs.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <string>
#include <unordered_map>

#include "worker/plugins/fetch/transfer.hpp"

namespace futured::plugins::fetch {

struct Job;

class HostQueue {
 public:
  using Time = std::chrono::steady_clock::time_point;
  struct Host;
  using Waiting = std::list<Job*>;
  /// Where a waiting job stands, to take it out again.
  struct Place {
    Host* host = nullptr;
    Waiting::iterator at;
  };

  struct Next {
    Job* job = nullptr;
    bool scout = false;  ///< nothing else of its host starts before resolved, scout_passed or done
  };

  HostQueue(std::uint32_t most, std::uint32_t most_per_host) : most_(most), most_per_host_(most_per_host) {}
  ~HostQueue();

  Place add(const Site& site, Job* job);
  void remove(const Place& place);
  /// The next job to start, or null. Its host counts it until done().
  Next next(Time now);
  void done(Host* host, bool scout);

  /// What a scout found out: that the name is resolved, or only that it needed no lookup (a connection was there).
  void resolved(Host* host, Time now);
  void scout_passed(Host* host);
  /// Null if nothing waits for this host.
  static Job* first_waiting(const Host* host);

 private:
  void make_ready(Host* host);
  bool may_start(const Host& host, Time now) const;
  void forget_idle(Time now);

  static constexpr std::size_t many_hosts = 4096;

  const std::uint32_t most_;
  const std::uint32_t most_per_host_;
  std::size_t active_ = 0;
  std::size_t scouts_ = 0;
  std::size_t sweep_at_ = many_hosts;  // hosts known at which the idle ones are forgotten
  std::unordered_map<std::string, Host*> hosts_;
  std::deque<Host*> ready_;
  std::deque<Host*> without_scout_;  // may not start: too many lookups under way
};

struct HostQueue::Host {
  std::string key;
  bool needs_name = false;
  bool scouting = false;
  bool listed = false;  // in ready_ or without_scout_
  std::uint32_t active = 0;
  Time resolved_until{};
  Waiting waiting;
};

}  // namespace futured::plugins::fetch
