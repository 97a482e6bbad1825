// What clients submit: where a task goes, and why not.
#include <algorithm>
#include <string>
#include <utility>

#include "daemon/scheduler/scheduler.hpp"
#include "proto/nearest.hpp"

namespace futured::scheduler {

namespace {
constexpr Time kIdle = 1'000'000'000;  // a client that submitted nothing for so long begins with a small window again

std::string quoted(const std::string& s) { return "'" + s + "'"; }

template <class Map>
std::string nearest_key(const Map& map, const std::string& wanted) {
  std::vector<std::string> names;
  for (const auto& [name, value] : map) names.push_back(name);
  return nearest(wanted, names);
}
}  // namespace

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

  std::vector<Placed>& placed = placed_;
  placed.assign(e.specs.size(), {});
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
      const bool differs = input_differs(existing, input);
      accepted.existing.push_back({seq, number, differs});
      aliases_[number].push_back({tasks_.alias(extent, existing), extent, differs});
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
      refuse_for_now(slot, "the daemon is draining and takes no new tasks; submit again later", now, actions);
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
  unused_tasks_ -= count;
  unused_bytes_ -= bytes;
  if (now - std::exchange(s->last_submit, now) > kIdle) {
    s->window_tasks = std::min(limits_.first_window_tasks, limits_.window_tasks);
  }
  s->window_tasks = std::min(s->window_tasks + count, limits_.window_tasks);
  const Extent sealed = tasks_.extent(extent);
  if (tasks_.seal(extent)) extent_closed(sealed);
  grant(e.session);
  actions.accepted.push_back(std::move(accepted));
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

}  // namespace futured::scheduler
