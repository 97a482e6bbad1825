#include "daemon/scheduler/ready_queue.hpp"

#include <algorithm>
#include <cassert>

#include "daemon/scheduler/mutants.hpp"

namespace futured::scheduler {

namespace {
// A turn long enough that batches stay batches, short enough that nobody waits noticeably for it.
constexpr std::uint32_t kTurn = 64;

template <class T>
std::uint32_t take(std::vector<T>& entries, std::vector<std::uint32_t>& free) {
  if (free.empty()) {
    entries.emplace_back();
    return static_cast<std::uint32_t>(entries.size() - 1);
  }
  const std::uint32_t id = free.back();
  free.pop_back();
  entries[id] = T{};
  return id;
}

// Rings of indices: into the ring before `turn`, which is the end of the line; out of it, `turn` goes on.
template <class T>
void link(std::vector<T>& all, std::uint32_t& turn, std::uint32_t id) {
  if (turn == kNone) {
    turn = all[id].prev = all[id].next = id;
    return;
  }
  const std::uint32_t last = all[turn].prev;
  all[id].prev = last;
  all[id].next = turn;
  all[last].next = all[turn].prev = id;
}
template <class T>
void unlink(std::vector<T>& all, std::uint32_t& turn, std::uint32_t id) {
  T& e = all[id];
  if (e.next == id) {
    turn = kNone;
  } else {
    all[e.prev].next = e.next;
    all[e.next].prev = e.prev;
    if (turn == id) turn = e.next;
  }
  e.prev = e.next = kNone;
}
}  // namespace

ClassId ReadyQueue::add_class() {
  classes_.emplace_back();
  return static_cast<ClassId>(classes_.size() - 1);
}

FlowId ReadyQueue::use_flow(const FlowKey& key) {
  const auto [share, new_share] = share_by_key_.try_emplace({key.cls, key.priority, key.share}, kNone);
  if (new_share) {
    share->second = take(shares_, free_shares_);
    Share& s = shares_[share->second];
    s.cls = key.cls;
    s.priority = key.priority;
    s.name = key.share;
    s.served = ++serves_;
  }
  const auto [flow, new_flow] = flow_by_key_.try_emplace({share->second, key.client, key.limit}, kNone);
  if (new_flow) {
    flow->second = take(flows_, free_flows_);
    Flow& f = flows_[flow->second];
    f.key = key;
    f.share = share->second;
    f.held = held_.count(key.client) != 0;
    ++shares_[f.share].users;
    auto& siblings = by_client_[key.client];
    f.at_client = siblings.size();
    siblings.push_back(flow->second);
    f.served = ++serves_;
    if (key.limit != kNoLimit) ++limits_[key.limit].users;
  }
  ++flows_[flow->second].users;
  return flow->second;
}

void ReadyQueue::drop_flow(FlowId id) {
  Flow& f = flows_[id];
  if (--f.users != 0) return;
  assert(f.size == 0);
  unpark(id);
  const auto siblings = by_client_.find(f.key.client);
  flows_[siblings->second.back()].at_client = f.at_client;
  siblings->second[f.at_client] = siblings->second.back();
  siblings->second.pop_back();
  if (siblings->second.empty()) by_client_.erase(siblings);
  flow_by_key_.erase({f.share, f.key.client, f.key.limit});
  Share& s = shares_[f.share];
  if (--s.users == 0) {
    share_by_key_.erase({s.cls, s.priority, s.name});
    free_shares_.push_back(f.share);
  }
  if (const LimitId limit = f.key.limit; limit != kNoLimit) {
    --limits_[limit].users;
    limits_.drop_if_free(limit);
  }
  f = Flow{};
  free_flows_.push_back(id);
}

void ReadyQueue::list_if_ready(FlowId id) {
  Flow& f = flows_[id];
  if (f.listed || f.held || f.parked || f.size == 0) return;
  f.listed = true;
  Class& c = classes_[f.key.cls];
  c.size += f.size;
  c.held_size -= f.size;
  Share& s = shares_[f.share];
  link(flows_, s.turn, id);
  if (++s.listed == 1) {
    s.left = 0;
    Level& level = c.levels[s.priority];
    link(shares_, level.turn, f.share);
    const bool higher = FUTURED_MUTANT(priority_order) ? s.priority < c.top_priority : s.priority > c.top_priority;
    if (c.top == nullptr || higher) {
      c.top = &level;
      c.top_priority = s.priority;
    }
  }
}

void ReadyQueue::unlist(FlowId id) {
  Flow& f = flows_[id];
  if (!f.listed) return;
  f.listed = false;
  Class& c = classes_[f.key.cls];
  c.size -= f.size;
  c.held_size += f.size;
  Share& s = shares_[f.share];
  if (s.turn == id) s.left = 0;
  scheduler::unlink(flows_, s.turn, id);
  if (f.key.limit != kNoLimit) limits_.pass_on(f.key.limit);
  if (--s.listed != 0) return;
  Level& level = c.levels.find(s.priority)->second;
  if (level.turn == f.share) level.left = 0;
  scheduler::unlink(shares_, level.turn, f.share);
  if (c.top != &level || level.turn != kNone) return;
  // The levels above are empty: the next one is below.
  c.top = nullptr;
  for (auto below = c.levels.upper_bound(s.priority); below != c.levels.end() && c.top == nullptr; ++below) {
    if (below->second.turn == kNone) continue;
    c.top = &below->second;
    c.top_priority = below->first;
  }
}

void ReadyQueue::push(FlowId id, TaskSlot slot, bool front) {
  Flow& f = flows_[id];
  TaskRecord& t = tasks_[slot];
  t.prev = t.next = kNoSlot;
  if (f.first == kNoSlot) {
    f.first = f.last = slot;
  } else if (front) {
    if (earlier(tasks_[f.first].eligible, t.eligible)) t.eligible = tasks_[f.first].eligible;
    t.next = f.first;
    tasks_[f.first].prev = slot;
    f.first = slot;
  } else {
    t.prev = f.last;
    tasks_[f.last].next = slot;
    f.last = slot;
  }
  ++f.size;
  if (f.key.limit != kNoLimit) ++limits_[f.key.limit].waiting;
  ++size_;
  ++(f.listed ? classes_[f.key.cls].size : classes_[f.key.cls].held_size);
  list_if_ready(id);
}

void ReadyQueue::unlink(Flow& f, TaskSlot slot) {
  TaskRecord& t = tasks_[slot];
  (t.prev == kNoSlot ? f.first : tasks_[t.prev].next) = t.next;
  (t.next == kNoSlot ? f.last : tasks_[t.next].prev) = t.prev;
  t.prev = t.next = kNoSlot;
  --f.size;
  if (f.key.limit != kNoLimit) --limits_[f.key.limit].waiting;
  --size_;
  --(f.listed ? classes_[f.key.cls].size : classes_[f.key.cls].held_size);
}

void ReadyQueue::remove(FlowId id, TaskSlot slot) {
  unlink(flows_[id], slot);
  if (flows_[id].size != 0) return;
  unlist(id);
  unpark(id);
}

void ReadyQueue::hold(std::uint32_t client, bool held) {
  if (held ? !held_.insert(client).second : held_.erase(client) == 0) return;
  const auto flows = by_client_.find(client);
  if (flows == by_client_.end()) return;
  for (const FlowId id : flows->second) {
    flows_[id].held = held;
    if (held) {
      unlist(id);
    } else {
      list_if_ready(id);
    }
  }
}

bool ReadyQueue::prepare(ClassId cls, Time now) {
  for (const Level* level = classes_[cls].top; level != nullptr; level = classes_[cls].top) {
    const FlowId id = shares_[level->turn].turn;
    Flow& f = flows_[id];
    if (f.key.limit == kNoLimit || limits_[f.key.limit].opens(now) <= now) return true;
    unlist(id);
    f.parked = true;
    limits_.park(f.key.limit, cls, place(id), now);
  }
  return false;
}

TaskSlot ReadyQueue::pop(ClassId cls, Time now) {
  Level* const level = classes_[cls].top;
  assert(level != nullptr);
  Share& s = shares_[level->turn];
  const FlowId id = s.turn;
  Flow& f = flows_[id];
  if (level->left == 0) level->left = kTurn;
  if (s.left == 0) s.left = kTurn;
  const TaskSlot slot = f.first;
  unlink(f, slot);
  if (f.key.limit != kNoLimit) {
    limits_[f.key.limit].start(now);
    f.served = s.served = ++serves_;
    limits_.serve(f.key.limit, cls, s.priority, f.share, s.served);
  }
  --s.left;
  --level->left;
  if (f.size == 0) {
    const bool share_ends = s.listed == 1;
    unlist(id);
    if (share_ends) return slot;
  } else if (s.left == 0) {
    s.turn = f.next;
  }
  if (level->left == 0 && !FUTURED_MUTANT(share_never_changes)) level->turn = s.next;
  return slot;
}

LimitTable::Place ReadyQueue::place(FlowId id) const {
  const Flow& f = flows_[id];
  return {f.key.priority, f.share, shares_[f.share].served, f.served, id};
}

void ReadyQueue::unpark(FlowId id) {
  Flow& f = flows_[id];
  if (!f.parked) return;
  f.parked = false;
  limits_.unpark(f.key.limit, f.key.cls, place(id));
  list_if_ready(id);
  if (!f.listed) limits_.pass_on(f.key.limit);
}

bool ReadyQueue::wake(LimitId limit, Time now) {
  scratch_.clear();
  woken_.clear();
  std::size_t budget = kWakePortion;
  limits_.wake(limit, now, budget, scratch_);
  for (const FlowId flow : scratch_) {
    unpark(flow);
    woken_.push_back(flows_[flow].key.cls);
  }
  return !woken_.empty();
}

bool ReadyQueue::ended(FlowId flow, Time now) {
  const LimitId limit = flows_[flow].key.limit;
  if (limit == kNoLimit || FUTURED_MUTANT(limit_not_given_back)) return false;
  --limits_[limit].in_use;
  return wake(limit, now);
}

bool ReadyQueue::set_limit(const std::string& name, std::uint32_t running, std::uint32_t starts, Time per, bool set,
                           Time now) {
  woken_.clear();
  if (!set && limits_.find(name) == kNoLimit) return false;
  const LimitId id = limits_.named(name);
  Limit& l = limits_[id];
  l.running = set ? running : 0;
  l.starts = set ? starts : 0;
  l.per = per;
  l.set = set;
  l.next_start = std::min(l.next_start, now);
  limits_.change(id);
  wake(id, now);
  limits_.drop_if_free(id);
  return !woken_.empty();
}

}  // namespace futured::scheduler
