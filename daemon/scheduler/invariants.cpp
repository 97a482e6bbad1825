#include <algorithm>
#include <map>
#include <set>

#include "daemon/scheduler/findings.hpp"

namespace futured::scheduler {

std::vector<std::string> Invariants::check(const Scheduler& s) {
  Findings wrong;
  const TaskTable& tasks = s.tasks_;
  const WorkerTable& table = s.table_;

  // ---- who is owed the outcome of each task
  std::vector<std::uint32_t> watchers(tasks.used_, 0);
  std::uint64_t connected = 0;
  std::map<SpecId, std::uint64_t> spec_users;
  std::map<SessionId, std::uint64_t> holds;
  for (const Scheduler::Sweep& sweep : s.sweeps_) ++holds[sweep.session];
  for (const auto& [id, pending] : s.pending_cancels_) ++holds[pending.reply.session];
  if (s.own_session_ != kNoSession) ++holds[s.own_session_];
  for (const Scheduler::Release& r : s.releases_) {
    if (r.task != kNoSlot) ++watchers[r.task];
  }
  for (const auto* list : {&s.ended_, &s.told_}) {
    for (const TaskSlot slot : *list) ++watchers[slot];
  }
  for (const auto& [number, list] : s.attachments_) {
    const TaskSlot slot = tasks.find(number);
    if (slot == kNoSlot || is_terminal(tasks[slot].phase)) {
      wrong("task ", number, " has attachments and is not live");
      continue;
    }
    if (list.empty()) wrong("task ", number, " has an empty list of attachments");
    for (const Scheduler::Attachment& a : list) {
      ++watchers[slot];
      ++holds[a.session];
      const Session* by = s.session(a.session);
      if (by == nullptr || by->attached.count(a.handle) == 0 || by->attached.at(a.handle) != number) {
        wrong("task ", number, " has an attachment that its session does not know");
      }
    }
  }

  // ---- sessions
  std::size_t live_sessions = 0, starved = 0;
  std::uint64_t unused_tasks = 0, unused_bytes = 0;
  for (SessionId id = 0; id < s.sessions_.end(); ++id) {
    const Session* found = s.session(id);
    if (found == nullptr) continue;
    const Session& c = *found;
    const std::string name = "session " + std::to_string(id);
    ++live_sessions;
    if (s.sessions_.by_stream(c.stream) != id) wrong(name, " is not found by its stream");
    connected += c.connection != 0 ? 1 : 0;
    if (c.last_spec != UINT32_MAX) ++spec_users[c.last_spec];
    Seq next = 0;
    for (std::uint64_t p = c.extents.begin(); p != c.extents.end(); ++p) {
      const ExtentRef& x = c.extents[p];
      if (x.first_seq < next || x.count == 0) wrong(name, ": extents overlap at seq ", x.first_seq);
      next = x.first_seq + x.count;
      holds[id] += x.live ? 1 : 0;
    }
    if (id == s.own_session_) {
      wrong.same(name + ": holds", c.holds, holds[id]);
      continue;
    }
    if (next > c.accepted_seq) wrong(name, ": extents beyond what was accepted");
    if (!c.extents.empty() && !c.extents.front().live) wrong(name, ": a closed extent at the front");
    if (c.granted_seq < c.accepted_seq || c.granted_bytes < c.accepted_bytes) {
      wrong(name, ": more accepted than granted");
    }
    unused_tasks += c.unused_tasks();
    unused_bytes += c.unused_bytes();
    if (c.connection == 0 && c.unused_tasks() + c.unused_bytes() != 0) wrong(name, ": away, and has credit");
    if (c.connection != 0 && c.unused_tasks() == 0 && !c.starved) wrong(name, ": no credit, and nobody will feed it");
    if (c.granted_seq > std::min<Seq>(c.accepted_seq + s.limits_.window_tasks, kMaxSeq)) {
      wrong(name, ": more granted than the window");
    }
    starved += c.starved ? 1 : 0;
    if (c.starved && std::count(s.starved_.begin(), s.starved_.end(), id) == 0) {
      wrong(name, ": starved, and nobody will feed it");
    }
    // Deliveries.
    if (!c.dead && (c.sent < c.deliveries.begin() || c.sent > c.deliveries.end()))
      wrong(name, ": `sent` is outside its deliveries");
    std::uint64_t in_flight = 0, owed = 0;
    for (std::uint64_t p = c.deliveries.begin(); p != c.deliveries.end(); ++p) {
      const Delivery& d = c.deliveries[p];
      if (d.task >= tasks.used_ || !is_terminal(tasks[d.task].phase)) {
        wrong(name, ": delivery ", p, " is of a task that has not ended");
        continue;
      }
      ++watchers[d.task];
      owed += tasks[d.task].payload.size();
      if (p < c.sent) in_flight += tasks[d.task].payload.size();
    }
    wrong.same(name + ": owed bytes", c.owed_bytes, owed);
    if (c.held != (s.ready_.held_.count(id) != 0)) wrong(name, ": it and the queue do not agree whether it is held");
    if (!c.held && owed > s.limits_.owed_bytes) wrong(name, ": it owes too much and is not held");
    for (const auto& [handle, number] : c.attached) {
      const auto list = s.attachments_.find(number);
      const auto own = [id, by = handle](const Scheduler::Attachment& a) { return a.session == id && a.handle == by; };
      if (list == s.attachments_.end() || std::none_of(list->second.begin(), list->second.end(), own)) {
        wrong(name, ": it follows task ", number, ", which does not know");
      }
    }
    std::uint64_t closed = 0;
    for (std::uint64_t p = c.extents.begin(); p != c.extents.end(); ++p) closed += c.extents[p].live ? 0 : 1;
    wrong.same(name + ": closed extents", c.closed_extents, closed);
    if (in_flight > c.sent_bytes) wrong(name, ": more bytes are on their way than were sent");
    if (!c.dead && c.sent > c.credit_tasks && c.sent != c.deliveries.begin())
      wrong(name, ": more outcomes sent than its credit");
    if (!c.dead && c.sent_bytes > c.credit_bytes && c.sent - c.deliveries.begin() > 1) {
      wrong(name, ": more bytes of results sent than its credit");
    }
    if (c.in_delivery_list && std::count(s.delivery_list_.begin(), s.delivery_list_.end(), id) == 0) {
      wrong(name, ": listed for delivery, and not in the list");
    }
    if (c.connection != 0 && !c.in_delivery_list && c.sent < c.deliveries.end() && c.sent < c.credit_tasks &&
        c.sent_bytes + tasks[c.deliveries[c.sent].task].payload.size() <= c.credit_bytes) {
      wrong(name, ": an outcome within its credits is not going to be sent");
    }
    // Coming and going.
    const auto times_absent = std::count(s.absent_.begin(), s.absent_.end(), id);
    const bool deadline = c.expires != kNever || c.cancel_at != kNever;
    if (c.connection != 0 && (c.dead || deadline)) wrong(name, ": connected, with a deadline or dead");
    if (c.connection == 0 && !c.dead && !deadline) wrong(name, ": away for ever");
    if (times_absent != (deadline ? 1 : 0)) wrong(name, ": ", times_absent, " times in the list of the absent");
    if (c.dead && !c.deliveries.empty() &&
        std::none_of(s.sweeps_.begin(), s.sweeps_.end(), [&](const Scheduler::Sweep& sweep) {
          return sweep.session == id && sweep.what == Scheduler::Sweep::What::release;
        })) {
      wrong(name, ": dead, and its outcomes are not being released");
    }
    if (c.dead && holds[id] == 0 && c.deliveries.empty() && std::count(s.burials_.begin(), s.burials_.end(), id) == 0) {
      wrong(name, ": dead, nothing holds it, and nobody will bury it");
    }
    wrong.same(name + ": holds", c.holds, holds[id]);
  }
  wrong.same("the number of sessions", s.sessions_.live(), live_sessions);
  wrong.same("the number of connected clients", s.connected_clients_, connected);
  wrong.same("credit not used", s.unused_tasks_, unused_tasks);
  wrong.same("credit in bytes not used", s.unused_bytes_, unused_bytes);
  if (s.live_tasks() + unused_tasks > s.limits_.tasks) wrong("more tasks are taken and promised than the limit");
  wrong.same("sessions without credit", s.starved_.size(), starved);

  // ---- tasks
  std::uint64_t live = 0, waiting = 0, queued = 0, assigned = 0, running = 0, bytes = 0, kept_bytes = 0, kept_taken = 0,
                numbers = 0;
  std::map<ExtentId, std::uint32_t> extent_tasks;
  std::map<TaskNumber, std::uint32_t> kept;
  std::set<std::uint32_t> sides;
  for (const auto& [keep, queue] : s.retention_.queues_) {
    if (queue.entries.empty()) wrong("an empty retention queue");
    Time before = INT64_MIN;
    for (std::uint64_t p = queue.entries.begin(); p != queue.entries.end(); ++p) {
      if (queue.sifting && p >= queue.to && p < queue.from) continue;
      if (queue.entries[p].at < before) wrong("retention is out of order");
      before = queue.entries[p].at;
      ++kept[queue.entries[p].task];
    }
  }
  std::uint64_t aliases = 0;
  for (const auto& [number, names] : s.aliases_) {
    if (tasks.find(number) == kNoSlot) wrong("task ", number, " is forgotten and has other names");
    for (const Scheduler::Alias& alias : names) {
      ++aliases;
      ++extent_tasks[alias.extent];
    }
  }
  for (TaskSlot slot = 0; slot < tasks.used_; ++slot) {
    const TaskRecord& t = tasks[slot];
    if (t.phase == Phase::free) {
      if (t.number != 0 || t.flags != 0 || t.watchers != 0 || !t.payload.empty()) wrong("slot ", slot, " is not clean");
      if (watchers[slot] != 0) wrong("free slot ", slot, " is owed to somebody");
      continue;
    }
    const std::string name = task_name(t);
    ++live;
    (is_terminal(t.phase) && t.watchers == 0 ? kept_bytes : bytes) += t.payload.size();
    kept_taken += is_terminal(t.phase) && t.watchers == 0 ? 1 : 0;
    ++spec_users[t.spec];
    if (tasks.find(t.number) != slot) wrong(name, " is not found by its number");
    if (t.extent >= tasks.extents_.size()) {
      wrong(name, " has no extent");
      continue;
    }
    const Extent& x = tasks.extents_[t.extent];
    ++extent_tasks[t.extent];
    if (t.number < x.first_number || t.number >= x.first_number + x.count) wrong(name, " is outside its extent");
    const SpecTable::Entry& entry = s.specs_[t.spec];
    const SideRecord* side = tasks.side_if(slot);
    if (t.side != kNone && !sides.insert(t.side).second) wrong(name, " shares its side record");
    const bool at_worker = is_at_worker(t.phase);
    if (at_worker && (t.worker >= table.workers.size() || table.workers[t.worker].id == 0)) {
      wrong(name, " is at a worker that is not there");
      continue;
    }
    if ((t.flags & kRecallSent) != 0 && t.phase != Phase::assigned) wrong(name, " is asked back in a wrong phase");
    if ((t.flags & (kStopSent | kCancelPending)) != 0 && !at_worker) wrong(name, " is told to stop where it is not");
    if ((t.flags & kCancelPending) != 0 && (t.flags & kRecallSent) == 0) wrong(name, ": its cancel waits for nothing");
    if (((t.flags & kCancelPending) != 0) != (s.cancel_waiters_.count(t.number) != 0)) {
      wrong(name, ": flag and list of the waiting cancels do not agree");
    }
    if ((t.flags & kKept) != 0 && kept.count(t.number) == 0) wrong(name, " is kept for ever");
    if (kept.count(t.number) != 0 && kept[t.number] != 1) wrong(name, " is kept twice");
    if ((t.flags & kKept) != 0 && (!is_terminal(t.phase) || entry.spec.keep_ns <= 0))
      wrong(name, " is kept for nothing");
    switch (t.phase) {
      case Phase::waiting:
        ++waiting;
        break;
      case Phase::queued:
        ++queued;
        break;
      case Phase::assigned:
        ++assigned;
        break;
      case Phase::running:
        ++running;
        break;
      default:
        if (t.watchers == 0 && (t.flags & kKept) == 0) wrong(name, " has ended, and nobody wants it any more");
    }
    const std::uint32_t owner = !is_terminal(t.phase) && !entry.spec.detached ? 1 : 0;
    wrong.same(name + ": watchers", t.watchers, watchers[slot] + owner);
    if (!is_terminal(t.phase) && entry.cls == kNoClass) wrong(name, " is live and has no class");
    // Attempts.
    if (t.attempt != 0 && side == nullptr) wrong(name, " has attempts and no side record");
    if (side != nullptr) {
      std::uint32_t number = t.attempt - static_cast<std::uint32_t>(side->attempts.size());
      for (const Attempt& a : side->attempts) {
        if (a.number != ++number) wrong(name, ": its attempts are not numbered in order");
        const bool open = at_worker && &a == &side->attempts.back();
        if (open != (a.ending == Attempt::Ending::none)) wrong(name, ": attempt ", a.number, " ended or not, wrongly");
        if (open && a.worker != table.workers[t.worker].id) wrong(name, ": its attempt names another worker");
      }
      if (side->attempts.size() != std::min<std::size_t>(t.attempt, kMaxAttemptsKept)) {
        wrong(name, " has ", t.attempt, " attempts and keeps ", side->attempts.size());
      }
      if (side->spent_retries > entry.spec.retries) wrong(name, " has spent more retries than it had");
      bytes += side->input.size();
      const bool may_say = t.phase == Phase::failed || t.phase == Phase::cancelled;
      if (side->failure != nullptr && !may_say) wrong(name, " has a failure and has not failed");
    }
    if (t.phase == Phase::failed && (side == nullptr || side->failure == nullptr)) wrong(name, " failed without a why");
    const std::int32_t budget = crash_budget(entry.spec.crashes);
    if (t.crashes > budget || (t.crashes == budget && !is_terminal(t.phase))) wrong(name, " has crashed too often");
  }
  wrong.same("the number of tasks", tasks.live_, live);
  wrong.same("free slots and used ones", tasks.used_, live + tasks.free_.size());
  wrong.same("side records", tasks.used_sides_, sides.size() + tasks.free_sides_.size());
  wrong.same("counts.waiting", s.counts_.waiting, waiting);
  wrong.same("counts.queued", s.counts_.queued, queued + assigned);
  wrong.same("counts.running", s.counts_.running, running);
  bytes += s.edges_.live() * sizeof(Edge);
  for (const auto& [id, users] : spec_users) bytes += size_of(s.specs_[id].spec);
  wrong.same("counts.bytes", s.counts_.bytes, bytes);
  wrong.same("counts.kept_tasks", s.counts_.kept_tasks, kept_taken);
  wrong.same("counts.kept_bytes", s.counts_.kept_bytes, kept_bytes);
  wrong.same("retention", s.retention_.size(), kept.size());
  wrong.same("submitted", s.counts_.submitted, s.counts_.completed() + waiting + queued + assigned + running);

  // ---- the index by number
  for (std::size_t chunk = 0; chunk < tasks.numbers_.size(); ++chunk) {
    const TaskTable::NumberChunk& n = tasks.numbers_[chunk];
    std::uint32_t found = 0;
    for (std::uint32_t i = 0; n.slots != nullptr && i <= TaskTable::kChunkMask; ++i) {
      if (n.slots[i] == kNoSlot) continue;
      ++found;
      const TaskNumber number = TaskNumber{chunk} << TaskTable::kChunkBits | i;
      if (tasks[n.slots[i]].number == number) continue;
      const auto names = s.aliases_.find(tasks[n.slots[i]].number);
      const auto is = [number](const auto& alias) { return alias.number == number; };
      if (names == s.aliases_.end() || std::none_of(names->second.begin(), names->second.end(), is)) {
        wrong("number ", number, " leads to another task");
      }
    }
    wrong.same("a chunk of numbers", n.live, found);
    numbers += found;
    if (n.slots != nullptr && found == 0 && chunk != s.tasks_.next_number_ >> TaskTable::kChunkBits) {
      wrong("an empty chunk of numbers is kept");
    }
  }
  wrong.same("the index of numbers", numbers, live + aliases);

  // ---- extents
  const std::set<ExtentId> free_extents(tasks.free_extents_.begin(), tasks.free_extents_.end());
  for (ExtentId id = 0; id < tasks.extents_.size(); ++id) {
    const Extent& x = tasks.extents_[id];
    if (free_extents.count(id) != 0) {
      if (extent_tasks.count(id) != 0) wrong("free extent ", id, " has tasks");
      continue;
    }
    wrong.same("live tasks of extent " + std::to_string(id), x.live, extent_tasks[id]);
    const Session* owner = s.session(x.session);
    if (owner == nullptr) {
      wrong("extent ", id, " has no session");
      continue;
    }
    bool named = false;
    for (std::uint64_t p = owner->extents.begin(); p != owner->extents.end() && !named; ++p) {
      const ExtentRef& r = owner->extents[p];
      named = r.live && r.first_seq == x.first_seq && r.first_number == x.first_number && r.count == x.count;
    }
    if (!named) wrong("extent ", id, " is not known to its session");
  }

  // ---- specs
  std::uint64_t specs = 0;
  for (const auto& [id, users] : spec_users) {
    ++specs;
    wrong.same("users of spec " + std::to_string(id), s.specs_[id].users, users);
  }
  wrong.same("the number of specs", s.specs_.live(), specs);

  // ---- workers
  std::uint64_t at_workers = 0;
  std::vector<std::uint64_t> class_at_workers(table.classes.size(), 0);
  std::size_t live_workers = 0;
  for (WorkerIndex w = 0; w < table.workers.size(); ++w) {
    const Worker& worker = table.workers[w];
    if (worker.id == 0) {
      if (worker.oldest != kNoSlot || !worker.classes.empty()) wrong("a worker that is gone holds something");
      continue;
    }
    const std::string name = "worker " + std::to_string(worker.id);
    ++live_workers;
    if (table.find(worker.id) != w) wrong(name, " is not found by its id");
    const auto& members = table.pools[worker.pool].workers;
    if (std::count(members.begin(), members.end(), w) != 1) wrong(name, " is not once in its pool");
    std::uint32_t in_flight[kLanes] = {0, 0}, in_progress[kLanes] = {0, 0}, recalled[kLanes] = {0, 0};
    TaskSlot before = kNoSlot;
    std::uint64_t walked = 0;
    for (TaskSlot slot = worker.oldest; slot != kNoSlot && walked <= live; slot = tasks[slot].next, ++walked) {
      const TaskRecord& t = tasks[slot];
      if (t.prev != before) wrong(task_name(t), ": the list of its worker is linked wrongly");
      before = slot;
      if (!is_at_worker(t.phase) || t.worker != w) {
        wrong(task_name(t), " is in the list of ", name, " and not there");
        continue;
      }
      ++at_workers;
      ++class_at_workers[s.specs_[t.spec].cls];
      const auto lane = static_cast<std::size_t>(s.class_of(slot).lane);
      ++in_flight[lane];
      in_progress[lane] += t.phase == Phase::running ? 1 : 0;
      recalled[lane] += (t.flags & kRecallSent) != 0 ? 1 : 0;
    }
    if (worker.newest != before) wrong(name, ": its list does not end where it says");
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      wrong.same(name + ": in flight", worker.in_flight[lane], in_flight[lane]);
      wrong.same(name + ": running", worker.running[lane], in_progress[lane]);
      wrong.same(name + ": recalled", worker.recalled[lane], recalled[lane]);
      if (worker.sent[lane] > worker.credit[lane]) wrong(name, " was sent more than its credit");
    }
    if (worker.announcing && worker.connection == 0) wrong(name, " announces without a connection");
    for (const ClassId cls : worker.classes) {
      const auto& offering = table.classes[cls].offering;
      if (std::count(offering.begin(), offering.end(), w) != 1) wrong(name, " is not once among those that offer");
      if (table.classes[cls].pool != worker.pool) wrong(name, " offers in a foreign pool");
    }
  }
  wrong.same("the number of workers", table.live(), live_workers);
  wrong.same("tasks at workers", at_workers, assigned + running);
  for (const Pool& pool : table.pools) {
    for (const WorkerIndex w : pool.workers) {
      if (table.workers[w].id == 0) wrong("pool ", pool.name, " lists a worker that is gone");
    }
  }
  for (ClassId cls = 0; cls < table.classes.size(); ++cls) {
    const Class& c = table.classes[cls];
    wrong.same("tasks of class " + std::to_string(cls) + " at workers", c.at_workers, class_at_workers[cls]);
    for (const WorkerIndex w : c.offering) {
      const auto& offered = table.workers[w].classes;
      if (std::count(offered.begin(), offered.end(), cls) != 1)
        wrong("class ", cls, " names a worker without the type");
    }
    // Whoever could run something is given it, this turn or the next.
    if (s.draining_ || c.paused || table.pools[c.pool].ready || !has_unlimited(s, cls)) continue;
    for (const WorkerIndex w : c.offering) {
      const Worker& worker = table.workers[w];
      if (worker.takes_work() && worker.credit_left(static_cast<std::size_t>(c.lane)) > 0) {
        wrong("class ", cls, " has tasks that wait, and worker ", worker.id, " has credit");
      }
    }
  }

  // ---- cancels that wait for an answer
  std::map<std::uint64_t, std::size_t> open;
  for (const auto& [number, waiters] : s.cancel_waiters_) {
    const TaskSlot slot = tasks.find(number);
    if (slot == kNoSlot || (tasks[slot].flags & kCancelPending) == 0) wrong("a cancel waits for task ", number);
    if (waiters.empty()) wrong("an empty list of cancels");
    for (const auto& [id, index] : waiters) {
      const auto pending = s.pending_cancels_.find(id);
      if (pending == s.pending_cancels_.end()) {
        wrong("a cancel of task ", number, " has nobody to answer");
        continue;
      }
      ++open[id];
      if (pending->second.reply.verdicts[index] != Verdict::none) wrong("a cancel was answered and still waits");
    }
  }
  for (const auto& [id, pending] : s.pending_cancels_) {
    if (pending.open == 0) wrong("a cancel is answered and kept");
    wrong.same("open cancels", pending.open, open[id]);
    if (s.session(pending.reply.session) == nullptr) wrong("a cancel of no session");
  }
  check_queue(s, wrong);
  check_life(s, wrong);
  return wrong.lines;
}

std::vector<std::string> Invariants::check_empty(const Scheduler& s) {
  Findings left;
  left.same("tasks held", s.tasks_.live(), 0);
  left.same("bytes held", s.counts_.bytes + s.counts_.kept_bytes, 0);
  left.same("sessions", s.sessions_.live(), s.own_session_ == kNoSession ? 0 : 1);
  left.same("specs", s.specs_.live(), 0);
  left.same("attachments", s.attachments_.size(), 0);
  left.same("cancels", s.pending_cancels_.size() + s.cancel_waiters_.size(), 0);
  left.same("retention queues", s.retention_.queues_.size(), 0);
  left.same("sweeps", s.sweeps_.size() + s.burials_.size() + s.absent_.size(), 0);
  left.same("timers", s.timers_.size(), 0);
  left.same("edges", s.edges_.live() + s.linkings_.size() + s.releases_.size(), 0);
  left.same("keys and aliases", s.keys_.size() + s.aliases_.size(), 0);
  left.same("groups", s.groups_.names().size(), 0);
  left.same("flows", s.ready_.flow_by_key_.size() + s.ready_.share_by_key_.size(), 0);
  left.same("extents", s.tasks_.extents_.size() - s.tasks_.free_extents_.size(), 0);
  return left.lines;
}

}  // namespace futured::scheduler
