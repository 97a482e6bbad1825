#include "daemon/queries.hpp"

#include <algorithm>
#include <set>

#include "daemon/selection.hpp"
#include "daemon/translate.hpp"
#include "proto/nearest.hpp"

namespace futured::daemon {

namespace {

using namespace scheduler;  // NOLINT(google-build-using-namespace): this file reads its tables

constexpr std::size_t kWalkTasks = 4096;  // looked at for one page
constexpr int kMostSelected = 4096;
constexpr int kMostLabels = 64;
constexpr int kMostGroups = 10'000;
constexpr int kMostNamed = 100;  // dependencies in a record
constexpr std::uint32_t kPage = 500;
constexpr std::size_t kPageBytes = 4 << 20;

struct TableView {
  const Scheduler& core;
  TaskSlot slot;
  const TaskRecord& t;
  const Spec& spec;
  TaskNumber number() const { return t.number; }
  std::string id() const { return raw_id(core.id(slot)); }
  TaskState state() const { return state_of(t.phase); }
  const std::string& type() const { return spec.type; }
  const std::string& pool() const { return core.pool_of(slot); }
  const std::string& group() const { return spec.group; }
  const std::string& key() const { return spec.key; }
  bool has_labels() const { return !spec.labels.empty(); }
  bool has_label(const std::string& name, const std::string& value) const {
    return std::find(spec.labels.begin(), spec.labels.end(), std::make_pair(name, value)) != spec.labels.end();
  }
};

}  // namespace

void fill_record(const QueryContext& c, TaskSlot slot, bool detail, v1::TaskRecord& r) {
  const Scheduler& core = c.core;
  const TaskRecord& t = core.tasks()[slot];
  const Spec& spec = core.spec(slot);
  const auto unix_time = [&c](Time at) { return at == 0 ? 0 : at + c.unix_offset_ns; };
  r.set_number(t.number);
  r.set_id(raw_id(core.id(slot)));
  r.set_type(spec.type);
  r.set_state(static_cast<v1::State>(state_of(t.phase)));
  r.set_reason(static_cast<v1::Reason>(core.reason(slot)));
  r.set_pool(core.pool_of(slot));
  r.set_priority(spec.priority);
  for (const auto& [name, value] : spec.labels) {
    v1::Header* h = r.add_labels();
    h->set_name(name);
    h->set_value(value);
  }
  r.set_group(spec.group);
  r.set_submitted_unix_ns(unix_time(core.tasks().extent_of(slot).submitted));
  r.set_attempt_count(t.attempt);
  r.set_has_result(t.phase == Phase::succeeded);
  (is_terminal(t.phase) ? r.set_result_bytes(t.payload.size()) : r.set_input_bytes(t.payload.size()));
  r.set_key(spec.key);
  if (const OutputLog::Log* log = c.log.find(t.number); log != nullptr && log->has_progress) {
    r.set_has_progress(true);
    r.set_progress(log->progress.fraction);
    r.set_progress_text(log->progress.text);
  }
  r.set_retries_left(core.retries_left(slot));
  for (const Dependency& d : spec.after) {
    if (!d.group.empty() || r.after_size() == kMostNamed) continue;
    v1::TaskRef* ref = r.add_after();
    ref->set_number(d.number);
    if (d.number == 0) ref->set_id(raw_id(d.id));
  }
  const SideRecord* side = core.tasks().side_if(slot);
  if (side == nullptr) return;
  r.set_due_unix_ns(unix_time(t.phase == Phase::waiting ? side->due : 0));
  r.set_retry_of(side->retry_of);
  r.set_ended_unix_ns(unix_time(side->ended));
  if (!side->attempts.empty()) {
    const Attempt& last = side->attempts.back();
    r.set_started_unix_ns(unix_time(last.started != 0 ? last.started : last.ended != 0 ? last.sent : 0));
  }
  if (side->failure != nullptr) to_wire(*side->failure, *r.mutable_error());
  if (!detail) return;
  for (const Attempt& a : side->attempts) fill_attempt(c, a, *r.add_attempts());
}

void fill_attempt(const QueryContext& c, const Attempt& a, v1::Attempt& into) {
  const auto unix_time = [&c](Time at) { return at == 0 ? 0 : at + c.unix_offset_ns; };
  into.set_attempt(a.number);
  into.set_worker(a.worker);
  into.set_pid(a.pid);
  // A call too short to be reported as running started when it was sent, as near as can be told.
  into.set_started_unix_ns(unix_time(a.started != 0 ? a.started : a.ended != 0 ? a.sent : 0));
  into.set_ended_unix_ns(unix_time(a.ended));
  into.set_outcome(std::string(scheduler::name(a.ending)));
  into.set_message(a.message);
}

Result<TaskWalk> TaskWalk::start(const QueryContext& context, const v1::Selector& s, const std::string& cursor,
                                 bool newest_first) {
  const bool any = !s.numbers().empty() || !s.ids().empty() || !s.states().empty() || !s.types().empty() ||
                   !s.pools().empty() || !s.groups().empty() || !s.labels().empty() || !s.keys().empty() || s.all() ||
                   s.live();
  if (!any) return Status(Code::invalid, "the selection is empty: name tasks, or say `all`");
  // Each is looked at for each task, and labels against each other.
  for (const int n :
       {s.numbers_size(), s.ids_size(), s.states_size(), s.types_size(), s.pools_size(), s.groups_size()}) {
    if (n > kMostSelected) return Status(Code::invalid, "the selection has a list of more than 4096; ask in portions");
  }
  if (s.labels_size() > kMostLabels) return Status(Code::invalid, "the selection names more than 64 labels");
  TaskWalk walk(context, s);
  walk.down_ = newest_first;
  walk.budget_ = kWalkTasks;
  walk.first_ = 1;
  walk.last_ = context.core.tasks().next_number() - 1;
  if (!s.numbers().empty() || !s.ids().empty()) {
    walk.name(s);
    if (walk.named_.empty()) {
      walk.done_ = true;
      return walk;
    }
    walk.first_ = std::max(walk.first_, walk.named_.front().first);
    walk.last_ = std::min(walk.last_, walk.named_.back().last);
  }
  walk.at_ = newest_first ? walk.last_ : walk.first_;
  if (!cursor.empty()) {
    if (cursor.size() != 8) return Status(Code::invalid, "this cursor is not one of this daemon");
    TaskNumber at = 0;
    for (const unsigned char ch : cursor) at = at << 8 | ch;
    walk.at_ = at;
  }
  walk.done_ = walk.first_ > walk.last_ || walk.at_ < walk.first_ || walk.at_ > walk.last_;
  return walk;
}

std::string TaskWalk::cursor() const {
  std::string raw;
  for (int shift = 56; shift >= 0; shift -= 8) raw.push_back(static_cast<char>((at_ >> shift) & 0xff));
  return raw;
}

/// Which numbers the selector means by numbers and ids, in order; what else it says is in `rest_`.
void TaskWalk::name(const v1::Selector& s) {
  for (const auto& range : s.numbers()) named_.push_back({range.first(), range.last()});
  for (const std::string& raw : s.ids()) {
    event::TaskRef ref;
    bool issued = false;
    if (!from_raw_id(raw, ref.id)) continue;
    const TaskSlot slot = context_->core.find(ref, issued);
    if (slot == kNoSlot) continue;
    const TaskNumber number = context_->core.tasks()[slot].number;
    named_.push_back({number, number});
  }
  std::sort(named_.begin(), named_.end(), [](const Range& a, const Range& b) { return a.first < b.first; });
  std::vector<Range> merged;
  for (const Range& r : named_) {
    if (r.first > r.last) continue;
    if (!merged.empty() && r.first <= merged.back().last) {
      merged.back().last = std::max(merged.back().last, r.last);
    } else {
      merged.push_back(r);
    }
  }
  named_ = std::move(merged);
  rest_ = s;
  rest_.clear_numbers();
  rest_.clear_ids();
}

/// Moves to the next number that is named, itself if it is; false: there is none.
bool TaskWalk::skip_to_named() {
  const auto after =
      std::upper_bound(named_.begin(), named_.end(), at_, [](TaskNumber n, const Range& r) { return n < r.first; });
  if (is_named(at_)) return true;
  if (down_) {
    if (after == named_.begin()) return false;
    at_ = std::prev(after)->last;
  } else {
    if (after == named_.end()) return false;
    at_ = after->first;
  }
  return true;
}

TaskSlot TaskWalk::next() {
  while (!done_ && budget_ > 0) {
    const TaskTable& tasks = context_->core.tasks();
    if (!named_.empty() && !skip_to_named()) {
      done_ = true;
      break;
    }
    const TaskNumber number = down_ ? tasks.previous_live(at_) : tasks.next_live(at_);
    if (number < first_ || number > last_ || number == 0) {
      done_ = true;
      break;
    }
    if (number == (down_ ? first_ : last_)) done_ = true;
    at_ = down_ ? number - 1 : number + 1;
    const TaskSlot slot = tasks.find(number);
    --budget_;
    if (matches(slot)) return slot;
  }
  return kNoSlot;
}

bool TaskWalk::is_named(TaskNumber number) const {
  const auto after =
      std::upper_bound(named_.begin(), named_.end(), number, [](TaskNumber n, const Range& r) { return n < r.first; });
  return after != named_.begin() && number <= std::prev(after)->last;
}

bool TaskWalk::matches(TaskSlot slot) const {
  if (!named_.empty() && !is_named(context_->core.tasks()[slot].number)) return false;
  return selects(named_.empty() ? *selector_ : rest_,
                 TableView{context_->core, slot, context_->core.tasks()[slot], context_->core.spec(slot)});
}

void answer_status(const QueryContext& c, std::int64_t, v1::DaemonStatus& into) {
  const Counts& n = c.core.counts();
  v1::Counts& counts = *into.mutable_tasks();
  counts.set_waiting(n.waiting);
  counts.set_queued(n.queued);
  counts.set_running(n.running);
  counts.set_succeeded(n.succeeded);
  counts.set_failed(n.failed);
  counts.set_cancelled(n.cancelled);
  counts.set_expired(n.expired);
  into.set_epoch(c.core.epoch());
  into.set_submitted_total(n.submitted);
  into.set_completed_total(n.completed());
  into.set_stale_reports(n.stale_reports);
  into.set_draining(c.core.draining());
  into.set_clients(static_cast<std::uint32_t>(c.core.clients()));
  std::uint32_t workers = 0;
  for (const Worker& w : c.core.workers().workers) workers += w.id != 0 && w.connection != 0 ? 1 : 0;
  into.set_workers(workers);
  v1::Reply pools;
  answer_pools(c, pools);
  into.mutable_pools()->Swap(pools.mutable_pools());
}

Status answer_list(const QueryContext& c, const v1::ListQuery& query, v1::Reply& into) {
  Result<TaskWalk> walk = TaskWalk::start(c, query.selector(), query.cursor(), query.newest_first());
  if (!walk) return walk.status();
  const std::uint32_t limit = query.limit() == 0 ? kPage : std::min(query.limit(), kPage);
  std::size_t bytes = 0;
  while (static_cast<std::uint32_t>(into.tasks_size()) < limit && bytes < kPageBytes) {
    const TaskSlot slot = walk->next();
    if (slot == kNoSlot) break;
    v1::TaskRecord& record = *into.add_tasks();
    fill_record(c, slot, query.detail(), record);
    bytes += record.ByteSizeLong();
  }
  if (!walk->done()) {
    into.set_more(true);
    into.set_cursor(walk->cursor());
  } else if (into.tasks_size() == 0 && query.cursor().empty() && !query.selector().numbers().empty()) {
    // A number once issued is never unknown.
    const bool issued = std::any_of(query.selector().numbers().begin(), query.selector().numbers().end(),
                                    [&](const auto& range) { return c.core.tasks().issued(range.first()); });
    const bool found = std::any_of(query.selector().numbers().begin(), query.selector().numbers().end(),
                                   [&](const auto& range) { return c.core.tasks().find(range.first()) != kNoSlot; });
    if (!found) {
      const std::string which = "task " + std::to_string(query.selector().numbers(0).first());
      return issued ? Status(Code::forgotten, which + " is forgotten: its result was taken and its retention is over")
                    : Status(Code::not_found, "there is no " + which);
    }
  }
  return {};
}

Status answer_catalog(const QueryContext& c, const v1::CatalogQuery& query, v1::Reply& into) {
  const auto add = [&](const v1::TaskType& type) {
    v1::TaskType& out = *into.add_types();
    out = type;
    if (!query.schema()) out.clear_schema();
  };
  if (query.types().empty()) {
    for (const auto& [name, type] : c.types) add(type);
    return {};
  }
  for (const std::string& wanted : query.types()) {
    const auto it = c.types.find(wanted);
    if (it == c.types.end()) {
      std::vector<std::string> names;
      for (const auto& [name, type] : c.types) names.push_back(name);
      const std::string near = nearest(wanted, names);
      return {Code::not_found, "unknown task '" + wanted + "'" +
                                   (near.empty() ? std::string("; `fut catalog` lists what there is")
                                                 : "; did you mean '" + near + "'?")};
    }
    add(it->second);
  }
  return {};
}

void answer_workers(const QueryContext& c, v1::Reply& into) {
  const WorkerTable& table = c.core.workers();
  for (const Worker& w : table.workers) {
    if (w.id == 0) continue;
    v1::WorkerRecord& r = *into.add_workers();
    r.set_id(w.id);
    r.set_pid(w.pid);
    r.set_host(w.host);
    r.set_pool(table.pools[w.pool].name);
    r.set_state(w.connection == 0 ? "disconnected"
                : w.condemned     ? "replaced"
                : w.draining      ? "draining"
                : w.announcing    ? "starting"
                                  : "ready");
    r.set_running(w.in_flight[0] + w.in_flight[1]);
    r.set_threads(w.slots[0]);
    r.set_async_slots(w.slots[1]);
    for (const ClassId cls : w.classes) r.add_types(table.classes[cls].type);
    r.set_completed(w.completed);
  }
}

void answer_pools(const QueryContext& c, v1::Reply& into) {
  const WorkerTable& table = c.core.workers();
  for (std::uint32_t p = 0; p < table.pools.size(); ++p) {
    const Pool& pool = table.pools[p];
    v1::PoolRecord& r = *into.add_pools();
    r.set_name(pool.name);
    for (const WorkerIndex w : pool.workers) {
      if (table.workers[w].connection != 0) r.set_ready(r.ready() + 1);
      r.set_running(r.running() + table.workers[w].running[0] + table.workers[w].running[1]);
    }
    r.set_queued(c.core.queued_in(p));
    r.set_paused(pool.paused);
    for (const ClassId cls : pool.classes) {
      if (c.core.paused_types().count(table.classes[cls].type) != 0) r.add_paused_types(table.classes[cls].type);
    }
    std::set<std::string> plugins;
    for (const ClassId cls : pool.classes) {
      const auto type = c.types.find(table.classes[cls].type);
      if (type != c.types.end() && !type->second.plugin().empty()) plugins.insert(type->second.plugin());
    }
    for (const std::string& name : plugins) r.add_plugins(name);
    const auto config =
        std::find_if(c.pools.begin(), c.pools.end(), [&](const PoolConfig& x) { return x.name == pool.name; });
    if (config == c.pools.end()) continue;
    r.set_threads(config->threads);
    r.set_async_slots(config->async_slots);
    if (c.supervisor == nullptr) continue;
    const Supervisor::PoolView view = c.supervisor->view(pool.name);
    r.set_processes(view.wanted);
    r.set_trouble(view.trouble);
  }
}

void answer_limits(const QueryContext& c, v1::Reply& into) {
  const LimitTable& limits = c.core.ready().limits();
  for (const auto& [name, id] : limits.names()) {
    const Limit& l = limits[id];
    v1::LimitRecord& r = *into.add_limits();
    r.set_key(name);
    r.set_running(l.running);
    r.set_starts(l.starts);
    r.set_per_ns(l.per);
    r.set_in_use(l.in_use);
    r.set_queued(c.core.ready().waiting_for(id));
  }
}

Status answer_groups(const QueryContext& c, const v1::GroupsQuery& query, v1::Reply& into) {
  const auto add = [&](const Group& g) {
    v1::GroupRecord& r = *into.add_groups();
    r.set_name(g.name);
    r.set_submitted(g.submitted);
    r.set_closed(g.closed);
    v1::Counts& counts = *r.mutable_tasks();
    counts.set_queued(g.live);
    counts.set_succeeded(g.succeeded);
    counts.set_failed(g.failed);
    counts.set_cancelled(g.cancelled);
    counts.set_expired(g.expired);
  };
  if (!query.name().empty()) {
    const GroupId id = c.core.groups().find(query.name());
    if (id == kNoGroup)
      return {Code::not_found, "there is no group '" + query.name() + "'; `fut group list` lists them"};
    add(c.core.groups()[id]);
    return {};
  }
  for (const auto& [name, id] : c.core.groups().names()) {
    if (into.groups_size() == kMostGroups) break;
    add(c.core.groups()[id]);
  }
  return {};
}

}  // namespace futured::daemon
