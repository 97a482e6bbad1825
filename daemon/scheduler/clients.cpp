// The client side of the scheduler: sessions, submits, deliveries, cancels.
#include <algorithm>
#include <utility>

#include "daemon/scheduler/mutants.hpp"
#include "daemon/scheduler/scheduler.hpp"
#include "proto/nearest.hpp"

namespace futured::scheduler {

namespace {
constexpr std::size_t kSweepPortion = 4096;     // tasks touched per turn by long work
constexpr std::size_t kDeliveryPortion = 4096;  // outcomes per session and turn
constexpr std::uint64_t kAttachBit = std::uint64_t{1} << 40;
constexpr std::uint64_t kClosedExtents = 1024;

std::string quoted(const std::string& s) { return "'" + s + "'"; }

template <class Map>
std::string nearest_key(const Map& map, const std::string& wanted) {
  std::vector<std::string> names;
  for (const auto& [name, value] : map) names.push_back(name);
  return nearest(wanted, names);
}
}  // namespace

void Scheduler::on(const event::ClientHello& e, Time, Actions& actions) {
  SessionId id = sessions_.by_stream(e.stream);
  const bool known = id != sessions_.end();
  if (known && sessions_[id].dead) {
    // A stream that was given up is finished for good: its tasks were told apart as lost, so its seqs must not be
    // taken for new ones. The client draws a new stream.
    actions.breaches.push_back({kNoSession, e.connection, "this session was given up; start a new one"});
    return;
  }
  // A session in which nothing happened may be one whose welcome was lost: to the client it is a new one, and it has
  // yet to learn that what was acknowledged before, by an earlier daemon or in a session since forgotten, is gone.
  const bool resumed = known && sessions_[id].used();
  if (!resumed) {
    if (e.first_unacked_seq > kMaxSeq) {
      actions.breaches.push_back({kNoSession, e.connection, "the hello names a seq beyond 2^40"});
      return;
    }
    if (!known) id = sessions_.add(e.stream);
    // What an earlier daemon acknowledged is gone; the client goes on after it, and with the deliveries likewise.
    sessions_[id].accepted_seq = e.first_unacked_seq;
    sessions_[id].deliveries.start_at(e.processed_delivery);
    sessions_[id].sent = e.processed_delivery;
    sessions_[id].sent_bytes = 0;
  }
  Session& s = sessions_[id];
  if (s.accepted_seq > e.first_unacked_seq + limits_.window_tasks) {
    actions.breaches.push_back({kNoSession, e.connection, "the hello names a seq long before what was acknowledged"});
    return;
  }
  if (s.connection == 0) ++connected_clients_;
  s.connection = e.connection;
  s.expires = s.cancel_at = kNever;
  std::erase(absent_, id);
  s.credit_tasks = e.credit_tasks;
  s.credit_bytes = e.credit_bytes;
  actions.client_welcomes.push_back({e.connection, id, resumed, s.accepted_seq});
  grant(id);
  if (!resumed) return;
  for (std::uint64_t p = s.extents.begin(); p != s.extents.end(); ++p) {
    const ExtentRef& x = s.extents[p];
    if (!x.live || x.first_seq + x.count <= e.first_unacked_seq) continue;
    const std::uint64_t skip = e.first_unacked_seq > x.first_seq ? e.first_unacked_seq - x.first_seq : 0;
    Accepted& a = actions.accepted.emplace_back();
    a = {id, x.first_seq + skip, x.count - skip, x.first_number + skip, {}, {}};
    tell_existing(a);
  }
  take_up_to(id, e.processed_delivery);
  while (s.sent > s.deliveries.begin()) {
    --s.sent;
    s.sent_bytes -= tasks_[s.deliveries[s.sent].task].payload.size();
  }
  want_delivery(id);
}

void Scheduler::on(const event::ClientGone& e, Time now, Actions&) {
  Session* s = sessions_.find(e.session);
  if (s == nullptr || s->connection == 0) return;
  s->connection = 0;
  --connected_clients_;
  s->expires = now + (e.on_purpose ? 0 : limits_.session_resume);
  if (s->cancel_grace >= 0) s->cancel_at = s->cancel_grace > kNever - now ? kNever - 1 : now + s->cancel_grace;
  absent_.push_back(e.session);
}

Scheduler::Placement Scheduler::place(const Spec& spec) const {
  Placement p;
  const std::vector<ClassId>* classes = table_.classes_of(spec.type);
  if (classes == nullptr) {
    p.refusal = "unknown task " + quoted(spec.type);
    const std::string near = nearest_key(table_.types(), spec.type);
    p.refusal += near.empty() ? "; `fut catalog` lists what there is" : "; did you mean " + quoted(near) + "?";
    return p;
  }
  if (spec.priority < kMinPriority || spec.priority > kMaxPriority) {
    p.refusal = "priority " + std::to_string(spec.priority) + " is not within -100..100";
    return p;
  }
  if (!spec.group.empty()) {
    const GroupId group = groups_.find(spec.group);
    if (group != kNoGroup && groups_[group].closed) {
      p.refusal = "group " + quoted(spec.group) + " is closed; nothing can be added to it";
      return p;
    }
  }
  if (!spec.pool.empty()) {
    const std::uint32_t pool = table_.find_pool(spec.pool);
    if (pool == WorkerTable::kNoPool) {
      p.refusal = "unknown pool " + quoted(spec.pool);
      const std::string near = nearest_key(table_.pool_names(), spec.pool);
      p.refusal += near.empty() ? "; `fut pool list` lists them" : "; did you mean " + quoted(near) + "?";
      return p;
    }
    p.cls = table_.find_class(pool, spec.type);
    if (p.cls == kNoClass) {
      p.refusal = "pool " + quoted(spec.pool) + " does not offer task " + quoted(spec.type) + "; pool " +
                  quoted(table_.pools[table_.classes[classes->front()].pool].name) + " does";
      return p;
    }
  } else {
    const auto offered =
        std::find_if(classes->begin(), classes->end(), [&](ClassId c) { return !table_.classes[c].offering.empty(); });
    const auto starting = std::find_if(classes->begin(), classes->end(),
                                       [&](ClassId c) { return table_.pools[table_.classes[c].pool].processes != 0; });
    p.cls = offered != classes->end() ? *offered : starting != classes->end() ? *starting : classes->front();
  }
  if (table_.classes[p.cls].offering.empty() && table_.pools[table_.classes[p.cls].pool].processes == 0) {
    p.warning = "no worker offers task " + quoted(spec.type) + " now; it waits for one in pool " +
                quoted(table_.pools[table_.classes[p.cls].pool].name);
  }
  return p;
}

void Scheduler::on(const event::Submit& e, Time now, Actions& actions) {
  Session* s = sessions_.find(e.session);
  if (s == nullptr || s->connection == 0 || e.payloads.empty()) return;
  const std::uint64_t end_seq = e.first_seq + e.payloads.size();
  const std::size_t skip =
      std::min<std::uint64_t>(s->accepted_seq > e.first_seq ? s->accepted_seq - e.first_seq : 0, e.payloads.size());
  for (std::size_t i = 0; i < skip; ++i) {
    // The same id once more is the same task, or a mistake of the client that must not pass for one.
    bool issued = false;
    const TaskSlot slot = find_seq(*s, e.first_seq + i, issued);
    if (slot == kNoSlot || is_terminal(tasks_[slot].phase) || spec(slot).input_from != UINT32_MAX) continue;
    if (tasks_.seq_of(slot) != e.first_seq + i || tasks_.extent_of(slot).session != e.session) continue;
    if (tasks_[slot].payload.view() == e.payloads[i].view()) continue;
    actions.breaches.push_back({e.session, s->connection,
                                "task " + std::to_string(tasks_[slot].number) + " (seq " +
                                    std::to_string(e.first_seq + i) + ") was submitted before with another input"});
    return;
  }
  if (skip == e.payloads.size()) return;  // all known: the acknowledgement is on its way or was sent on resume
  std::uint64_t bytes = 0;
  for (const Slice& p : e.payloads.subspan(skip)) bytes += p.size();
  if (e.first_seq > s->accepted_seq || end_seq > s->granted_seq || end_seq > kMaxSeq ||
      s->accepted_bytes + bytes > s->granted_bytes) {
    actions.breaches.push_back({e.session, s->connection,
                                "submit of seqs " + std::to_string(e.first_seq) + ".." + std::to_string(end_seq - 1) +
                                    " is out of order or exceeds the credit (next " + std::to_string(s->accepted_seq) +
                                    ", credit " + std::to_string(s->granted_seq) + ")"});
    return;
  }
  const auto count = static_cast<std::uint32_t>(e.payloads.size() - skip);

  struct Placed {
    SpecId id = UINT32_MAX;
    Placement placement;
  };
  std::vector<Placed> placed(e.specs.size());
  Accepted accepted{e.session, s->accepted_seq, count, tasks_.next_number(), {}, {}};
  const auto spec_at = [&](std::size_t i) { return e.spec_of.empty() ? 0 : e.spec_of[i]; };
  const ExtentId extent = tasks_.open_extent(e.session, s->accepted_seq, count, now);
  s->extents.push_back({accepted.first_seq, accepted.first_number, count, true});
  ++s->holds;
  for (std::size_t i = skip; i < e.payloads.size(); ++i) {
    Placed& p = placed[spec_at(i)];
    if (p.id == UINT32_MAX) {
      const Spec& wanted = e.specs[spec_at(i)];
      p.placement = place(wanted);
      const bool again = s->last_spec != UINT32_MAX && specs_[s->last_spec].cls == p.placement.cls &&
                         specs_[s->last_spec].spec == wanted;
      if (!again) {
        if (s->last_spec != UINT32_MAX) drop_spec(s->last_spec);
        s->last_spec = add_spec(wanted, p.placement.cls, e.session);
        specs_.use(s->last_spec);  // the session's own, so that the next batch finds it
      }
      p.id = s->last_spec;
      specs_.use(p.id);  // this batch's own, until its tasks have it
      if (!p.placement.warning.empty()) accepted.warning = p.placement.warning;
      if (wanted.cancel_on_disconnect) s->cancel_grace = std::max(s->cancel_grace, wanted.disconnect_grace_ns);
    }
    Slice& input = e.payloads[i];
    const Spec& spec = specs_[p.id].spec;
    if (const TaskSlot existing = holder(spec); existing != kNoSlot && tasks_[existing].watchers < kMaxWatchers) {
      const TaskNumber number = tasks_[existing].number;
      const Seq seq = e.first_seq + i;
      accepted.existing.push_back({seq, number, input_differs(existing, input)});
      aliases_[number].emplace_back(tasks_.alias(extent, existing), extent);
      if (!spec.detached) follow(e.session, seq, existing, false);
      continue;
    }
    const TaskSlot slot = tasks_.add(extent);
    TaskRecord& t = tasks_[slot];
    t.spec = p.id;
    t.payload = std::move(input);
    specs_.use(p.id);
    counts_.bytes += t.payload.size();
    join_group(p.id);
    if (!spec.detached) t.watchers = 1;
    if (p.placement.cls == kNoClass) {
      reject(slot, ErrorKind::rejected, p.placement.refusal, now, actions);
    } else if (draining_) {
      Failure f;
      f.kind = ErrorKind::rejected;
      f.message = "the daemon is shutting down; submit again when it is back";
      finish(slot, Phase::failed, std::move(f), {}, now, actions);
    } else if (t.payload.size() > limits_.payload_bytes) {
      reject(slot, ErrorKind::too_large,
             "input of " + std::to_string(t.payload.size()) + " bytes; the limit is " +
                 std::to_string(limits_.payload_bytes),
             now, actions);
    } else {
      if (!spec.key.empty()) take_key(slot);
      admit(slot, now);
    }
  }
  for (const Placed& p : placed) {
    if (p.id != UINT32_MAX) drop_spec(p.id);
  }
  counts_.submitted += count - accepted.existing.size();
  s->accepted_seq += count;
  s->accepted_bytes += bytes;
  const Extent sealed = tasks_.extent(extent);
  if (tasks_.seal(extent)) extent_closed(sealed);
  grant(e.session);
  actions.accepted.push_back(std::move(accepted));
}

void Scheduler::grant(SessionId id) {
  Session& s = sessions_[id];
  if (full() || draining_) {
    if (!std::exchange(s.starved, true)) starved_.push_back(id);
    return;
  }
  s.granted_seq = std::min<Seq>(s.accepted_seq + limits_.window_tasks, kMaxSeq);
  s.granted_bytes = s.accepted_bytes + limits_.window_bytes;
}

void Scheduler::feed_starved(Actions& actions) {
  if (starved_.empty() || full() || draining_) return;
  for (const SessionId id : std::exchange(starved_, {})) {
    Session* s = sessions_.find(id);
    if (s == nullptr || !std::exchange(s->starved, false)) continue;
    grant(id);
    actions.credit.push_back(id);
  }
}

void Scheduler::on(const event::Delivered& e, Time, Actions&) {
  Session* s = sessions_.find(e.session);
  if (s == nullptr || s->connection == 0) return;
  s->credit_tasks = std::max(s->credit_tasks, e.credit_tasks);
  s->credit_bytes = std::max(s->credit_bytes, e.credit_bytes);
  take_up_to(e.session, std::min(e.processed, s->sent));
  want_delivery(e.session);
}

void Scheduler::take_up_to(SessionId id, std::uint64_t processed) {
  Session& s = sessions_[id];
  while (s.deliveries.begin() < std::min(processed, s.deliveries.end())) {
    const TaskSlot slot = s.deliveries.front().task;
    if (s.sent == s.deliveries.begin()) {
      ++s.sent;
      s.sent_bytes += tasks_[slot].payload.size();
    }
    s.deliveries.pop_front();
    owe(id, -static_cast<std::int64_t>(tasks_[slot].payload.size()));
    release(slot);
  }
}

void Scheduler::release(TaskSlot slot) {
  TaskRecord& t = tasks_[slot];
  --t.watchers;
  if (t.watchers == 0 && is_terminal(t.phase) && (t.flags & kKept) != 0) {
    counts_.bytes -= t.payload.size();
    ++counts_.kept_tasks;
    counts_.kept_bytes += t.payload.size();
  }
  forget_if_free(slot);
}

void Scheduler::owe(SessionId id, std::int64_t bytes) {
  Session& s = sessions_[id];
  s.owed_bytes += static_cast<std::uint64_t>(bytes);
  const bool hold = s.owed_bytes > (s.held ? limits_.owed_bytes / 2 : limits_.owed_bytes);
  if (hold == s.held) return;
  s.held = hold;
  ready_.hold(id, hold);
  if (hold) return;
  for (Pool& pool : table_.pools) pool.ready = true;
}

/// The session is told the outcome of a task that it did not submit, or not first.
void Scheduler::follow(SessionId id, std::uint64_t handle, TaskSlot slot, bool live_output) {
  TaskRecord& t = tasks_[slot];
  if (is_terminal(t.phase)) {
    if (t.watchers == 0) {  // only kept until now
      --counts_.kept_tasks;
      counts_.kept_bytes -= t.payload.size();
      counts_.bytes += t.payload.size();
    }
    ++t.watchers;
    deliver(id, slot, handle);
    return;
  }
  ++t.watchers;
  attachments_[t.number].push_back({id, handle, live_output});
  sessions_[id].attached.emplace(handle, t.number);
  ++sessions_[id].holds;
}

void Scheduler::unfollow(SessionId id, std::uint64_t handle) {
  Session& s = sessions_[id];
  const auto of = s.attached.find(handle);
  const auto list = attachments_.find(of->second);
  std::erase_if(list->second, [&](const Attachment& a) { return a.session == id && a.handle == handle; });
  --tasks_[tasks_.find(of->second)].watchers;
  if (list->second.empty()) attachments_.erase(list);
  s.attached.erase(of);
  --s.holds;
}

SpecId Scheduler::add_spec(const Spec& spec, ClassId cls, SessionId session) {
  counts_.bytes += size_of(spec);
  SpecTable::Entry entry;
  entry.spec = spec;
  entry.cls = cls;
  entry.timed = spec.delay_ns > 0 || spec.timeout_ns > 0 || spec.deadline_ns > 0 || spec.expires_ns > 0;
  if (cls != kNoClass) {
    const LimitId limit = spec.limit.empty() ? kNoLimit : ready_.limit_named(spec.limit);
    const std::string share = spec.fair.empty() ? "user " + std::to_string(spec.owner) : "key " + spec.fair;
    entry.flow = ready_.use_flow({cls, spec.priority, share, session, limit});
    if (!spec.group.empty()) {
      entry.group = groups_.named(spec.group);
      ++groups_[entry.group].users;
    }
  }
  return specs_.add(std::move(entry));
}

void Scheduler::drop_spec(SpecId spec) {
  if (!specs_.drop(spec)) return;
  const SpecTable::Entry& entry = specs_[spec];
  counts_.bytes -= size_of(entry.spec);
  if (entry.flow != kNoFlow) ready_.drop_flow(entry.flow);
  if (entry.group != kNoGroup) {
    --groups_[entry.group].users;
    groups_.drop_if_free(entry.group);
  }
}

void Scheduler::forget_if_free(TaskSlot slot) {
  TaskRecord& t = tasks_[slot];
  if (!is_terminal(t.phase) || t.watchers != 0 || (t.flags & kKept) != 0) return;
  counts_.bytes -= t.payload.size();
  if (const SideRecord* side = tasks_.side_if(slot)) counts_.bytes -= side->input.size();
  if ((t.flags & kHasOutput) != 0) forgotten_.push_back(t.number);
  const SpecId spec = t.spec;
  if (!specs_[spec].spec.key.empty()) {
    drop_key(slot);
    drop_aliases(t.number);
  }
  const Extent extent = tasks_.extent_of(slot);
  if (tasks_.forget(slot)) extent_closed(extent);
  drop_spec(spec);
}

void Scheduler::extent_closed(const Extent& extent) {
  Session& s = sessions_[extent.session];
  std::uint64_t low = s.extents.begin();
  std::uint64_t high = s.extents.end();
  while (low < high) {
    const std::uint64_t mid = low + (high - low) / 2;
    if (s.extents[mid].first_seq < extent.first_seq) {
      low = mid + 1;
    } else {
      high = mid;
    }
  }
  s.extents[low].live = false;
  ++s.closed_extents;
  --s.holds;
  while (!s.extents.empty() && !s.extents.front().live) {
    s.extents.pop_front();
    --s.closed_extents;
  }
  // Behind one long task the closed ones would pile up for ever. (A sweep has a position in the ring.)
  if (s.closed_extents > kClosedExtents && s.closed_extents > s.extents.size() / 2 &&
      std::none_of(sweeps_.begin(), sweeps_.end(), [&](const Sweep& w) { return w.session == extent.session; })) {
    for (std::uint64_t n = s.extents.size(); n > 0; --n) {
      const ExtentRef x = s.extents.front();
      s.extents.pop_front();
      if (x.live) s.extents.push_back(x);
    }
    s.closed_extents = 0;
  }
  if (s.dead && s.holds == 0) burials_.push_back(extent.session);
}

void Scheduler::want_delivery(SessionId id) {
  Session& s = sessions_[id];
  if (s.in_delivery_list || s.connection == 0 || s.sent == s.deliveries.end()) return;
  s.in_delivery_list = true;
  delivery_list_.push_back(id);
}

void Scheduler::deliver(SessionId id, TaskSlot slot, std::uint64_t handle) {
  Session& s = sessions_[id];
  if (s.dead) {
    release(slot);
    return;
  }
  s.deliveries.push_back({slot, handle});
  owe(id, static_cast<std::int64_t>(tasks_[slot].payload.size()));
  want_delivery(id);
}

void Scheduler::flush_deliveries(Actions& actions) {
  std::vector<SessionId> list;
  list.swap(delivery_list_);
  for (const SessionId id : list) {
    Session* found = sessions_.find(id);
    if (found == nullptr) continue;
    Session& s = *found;
    s.in_delivery_list = false;
    if (s.connection == 0) continue;
    std::size_t portion = kDeliveryPortion;
    while (s.sent < s.deliveries.end() && s.sent < s.credit_tasks && portion > 0) {
      const Delivery& d = s.deliveries[s.sent];
      const std::uint64_t size = tasks_[d.task].payload.size();
      // A result larger than the whole credit goes alone, or it would never go.
      const bool alone = s.sent == s.deliveries.begin();
      if (s.sent_bytes + size > s.credit_bytes && !alone) break;
      actions.outcomes.push_back({id, s.sent, d.handle, d.task});
      s.sent_bytes += size;
      ++s.sent;
      --portion;
    }
    if (portion == 0 && s.sent < s.deliveries.end()) {
      want_delivery(id);
      more_now_ = true;
    }
  }
}

TaskSlot Scheduler::find_seq(const Session& s, Seq seq, bool& issued) const {
  issued = seq < s.accepted_seq;
  if (!issued) return kNoSlot;
  std::uint64_t low = s.extents.begin();
  std::uint64_t high = s.extents.end();
  while (low < high) {  // the first extent that begins after seq
    const std::uint64_t mid = low + (high - low) / 2;
    if (s.extents[mid].first_seq <= seq) {
      low = mid + 1;
    } else {
      high = mid;
    }
  }
  if (low == s.extents.begin()) return kNoSlot;
  const ExtentRef& x = s.extents[low - 1];
  if (!x.live || seq >= x.first_seq + x.count) return kNoSlot;
  return tasks_.find(x.first_number + (seq - x.first_seq));
}

TaskSlot Scheduler::by_handle(SessionId session, std::uint64_t handle) const {
  const Session* s = this->session(session);
  if (s == nullptr) return kNoSlot;
  if (handle < kAttachBit) {
    bool issued = false;
    return find_seq(*s, handle, issued);
  }
  const auto at = s->attached.find(handle);
  return at == s->attached.end() ? kNoSlot : tasks_.find(at->second);
}

std::optional<std::pair<SessionId, std::uint64_t>> Scheduler::follower(TaskSlot slot) const {
  const TaskRecord& t = tasks_[slot];
  if (!spec(slot).live_output && !spec(slot).live_progress) return std::nullopt;
  if (const auto it = attachments_.find(t.number); it != attachments_.end()) {
    for (const Attachment& a : it->second) {
      if (a.live_output && sessions_[a.session].connection != 0) return std::make_pair(a.session, a.handle);
    }
  }
  const SessionId owner = tasks_.extent_of(slot).session;
  if (spec(slot).detached || sessions_[owner].dead) return std::nullopt;
  return std::make_pair(owner, tasks_.seq_of(slot));
}

Verdict Scheduler::cancel(TaskSlot slot, bool running_too, Time grace, Time now, Actions& actions, bool& pending) {
  TaskRecord& t = tasks_[slot];
  if (is_terminal(t.phase)) return Verdict::finished;
  if (!is_at_worker(t.phase)) {
    stop(slot, Stop::cancel, 0, now, actions);
    return Verdict::cancelled;
  }
  if (running_too) {
    if (!FUTURED_MUTANT(cancel_forgotten)) stop(slot, Stop::cancel, grace, now, actions);
    return Verdict::requested;
  }
  if (t.phase == Phase::running || (t.flags & kStopSent) != 0) return Verdict::running;
  t.flags |= kCancelPending;
  recall(slot, actions);
  pending = true;
  return Verdict::none;
}

void Scheduler::on(const event::Cancel& e, Time now, Actions& actions) {
  Session* s = sessions_.find(e.session);
  if (s == nullptr || s->connection == 0) return;
  PendingCancel pending;
  pending.reply = {e.session, e.request, std::vector<Verdict>(e.handles.size(), Verdict::none)};
  for (std::size_t i = 0; i < e.handles.size(); ++i) {
    const std::uint64_t handle = e.handles[i];
    bool issued = false;
    const TaskSlot slot = handle < kAttachBit ? find_seq(*s, handle, issued) : by_handle(e.session, handle);
    if (slot == kNoSlot) {
      pending.reply.verdicts[i] = issued || handle >= kAttachBit ? Verdict::forgotten : Verdict::unknown;
      continue;
    }
    const TaskNumber number = tasks_[slot].number;  // the slot may be free once cancelled
    bool waits = false;
    pending.reply.verdicts[i] = cancel(slot, e.running_too, e.grace, now, actions, waits);
    if (waits) {
      cancel_waiters_[number].emplace_back(next_pending_, i);
      ++pending.open;
    }
  }
  if (pending.open == 0) {
    actions.cancelled.push_back(std::move(pending.reply));
  } else {
    ++s->holds;
    pending_cancels_.emplace(next_pending_++, std::move(pending));
  }
}

void Scheduler::on(const event::CancelTask& e, Time now, Actions& actions) {
  const TaskSlot slot = tasks_.find(e.task);
  bool pending = false;
  if (slot != kNoSlot) (void)cancel(slot, true, e.grace, now, actions, pending);
}

void Scheduler::settle_cancel(TaskSlot slot, Verdict verdict, Actions& actions) {
  if (cancel_waiters_.empty()) return;
  const auto waiters = cancel_waiters_.find(tasks_[slot].number);
  if (waiters == cancel_waiters_.end()) return;
  for (const auto& [id, index] : waiters->second) {
    const auto pending = pending_cancels_.find(id);
    pending->second.reply.verdicts[index] = verdict;
    if (--pending->second.open == 0) {
      const SessionId session = pending->second.reply.session;
      --sessions_[session].holds;
      if (sessions_[session].dead) burials_.push_back(session);
      actions.cancelled.push_back(std::move(pending->second.reply));
      pending_cancels_.erase(pending);
    }
  }
  cancel_waiters_.erase(waiters);
}

void Scheduler::on(const event::Attach& e, Time, Actions& actions) {
  Session* s = sessions_.find(e.session);
  if (s == nullptr || s->connection == 0) return;
  AttachReply reply{e.session, e.request, {}};
  for (std::size_t i = 0; i < e.tasks.size(); ++i) {
    const event::TaskRef& ref = e.tasks[i];
    AttachReply::Item item;
    TaskSlot slot = kNoSlot;
    bool issued = false;
    if (ref.number != 0) {
      slot = tasks_.find(ref.number);
      issued = tasks_.issued(ref.number);
    } else if (const SessionId owner = sessions_.by_stream(ref.id.stream); owner != sessions_.end()) {
      slot = find_seq(sessions_[owner], ref.id.seq, issued);
    }
    if (slot != kNoSlot) {
      TaskRecord& t = tasks_[slot];
      const std::uint64_t handle = e.first_handle + i;
      const auto before = s->attached.find(handle);
      // Asked again after a reconnect; that it is followed already is what it wants to hear.
      const bool again = before != s->attached.end() && before->second == t.number;
      if (!again && (before != s->attached.end() || t.watchers >= kMaxWatchers)) {
        actions.breaches.push_back({e.session, s->connection,
                                    before != s->attached.end()
                                        ? "handle " + std::to_string(handle) + " follows another task already"
                                        : "task " + std::to_string(t.number) + " is followed too often already"});
        return;
      }
      item = {Known::yes, t.number, id(slot), state_of(t.phase)};
      if (is_terminal(t.phase) || !again) follow(e.session, handle, slot, e.live_output);
    } else {
      item.known = issued ? Known::forgotten : Known::unknown;
      item.number = ref.number;
    }
    reply.items.push_back(item);
  }
  actions.attached.push_back(std::move(reply));
}

void Scheduler::on(const event::Drain&, Time, Actions&) { draining_ = true; }

void Scheduler::on(const event::Abandon&, Time, Actions&) {
  draining_ = true;
  if (abandon_next_ == kNotAbandoned) abandon_next_ = 1;
}

void Scheduler::abandon_portion(Time now, Actions& actions) {
  if (abandon_next_ == kNotAbandoned) return;
  for (std::size_t portion = kSweepPortion; portion > 0 && abandon_next_ < tasks_.next_number(); --portion) {
    const TaskNumber number = tasks_.next_live(abandon_next_);
    abandon_next_ = number == 0 ? tasks_.next_number() : number + 1;
    if (number == 0) break;
    const TaskSlot slot = tasks_.find(number);
    if (is_terminal(tasks_[slot].phase)) continue;
    if (is_at_worker(tasks_[slot].phase)) {
      detach_from_worker(slot, now);
      end_attempt(slot, Attempt::Ending::lost, "the daemon was stopped", now);
    } else {
      take_out(slot);
    }
    Failure f;
    f.kind = ErrorKind::lost;
    f.message = "the daemon was stopped before this task ended, and it keeps tasks in memory only";
    finish(slot, Phase::failed, std::move(f), {}, now, actions);
  }
  if (!abandoned()) more_now_ = true;
}

void Scheduler::bury_if_free(SessionId id, Actions& actions) {
  Session* s = sessions_.find(id);
  if (s == nullptr || !s->dead || s->holds != 0 || !s->deliveries.empty()) return;
  if (s->last_spec != UINT32_MAX) drop_spec(s->last_spec);
  sessions_.remove(id);
  actions.ended_sessions.push_back(id);
}

/// What could be long, in portions.
void Scheduler::sweep(Time now, Actions& actions) {
  std::size_t portion = kSweepPortion;
  abandon_portion(now, actions);
  sweep_sessions(portion, now, actions);
  link_portion(portion, now, actions);
  release_portion(portion, now, actions);
}

void Scheduler::sweep_sessions(std::size_t& portion, Time now, Actions& actions) {
  for (std::size_t i = 0; i < absent_.size();) {
    const SessionId id = absent_[i];
    Session& s = sessions_[id];
    if (s.cancel_at <= now || (s.expires <= now && s.cancel_at != kNever)) {
      s.cancel_at = kNever;
      ++s.holds;
      sweeps_.push_back({id, Sweep::What::cancel, s.extents.begin(), 0});
    }
    if (s.expires <= now) {
      s.expires = kNever;
      s.dead = true;
      ++s.holds;
      sweeps_.push_back({id, Sweep::What::release, 0, 0});
    }
    if (s.cancel_at == kNever && s.expires == kNever) {
      absent_.erase(absent_.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
  while (!sweeps_.empty() && portion > 0) {
    Sweep& sweep = sweeps_.front();
    Session* s = &sessions_[sweep.session];
    bool done = false;
    if (sweep.what == Sweep::What::release) {
      while (!s->attached.empty() && portion > 0) {
        unfollow(sweep.session, s->attached.begin()->first);
        --portion;
      }
      while (!s->deliveries.empty() && portion > 0) {
        const TaskSlot slot = s->deliveries.front().task;
        s->deliveries.pop_front();
        owe(sweep.session, -static_cast<std::int64_t>(tasks_[slot].payload.size()));
        release(slot);
        --portion;
      }
      done = s->deliveries.empty() && s->attached.empty();
    } else {
      sweep.position = std::max(sweep.position, s->extents.begin());
      while (sweep.position < s->extents.end() && portion > 0) {
        const ExtentRef x = s->extents[sweep.position];
        sweep.number = std::max(sweep.number, x.first_number);
        while (x.live && sweep.number < x.first_number + x.count && portion > 0) {
          --portion;
          const TaskSlot slot = tasks_.find(sweep.number++);
          bool pending = false;
          // A number that is another task's, because of its key, is no task of this session.
          if (slot == kNoSlot || tasks_[slot].number + 1 != sweep.number) continue;
          if (!spec(slot).cancel_on_disconnect) continue;
          (void)cancel(slot, true, kDisconnectGrace, now, actions, pending);
        }
        if (!x.live || sweep.number >= x.first_number + x.count) ++sweep.position;
        if (portion > 0) --portion;
      }
      done = sweep.position >= s->extents.end();
    }
    if (!done) continue;
    --s->holds;
    burials_.push_back(sweep.session);
    sweeps_.pop_front();
  }
  if (!sweeps_.empty()) more_now_ = true;
  for (const SessionId id : std::exchange(burials_, {})) bury_if_free(id, actions);
}

}  // namespace futured::scheduler
