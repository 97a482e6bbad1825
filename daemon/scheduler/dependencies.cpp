// Tasks that wait for other tasks. A dependency names tasks that were there before, so that there can be no cycle. Both
// looking them up and telling those who wait is done in portions: a hundred thousand of either is the normal case.
#include <algorithm>
#include <cstring>
#include <utility>

#include "daemon/scheduler/mutants.hpp"
#include "daemon/scheduler/scheduler.hpp"

namespace futured::scheduler {

namespace {
std::string past(Phase phase) {
  switch (phase) {
    case Phase::succeeded:
      return "succeeded";
    case Phase::failed:
      return "failed";
    case Phase::cancelled:
      return "was cancelled";
    default:
      return "expired";
  }
}

bool met(Condition wanted, bool succeeded) {
  return wanted == Condition::any || FUTURED_MUTANT(released_on_failure) || (wanted == Condition::success) == succeeded;
}

std::string only_after(Condition wanted) {
  return wanted == Condition::success ? "runs only after its success" : "runs only after its failure";
}

/// Whom to blame for a task that did not run itself: the one that its own message names.
std::string blamed(const SideRecord* side, const std::string& task) {
  if (side == nullptr || side->failure == nullptr || side->failure->kind != ErrorKind::dependency) return task;
  const std::string& why = side->failure->message;
  return why.substr(0, std::min(why.find(", so that task "), why.find(", and this task runs"))) + ", so that " + task;
}

Failure unmet(const std::string& whom, const std::string& how, Condition wanted) {
  Failure f;
  f.kind = ErrorKind::dependency;
  f.permanent = true;
  f.message = whom + " " + how + ", and this task " + only_after(wanted);
  return f;
}
}  // namespace

void Scheduler::link_portion(std::size_t& portion, Time now, Actions& actions) {
  while (!linkings_.empty() && portion > 0) {
    Linking& l = linkings_.front();
    const TaskSlot slot = tasks_.find(l.task);
    const Spec* s = slot == kNoSlot || tasks_[slot].phase != Phase::waiting ? nullptr : &spec(slot);
    if (s != nullptr && l.dependency == 0 && l.offset == 0 && would_wait_for_itself(slot, now, actions)) s = nullptr;
    if (s != nullptr && l.dependency < s->after.size()) {
      --portion;
      Dependency one = s->after[l.dependency];
      const std::uint64_t count = one.group.empty() ? std::max<std::uint64_t>(one.count, 1) : 1;
      (one.number != 0 ? one.number : one.id.seq) += l.offset;
      const bool input = s->input_from == l.dependency && one.group.empty() && l.offset == 0;
      if (++l.offset >= count) {
        l.offset = 0;
        ++l.dependency;
      }
      if (link(slot, one, input, now, actions)) continue;
    } else if (s != nullptr) {
      --tasks_.side(slot).unmet;  // the one for the linking itself
      wake_if_free(slot, now);
    }
    linkings_.pop_front();
  }
  if (!linkings_.empty()) more_now_ = true;
}

/// What waits for a group waits for all that joins it. If that could wait in turn, two groups could wait for each other
/// for ever: everything else waits only for what was there before it.
bool Scheduler::would_wait_for_itself(TaskSlot slot, Time now, Actions& actions) {
  const GroupId group = specs_[tasks_[slot].spec].group;
  if (group == kNoGroup || groups_[group].dependants == kNone) return false;
  reject(slot, ErrorKind::rejected,
         "it waits for other tasks, and cannot join group '" + groups_[group].name +
             "', for which others wait already: they could wait for each other for ever. Submit it before them",
         now, actions);
  return true;
}

/// False: the task has ended because of it.
bool Scheduler::link(TaskSlot slot, const Dependency& d, bool input, Time now, Actions& actions) {
  const TaskNumber number = tasks_[slot].number;
  if (!d.group.empty()) {
    const GroupId group = groups_.find(d.group);
    if (group == kNoGroup) {
      reject(slot, ErrorKind::rejected, "it is to run after group '" + d.group + "', which does not exist", now,
             actions);
      return false;
    }
    Group& g = groups_[group];
    // Its own group would wait for it.
    if (specs_[tasks_[slot].spec].group == group) {
      reject(slot, ErrorKind::rejected, "it is to run after its own group '" + d.group + "'", now, actions);
      return false;
    }
    if (g.live == 0) {
      const bool succeeded = g.succeeded == g.submitted;
      if (met(d.on, succeeded)) return true;
      finish(slot, Phase::cancelled,
             unmet("group '" + d.group + "'", succeeded ? "succeeded" : "did not succeed as a whole", d.on), {}, now,
             actions);
      return false;
    }
    edges_.add(g.dependants, {number, kNone, d.on, false});
  } else {
    bool issued = d.number != 0 && tasks_.issued(d.number);
    TaskNumber named = d.number;
    if (const SessionId owner = sessions_.by_stream(d.id.stream); named == 0 && owner != sessions_.end()) {
      named = number_at(sessions_[owner], d.id.seq, issued);
    }
    const TaskSlot on = tasks_.find(named);
    // A later number is later, also if it is another name of an earlier task.
    if (on == kNoSlot || named >= number) {
      const std::string whom = d.number != 0 ? "task " + std::to_string(d.number) : "a task";
      const bool forgotten = on == kNoSlot && issued;
      reject(slot, ErrorKind::rejected,
             "it is to run after " + whom +
                 (forgotten ? ", which has ended and is forgotten: how it ended is not known any more (--keep)"
                            : ", which was not submitted before it"),
             now, actions);
      return false;
    }
    const TaskRecord& t = tasks_[on];
    if (is_terminal(t.phase)) {
      const bool succeeded = t.phase == Phase::succeeded;
      if (!met(d.on, succeeded)) {
        finish(slot, Phase::cancelled,
               unmet(blamed(tasks_.side_if(on), "task " + std::to_string(t.number)), past(t.phase), d.on), {}, now,
               actions);
        return false;
      }
      return !input || !succeeded || append_input(slot, t.payload, now, actions);
    }
    edges_.add(tasks_.side(on).dependants, {number, kNone, d.on, input});
  }
  counts_.bytes += sizeof(Edge);
  ++tasks_.side(slot).unmet;
  return true;
}

void Scheduler::release_portion(std::size_t& portion, Time now, Actions& actions) {
  while (!releases_.empty() && portion > 0) {
    Release& r = releases_.front();
    --portion;
    if (r.list != kNone) {
      const Edge edge = edges_.take(r.list);
      counts_.bytes -= sizeof(Edge);
      const TaskSlot slot = tasks_.find(edge.dependant);
      if (slot == kNoSlot || tasks_[slot].phase != Phase::waiting) continue;
      const bool succeeded = r.task == kNoSlot ? r.all_succeeded : tasks_[r.task].phase == Phase::succeeded;
      if (!met(edge.on, succeeded)) {
        const std::string whom = r.task == kNoSlot
                                     ? "group '" + r.group + "'"
                                     : blamed(tasks_.side_if(r.task), "task " + std::to_string(tasks_[r.task].number));
        const std::string how = r.task != kNoSlot ? past(tasks_[r.task].phase)
                                : succeeded       ? "succeeded"
                                                  : "did not succeed as a whole";
        finish(slot, Phase::cancelled, unmet(whom, how, edge.on), {}, now, actions);
        continue;
      }
      if (edge.input && succeeded && !append_input(slot, tasks_[r.task].payload, now, actions)) continue;
      --tasks_.side(slot).unmet;
      wake_if_free(slot, now);
      continue;
    }
    const TaskSlot held = r.task;
    releases_.pop_front();
    if (held != kNoSlot) release(held);
  }
  if (!releases_.empty()) more_now_ = true;
}

/// False: the input became too large, and the task has ended.
bool Scheduler::append_input(TaskSlot slot, const Slice& reply, Time now, Actions& actions) {
  const Slice own = tasks_[slot].payload;
  if (FUTURED_MUTANT(input_not_taken)) return true;
  if (own.size() + reply.size() > limits_.payload_bytes) {
    reject(slot, ErrorKind::too_large,
           "its input with the reply that it takes has " + std::to_string(own.size() + reply.size()) +
               " bytes; the limit is " + std::to_string(limits_.payload_bytes),
           now, actions);
    return false;
  }
  if (own.empty()) {
    replace_payload(slot, reply);
  } else if (!reply.empty()) {
    std::string both(own.view());
    both += reply.view();
    replace_payload(slot, Slice::copy(both));
  }
  return true;
}

void Scheduler::join_group(SpecId spec) {
  const GroupId group = specs_[spec].group;
  if (group == kNoGroup) return;
  ++groups_[group].submitted;
  ++groups_[group].live;
}

void Scheduler::group_ended(GroupId id, Phase phase) {
  Group& g = groups_[id];
  --g.live;
  ++(phase == Phase::succeeded   ? g.succeeded
     : phase == Phase::cancelled ? g.cancelled
     : phase == Phase::expired   ? g.expired
                                 : g.failed);
  if (g.live != 0 || g.dependants == kNone) return;
  releases_.push_back({std::exchange(g.dependants, kNone), kNoSlot, g.name, g.succeeded == g.submitted});
  more_now_ = true;
}

}  // namespace futured::scheduler
