// When nobody wants a task any more, nothing is left of it.
#include <algorithm>

#include "daemon/scheduler/scheduler.hpp"

namespace futured::scheduler {

namespace {
constexpr std::uint64_t kClosedExtents = 1024;
}  // namespace

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

/// Its retention is over.
void Scheduler::unkeep(TaskSlot slot) {
  TaskRecord& t = tasks_[slot];
  if ((t.flags & kKept) == 0) return;
  t.flags &= static_cast<std::uint8_t>(~kKept);
  if (t.watchers == 0) {
    --counts_.kept_tasks;
    counts_.kept_bytes -= t.payload.size();
    counts_.bytes += t.payload.size();
  }
  forget_if_free(slot);
}

void Scheduler::on(const event::Forget& e, Time, Actions&) {
  const TaskSlot slot = tasks_.find(e.task);
  if (slot == kNoSlot || !is_terminal(tasks_[slot].phase) || (tasks_[slot].flags & kKept) == 0) return;
  unkeep(slot);
  retention_.gone();
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

}  // namespace futured::scheduler
