// Tasks that could run now, waiting for a slot. A class is what is interchangeable in where it can run: one pool, one
// type. Within a class:
//
//   level   one priority; the highest that has anything goes first
//   share   whom fairness is between (an owner, or what the tasks name): shares take turns, so that the million tasks
//           of one do not starve the ten of another
//   flow    one client and one limit within a share: flows take turns too
//   task    first come, first served
//
// A flow that may not be handed out now is not listed in its share: its client leaves its results lying (held), or it
// is parked at its limit. It keeps its tasks and their order.
//
// Links are the records' own: nothing is allocated per task, and every operation is O(1). Flows live as long as a spec
// names them.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "daemon/scheduler/limits.hpp"
#include "daemon/scheduler/task_table.hpp"

namespace futured::scheduler {

class ReadyQueue {
 public:
  explicit ReadyQueue(TaskTable& tasks) : tasks_(tasks) {}

  struct FlowKey {
    ClassId cls = kNoClass;
    std::int32_t priority = 0;
    std::string share;
    std::uint32_t client = 0;
    LimitId limit = kNoLimit;
  };

  ClassId add_class();
  /// Finds or makes it, and counts one more user.
  FlowId use_flow(const FlowKey& key);
  /// One user less; the last one takes it along. It has no tasks then.
  void drop_flow(FlowId flow);

  /// To the end of its flow; to the front if it has waited before (recalled, worker lost). The record says since when
  /// it is eligible; at the front not later than who stands behind it.
  void push(FlowId flow, TaskSlot slot, bool front);
  /// The slot must be queued in this flow.
  void remove(FlowId flow, TaskSlot slot);
  /// Parks the flows that are at their limit until the next of the class is one that may start. False: there is none.
  bool prepare(ClassId cls, Time now);
  /// The next of the class, after prepare() said that there is one.
  TaskSlot pop(ClassId cls, Time now);
  /// From now on the tasks of this client are held, or not.
  void hold(std::uint32_t client, bool held);

  // ---- limits
  /// A task that was popped from this flow is at a worker no more. True: something may be handed out that was parked.
  bool ended(FlowId flow, Time now);
  /// Changes the bounds; without `set` there are none. True as above.
  bool set_limit(const std::string& name, std::uint32_t running, std::uint32_t starts, Time per, bool set, Time now);
  /// Rates that allow a start again. Calls woken(class).
  template <class Woken>
  void advance(Time now, Woken woken) {
    std::size_t budget = kWakePortion;
    for (LimitId id = limits_.next_due(now); id != kNoLimit && budget > 0; id = limits_.next_due(now)) {
      scratch_.clear();
      limits_.wake(id, now, budget, scratch_);
      for (const FlowId flow : scratch_) {
        unpark(flow);
        woken(flows_[flow].key.cls);
      }
    }
  }
  Time next_deadline() const { return limits_.next_deadline(); }
  const LimitTable& limits() const { return limits_; }
  LimitId limit_named(const std::string& name) { return limits_.named(name); }

  // Of a class: what is listed.
  std::uint64_t size(ClassId cls) const { return classes_[cls].size; }
  /// What is held or parked.
  std::uint64_t held(ClassId cls) const { return classes_[cls].held_size; }
  /// Nothing waits in it, listed or not.
  bool empty(ClassId cls) const { return size(cls) + held(cls) == 0; }
  /// Of all, listed or not.
  std::uint64_t size() const { return size_; }
  /// Of the next task; after prepare().
  std::int32_t priority(ClassId cls) const { return classes_[cls].top_priority; }
  /// The next task.
  TaskSlot head(ClassId cls) const { return flows_[shares_[classes_[cls].top->turn].turn].first; }
  /// Of two classes with the same priority: whether the next task of `a` goes first. It does if it is eligible for
  /// longer, within a millisecond if its number is smaller.
  bool goes_first(ClassId a, ClassId b) const {
    const TaskRecord& x = tasks_[head(a)];
    const TaskRecord& y = tasks_[head(b)];
    return x.eligible != y.eligible ? earlier(x.eligible, y.eligible) : x.number < y.number;
  }
  bool is_held(FlowId flow) const { return flows_[flow].held; }
  bool is_parked(FlowId flow) const { return flows_[flow].parked; }
  LimitId limit_of(FlowId flow) const { return flows_[flow].key.limit; }
  /// Tasks in flows of this limit.
  std::uint64_t waiting_for(LimitId limit) const { return limits_[limit].waiting; }
  /// The classes of the flows woken by the last ended() or set_limit().
  const std::vector<ClassId>& woken() const { return woken_; }

 private:
  friend struct Invariants;

  using ShareId = std::uint32_t;
  struct Flow {
    FlowKey key;
    ShareId share = kNone;
    TaskSlot first = kNoSlot, last = kNoSlot;
    std::uint64_t size = 0;
    FlowId prev = kNone, next = kNone;  // in the ring of its share, while listed
    std::uint32_t users = 0;            // 0: this entry is free
    std::size_t at_client = 0;          // index in by_client_[client]
    std::uint64_t served = 0;           // with a limit: when it was last, counted in starts
    bool held = false, parked = false, listed = false;
  };
  struct Share {
    ClassId cls = kNoClass;
    std::int32_t priority = 0;
    std::string name;
    std::uint32_t users = 0;   // flows
    std::uint64_t served = 0;  // with a limit: when it was last
    std::uint32_t listed = 0;
    FlowId turn = kNone;                 // whose turn it is
    std::uint32_t left = 0;              // how many more it may take before the next one's turn
    ShareId prev = kNone, next = kNone;  // in the ring of its level, while it has listed flows
  };
  struct Level {
    ShareId turn = kNone;  // kNone: nothing here
    std::uint32_t left = 0;
  };
  struct Class {
    std::map<std::int32_t, Level, std::greater<>> levels;  // those ever used
    Level* top = nullptr;                                  // of them the first that has anything; null: none has
    std::int32_t top_priority = 0;
    std::uint64_t size = 0, held_size = 0;
  };
  void list_if_ready(FlowId id);
  void unlist(FlowId id);
  void unpark(FlowId id);
  LimitTable::Place place(FlowId id) const;
  void unlink(Flow& flow, TaskSlot slot);
  bool wake(LimitId limit, Time now);

  TaskTable& tasks_;
  std::vector<Class> classes_;
  std::vector<Flow> flows_;
  std::vector<FlowId> free_flows_;
  std::vector<Share> shares_;
  std::vector<ShareId> free_shares_;
  std::map<std::tuple<ClassId, std::int32_t, std::string>, ShareId> share_by_key_;
  std::map<std::tuple<ShareId, std::uint32_t, LimitId>, FlowId> flow_by_key_;
  std::unordered_map<std::uint32_t, std::vector<FlowId>> by_client_;
  static constexpr std::size_t kWakePortion = 2048;  // flows woken per turn
  std::set<std::uint32_t> held_;                     // clients
  LimitTable limits_;
  std::uint64_t serves_ = 0;
  std::uint64_t size_ = 0;
  std::vector<FlowId> scratch_;
  std::vector<ClassId> woken_;
};

}  // namespace futured::scheduler
