// Client sessions: how they begin, how far ahead they may submit, what becomes of them when their client goes.
#include <algorithm>
#include <utility>

#include "daemon/scheduler/scheduler.hpp"

namespace futured::scheduler {

namespace {
constexpr std::uint64_t kCreditParts = 4;  // of an empty daemon's limits one client is given one at most
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
    if (!known) {
      id = sessions_.add(e.stream);
      sessions_[id].window_tasks = std::min(limits_.first_window_tasks, limits_.window_tasks);
    }
    take_back_credit(id);
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
  take_back_credit(id);
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
  for (; s.sent < s.processed; ++s.sent) s.sent_bytes += tasks_[s.deliveries[s.sent].task].payload.size();
  while (s.sent > std::max(s.deliveries.begin(), s.processed)) {
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
  take_back_credit(e.session);
  s->expires = now + (e.on_purpose ? 0 : limits_.session_resume);
  if (s->cancel_grace >= 0) s->cancel_at = s->cancel_grace > kNever - now ? kNever - 1 : now + s->cancel_grace;
  absent_.push_back(e.session);
}

TaskSlot Scheduler::find(const event::TaskRef& ref, bool& issued) const {
  issued = false;
  if (ref.number != 0) {
    issued = tasks_.issued(ref.number);
    return tasks_.find(ref.number);
  }
  const SessionId owner = sessions_.by_stream(ref.id.stream);
  return owner == sessions_.end() ? kNoSlot : find_seq(sessions_[owner], ref.id.seq, issued);
}

TaskSlot Scheduler::find_seq(const Session& s, Seq seq, bool& issued) const {
  const TaskNumber number = number_at(s, seq, issued);
  return number == 0 ? kNoSlot : tasks_.find(number);
}

/// 0: of no task that may be known.
TaskNumber Scheduler::number_at(const Session& s, Seq seq, bool& issued) const {
  issued = seq < s.accepted_seq;
  if (!issued) return 0;
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
  if (low == s.extents.begin()) return 0;
  const ExtentRef& x = s.extents[low - 1];
  return x.live && seq < x.first_seq + x.count ? x.first_number + (seq - x.first_seq) : 0;
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

/// How far ahead its client may submit. What is granted and not used counts like a task that has not ended, so that the
/// limit is never exceeded. Credit cannot be taken back from clients that do nothing: a window begins small and grows
/// as it is used, and the less is left, the smaller the part of it that one session has, so that something is left for
/// the next. Credit in bytes is never less than the largest input, or that would never come: by so much for each client
/// the bytes may go beyond their limit.
void Scheduler::grant(SessionId id, std::uint64_t most) {
  Session& s = sessions_[id];
  const std::uint64_t least_bytes = std::min(limits_.payload_bytes, limits_.window_bytes);
  if (!full() && !draining_) {
    const std::uint64_t unused = s.unused_tasks();
    const std::uint64_t left = room() + unused;
    const std::uint64_t part = std::max<std::uint64_t>(left * left / limits_.tasks / kCreditParts, 1);
    const std::uint64_t wanted = std::min({s.window_tasks, most, part, kMaxSeq - s.accepted_seq});
    if (wanted > unused) {
      s.granted_seq += wanted - unused;
      unused_tasks_ += wanted - unused;
    }
    const std::uint64_t unused_bytes = s.unused_bytes();
    const std::uint64_t promised = counts_.bytes + unused_bytes_ - unused_bytes;
    const std::uint64_t part_bytes = promised < limits_.bytes ? (limits_.bytes - promised) / kCreditParts : 0;
    const std::uint64_t wanted_bytes = std::clamp(part_bytes, least_bytes, limits_.window_bytes);
    if (wanted_bytes > unused_bytes) {
      s.granted_bytes += wanted_bytes - unused_bytes;
      unused_bytes_ += wanted_bytes - unused_bytes;
    }
  }
  const bool stuck = s.unused_tasks() == 0 || s.unused_bytes() < least_bytes;
  if (stuck && s.accepted_seq < kMaxSeq && !std::exchange(s.starved, true)) starved_.push_back(id);
}

/// Its client is not there, or there anew: what it has not used is for others.
void Scheduler::take_back_credit(SessionId id) {
  Session& s = sessions_[id];
  if (s.granted_seq > s.accepted_seq) unused_tasks_ -= s.unused_tasks();
  if (s.granted_bytes > s.accepted_bytes) unused_bytes_ -= s.unused_bytes();
  s.granted_seq = s.accepted_seq;
  s.granted_bytes = s.accepted_bytes;
  if (std::exchange(s.starved, false)) std::erase(starved_, id);
}

/// There is room: those who wait for it have equal shares, and the first one each if there is not enough for all.
void Scheduler::feed_starved(Actions& actions) {
  if (starved_.empty() || full() || draining_) return;
  const std::uint64_t among = std::max<std::uint64_t>(starved_.size(), kCreditParts);
  const std::uint64_t most = std::max<std::uint64_t>(room() / among, 1);
  const std::vector<SessionId> waiting = std::exchange(starved_, {});
  std::size_t fed = 0;
  for (; fed < waiting.size() && !full(); ++fed) {
    sessions_[waiting[fed]].starved = false;
    grant(waiting[fed], most);
    actions.credit.push_back(waiting[fed]);
  }
  starved_.insert(starved_.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(fed), waiting.end());
}

void Scheduler::bury_if_free(SessionId id, Actions& actions) {
  Session* s = sessions_.find(id);
  if (s == nullptr || !s->dead || s->holds != 0 || !s->deliveries.empty()) return;
  if (s->last_spec != UINT32_MAX) drop_spec(s->last_spec);
  sessions_.remove(id);
  actions.ended_sessions.push_back(id);
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
    if (sweep.what == Sweep::What::take) {
      take_portion(sweep.session, portion);
      done = s->deliveries.begin() >= s->processed;
      if (done) s->taking = false;
    } else if (sweep.what == Sweep::What::release) {
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
