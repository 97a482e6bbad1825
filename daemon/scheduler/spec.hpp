// What the tasks of a batch have in common, and the table in which tasks share it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proto/ids.hpp"

namespace futured::scheduler {

/// How a task must have ended for another that waits for it.
enum class Condition : std::uint8_t { success, failure, any };

/// Earlier tasks with consecutive numbers or ids, or all tasks of a group, that must have ended.
struct Dependency {
  TaskNumber number = 0;
  TaskId id;  ///< used when number is 0
  std::uint64_t count = 1;
  std::string group;  ///< not empty: instead of a task
  Condition on = Condition::success;

  friend bool operator==(const Dependency&, const Dependency&) = default;
};

/// Durations are nanoseconds; 0: none.
struct Spec {
  std::string type;
  std::string pool;  ///< empty: the first that offers the type
  std::int32_t priority = 0;
  std::uint32_t retries = 0;
  std::int64_t backoff_ns = 0;      ///< before the second attempt; doubles with each that follows
  std::int64_t backoff_max_ns = 0;  ///< 0: no bound of its own
  std::int32_t crashes = 0;         ///< how many crashes end the task; 0: kDefaultCrashes; < 0: the first
  std::int64_t delay_ns = 0;        ///< from submit to when it may start
  std::int64_t timeout_ns = 0;      ///< of each attempt, from its start
  std::int64_t deadline_ns = 0;     ///< of all of it, from submit
  std::int64_t expires_ns = 0;      ///< from submit: it must have started
  std::int64_t keep_ns = 0;
  std::string key;          ///< one live or succeeded task of an owner and type has it
  std::string limit;        ///< name of the limit it counts against
  std::string fair;         ///< tasks of one priority take turns by it; empty: by owner
  std::uint32_t owner = 0;  ///< the user who submits, by the channel
  std::vector<Dependency> after;
  std::uint32_t input_from = UINT32_MAX;  ///< index in `after`: its reply is appended to the input
  bool detached = false;
  bool live_output = false;
  bool live_progress = false;
  bool cancel_on_disconnect = false;
  std::int64_t disconnect_grace_ns = 0;
  std::string group;
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string content_type;

  friend bool operator==(const Spec&, const Spec&) = default;
};
inline constexpr std::int32_t kDefaultCrashes = 3;
/// From Spec::crashes: the crash that ends a task, counted from 1. A task counts to 255 at most.
inline constexpr std::int32_t crash_budget(std::int32_t wanted) {
  return wanted == 0 ? kDefaultCrashes : wanted < 0 ? 1 : wanted < 255 ? wanted : 255;
}
inline constexpr std::int32_t kMinPriority = -100;
inline constexpr std::int32_t kMaxPriority = 100;

/// What it takes in memory, roughly.
inline std::uint64_t size_of(const Spec& s) {
  std::uint64_t bytes = sizeof(Spec) + s.type.size() + s.pool.size() + s.group.size() + s.content_type.size();
  bytes += s.key.size() + s.limit.size() + s.fair.size() + s.after.size() * sizeof(Dependency);
  for (const auto* list : {&s.labels, &s.headers}) {
    for (const auto& [name, value] : *list) bytes += sizeof(std::string) * 2 + name.size() + value.size();
  }
  return bytes;
}

/// Where tasks of a pool and type wait, dense; see ReadyQueue.
using ClassId = std::uint32_t;
inline constexpr ClassId kNoClass = UINT32_MAX;

/// Where in its class a task waits; see ReadyQueue.
using FlowId = std::uint32_t;
inline constexpr FlowId kNoFlow = UINT32_MAX;

using GroupId = std::uint32_t;
inline constexpr GroupId kNoGroup = UINT32_MAX;

using SpecId = std::uint32_t;

/// Counted specs by index. A spec lives as long as a task uses it; references stay valid until then.
class SpecTable {
 public:
  struct Entry {
    Spec spec;
    ClassId cls = kNoClass;  ///< kNoClass: its tasks are refused
    FlowId flow = kNoFlow;
    GroupId group = kNoGroup;
    bool timed = false;  ///< it has a time of any kind
    std::uint32_t users = 0;
  };
  /// Takes the spec in with no users yet; the caller adds them at once.
  SpecId add(Entry entry) {
    SpecId id = 0;
    if (free_.empty()) {
      id = static_cast<SpecId>(entries_.size());
      entries_.push_back(std::make_unique<Entry>());
    } else {
      id = free_.back();
      free_.pop_back();
    }
    *entries_[id] = std::move(entry);
    entries_[id]->users = 0;
    return id;
  }
  const Entry& operator[](SpecId id) const { return *entries_[id]; }
  void use(SpecId id, std::uint32_t n = 1) { entries_[id]->users += n; }
  /// True if it was the last user: the spec is gone with the next add().
  bool drop(SpecId id) {
    if (--entries_[id]->users != 0) return false;
    free_.push_back(id);
    return true;
  }
  std::size_t live() const { return entries_.size() - free_.size(); }

 private:
  friend struct Invariants;

  std::vector<std::unique_ptr<Entry>> entries_;
  std::vector<SpecId> free_;
};

}  // namespace futured::scheduler
