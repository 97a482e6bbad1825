// Workers, pools and classes: who can run what, and how much more each may be sent.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/scheduler/task.hpp"

namespace futured::scheduler {

struct Worker {
  WorkerId id = 0;  ///< 0: this entry is free
  std::string instance;
  std::string host;
  std::uint32_t pool = 0;
  std::uint32_t pid = 0;
  std::uint64_t spawn = 0;
  ConnectionId connection = 0;  ///< 0: disconnected
  bool announcing = false;      ///< came back; what it holds is not known yet
  bool draining = false;
  bool condemned = false;  ///< a call in it did not stop when told to: it gets no more work and is replaced
  bool kill_sent = false;
  Time kill_at = kNever;   ///< condemned: when its other calls have had their time
  Time gives_up = kNever;  ///< disconnected and started by hand: when it counts as lost
  std::uint32_t slots[kLanes] = {0, 0};
  std::uint64_t credit[kLanes] = {0, 0};  ///< absolute, of this connection
  std::uint64_t sent[kLanes] = {0, 0};    ///< of this connection
  std::uint32_t in_flight[kLanes] = {0, 0};
  std::uint32_t running[kLanes] = {0, 0};       ///< of them reported as running
  std::uint32_t recalled[kLanes] = {0, 0};      ///< of them asked back, not answered
  std::uint32_t written_off[kLanes] = {0, 0};   ///< slots held by calls that did not stop
  TaskSlot oldest = kNoSlot, newest = kNoSlot;  ///< its tasks, in order of dispatch
  std::vector<ClassId> classes;                 ///< what it offers
  std::uint64_t completed = 0;

  bool takes_work() const { return connection != 0 && !draining && !announcing && !condemned; }
  std::uint32_t free_slots(std::size_t lane) const {
    const std::uint32_t taken = in_flight[lane] + written_off[lane];
    return slots[lane] > taken ? slots[lane] - taken : 0;
  }
  std::uint64_t credit_left(std::size_t lane) const {
    return credit[lane] > sent[lane] ? credit[lane] - sent[lane] : 0;
  }
  /// How many calls it could begin at once.
  std::uint64_t idle(std::size_t lane) const {
    return takes_work() ? std::min<std::uint64_t>(free_slots(lane), credit_left(lane)) : 0;
  }
};

struct Pool {
  std::string name;
  std::vector<WorkerIndex> workers;  ///< connected or expected back, in order of arrival
  std::vector<ClassId> classes;
  std::uint32_t processes = 0;  ///< wanted; 0 also where workers are started by hand
  bool paused = false;
  bool ready = false;  ///< something changed that may allow a dispatch
  bool freed = false;  ///< a worker has less to do than before: it may take from a neighbour
};

struct Class {
  std::uint32_t pool = 0;
  std::string type;
  Lane lane = Lane::thread;
  bool paused = false;  ///< its pool or its type is
  std::vector<WorkerIndex> offering;
  std::size_t turn = 0;          ///< index in `offering` of who is asked first
  std::uint64_t at_workers = 0;  ///< its tasks there; while there are any the lane stays
};

class WorkerTable {
 public:
  static constexpr std::uint32_t kNoPool = UINT32_MAX;

  std::uint32_t find_pool(const std::string& name) const {
    const auto it = pool_by_name_.find(name);
    return it == pool_by_name_.end() ? kNoPool : it->second;
  }
  std::uint32_t pool_named(const std::string& name) {
    const auto [it, added] = pool_by_name_.try_emplace(name, static_cast<std::uint32_t>(pools.size()));
    if (added) pools.emplace_back().name = name;
    return it->second;
  }
  ClassId find_class(std::uint32_t pool, const std::string& type) const {
    const auto it = class_by_name_.find({pool, type});
    return it == class_by_name_.end() ? kNoClass : it->second;
  }
  /// `id` is the ready queue's for the new class.
  void add_class(ClassId id, std::uint32_t pool, const TypeOffer& type) {
    if (classes.size() <= id) classes.resize(id + 1);
    classes[id] = Class{};
    classes[id].pool = pool;
    classes[id].type = type.name;
    classes[id].lane = type.lane;
    class_by_name_.emplace(std::make_pair(pool, type.name), id);
    pools[pool].classes.push_back(id);
    types_[type.name].push_back(id);
  }
  /// The classes of a type in all pools, in order of their definition; null if the type was never heard of.
  const std::vector<ClassId>* classes_of(const std::string& type) const {
    const auto it = types_.find(type);
    return it == types_.end() ? nullptr : &it->second;
  }
  const std::map<std::string, std::vector<ClassId>>& types() const { return types_; }
  const std::map<std::string, std::uint32_t>& pool_names() const { return pool_by_name_; }

  WorkerIndex add() {
    if (!free_.empty()) {
      const WorkerIndex index = free_.back();
      free_.pop_back();
      workers[index] = Worker{};
      return index;
    }
    workers.emplace_back();
    return static_cast<WorkerIndex>(workers.size() - 1);
  }
  void name(WorkerIndex index, WorkerId id) {
    workers[index].id = id;
    by_id_.emplace(id, index);
  }
  void remove(WorkerIndex index) {
    by_id_.erase(workers[index].id);
    workers[index] = Worker{};
    free_.push_back(index);
  }
  WorkerIndex find(WorkerId id) const {
    const auto it = by_id_.find(id);
    return it == by_id_.end() ? kNone : it->second;
  }
  std::size_t live() const { return by_id_.size(); }

  std::vector<Worker> workers;
  std::vector<Pool> pools;
  std::vector<Class> classes;

 private:
  friend struct Invariants;

  std::vector<WorkerIndex> free_;
  std::unordered_map<WorkerId, WorkerIndex> by_id_;  // looked up, never walked
  std::map<std::string, std::uint32_t> pool_by_name_;
  std::map<std::pair<std::uint32_t, std::string>, ClassId> class_by_name_;
  std::map<std::string, std::vector<ClassId>> types_;
};

}  // namespace futured::scheduler
