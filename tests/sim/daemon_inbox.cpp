#include <algorithm>

#include "daemon/scheduler/invariants.hpp"
#include "tests/sim/codec.hpp"
#include "tests/sim/daemon.hpp"
#include "tests/sim/worker.hpp"

namespace futured::sim {

using namespace scheduler;  // NOLINT(google-build-using-namespace): this file speaks to it

namespace {
// A vector<bool> has no span.
std::unique_ptr<bool[]> flags_of(const std::vector<bool>& from) {
  auto out = std::make_unique<bool[]>(from.size());
  std::copy(from.begin(), from.end(), out.get());
  return out;
}

}  // namespace

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
  if (world_.mixture().codec != 0) return through_codec(c, message);
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
  if (world_.mixture().codec != 0) return through_codec(c, message);
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
      event = decoder_.submit(e, c.session, {std::get<msg::Submit>(message).specs.front().owner, 0});
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

}  // namespace futured::sim
