// Tasks that could run now, waiting for a slot. A class is what is interchangeable in where it can run: one pool, one
// type. Within a class: higher priority first; among equals the clients take turns, so that the million tasks of one do
// not starve the ten of another; within one client first come, first served.
//
// The tasks of a client that leaves its results lying can be held: they keep their places and are not handed out.
//
// Links are the records' own: nothing is allocated per task, and every operation is O(1) but for finding a flow
// (priority and client) in a class, which is a search among the few that are active.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "daemon/scheduler/task_table.hpp"

namespace futured::scheduler {

class ReadyQueue {
 public:
  explicit ReadyQueue(TaskTable& tasks) : tasks_(tasks) {}

  ClassId add_class();
  /// To the end of its flow; to the front if it has waited before (recalled, worker lost).
  void push(ClassId cls, std::int32_t priority, std::uint32_t client, TaskSlot slot, bool front);
  /// The slot must be queued in this class, with the priority and client it was pushed with.
  void remove(ClassId cls, std::int32_t priority, std::uint32_t client, TaskSlot slot);
  /// The next of the class; it must not be empty.
  TaskSlot pop(ClassId cls);
  /// From now on the tasks of this client are held, or not.
  void hold(std::uint32_t client, bool held);

  // Of a class: what is not held.
  bool empty(ClassId cls) const { return classes_[cls].size == 0; }
  std::uint64_t size(ClassId cls) const { return classes_[cls].size; }
  std::uint64_t held(ClassId cls) const { return classes_[cls].held_size; }
  /// Of all, held or not.
  std::uint64_t size() const { return size_; }
  /// Of the next task; the class must not be empty.
  std::int32_t priority(ClassId cls) const { return classes_[cls].levels.begin()->first; }
  /// Number of the next task: what decides between classes of the same priority.
  TaskNumber head(ClassId cls) const;

 private:
  friend struct Invariants;

  struct Flow {
    std::uint32_t client = 0;
    TaskSlot first = kNoSlot, last = kNoSlot;
    std::uint64_t size = 0;
  };
  struct Level {
    std::vector<Flow> flows;  // active ones only
    std::size_t turn = 0;     // index of the flow whose turn it is
    std::uint32_t left = 0;   // how many more it may take before the next one's turn
  };
  using Levels = std::map<std::int32_t, Level, std::greater<>>;
  struct Class {
    Levels levels;  // active ones only
    std::uint64_t size = 0;
    std::map<std::pair<std::int32_t, std::uint32_t>, Flow> held;  // by priority and client
    std::uint64_t held_size = 0;
  };
  void unlink(Flow& flow, TaskSlot slot);
  static void drop_flow(Class& c, Levels::iterator level, std::size_t flow);
  bool is_held(std::uint32_t client) const { return !held_.empty() && held_.count(client) != 0; }

  TaskTable& tasks_;
  std::vector<Class> classes_;
  std::uint64_t size_ = 0;
  std::set<std::uint32_t> held_;  // clients
};

}  // namespace futured::scheduler
