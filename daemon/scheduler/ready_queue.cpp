#include "daemon/scheduler/ready_queue.hpp"

#include <algorithm>
#include <cassert>

namespace futured::scheduler {

namespace {
// A turn long enough that batches stay batches, short enough that nobody waits noticeably for it.
constexpr std::uint32_t kTurn = 64;
}  // namespace

ClassId ReadyQueue::add_class() {
  classes_.emplace_back();
  return static_cast<ClassId>(classes_.size() - 1);
}

void ReadyQueue::push(ClassId cls, std::int32_t priority, std::uint32_t client, TaskSlot slot, bool front) {
  Class& c = classes_[cls];
  Level& level = c.levels[priority];
  auto flow = std::find_if(level.flows.begin(), level.flows.end(), [&](const Flow& f) { return f.client == client; });
  if (flow == level.flows.end()) {
    level.flows.push_back(Flow{client, kNoSlot, kNoSlot});
    flow = level.flows.end() - 1;
  }
  TaskRecord& t = tasks_[slot];
  t.prev = t.next = kNoSlot;
  if (flow->first == kNoSlot) {
    flow->first = flow->last = slot;
  } else if (front) {
    t.next = flow->first;
    tasks_[flow->first].prev = slot;
    flow->first = slot;
  } else {
    t.prev = flow->last;
    tasks_[flow->last].next = slot;
    flow->last = slot;
  }
  ++c.size;
  ++size_;
}

void ReadyQueue::unlink(Class& c, std::map<std::int32_t, Level, std::greater<>>::iterator level, std::size_t flow,
                        TaskSlot slot) {
  Level& l = level->second;
  Flow& f = l.flows[flow];
  TaskRecord& t = tasks_[slot];
  (t.prev == kNoSlot ? f.first : tasks_[t.prev].next) = t.next;
  (t.next == kNoSlot ? f.last : tasks_[t.next].prev) = t.prev;
  t.prev = t.next = kNoSlot;
  --c.size;
  --size_;
  if (f.first != kNoSlot) return;
  l.flows.erase(l.flows.begin() + static_cast<std::ptrdiff_t>(flow));
  if (l.flows.empty()) {
    c.levels.erase(level);
    return;
  }
  if (flow < l.turn) {
    --l.turn;
  } else if (flow == l.turn) {
    l.left = 0;
    if (l.turn == l.flows.size()) l.turn = 0;
  }
}

void ReadyQueue::remove(ClassId cls, std::int32_t priority, std::uint32_t client, TaskSlot slot) {
  Class& c = classes_[cls];
  const auto level = c.levels.find(priority);
  assert(level != c.levels.end());
  const auto& flows = level->second.flows;
  const auto flow = std::find_if(flows.begin(), flows.end(), [&](const Flow& f) { return f.client == client; });
  assert(flow != flows.end());
  unlink(c, level, static_cast<std::size_t>(flow - flows.begin()), slot);
}

TaskSlot ReadyQueue::pop(ClassId cls) {
  Class& c = classes_[cls];
  assert(c.size > 0);
  const auto level = c.levels.begin();
  Level& l = level->second;
  if (l.left == 0) l.left = kTurn;
  const std::size_t flow = l.turn;
  const TaskSlot slot = l.flows[flow].first;
  if (--l.left == 0 && tasks_[slot].next != kNoSlot) l.turn = (l.turn + 1) % l.flows.size();
  unlink(c, level, flow, slot);
  return slot;
}

TaskNumber ReadyQueue::head(ClassId cls) const {
  const Level& l = classes_[cls].levels.begin()->second;
  return tasks_[l.flows[l.turn].first].number;
}

}  // namespace futured::scheduler
