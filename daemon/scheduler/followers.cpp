// Who follows a task beside its owner: by attaching, or because its own has the same key.
#include <utility>

#include "daemon/scheduler/scheduler.hpp"

namespace futured::scheduler {

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

void Scheduler::on(const event::Attach& e, Time, Actions& actions) {
  Session* s = sessions_.find(e.session);
  if (s == nullptr || s->connection == 0) return;
  AttachReply reply{e.session, e.request, {}};
  for (std::size_t i = 0; i < e.tasks.size(); ++i) {
    const event::TaskRef& ref = e.tasks[i];
    AttachReply::Item item;
    bool issued = false;
    const TaskSlot slot = find(ref, issued);
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

}  // namespace futured::scheduler
