#include "tests/sim/daemon.hpp"

#include <algorithm>

#include "client/session/session.hpp"
#include "daemon/scheduler/invariants.hpp"
#include "tests/sim/codec.hpp"
#include "tests/sim/worker.hpp"

namespace futured::sim {

using namespace scheduler;  // NOLINT(google-build-using-namespace): this file speaks to it

namespace {

constexpr Time kLastWords = 20 * kMs;
constexpr std::uint64_t kCheckEvery = 40;  // turns

Limits limits_of(const Mixture& m) {
  Limits l;
  l.tasks = m.limit_tasks;
  l.window_tasks = m.window_tasks;
  l.first_window_tasks = 4;
  l.kept_tasks = m.kept_tasks;
  l.owed_bytes = m.owed_bytes;
  l.payload_bytes = m.payload_bytes;
  l.stop_grace = m.stop_grace;
  l.neighbour_time = m.neighbour_time;
  l.own_keep = 1'000 * kMs;
  l.session_resume = m.session_resume;
  l.worker_return = m.worker_return;
  return l;
}

}  // namespace

Daemon::Daemon(World& world, std::uint32_t epoch)
    : world_(world),
      core_(limits_of(world.mixture()), epoch, world.mixture().clients + epoch),
      instance_("daemon " + std::to_string(epoch)),
      encoder_(
          core_,
          [this](WorkerId w, v1::Kind kind, const google::protobuf::MessageLite& m, wire::Frames frames) {
            world_.oracle().saw(Seen::through_the_codec);
            to_worker(w, from_frames(wire::encode(kind, 1, m, std::move(frames))));
          },
          [this](SessionId s, v1::Kind kind, const google::protobuf::MessageLite& m, wire::Frames frames) {
            world_.oracle().saw(Seen::through_the_codec);
            to_client(s, from_frames(wire::encode(kind, 1, m, std::move(frames))));
          }) {
  world.oracle().new_daemon(epoch);
  handle(event::PoolDefined{"default", {{"t", Lane::thread}, {"a", Lane::async}}, 0});
  if (world.mixture().second_pool != 0)
    handle(event::PoolDefined{"aux", {{"t", Lane::thread}, {"u", Lane::thread}}, 0});
}

void Daemon::handle(const Event& event) {
  before(event);
  core_.handle(event, world_.now(), actions_);
  after(event);
}

void Daemon::arm(Time when) {
  if (when >= armed_) return;
  armed_ = when;
  const std::uint32_t mine = epoch();
  world_.at(when, [&world = world_, mine, when] {
    Daemon& d = world.daemon();
    if (d.epoch() == mine && d.armed_ == when) d.turn();
  });
}

void Daemon::turn() {
  armed_ = kNever;
  reap();
  watch_deadlines();
  watch_silent_stops();
  core_.advance(world_.now(), actions_);
  watch_silent_stops();
  watch_runs();
  carry_out();
  if (++turns_ % kCheckEvery == 0) check();
  const Time next = core_.next_deadline();
  if (next != kNever) arm(std::max(next, world_.now() + 1));
  for (const Exit& e : exits_) arm(std::max(e.until, world_.now() + 1));
}

void Daemon::check() const {
  if (!world_.checks_invariants()) return;
  const auto wrong = Invariants::check(core_);
  if (!wrong.empty()) throw Violation("invariant: " + wrong.front());
}

void Daemon::check_empty() const {
  if (!world_.checks_invariants()) return;
  const auto left = Invariants::check_empty(core_);
  if (!left.empty()) throw Violation("after everything has ended: " + left.front());
  if (core_.at_workers() != 0) throw Violation("after everything has ended: calls at workers");
}

std::size_t Daemon::kept() const {
  std::size_t n = 0;
  for (TaskSlot slot = 0; slot < core_.tasks().slot_end(); ++slot) {
    n += (core_.tasks()[slot].flags & kKept) != 0 ? 1 : 0;
  }
  return n;
}

// ---- who goes

void Daemon::close(ConnectionId connection) {
  world_.close_by_daemon(connection);
  gone(connection, false);
}

void Daemon::gone(ConnectionId connection, bool on_purpose) {
  const auto it = connections_.find(connection);
  if (it == connections_.end()) return;
  const Connection c = std::move(it->second);
  connections_.erase(it);
  if (c.role == Role::client && c.session != kNoSession) {
    if (on_purpose) left_.insert(c.session);
    handle(event::ClientGone{c.session, on_purpose});
  } else if (c.role == Role::worker && c.worker != 0) {
    const scheduler::Worker* w = core_.worker(c.worker);
    if (on_purpose && w != nullptr && w->spawn == 0) {
      reports_.erase(c.worker);
      handle(event::WorkerLost{c.worker, false, {}, 0, 0});
    } else {
      handle(event::WorkerDisconnected{c.worker});
    }
  }
  arm(world_.now());
}

void Daemon::worker_exited(std::uint64_t spawn, const std::vector<AttemptToken>& in_progress, int signal,
                           bool ordered) {
  dead_spawns_.push_back(spawn);
  exits_.push_back({world_.now() + world_.random().skewed(0, kLastWords), spawn, in_progress, signal, ordered});
  arm(world_.now());
}

void Daemon::reap() {
  for (std::size_t i = 0; i < exits_.size();) {
    const Exit e = exits_[i];
    const auto& workers = core_.workers().workers;
    const auto worker = std::find_if(workers.begin(), workers.end(),
                                     [&](const scheduler::Worker& w) { return w.id != 0 && w.spawn == e.spawn; });
    if (worker != workers.end() && worker->connection != 0 && world_.now() < e.until) {
      ++i;
      continue;
    }
    exits_.erase(exits_.begin() + static_cast<std::ptrdiff_t>(i));
    if (worker != workers.end()) lose(e);
  }
}

void Daemon::lose(const Exit& e) {
  for (const scheduler::Worker& w : core_.workers().workers) {
    if (w.id == 0 || w.spawn != e.spawn) continue;
    const WorkerId id = w.id;
    // It may have ended by itself just before it was to be ended: then who is to blame is not known.
    for (TaskSlot slot = w.kill_sent && !e.ordered ? w.oldest : kNoSlot; slot != kNoSlot;
         slot = core_.tasks()[slot].next) {
      world_.oracle().task(Oracle::key_of(core_.tasks()[slot].payload)).unsure = true;
    }
    for (TaskSlot slot = w.oldest; slot != kNoSlot; slot = core_.tasks()[slot].next) {
      const std::uint8_t flags = core_.tasks()[slot].flags;
      if ((flags & kCancelPending) != 0) world_.oracle().saw(Seen::lost_with_pending_cancel);
      const bool ran = std::count(e.in_progress.begin(), e.in_progress.end(), core_.token(slot)) != 0;
      if (!ran && (flags & kStopSent) == 0 && e.signal != 0) world_.oracle().saw(Seen::innocent_uncharged);
    }
    for (auto& [connection, c] : connections_) {
      if (c.worker != id) continue;
      c.role = Role::none;
      c.worker = 0;
      c.lost_worker = id;
    }
    reports_.erase(id);
    world_.note("daemon: worker %llu is lost, %zu calls were in progress", static_cast<unsigned long long>(id),
                e.in_progress.size());
    handle(event::WorkerLost{id, true, e.in_progress, e.signal, 0});
    return;
  }
}

void Daemon::drain_worker(WorkerId worker) {
  to_worker(worker, msg::Drain{});
  handle(event::WorkerDraining{worker});
  arm(world_.now());
}

void Daemon::cancel_number(TaskNumber number, Time grace) {
  handle(event::CancelTask{number, grace});
  arm(world_.now());
}

void Daemon::set_paused(const std::string& pool, const std::string& type, bool paused) {
  world_.note("daemon: %s%s is %s", pool.c_str(), type.c_str(), paused ? "paused" : "resumed");
  world_.oracle().quotas.set_paused(pool, type, paused);
  handle(event::SetPaused{pool, type, paused});
  arm(world_.now());
}

void Daemon::set_limit(const event::SetLimit& l) {
  world_.note("daemon: limit %s is %u at once, %u starts in %lld ms", l.name.c_str(), l.running, l.starts,
              static_cast<long long>(l.per / kMs));
  world_.oracle().quotas.set_limit(l.name, l.remove ? 0 : l.running, l.remove ? 0 : l.starts, l.per, world_.now());
  handle(l);
  arm(world_.now());
}

void Daemon::forget(TaskNumber number) {
  const TaskSlot slot = core_.tasks().find(number);
  if (slot == kNoSlot || !is_terminal(core_.tasks()[slot].phase)) return;
  if ((core_.tasks()[slot].flags & kKept) != 0) world_.oracle().saw(Seen::forgotten_by_order);
  Life* life = world_.oracle().life_now(core_.tasks()[slot].number);
  if (life != nullptr) life->forgettable = true;
  handle(event::Forget{number});
  arm(world_.now());
}

void Daemon::close_group(const std::string& name) {
  if (core_.groups().find(name) == kNoGroup) return;
  world_.note("daemon: group %s is closed", name.c_str());
  world_.oracle().group_closed(name);
  handle(event::CloseGroup{name});
  arm(world_.now());
}

void Daemon::drain() {
  handle(event::Drain{});
  arm(world_.now());
}

void Daemon::abandon() {
  world_.note("daemon: gives up what has not ended");
  world_.oracle().abandoned();
  handle(event::Abandon{});
  turn();
}

void Daemon::check_left() const {
  const Counts& c = core_.counts();
  if (!core_.abandoned() || c.waiting + c.queued + c.running != 0) throw Violation("the daemon left with live tasks");
  if (core_.owes_deliveries()) throw Violation("the daemon left with outcomes that were not taken");
}

void Daemon::submit_own(Key key, const Slice& input, TaskNumber retry_of) {
  submitted_ = {key};
  const Spec spec = world_.oracle().task(key).spec;
  handle(event::SubmitOwn{&spec, input, retry_of});
  arm(world_.now());
}

// ---- what is ordered

void Daemon::to_client(SessionId session, Message message) {
  const Session* s = core_.session(session);
  if (s != nullptr && s->connection != 0) world_.to_peer(s->connection, std::move(message));
}

void Daemon::to_worker(WorkerId worker, Message message) {
  const scheduler::Worker* w = core_.worker(worker);
  if (w != nullptr && w->connection != 0) world_.to_peer(w->connection, std::move(message));
}

void Daemon::carry_out() {
  watch_orders();
  hash_actions();
  Oracle& oracle = world_.oracle();
  for (const WorkerWelcome& w : actions_.worker_welcomes) {
    std::vector<ConnectionId> old;
    for (auto& [id, other] : connections_) {
      if (other.worker != w.worker || id == w.connection) continue;
      other.role = Role::none;
      other.worker = 0;
      old.push_back(id);
      oracle.saw(Seen::worker_back_before_gone);
    }
    for (const ConnectionId id : old) close(id);
    connections_[w.connection].worker = w.worker;
    world_.to_peer(w.connection, msg::WorkerWelcome{});
    // The order to leave may have been lost with the connection.
    if (core_.worker(w.worker)->draining) to_worker(w.worker, msg::Drain{});
  }
  for (const ClientWelcome& w : actions_.client_welcomes) {
    std::vector<ConnectionId> old;
    for (auto& [id, other] : connections_) {
      if (other.session != w.session || id == w.connection) continue;
      other.role = Role::none;
      other.session = kNoSession;
      old.push_back(id);
    }
    for (const ConnectionId id : old) close(id);
    connections_[w.connection].session = w.session;
    const Session* s = core_.session(w.session);
    sessions_seen_ = std::max(sessions_seen_, w.session + 1);
    if (w.resumed) oracle.saw(Seen::client_resumed);
    world_.to_peer(w.connection,
                   msg::ClientWelcome{instance_, epoch(), w.accepted_seq, s->granted_seq, s->granted_bytes, w.resumed});
  }
  oracle.saw(Seen::submit_credit_withheld, actions_.credit.size());
  for (const SessionId id : actions_.ended_sessions) {
    left_.erase(id);
    next_deliveries_.erase(id);
    std::erase_if(told_, [id](const auto& entry) { return entry.first.first == id; });
    std::erase_if(first_dispatches_, [id](const auto& entry) { return std::get<0>(entry.first) == id; });
  }
  for (const Outcome& o : actions_.outcomes) {
    const TaskRecord& t = core_.tasks()[o.task];
    const SideRecord* side = core_.tasks().side_if(o.task);
    oracle.ended(t.number, state_of(t.phase),
                 side != nullptr && side->failure != nullptr ? side->failure->kind : ErrorKind::none, t.payload,
                 world_.now());
    if (o.handle < client::kAttachBit &&
        told_.try_emplace({o.session, o.handle}, o.delivery).first->second != o.delivery) {
      throw Violation("task " + std::to_string(t.number) + " is delivered twice to the same client");
    }
    const Session* s = core_.session(o.session);
    if (std::uint64_t& next = next_deliveries_[o.session]; o.delivery < next) {
      oracle.saw(Seen::outcomes_repeated);
    } else {
      next = o.delivery + 1;
    }
    if (s->sent_bytes > s->credit_bytes) oracle.saw(Seen::result_above_credit);
  }
  if (world_.mixture().codec != 0) {
    std::erase_if(to_acknowledge_, [this](WorkerId worker) {
      const bool company = std::ranges::any_of(actions_.runs, [&](const auto& r) { return r.worker == worker; });
      if (company && reports_.count(worker) != 0) encoder_.reports_taken(worker, reports_[worker], true);
      return company;
    });
    encoder_.runs(actions_.runs);
    encoder_.stops(actions_.stops);
    encoder_.recalls(actions_.recalls);
    for (const scheduler::Accepted& a : actions_.accepted) {
      encoder_.accepted(a.session, {a},
                        std::ranges::any_of(actions_.outcomes, [&](const auto& o) { return o.session == a.session; }));
    }
    encoder_.credit(actions_.credit);
    encoder_.attached(actions_.attached);
    encoder_.started(actions_.started);
    encoder_.outcomes(actions_.outcomes);
    encoder_.cancelled(actions_.cancelled);
  } else {
    carry_out_natively();
  }
  for (const WorkerId worker : std::exchange(to_acknowledge_, {})) {
    if (reports_.count(worker) != 0) to_worker(worker, msg::RanAck{reports_[worker]});
  }
  const std::vector<Breach> breaches = std::move(actions_.breaches);
  const std::vector<WorkerId> kills = std::move(actions_.kills);
  actions_.clear();
  for (const WorkerId id : kills) end_worker(id);
  for (const Breach& b : breaches) {
    if (b.session != kNoSession) throw Violation("an honest client was refused: " + b.message);
    oracle.saw(Seen::session_refused);
    world_.to_peer(b.connection, msg::Refused{Code::forgotten, b.message});
    close(b.connection);
  }
}

void Daemon::end_worker(WorkerId id) {
  const scheduler::Worker* w = core_.worker(id);
  if (w == nullptr) return;
  Oracle& oracle = world_.oracle();
  for (const auto& worker : world_.workers()) {
    if (w->spawn != 0 ? worker->spawn() != w->spawn : worker->instance() != w->instance) continue;
    for (TaskSlot slot = w->oldest; slot != kNoSlot; slot = core_.tasks()[slot].next) {
      const TaskRecord& t = core_.tasks()[slot];
      const bool told = (t.flags & kStopSent) != 0;
      if (t.phase == Phase::running && !told) oracle.saw(Seen::innocent_neighbour);
      if (told && core_.tasks().side_if(slot)->stop == Stop::timeout) oracle.saw(Seen::timeout_was_deaf);
    }
    if (w->spawn != 0) {
      oracle.saw(Seen::deaf_worker_replaced);
      worker->kill(9, true);
    } else {
      // It can only be told, and may be at its calls for long.
      oracle.process_given_up(worker->process());
      if (w->connection != 0) {
        world_.to_peer(w->connection, msg::Refused{Code::refused, "a call in this worker did not stop"});
        close(w->connection);
      }
    }
    return;
  }
}

void Daemon::carry_out_natively() {
  for (std::size_t i = 0; i < actions_.runs.size();) {
    msg::Run m;
    const WorkerId w = actions_.runs[i].worker;
    for (; i < actions_.runs.size() && actions_.runs[i].worker == w; ++i) {
      const TaskSlot slot = actions_.runs[i].task;
      m.calls.push_back({core_.token(slot), core_.spec(slot).type, core_.tasks()[slot].payload});
    }
    to_worker(w, std::move(m));
  }
  for (const TokenOrder& o : actions_.stops) to_worker(o.worker, msg::Stop{{o.token}});
  std::map<WorkerId, msg::Recall> recalls;
  for (const TokenOrder& o : actions_.recalls) recalls[o.worker].tokens.push_back(o.token);
  for (auto& [w, m] : recalls) to_worker(w, std::move(m));
  for (const scheduler::Accepted& a : actions_.accepted) {
    const Session* s = core_.session(a.session);
    if (s != nullptr) {
      to_client(a.session,
                msg::Accepted{a.first_seq, a.count, a.first_number, s->granted_seq, s->granted_bytes, a.existing});
    }
  }
  for (const SessionId id : actions_.credit) {
    const Session* s = core_.session(id);
    if (s != nullptr) to_client(id, msg::Accepted{s->accepted_seq, 0, 0, s->granted_seq, s->granted_bytes, {}});
  }
  for (const AttachReply& r : actions_.attached) {
    msg::Attached m{r.request, {}};
    for (const AttachReply::Item& item : r.items) m.known.push_back(item.known);
    to_client(r.session, std::move(m));
  }
  for (const scheduler::Started& s : actions_.started) to_client(s.session, msg::Started{{s.handle}});
  for (std::size_t i = 0; i < actions_.outcomes.size();) {
    const SessionId session = actions_.outcomes[i].session;
    msg::Outcomes m;
    m.first_delivery = actions_.outcomes[i].delivery;
    for (; i < actions_.outcomes.size() && actions_.outcomes[i].session == session; ++i) {
      const Outcome& o = actions_.outcomes[i];
      if (o.delivery != m.first_delivery + m.items.size()) throw Violation("deliveries are not in order");
      const TaskRecord& t = core_.tasks()[o.task];
      const SideRecord* side = core_.tasks().side_if(o.task);
      const bool failure = side != nullptr && side->failure != nullptr;
      m.items.push_back(
          {o.handle, state_of(t.phase), failure ? side->failure->kind : ErrorKind::none, t.attempt, t.payload});
    }
    to_client(session, std::move(m));
  }
  for (const CancelReply& r : actions_.cancelled) to_client(r.session, msg::Cancelled{r.request, r.verdicts});
}

}  // namespace futured::sim
