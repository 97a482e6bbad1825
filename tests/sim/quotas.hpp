// What bounds how many tasks run and when: limits, rates, pauses, shares. It is told each call that is sent and each
// that begins or ends, and says what is too much.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "daemon/scheduler/spec.hpp"
#include "proto/ids.hpp"
#include "tests/sim/mixture.hpp"
#include "tests/sim/seen.hpp"

namespace futured::sim {

class Quotas {
 public:
  explicit Quotas(Sightings& seen) : seen_(seen) {}

  /// Another daemon: it knows of no limits and no pauses.
  void reset();
  void set_limit(const std::string& name, std::uint32_t running, std::uint32_t starts, Time per, Time now);
  void set_paused(const std::string& pool, const std::string& type, bool paused);

  // What is wrong with it; empty: nothing.
  std::string sent(TaskNumber number, const scheduler::Spec& spec, const std::string& pool, Time now);
  /// `counts`: whether a call of a task that runs still counts.
  std::string began(TaskNumber number, const scheduler::Spec& spec, Time now,
                    const std::function<bool(TaskNumber)>& counts);
  void ended(TaskNumber number, const scheduler::Spec& spec);

  // ---- shares, where all tasks of a class are alike
  void waits(const scheduler::Spec& spec, const std::string& pool, std::int64_t by);
  std::string share_sent(const scheduler::Spec& spec, const std::string& pool);

 private:
  struct Bound {
    Time from = 0;
    std::uint32_t running = 0;
  };
  struct Limit {
    std::deque<Bound> bounds;  // the last one holds
    std::uint32_t starts = 0;
    Time per = 0;
    std::deque<Time> started;  // since the rate was set
    std::map<TaskNumber, Time> sent;
    std::set<TaskNumber> running;
  };
  struct Share {
    std::int64_t waiting = 0;
    std::uint64_t sent = 0;
  };
  using ClassKey = std::tuple<std::string, std::string, std::int32_t>;
  static std::string share_of(const scheduler::Spec& spec);

  Sightings& seen_;
  std::map<std::string, Limit> limits_;
  std::set<std::string> paused_pools_, paused_types_;
  std::map<ClassKey, std::map<std::string, Share>> shares_;
};

}  // namespace futured::sim
