#include "tests/sim/daemon.hpp"

#include <algorithm>

#include "daemon/scheduler/invariants.hpp"
#include "tests/sim/codec.hpp"
#include "tests/sim/worker.hpp"

namespace futured::sim {

using namespace scheduler;  // NOLINT(google-build-using-namespace): this file speaks to it

namespace {

constexpr Time kLastWords = 20 * kMs;
constexpr std::uint64_t kCheckEvery = 10;  // turns

Limits limits_of(const Mixture& m) {
  Limits l;
  l.tasks = m.limit_tasks;
  l.window_tasks = m.window_tasks;
  l.kept_tasks = m.kept_tasks;
  l.owed_bytes = m.owed_bytes;
  l.session_resume = m.session_resume;
  l.worker_return = m.worker_return;
  return l;
}

// A vector<bool> has no span.
std::unique_ptr<bool[]> flags_of(const std::vector<bool>& from) {
  auto out = std::make_unique<bool[]>(from.size());
  std::copy(from.begin(), from.end(), out.get());
  return out;
}

}  // namespace

Daemon::Daemon(World& world, std::uint32_t epoch)
    : world_(world),
      core_(limits_of(world.mixture()), epoch),
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
  handle(event::PoolDefined{"default", {{"t", Lane::thread}, {"a", Lane::async}}, 0});
  if (world.mixture().second_pool) handle(event::PoolDefined{"aux", {{"t", Lane::thread}, {"u", Lane::thread}}, 0});
}

void Daemon::handle(const Event& event) { core_.handle(event, world_.now(), actions_); }

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
  core_.advance(world_.now(), actions_);
  watch_runs();
  carry_out();
  if (++turns_ % kCheckEvery == 0) check();
  const Time next = core_.next_deadline();
  if (next != kNever) arm(std::max(next, world_.now() + 1));
  for (const Exit& e : exits_) arm(std::max(e.until, world_.now() + 1));
}

void Daemon::check() const {
  const auto wrong = Invariants::check(core_);
  if (!wrong.empty()) throw Violation("invariant: " + wrong.front());
}

void Daemon::check_empty() const {
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

void Daemon::watch_deadlines() {
  for (const scheduler::Worker& w : core_.workers().workers) {
    if (w.id == 0 || w.gives_up > world_.now()) continue;
    world_.note("daemon: worker %llu stayed away for too long", static_cast<unsigned long long>(w.id));
    for (const auto& process : world_.workers()) {
      if (process->instance() != w.instance) continue;
      world_.oracle().process_given_up(process->process());
      if (process->alive()) world_.oracle().saw(Seen::worker_given_up);
    }
  }
  for (SessionId id = 0; id < sessions_seen_; ++id) {
    const Session* s = core_.session(id);
    if (s != nullptr && s->expires <= world_.now() && left_.count(id) == 0) {
      world_.oracle().saw(Seen::session_expired);
    }
  }
}

// ---- what arrives

void Daemon::receive(ConnectionId from, Message&& message) {
  Connection& c = connections_[from];
  if (auto* hello = std::get_if<msg::ClientHello>(&message)) {
    c.role = Role::client;
    hello->hello.connection = from;
    if (const SessionId s =
            [&] {
              for (const auto& [id, other] : connections_) {
                const Session* open = other.session == kNoSession ? nullptr : core_.session(other.session);
                if (open != nullptr && open->stream == hello->hello.stream && open->connection == id)
                  return other.session;
              }
              return kNoSession;
            }();
        s != kNoSession) {
      world_.oracle().saw(Seen::client_back_before_gone);
    }
    handle(hello->hello);
    carry_out();
  } else if (auto* worker = std::get_if<msg::WorkerHello>(&message)) {
    if (std::count(dead_spawns_.begin(), dead_spawns_.end(), worker->hello.spawn) != 0) {
      world_.to_peer(from, msg::Refused{Code::refused, "this worker process has ended"});
      close(from);
    } else {
      c.role = Role::worker;
      worker->hello.connection = from;
      handle(worker->hello);
      carry_out();
    }
  } else if (std::holds_alternative<msg::Goodbye>(message)) {
    world_.close_by_daemon(from);
    gone(from, true);
  } else if (c.role == Role::client) {
    client_message(c, message);
  } else if (c.role == Role::worker) {
    worker_message(c, message);
  } else {
    // What a worker said before it was lost may be handed in after; it must change nothing.
    if (auto* ran = std::get_if<msg::Ran>(&message); ran != nullptr && c.lost_worker != 0) {
      world_.oracle().saw(Seen::ran_after_worker_lost);
      handle(event::Ran{c.lost_worker, ran->tokens, ran->replies, ran->failures});
    }
    world_.to_peer(from, msg::Rehello{});
  }
  arm(world_.now() + world_.random().between(0, world_.mixture().turn));
}

void Daemon::client_message(Connection& c, Message& message) {
  if (world_.mixture().codec) return through_codec(c, message);
  if (auto* m = std::get_if<msg::Submit>(&message)) {
    if (m->first_seq < core_.session(c.session)->accepted_seq) world_.oracle().saw(Seen::submit_repeated);
    handle(event::Submit{c.session, m->first_seq, m->specs, m->spec_of, m->payloads});
  } else if (auto* d = std::get_if<msg::Delivered>(&message)) {
    handle(event::Delivered{c.session, d->processed, d->credit_tasks, d->credit_bytes});
  } else if (auto* cancel = std::get_if<msg::Cancel>(&message)) {
    handle(event::Cancel{c.session, cancel->request, cancel->handles, cancel->running_too, cancel->grace});
  } else if (auto* attach = std::get_if<msg::Attach>(&message)) {
    handle(event::Attach{c.session, attach->request, attach->first_handle, attach->tasks, false});
  } else {
    throw Violation(std::string("a client sent ") + name_of(message));
  }
}

void Daemon::worker_message(Connection& c, Message& message) {
  if (auto* m = std::get_if<msg::Credit>(&message)) {
    handle(event::WorkerCredit{c.worker, {m->credit[0], m->credit[1]}});
    return;
  }
  if (const auto* m = std::get_if<msg::Recalled>(&message)) {
    for (const bool returned : m->returned) {
      world_.oracle().saw(returned ? Seen::recall_returned : Seen::recall_too_late);
    }
  }
  if (world_.mixture().codec) return through_codec(c, message);
  if (auto* ran = std::get_if<msg::Ran>(&message)) {
    std::uint64_t& seen = reports_[c.worker];
    const std::uint64_t known =
        std::min<std::uint64_t>(seen > ran->first_report ? seen - ran->first_report : 0, ran->tokens.size());
    seen = std::max(seen, ran->first_report + ran->tokens.size());
    // A daemon that forgot would take them again; the scheduler must not mind.
    const bool again = known > 0 && world_.random().chance(0.5);
    if (known > 0) world_.oracle().saw(Seen::report_repeated, known);
    if (!again) {
      const auto n = static_cast<std::ptrdiff_t>(known);
      ran->tokens.erase(ran->tokens.begin(), ran->tokens.begin() + n);
      ran->replies.erase(ran->replies.begin(), ran->replies.begin() + n);
      std::erase_if(ran->failures, [known](const auto& f) { return f.index < known; });
      for (auto& f : ran->failures) f.index -= static_cast<std::uint32_t>(known);
    }
    const std::uint64_t stale = core_.counts().stale_reports;
    handle(event::Ran{c.worker, ran->tokens, ran->replies, ran->failures});
    if (core_.counts().stale_reports > stale && !again) world_.oracle().saw(Seen::stale_report);
    handle(event::WorkerCredit{c.worker, {ran->credit[0], ran->credit[1]}});
    if (std::count(to_acknowledge_.begin(), to_acknowledge_.end(), c.worker) == 0) to_acknowledge_.push_back(c.worker);
  } else if (auto* running = std::get_if<msg::Running>(&message)) {
    handle(event::Running{c.worker, running->tokens});
  } else if (auto* recalled = std::get_if<msg::Recalled>(&message)) {
    const auto returned = flags_of(recalled->returned);
    handle(event::Recalled{c.worker, recalled->tokens, {returned.get(), recalled->tokens.size()}});
    handle(event::WorkerCredit{c.worker, {recalled->credit[0], recalled->credit[1]}});
  } else if (auto* m = std::get_if<msg::Announce>(&message)) {
    c.announced_running.insert(c.announced_running.end(), m->running.begin(), m->running.end());
    c.announced_other.insert(c.announced_other.end(), m->waiting.begin(), m->waiting.end());
    c.announced_other.insert(c.announced_other.end(), m->ended.begin(), m->ended.end());
    if (!m->end) return;
    announced(c);
    handle(event::Announced{c.worker, c.announced_running, c.announced_other});
    c.announced_running.clear();
    c.announced_other.clear();
  } else {
    throw Violation(std::string("a worker sent ") + name_of(message));
  }
}

void Daemon::through_codec(Connection& c, const Message& message) {
  world_.oracle().saw(Seen::through_the_codec);
  const wire::Frames frames = to_frames(message);
  const Result<wire::Envelope> opened = wire::open(frames);
  if (!opened) throw Violation("codec: " + opened.status().message());
  const wire::Envelope& e = *opened;
  event::WorkerCredit credit;
  Result<Event> event = Status(Code::invalid, "a kind that is not expected");
  bool complete = true;
  switch (e.kind) {
    case v1::KIND_SUBMIT:
      event = decoder_.submit(e, c.session, {});
      break;
    case v1::KIND_DELIVERED:
      event = decoder_.delivered(e, c.session);
      break;
    case v1::KIND_CANCEL:
      event = decoder_.cancel(e, c.session);
      break;
    case v1::KIND_ATTACH:
      event = decoder_.attach(e, c.session);
      break;
    case v1::KIND_RAN:
      event = decoder_.ran(e, c.worker, reports_[c.worker], core_.limits().payload_bytes, credit);
      if (std::count(to_acknowledge_.begin(), to_acknowledge_.end(), c.worker) == 0) {
        to_acknowledge_.push_back(c.worker);
      }
      break;
    case v1::KIND_RUNNING:
      event = decoder_.running(e, c.worker);
      break;
    case v1::KIND_RECALLED:
      event = decoder_.recalled(e, c.worker, credit);
      break;
    case v1::KIND_ANNOUNCE:
      event = decoder_.announce(e, c.worker, c.announced_running, c.announced_other, complete);
      if (complete) announced(c);
      break;
    default:
      break;
  }
  if (!event) throw Violation("codec: " + event.status().message());
  if (complete) handle(*event);
  if (credit.worker != 0) handle(credit);
  if (e.kind == v1::KIND_ANNOUNCE && complete) {
    c.announced_running.clear();
    c.announced_other.clear();
  }
}

void Daemon::announced(Connection& c) {
  const scheduler::Worker* w = core_.worker(c.worker);
  std::size_t held = 0;
  for (const auto* tokens : {&c.announced_running, &c.announced_other}) {
    for (const AttemptToken& t : *tokens) {
      const bool mine = core_.current(c.worker, t) != kNoSlot;
      held += mine ? 1 : 0;
      if (mine && tokens == &c.announced_running) world_.oracle().saw(Seen::announce_named_running);
      if (!mine) world_.oracle().saw(Seen::announce_named_stale);
    }
  }
  if (w != nullptr && held < w->in_flight[0] + w->in_flight[1]) world_.oracle().saw(Seen::announce_missed_calls);
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

void Daemon::worker_exited(std::uint64_t spawn, const std::vector<AttemptToken>& in_progress, int signal) {
  dead_spawns_.push_back(spawn);
  exits_.push_back({world_.now() + world_.random().skewed(0, kLastWords), spawn, in_progress, signal});
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
    if (worker != workers.end()) lose(e.spawn, e.in_progress, e.signal);
  }
}

void Daemon::lose(std::uint64_t spawn, const std::vector<AttemptToken>& in_progress, int signal) {
  for (const scheduler::Worker& w : core_.workers().workers) {
    if (w.id == 0 || w.spawn != spawn) continue;
    const WorkerId id = w.id;
    // It may have ended by itself just before it was to be ended: then who is to blame is not known.
    for (TaskSlot slot = w.kill_sent ? w.oldest : kNoSlot; slot != kNoSlot; slot = core_.tasks()[slot].next) {
      world_.oracle().task(Oracle::key_of(core_.tasks()[slot].payload)).unsure = true;
    }
    for (TaskSlot slot = w.oldest; slot != kNoSlot; slot = core_.tasks()[slot].next) {
      const std::uint8_t flags = core_.tasks()[slot].flags;
      if ((flags & kCancelPending) != 0) world_.oracle().saw(Seen::lost_with_pending_cancel);
      const bool ran = std::count(in_progress.begin(), in_progress.end(), core_.token(slot)) != 0;
      if (!ran && (flags & kStopSent) == 0 && signal != 0) world_.oracle().saw(Seen::innocent_uncharged);
    }
    for (auto& [connection, c] : connections_) {
      if (c.worker != id) continue;
      c.role = Role::none;
      c.worker = 0;
      c.lost_worker = id;
    }
    reports_.erase(id);
    world_.note("daemon: worker %llu is lost, %zu calls were in progress", static_cast<unsigned long long>(id),
                in_progress.size());
    handle(event::WorkerLost{id, true, in_progress, signal, 0});
    return;
  }
}

void Daemon::drain_worker(WorkerId worker) {
  to_worker(worker, msg::Drain{});
  handle(event::WorkerDraining{worker});
  arm(world_.now());
}

void Daemon::cancel_number(TaskNumber number) {
  handle(event::CancelTask{number, 0});
  arm(world_.now());
}

// ---- what is ordered

void Daemon::watch_runs() {
  for (const Run& r : actions_.runs) {
    const TaskRecord& t = core_.tasks()[r.task];
    const scheduler::Worker* w = core_.worker(r.worker);
    if (w == nullptr || !w->takes_work()) throw Violation("a call was sent to a worker that takes none");
    if (t.attempt > 500) throw Violation("task " + std::to_string(t.number) + " goes round and round");
    if (t.attempt != 1) continue;
    const Spec& spec = core_.spec(r.task);
    TaskNumber& last =
        first_dispatches_[{core_.tasks().extent_of(r.task).session, spec.type, core_.pool_of(r.task), spec.priority}];
    if (t.number <= last) {
      throw Violation("task " + std::to_string(t.number) + " was dispatched after " + std::to_string(last) +
                      ", which came later");
    }
    last = t.number;
  }
}

void Daemon::to_client(SessionId session, Message message) {
  const Session* s = core_.session(session);
  if (s != nullptr && s->connection != 0) world_.to_peer(s->connection, std::move(message));
}

void Daemon::to_worker(WorkerId worker, Message message) {
  const scheduler::Worker* w = core_.worker(worker);
  if (w != nullptr && w->connection != 0) world_.to_peer(w->connection, std::move(message));
}

void Daemon::carry_out() {
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
  for (const TokenOrder& r : actions_.recalls) {
    const TaskSlot slot = core_.tasks().find(r.token.task);
    if (slot != kNoSlot && (core_.tasks()[slot].flags & kCancelPending) == 0) oracle.saw(Seen::recall_for_neighbour);
  }
  for (const SessionId id : actions_.ended_sessions) {
    left_.erase(id);
    next_deliveries_.erase(id);
    std::erase_if(first_dispatches_, [id](const auto& entry) { return std::get<0>(entry.first) == id; });
  }
  for (const Outcome& o : actions_.outcomes) {
    const Session* s = core_.session(o.session);
    if (std::uint64_t& next = next_deliveries_[o.session]; o.delivery < next) {
      oracle.saw(Seen::outcomes_repeated);
    } else {
      next = o.delivery + 1;
    }
    if (s->sent_bytes > s->credit_bytes) oracle.saw(Seen::result_above_credit);
  }
  if (world_.mixture().codec) {
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
      to_client(a.session, msg::Accepted{a.first_seq, a.count, a.first_number, s->granted_seq, s->granted_bytes});
    }
  }
  for (const SessionId id : actions_.credit) {
    const Session* s = core_.session(id);
    if (s != nullptr) to_client(id, msg::Accepted{s->accepted_seq, 0, 0, s->granted_seq, s->granted_bytes});
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

void Daemon::hash_actions() {
  const auto mix = [this](auto... values) { (world_.mix(static_cast<std::uint64_t>(values)), ...); };
  const Actions& a = actions_;
  for (const auto& x : a.client_welcomes) mix(1, x.connection, x.session, x.resumed, x.accepted_seq);
  for (const auto& x : a.worker_welcomes) mix(2, x.connection, x.worker, x.resumed);
  for (const auto& x : a.accepted) mix(3, x.session, x.first_seq, x.count, x.first_number, x.warning.size());
  for (const auto& x : a.credit) mix(4, x);
  for (const auto& x : a.runs) mix(5, x.worker, core_.tasks()[x.task].number, core_.tasks()[x.task].attempt);
  for (const auto& x : a.stops) mix(6, x.worker, x.token.task, x.token.attempt, x.grace);
  for (const auto& x : a.recalls) mix(7, x.worker, x.token.task, x.token.attempt);
  for (const auto& x : a.started) mix(8, x.session, x.handle);
  for (const auto& x : a.outcomes) mix(9, x.session, x.delivery, x.handle, core_.tasks()[x.task].phase);
  for (const auto& x : a.cancelled) {
    mix(10, x.session, x.request);
    for (const Verdict v : x.verdicts) mix(v);
  }
  for (const auto& x : a.attached) {
    mix(11, x.session, x.request);
    for (const auto& item : x.items) mix(item.known, item.number, item.state);
  }
  for (const WorkerId x : a.kills) mix(13, x);
  for (const auto& x : a.breaches) mix(12, x.session, x.connection);
  for (const auto& x : a.ended_sessions) mix(13, x);
}

}  // namespace futured::sim
