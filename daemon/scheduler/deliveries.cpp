// Outcomes on their way to clients, within what each can take.
#include <algorithm>
#include <utility>

#include "daemon/scheduler/scheduler.hpp"

namespace futured::scheduler {

namespace {
constexpr std::size_t kDeliveryPortion = 4096;  // outcomes per session and turn
constexpr std::size_t kTakePortion = 4096;      // outcomes let go at once
}  // namespace

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
  delivering_.clear();
  delivering_.swap(delivery_list_);
  for (const SessionId id : delivering_) {
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

void Scheduler::on(const event::Delivered& e, Time, Actions&) {
  Session* s = sessions_.find(e.session);
  if (s == nullptr || s->connection == 0) return;
  s->credit_tasks = std::max(s->credit_tasks, e.credit_tasks);
  s->credit_bytes = std::max(s->credit_bytes, e.credit_bytes);
  take_up_to(e.session, std::min(e.processed, s->sent));
  want_delivery(e.session);
}

/// What a client has is let go at once, but for very many: the rest in later turns.
void Scheduler::take_up_to(SessionId id, std::uint64_t processed) {
  Session& s = sessions_[id];
  s.processed = std::max(s.processed, std::min(processed, s.deliveries.end()));
  std::size_t portion = kTakePortion;
  take_portion(id, portion);
  if (s.deliveries.begin() >= s.processed || std::exchange(s.taking, true)) return;
  ++s.holds;
  sweeps_.push_back({id, Sweep::What::take, 0, 0});
  more_now_ = true;
}

void Scheduler::take_portion(SessionId id, std::size_t& portion) {
  Session& s = sessions_[id];
  for (; s.deliveries.begin() < s.processed && portion > 0; --portion) {
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

}  // namespace futured::scheduler
