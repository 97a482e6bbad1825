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
  Flow* flow = nullptr;
  if (is_held(client)) {
    flow = &c.held.try_emplace({priority, client}, Flow{client}).first->second;
    ++c.held_size;
  } else {
    auto& flows = c.levels[priority].flows;
    const auto at = std::find_if(flows.begin(), flows.end(), [&](const Flow& f) { return f.client == client; });
    flow = at != flows.end() ? &*at : &flows.emplace_back(Flow{client});
    ++c.size;
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
  ++flow->size;
  ++size_;
}

void ReadyQueue::unlink(Flow& f, TaskSlot slot) {
  TaskRecord& t = tasks_[slot];
  (t.prev == kNoSlot ? f.first : tasks_[t.prev].next) = t.next;
  (t.next == kNoSlot ? f.last : tasks_[t.next].prev) = t.prev;
  t.prev = t.next = kNoSlot;
  --f.size;
  --size_;
}

void ReadyQueue::drop_flow(Class& c, Levels::iterator level, std::size_t flow) {
  Level& l = level->second;
  l.flows.erase(l.flows.begin() + static_cast<std::ptrdiff_t>(flow));
  if (l.flows.empty()) {
    c.levels.erase(level);
  } else if (flow < l.turn) {
    --l.turn;
  } else if (flow == l.turn) {
    l.left = 0;
    if (l.turn == l.flows.size()) l.turn = 0;
  }
}

void ReadyQueue::remove(ClassId cls, std::int32_t priority, std::uint32_t client, TaskSlot slot) {
  Class& c = classes_[cls];
  if (is_held(client)) {
    const auto flow = c.held.find({priority, client});
    assert(flow != c.held.end());
    unlink(flow->second, slot);
    --c.held_size;
    if (flow->second.size == 0) c.held.erase(flow);
    return;
  }
  const auto level = c.levels.find(priority);
  assert(level != c.levels.end());
  auto& flows = level->second.flows;
  const auto flow = std::find_if(flows.begin(), flows.end(), [&](const Flow& f) { return f.client == client; });
  assert(flow != flows.end());
  unlink(*flow, slot);
  --c.size;
  if (flow->size == 0) drop_flow(c, level, static_cast<std::size_t>(flow - flows.begin()));
}

void ReadyQueue::hold(std::uint32_t client, bool held) {
  if (held ? !held_.insert(client).second : held_.erase(client) == 0) return;
  for (Class& c : classes_) {
    if (held) {
      for (auto level = c.levels.begin(); level != c.levels.end();) {
        const auto next = std::next(level);
        auto& flows = level->second.flows;
        const auto flow = std::find_if(flows.begin(), flows.end(), [&](const Flow& f) { return f.client == client; });
        if (flow != flows.end()) {
          c.size -= flow->size;
          c.held_size += flow->size;
          c.held.emplace(std::make_pair(level->first, client), *flow);
          drop_flow(c, level, static_cast<std::size_t>(flow - flows.begin()));
        }
        level = next;
      }
    } else {
      for (auto flow = c.held.begin(); flow != c.held.end();) {
        if (flow->first.second != client) {
          ++flow;
          continue;
        }
        c.held_size -= flow->second.size;
        c.size += flow->second.size;
        c.levels[flow->first.first].flows.push_back(flow->second);
        flow = c.held.erase(flow);
      }
    }
  }
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
  unlink(l.flows[flow], slot);
  --c.size;
  if (l.flows[flow].size == 0) drop_flow(c, level, flow);
  return slot;
}

TaskNumber ReadyQueue::head(ClassId cls) const {
  const Level& l = classes_[cls].levels.begin()->second;
  return tasks_[l.flows[l.turn].first].number;
}

}  // namespace futured::scheduler
