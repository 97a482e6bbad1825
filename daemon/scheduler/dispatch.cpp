// Which task goes to which worker. First free slots are filled, everywhere; only then is work sent ahead to busy
// workers, within the credit they gave; and what waits behind a long call is asked back when a neighbour is idle.
#include <algorithm>

#include "daemon/scheduler/mutants.hpp"
#include "daemon/scheduler/scheduler.hpp"

namespace futured::scheduler {

namespace {
constexpr std::size_t kDispatchPortion = 8192;  // tasks sent per turn
constexpr std::size_t kChunk = 256;             // tasks sent to one worker before the next is considered
constexpr std::size_t kRecallSearch = 256;      // tasks looked at per worker when asking back
}  // namespace

void Scheduler::dispatch(Time now, Actions& actions) {
  std::size_t budget = kDispatchPortion;
  for (std::uint32_t p = 0; p < table_.pools.size(); ++p) {
    if (!table_.pools[p].ready && !table_.pools[p].freed) continue;
    table_.pools[p].ready = false;
    for (const bool ahead : {false, true}) budget -= dispatch_pool(p, ahead, budget, now, actions);
    if (budget == 0) {
      table_.pools[p].ready = true;
      more_now_ = true;
      return;
    }
    if (std::exchange(table_.pools[p].freed, false)) rebalance(p, actions);
  }
}

std::size_t Scheduler::dispatch_pool(std::uint32_t p, bool ahead, std::size_t budget, Time now, Actions& actions) {
  std::vector<Candidate>& candidates = candidates_;
  candidates.clear();
  for (const ClassId cls : table_.pools[p].classes) {
    if ((!table_.classes[cls].paused || FUTURED_MUTANT(pause_ignored)) && ready_.prepare(cls, now))
      candidates.push_back({cls, 0, 0});
  }
  const auto capacity = [&](WorkerIndex w, std::size_t lane) -> std::uint64_t {
    const Worker& worker = table_.workers[w];
    if (!ahead) return worker.idle(lane);
    return worker.takes_work() ? worker.credit_left(lane) + (FUTURED_MUTANT(credit_exceeded) ? 1 : 0) : 0;
  };
  const auto before = [&](const Candidate& a, const Candidate& b) {
    const std::int32_t pa = ready_.priority(a.cls);
    const std::int32_t pb = ready_.priority(b.cls);
    return pa != pb ? pa > pb : ready_.goes_first(a.cls, b.cls);
  };

  std::size_t sent = 0;
  while (!candidates.empty() && sent < budget) {
    const auto best = std::min_element(candidates.begin(), candidates.end(), before);
    const ClassId cls = best->cls;
    // A limit may have filled up since, with tasks of another class.
    if (!ready_.prepare(cls, now)) {
      candidates.erase(best);
      continue;
    }
    Class& c = table_.classes[cls];
    const auto lane = static_cast<std::size_t>(c.lane);
    std::size_t able = 0;
    WorkerIndex chosen = kNone;
    std::size_t chosen_at = 0;
    std::uint64_t room = 0;
    for (std::size_t i = 0; i < c.offering.size(); ++i) {
      const std::size_t at = (c.turn + i) % c.offering.size();
      const std::uint64_t has = capacity(c.offering[at], lane);
      if (has == 0) continue;
      ++able;
      // Free slots: the idlest. Ahead: whose turn it is.
      if (chosen == kNone || (!ahead && has > room)) {
        chosen = c.offering[at];
        chosen_at = at;
        room = has;
      }
    }
    if (chosen == kNone) {
      candidates.erase(best);
      continue;
    }
    c.turn = (chosen_at + 1) % c.offering.size();
    if (best->turns == 0) {
      best->share = (ready_.size(cls) + able - 1) / able;
      best->turns = able;
    }
    --best->turns;
    std::uint64_t n = std::min({room, best->share, std::uint64_t{kChunk}, std::uint64_t{budget - sent}});
    const std::int32_t priority = ready_.priority(cls);
    bool left = true;
    while (n > 0) {
      send_to(chosen, ready_.pop(cls, now), now, actions);
      ++sent;
      --n;
      left = ready_.prepare(cls, now);
      if (!left) break;
      if (candidates.size() > 1 || ready_.priority(cls) != priority) {
        // Another class may be first now.
        if (std::min_element(candidates.begin(), candidates.end(), before) != best) break;
      }
    }
    if (!left) candidates.erase(best);
  }
  return sent;
}

void Scheduler::send_to(WorkerIndex w, TaskSlot slot, Time now, Actions& actions) {
  TaskRecord& t = tasks_[slot];
  enter(t, Phase::assigned);
  ++t.attempt;
  attach_to_worker(slot, w);
  rearm(slot);
  Worker& worker = table_.workers[w];
  ++worker.sent[static_cast<std::size_t>(class_of(slot).lane)];
  auto& attempts = tasks_.side(slot).attempts;
  if (attempts.size() == kMaxAttemptsKept) attempts.erase(attempts.begin());
  attempts.push_back(Attempt{worker.id, t.attempt, worker.pid, now, 0, 0, Attempt::Ending::none, {}});
  actions.runs.push_back({worker.id, slot});
}

void Scheduler::rebalance(std::uint32_t p, Actions& actions) {
  const Pool& pool = table_.pools[p];
  if (pool.workers.size() < 2) return;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    std::uint64_t idle = 0;
    std::uint64_t coming = 0;  // what is already asked back will fill some of them
    for (const WorkerIndex w : pool.workers) {
      idle += table_.workers[w].idle(lane);
      coming += table_.workers[w].recalled[lane];
    }
    idle -= std::min(idle, coming);
    for (const WorkerIndex v : pool.workers) {
      if (idle == 0) break;
      Worker& busy = table_.workers[v];
      if (busy.connection == 0 || busy.condemned || busy.in_flight[lane] <= busy.slots[lane] + busy.recalled[lane])
        continue;
      // With short calls what was sent ahead is done sooner than it could come back.
      const std::uint64_t window = busy.credit_left(lane) + busy.in_flight[lane];
      const bool long_calls =
          busy.running[lane] >= std::max(busy.slots[lane], 1u) || window <= 2 * std::uint64_t{busy.slots[lane]};
      if (!long_calls) continue;
      std::uint64_t wanted =
          std::min<std::uint64_t>(idle, busy.in_flight[lane] - busy.slots[lane] - busy.recalled[lane]);
      std::size_t looked_at = 0;
      for (TaskSlot slot = busy.newest; slot != kNoSlot && wanted > 0 && looked_at < kRecallSearch;
           slot = tasks_[slot].prev, ++looked_at) {
        TaskRecord& t = tasks_[slot];
        const Class& c = class_of(slot);
        if (t.phase != Phase::assigned || static_cast<std::size_t>(c.lane) != lane) continue;
        if ((t.flags & (kRecallSent | kStopSent)) != 0) continue;
        const bool useful = std::any_of(c.offering.begin(), c.offering.end(),
                                        [&](WorkerIndex w) { return w != v && table_.workers[w].idle(lane) > 0; });
        if (!useful) continue;
        recall(slot, actions);
        --wanted;
        --idle;
      }
    }
  }
}

}  // namespace futured::scheduler
