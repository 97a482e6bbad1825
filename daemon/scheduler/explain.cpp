// Why a task does not run, in a sentence that names what to change.
#include <algorithm>

#include "daemon/scheduler/scheduler.hpp"

namespace futured::scheduler {

namespace {
std::string quoted(const std::string& s) { return "'" + s + "'"; }

std::string duration(Time ns) {
  const Time s = (std::max<Time>(ns, 0) + 999'999'999) / 1'000'000'000;
  if (s < 120) return std::to_string(s) + " s";
  if (s < 7200) return std::to_string((s + 59) / 60) + " min";
  return std::to_string((s + 3599) / 3600) + " h";
}

std::string so_many(std::uint64_t n) { return std::to_string(n) + (n == 1 ? " task" : " tasks"); }
std::string have_not(std::uint64_t n) { return so_many(n) + (n == 1 ? " has not" : " have not"); }
}  // namespace

std::uint32_t Scheduler::retries_left(TaskSlot slot) const {
  const SideRecord* side = tasks_.side_if(slot);
  const std::uint32_t spent = side == nullptr ? 0 : side->spent_retries;
  const std::uint32_t all = spec(slot).retries;
  return all > spent ? all - spent : 0;
}

Reason Scheduler::reason(TaskSlot slot) const {
  const TaskRecord& t = tasks_[slot];
  switch (t.phase) {
    case Phase::waiting: {
      const SideRecord* side = tasks_.side_if(slot);
      if (side != nullptr && side->unmet != 0) return Reason::blocked;
      return t.attempt != 0 ? Reason::backoff : Reason::delayed;
    }
    case Phase::queued:
      if (class_of(slot).paused) return Reason::paused;
      if (ready_.is_parked(specs_[t.spec].flow)) return Reason::limited;
      return class_of(slot).offering.empty() ? Reason::no_worker : Reason::none;
    case Phase::assigned:
      return (t.flags & kStopSent) != 0 ? Reason::cancelling : Reason::assigned;
    case Phase::running:
      return (t.flags & kStopSent) != 0 ? Reason::cancelling : Reason::none;
    default:
      return Reason::none;
  }
}

std::string Scheduler::explain(TaskSlot slot, Time now) const {
  const TaskRecord& t = tasks_[slot];
  const SideRecord* side = tasks_.side_if(slot);
  const Spec& s = spec(slot);
  if (is_terminal(t.phase)) {
    std::string text = "it has ended: " + std::string(name(state_of(t.phase)));
    if (side != nullptr && side->failure != nullptr && !side->failure->message.empty()) {
      text += " (" + side->failure->message + ")";
    }
    return text;
  }
  switch (t.phase) {
    case Phase::waiting:
      if (side->unmet != 0) {
        if (s.after.size() == 1 && s.after[0].count == 1 && s.after[0].group.empty() && s.after[0].number != 0) {
          return "it waits for task " + std::to_string(s.after[0].number) + " to end";
        }
        if (s.after.size() == 1 && !s.after[0].group.empty()) {
          const GroupId group = groups_.find(s.after[0].group);
          return "it waits for group " + quoted(s.after[0].group) + ", of which " +
                 have_not(group == kNoGroup ? 0 : groups_[group].live) + " ended";
        }
        return "it waits for " + so_many(side->unmet) + " to end; `fut show` names those it was submitted after";
      }
      return t.attempt != 0 ? "attempt " + std::to_string(t.attempt) + " failed; the next one begins in " +
                                  duration(side->due - now)
                            : "it was submitted with a delay; it is due in " + duration(side->due - now);
    case Phase::queued: {
      const Class& c = class_of(slot);
      const Pool& pool = table_.pools[c.pool];
      if (pool.paused) return "pool " + quoted(pool.name) + " is paused; `fut resume " + pool.name + "`";
      if (c.paused) return "task type " + quoted(c.type) + " is paused; `fut resume task=" + c.type + "`";
      const FlowId flow = specs_[t.spec].flow;
      if (ready_.is_held(flow)) {
        return "its client has not taken the results that it has; it waits until they are read";
      }
      if (ready_.is_parked(flow)) {
        const Limit& l = ready_.limits()[ready_.limit_of(flow)];
        if (l.running != 0 && l.in_use >= l.running) {
          return "limit " + quoted(l.name) + " allows " + std::to_string(l.running) +
                 " at once and all are in use; `fut limit set " + l.name + " N` changes it";
        }
        return "limit " + quoted(l.name) + " allows " + std::to_string(l.starts) +
               (l.starts == 1 ? " start in " : " starts in ") + duration(l.per) + "; `fut limit set " + l.name +
               "` changes it";
      }
      if (draining_) return "the daemon is draining and starts nothing more";
      if (c.offering.empty()) {
        if (pool.processes != 0) {
          return "no worker of pool " + quoted(pool.name) + " offers " + quoted(c.type) +
                 " yet; `fut pool list` shows whether its processes come up";
        }
        return "no worker offers " + quoted(c.type) + "; start one with `fut scale " + pool.name +
               "=1`, or `futured-worker` with a plugin that has it";
      }
      const auto usable = [&](WorkerIndex w) { return table_.workers[w].takes_work(); };
      if (std::none_of(c.offering.begin(), c.offering.end(), usable)) {
        return "all workers of pool " + quoted(pool.name) + " are draining or away; `fut worker list` shows them";
      }
      const std::uint64_t others = ready_.size(specs_[t.spec].cls) - 1;
      return "all slots of pool " + quoted(pool.name) + " for " + quoted(c.type) + " are taken" +
             (others == 0 ? std::string{}
                          : ", and " + std::to_string(others) +
                                (others == 1 ? " other task of this type waits" : " other tasks of this type wait")) +
             "; `fut scale " + pool.name + "=N` adds processes";
    }
    case Phase::assigned:
      if ((t.flags & (kStopSent | kRecallSent)) != 0) {
        return "it was sent ahead to worker " + std::to_string(table_.workers[t.worker].id) + " and is asked back";
      }
      return "it was sent ahead to worker " + std::to_string(table_.workers[t.worker].id) +
             " and starts when a slot there is free";
    case Phase::running:
      if ((t.flags & kStopSent) != 0 && table_.workers[t.worker].connection == 0) {
        return "it runs in worker " + std::to_string(table_.workers[t.worker].id) +
               ", which is away and is told to stop it when it is back" +
               (side->stop_until == kNever ? std::string()
                                           : "; it is waited for for " + duration(side->stop_until - now));
      }
      if ((t.flags & kStopSent) != 0) {
        return "it runs in worker " + std::to_string(table_.workers[t.worker].id) +
               " and was told to stop; if it does not, " + "its process is replaced" +
               (side->stop_until == kNever ? std::string(" now") : " in " + duration(side->stop_until - now));
      }
      return "it runs, in worker " + std::to_string(table_.workers[t.worker].id) + ", attempt " +
             std::to_string(t.attempt);
    default:
      return "it is not known";
  }
}

}  // namespace futured::scheduler
