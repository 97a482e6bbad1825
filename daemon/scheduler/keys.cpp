// One live or succeeded task of an owner and a type has a key; who submits another with it gets that one.
#include <algorithm>
#include <functional>
#include <utility>

#include "daemon/scheduler/scheduler.hpp"

namespace futured::scheduler {

namespace {
std::string name_of(const Spec& s) {
  std::string name = std::to_string(s.owner);
  name += '\0';
  name += s.type;
  name += '\0';
  return name += s.key;
}
std::uint64_t hash_of(const Slice& input) { return std::hash<std::string_view>{}(input.view()); }
}  // namespace

TaskSlot Scheduler::holder(const Spec& spec) const {
  if (spec.key.empty()) return kNoSlot;
  const KeyHolder* found = keys_.find(name_of(spec));
  return found == nullptr ? kNoSlot : tasks_.find(found->task);
}

bool Scheduler::input_differs(TaskSlot holder, const Slice& input) const {
  return keys_.find(name_of(spec(holder)))->input != hash_of(input);
}

void Scheduler::take_key(TaskSlot slot) {
  const TaskRecord& t = tasks_[slot];
  keys_.set(name_of(spec(slot)), {t.number, hash_of(t.payload)});
}

void Scheduler::drop_key(TaskSlot slot) {
  const std::string name = name_of(spec(slot));
  const KeyHolder* found = keys_.find(name);
  if (found != nullptr && found->task == tasks_[slot].number) keys_.erase(name);
}

void Scheduler::drop_aliases(TaskNumber number) {
  const auto it = aliases_.find(number);
  if (it == aliases_.end()) return;
  for (const Alias& alias : std::exchange(it->second, {})) {
    const Extent of = tasks_.extent(alias.extent);
    if (tasks_.drop_alias(alias.number, alias.extent)) extent_closed(of);
  }
  aliases_.erase(it);
}

/// For a client that may not have heard it: what of this range is another task's.
void Scheduler::tell_existing(Accepted& a) const {
  if (aliases_.empty()) return;
  for (std::uint64_t i = 0; i < a.count; ++i) {
    const TaskNumber number = a.first_number + i;
    const TaskSlot slot = tasks_.find(number);
    if (slot == kNoSlot || tasks_[slot].number == number) continue;
    const std::vector<Alias>& names = aliases_.at(tasks_[slot].number);
    const auto alias = std::lower_bound(names.begin(), names.end(), number,
                                        [](const Alias& of, TaskNumber n) { return of.number < n; });
    a.existing.push_back({a.first_seq + i, tasks_[slot].number, alias->input_differs});
  }
}

}  // namespace futured::scheduler
