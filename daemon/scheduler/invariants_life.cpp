// The invariants of queues, limits, times, dependencies, keys and groups.
#include <algorithm>
#include <map>
#include <set>

#include "daemon/scheduler/findings.hpp"
#include "daemon/scheduler/scheduler.hpp"

namespace futured::scheduler {

/// Something of the class may be handed out without asking a limit.
bool Invariants::has_unlimited(const Scheduler& s, ClassId cls) {
  return std::any_of(s.ready_.flows_.begin(), s.ready_.flows_.end(), [cls](const ReadyQueue::Flow& f) {
    return f.users != 0 && f.listed && f.key.cls == cls && f.key.limit == kNoLimit;
  });
}

void Invariants::check_queue(const Scheduler& s, Findings& wrong) {
  const ReadyQueue& q = s.ready_;
  const TaskTable& tasks = s.tasks_;
  std::map<ClassId, std::uint64_t> listed, held;
  std::map<std::uint32_t, std::uint32_t> flows_of_share, listed_of_share, flows_of_limit;
  std::map<FlowId, std::uint32_t> users;
  for (SpecId id = 0; id < s.specs_.entries_.size(); ++id) {
    const SpecTable::Entry& e = s.specs_[id];
    if (e.users != 0 && e.flow != kNoFlow) ++users[e.flow];
  }
  std::uint64_t all = 0;
  for (FlowId id = 0; id < q.flows_.size(); ++id) {
    const ReadyQueue::Flow& f = q.flows_[id];
    if (f.users == 0) continue;
    const std::string name = "flow " + std::to_string(id);
    wrong.same(name + ": users", f.users, users[id]);
    ++flows_of_share[f.share];
    if (f.key.limit != kNoLimit) ++flows_of_limit[f.key.limit];
    TaskSlot before = kNoSlot;
    std::uint64_t length = 0;
    for (TaskSlot slot = f.first; slot != kNoSlot && length <= tasks.live_; slot = tasks[slot].next, ++length) {
      const TaskRecord& t = tasks[slot];
      if (t.prev != before) wrong(task_name(t), ": its queue is linked wrongly");
      before = slot;
      if (t.phase != Phase::queued) wrong(task_name(t), " is in the queue and not queued");
      if (s.specs_[t.spec].flow != id || tasks.extent_of(slot).session != f.key.client) {
        wrong(task_name(t), " waits in the wrong flow");
      }
    }
    if (f.last != before) wrong(name, " does not end where it says");
    wrong.same("the size of " + name, f.size, length);
    all += length;
    (f.listed ? listed : held)[f.key.cls] += length;
    listed_of_share[f.share] += f.listed ? 1 : 0;
    if (f.held != (q.held_.count(f.key.client) != 0)) wrong(name, ": held, or not, unlike its client");
    if (f.listed != (f.size != 0 && !f.held && !f.parked)) wrong(name, ": listed or not, wrongly");
    if (f.parked && (f.key.limit == kNoLimit || f.size == 0)) wrong(name, " is parked for nothing");
    const ReadyQueue::Share& share = q.shares_[f.share];
    if (share.cls != f.key.cls || share.priority != f.key.priority || share.name != f.key.share) {
      wrong(name, " is in the wrong share");
    }
  }
  wrong.same("the ready queue's size", q.size_, all);
  std::map<std::pair<ClassId, std::int32_t>, std::uint32_t> shares_of_level;
  for (const auto& [id, n] : flows_of_share) {
    const ReadyQueue::Share& share = q.shares_[id];
    wrong.same("flows of a share", share.users, n);
    wrong.same("listed flows of a share", share.listed, listed_of_share[id]);
    std::uint32_t ring = 0;
    FlowId at = share.turn;
    for (; at != kNone && ring <= share.listed; at = q.flows_[at].next == share.turn ? kNone : q.flows_[at].next)
      ++ring;
    wrong.same("the ring of a share", ring, share.listed);
    shares_of_level[{share.cls, share.priority}] += share.listed != 0 ? 1 : 0;
  }
  for (ClassId cls = 0; cls < q.classes_.size(); ++cls) {
    wrong.same("listed in class " + std::to_string(cls), q.classes_[cls].size, listed[cls]);
    wrong.same("held in class " + std::to_string(cls), q.classes_[cls].held_size, held[cls]);
    const auto first = std::find_if(q.classes_[cls].levels.begin(), q.classes_[cls].levels.end(),
                                    [](const auto& level) { return level.second.turn != kNone; });
    if (q.classes_[cls].top != (first == q.classes_[cls].levels.end() ? nullptr : &first->second)) {
      wrong("class ", cls, ": its highest level is another");
    }
    for (const auto& [priority, level] : q.classes_[cls].levels) {
      std::uint32_t ring = 0;
      const std::uint32_t wanted = shares_of_level[{cls, priority}];
      for (std::uint32_t at = level.turn; at != kNone && ring <= wanted;
           at = q.shares_[at].next == level.turn ? kNone : q.shares_[at].next) {
        ++ring;
      }
      wrong.same("the ring of a level", ring, wanted);
    }
  }
  // Limits.
  std::map<LimitId, std::uint32_t> in_use;
  for (TaskSlot slot = 0; slot < tasks.used_; ++slot) {
    const TaskRecord& t = tasks[slot];
    if (!is_at_worker(t.phase)) continue;
    const LimitId limit = q.limit_of(s.specs_[t.spec].flow);
    if (limit != kNoLimit) ++in_use[limit];
  }
  for (const auto& [name, id] : q.limits_.names()) {
    const Limit& l = q.limits_[id];
    wrong.same("limit " + name + ": in use", l.in_use, in_use[id]);
    wrong.same("limit " + name + ": flows", l.users, flows_of_limit[id]);
    std::size_t parked = 0;
    for (const auto& [cls, line] : q.limits_.limits_[id].parked) {
      std::size_t shares = 0;
      for (const auto& [priority, served, share] : line.order) {
        const auto it = line.shares.find(share);
        if (it == line.shares.end() || it->second.served != served || it->second.flows.empty()) {
          wrong("limit ", name, ": its line of class ", cls, " has a share that is not there");
          continue;
        }
        ++shares;
        parked += it->second.flows.size();
      }
      wrong.same("limit " + name + ": shares in line", line.shares.size(), shares);
    }
    wrong.same("limit " + name + ": flows in line", q.limits_.limits_[id].flows, parked);
    const auto should = std::count_if(q.flows_.begin(), q.flows_.end(), [limit = id](const ReadyQueue::Flow& f) {
      return f.users != 0 && f.parked && f.key.limit == limit;
    });
    wrong.same("limit " + name + ": parked", parked, should);
    if (l.users == 0 && !l.set && l.in_use == 0) wrong("limit ", name, " is kept for nothing");
    const bool waits_for_time = q.limits_.limits_[id].armed != kNever;
    if (l.opens(0) == kNever || waits_for_time) continue;
    for (const auto& [cls, flows] : q.limits_.limits_[id].parked) {
      // Else one that was woken is on its way to the place.
      const bool taken =
          std::any_of(q.flows_.begin(), q.flows_.end(), [limit = id, of = cls](const ReadyQueue::Flow& f) {
            return f.users != 0 && f.listed && f.key.limit == limit && f.key.cls == of;
          });
      if (!taken) wrong("limit ", name, " will wake nobody of class ", cls);
    }
  }
}

void Invariants::check_life(const Scheduler& s, Findings& wrong) {
  const TaskTable& tasks = s.tasks_;
  std::map<TaskNumber, std::uint32_t> unmet;
  const auto count_list = [&](EdgeId list) {
    if (list == kNone) return;
    EdgeId at = s.edges_[list].next;
    for (;;) {
      ++unmet[s.edges_[at].dependant];
      if (at == list) break;
      at = s.edges_[at].next;
    }
  };
  for (const Scheduler::Linking& l : s.linkings_) ++unmet[l.task];
  for (const Scheduler::Release& r : s.releases_) count_list(r.list);
  std::map<GroupId, std::uint64_t> live_of_group;
  std::map<GroupId, std::set<SpecId>> specs_of_group;
  std::size_t timers = 0;
  for (TaskSlot slot = 0; slot < tasks.used_; ++slot) {
    const TaskRecord& t = tasks[slot];
    if (t.phase == Phase::free) {
      if (s.timers_.has(slot)) wrong("free slot ", slot, " has a timer");
      continue;
    }
    const std::string name = task_name(t);
    const SideRecord* side = tasks.side_if(slot);
    if (side != nullptr) count_list(side->dependants);
    const Time at = s.next_timer(slot);
    timers += at != kNever ? 1 : 0;
    if (s.timers_.has(slot) != (at != kNever)) wrong(name, ": it has a deadline and no timer, or a timer for nothing");
    if (s.timers_.has(slot) && s.timers_.heap_[s.timers_.places_[slot] - 1].at != at) {
      wrong(name, ": its timer is set to another time than its deadline");
    }
    if (is_terminal(t.phase) && side != nullptr && side->dependants != kNone) wrong(name, " has ended untold");
    if (((t.flags & kStopSent) != 0) != (side != nullptr && side->stop != Stop::none)) {
      wrong(name, ": told to stop, and why, do not agree");
    }
    if (const GroupId g = s.specs_[t.spec].group; g != kNoGroup && !is_terminal(t.phase)) ++live_of_group[g];
    const std::string& key = s.specs_[t.spec].spec.key;
    const bool may_hold = !is_terminal(t.phase) || t.phase == Phase::succeeded;
    if (!key.empty() && may_hold && s.specs_[t.spec].cls != kNoClass && s.holder(s.specs_[t.spec].spec) == kNoSlot) {
      wrong(name, ": nobody holds its key");
    }
  }
  wrong.same("timers", s.timers_.size(), timers);
  for (std::size_t i = 1; i < s.timers_.heap_.size(); ++i) {
    if (s.timers_.heap_[i].before(s.timers_.heap_[(i - 1) / 2])) wrong("the timers are out of order");
  }
  for (SpecId id = 0; id < s.specs_.entries_.size(); ++id) {
    const SpecTable::Entry& e = s.specs_[id];
    if (e.users != 0 && e.group != kNoGroup) specs_of_group[e.group].insert(id);
  }
  for (const auto& [name, id] : s.groups_.names()) {
    const Group& g = s.groups_[id];
    count_list(g.dependants);
    wrong.same("group " + name + ": live", g.live, live_of_group[id]);
    wrong.same("group " + name + ": submitted", g.submitted, g.live + g.succeeded + g.failed + g.cancelled + g.expired);
    wrong.same("group " + name + ": users", g.users, specs_of_group[id].size());
    if (g.users == 0) wrong("group ", name, " is kept for nothing");
    if (g.live == 0 && g.dependants != kNone) wrong("group ", name, " is done, and those who wait are not told");
  }
  for (TaskSlot slot = 0; slot < tasks.used_; ++slot) {
    const TaskRecord& t = tasks[slot];
    if (t.phase != Phase::waiting) continue;
    const SideRecord* side = tasks.side_if(slot);
    if (side == nullptr || (side->unmet == 0 && side->due == 0)) {
      wrong(task_name(t), " waits for nothing");
      continue;
    }
    wrong.same(task_name(t) + ": dependencies not met", side->unmet, unmet[t.number]);
  }
  for (WorkerIndex w = 0; w < s.table_.workers.size(); ++w) {
    const Worker& worker = s.table_.workers[w];
    const auto times = std::count(s.condemned_.begin(), s.condemned_.end(), w);
    if (times != (worker.condemned ? 1 : 0)) wrong("worker ", worker.id, ": condemned, and listed, do not agree");
    if (worker.condemned && !worker.kill_sent && worker.kill_at == kNever) {
      wrong("worker ", worker.id, " is condemned and will not be ended");
    }
  }
}

}  // namespace futured::scheduler
