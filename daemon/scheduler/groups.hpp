// Groups: what was submitted under one name, counted. A group lives as long as a task of it is known or something
// waits for it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "daemon/scheduler/task.hpp"

namespace futured::scheduler {

struct Group {
  std::string name;
  std::uint64_t submitted = 0, live = 0;
  std::uint64_t succeeded = 0, failed = 0, cancelled = 0, expired = 0;
  bool closed = false;        ///< nothing may be added
  std::uint32_t users = 0;    ///< specs that name it
  EdgeId dependants = kNone;  ///< what waits until none of its tasks is live
};

class GroupTable {
 public:
  GroupId find(const std::string& name) const {
    const auto it = by_name_.find(name);
    return it == by_name_.end() ? kNoGroup : it->second;
  }
  /// Finds or makes it.
  GroupId named(const std::string& name) {
    const auto [it, added] = by_name_.try_emplace(name, kNoGroup);
    if (!added) return it->second;
    if (free_.empty()) {
      it->second = static_cast<GroupId>(groups_.size());
      groups_.emplace_back();
    } else {
      it->second = free_.back();
      free_.pop_back();
    }
    groups_[it->second] = Group{};
    groups_[it->second].name = name;
    return it->second;
  }
  Group& operator[](GroupId id) { return groups_[id]; }
  const Group& operator[](GroupId id) const { return groups_[id]; }
  void drop_if_free(GroupId id) {
    Group& g = groups_[id];
    if (g.users != 0 || g.live != 0 || g.dependants != kNone) return;
    by_name_.erase(g.name);
    g = Group{};
    free_.push_back(id);
  }
  /// In order of their names.
  const std::map<std::string, GroupId>& names() const { return by_name_; }

 private:
  friend struct Invariants;

  std::vector<Group> groups_;
  std::vector<GroupId> free_;
  std::map<std::string, GroupId> by_name_;
};

}  // namespace futured::scheduler
