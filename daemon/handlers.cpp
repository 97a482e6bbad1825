// What the server does with each message of a peer.
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "daemon/log.hpp"
#include "daemon/server.hpp"

namespace futured::daemon {

namespace {

Status malformed(const char* what) { return {Code::invalid, what}; }

}  // namespace

void Server::on_message(ConnectionId from, const Frames& frames, std::int64_t now) {
  const Result<wire::Envelope> envelope = wire::open(frames);
  Connection& c = connections_[from];
  if (c.last_heard == 0) c.judged_by_silence = true;  // until its hello tells who it is
  c.last_heard = now;
  c.pings = 0;
  if (!envelope) {
    ++bad_messages_;
    log_debug("dropped a malformed message: " + envelope.status().message());
    return;
  }
  const wire::Envelope& e = *envelope;
  if (e.version != wire::kVersion) {
    ++bad_messages_;
    c.generation = e.generation;
    refuse(from, Code::version, "version " + std::to_string(e.version) + " of the protocol; this daemon speaks 1");
    return;
  }
  if (e.kind == v1::KIND_HELLO) {
    c.generation = e.generation;
    on_hello(from, e, now);
    return;
  }
  if (c.role == Role::none) {
    c.generation = e.generation;
    send(from, v1::KIND_REHELLO, v1::Rehello{});
    return;
  }
  if (e.generation != c.generation) return;
  Status status;
  switch (e.kind) {
    case v1::KIND_PING: {
      v1::Ping ping;
      status = wire::parse(e, ping);
      if (status.ok()) send(from, v1::KIND_PONG, ping);
      break;
    }
    case v1::KIND_PONG:
      break;
    case v1::KIND_GOODBYE:
      parts_.transport->close(from);
      gone(from, true, now);
      return;
    default:
      status = c.role == Role::client ? on_client_message(c, e, now) : on_worker_message(c, e, now);
  }
  if (!status.ok()) {
    ++bad_messages_;
    log_warning("dropped a message of kind " + std::to_string(e.kind) + " from " +
                parts_.transport->peer(from).address + ": " + status.message());
    refuse(from, Code::invalid, status.message());
  }
}

void Server::refuse(ConnectionId to, Code code, const std::string& message) {
  v1::Refused m;
  m.mutable_problem()->set_code(static_cast<v1::Code>(code));
  m.mutable_problem()->set_message(message);
  m.set_version_min(wire::kVersion);
  m.set_version_max(wire::kVersion);
  send(to, v1::KIND_REFUSED, m);
  parts_.transport->close(to);
  gone(to, false, monotonic_now());
}

void Server::on_hello(ConnectionId from, const wire::Envelope& e, std::int64_t now) {
  Connection& c = connections_[from];
  v1::Hello hello;
  if (const Status s = wire::parse(e, hello); !s.ok()) {
    ++bad_messages_;
    return refuse(from, Code::invalid, "hello: " + s.message());
  }
  if (c.role != Role::none) return refuse(from, Code::invalid, "hello came twice on one connection");
  if (hello.version_min() > wire::kVersion || hello.version_max() < wire::kVersion) {
    return refuse(from, Code::version,
                  "this daemon speaks version 1 of the protocol, the peer " + std::to_string(hello.version_min()) +
                      ".." + std::to_string(hello.version_max()));
  }
  const Peer peer = parts_.transport->peer(from);
  // The kernel tells of the end of local processes; a stopped one (Ctrl-Z) is not a dead one. A worker that does not
  // answer is of no use, though.
  c.owner = peer.uid;
  c.judged_by_silence = (peer.pid == 0 && !peer.local_process) || hello.role() == v1::Hello::WORKER;
  if (peer.local_process) c.judged_by_silence = false;
  if (hello.role() == v1::Hello::WORKER) return on_worker_hello(from, hello, now);
  if (hello.role() != v1::Hello::CLIENT) return refuse(from, Code::invalid, "hello names no role");
  scheduler::event::ClientHello event;
  if (hello.stream().size() != event.stream.bytes.size()) {
    return refuse(from, Code::invalid, "hello: a stream has 11 bytes");
  }
  std::memcpy(event.stream.bytes.data(), hello.stream().data(), event.stream.bytes.size());
  event.connection = from;
  event.first_unacked_seq = hello.first_unacked_seq();
  event.processed_delivery = hello.processed_delivery();
  event.credit_tasks = hello.result_credit_tasks();
  event.credit_bytes = hello.result_credit_bytes();
  c.role = Role::client;
  handle(event, now);
  carry_out(now);  // what comes next on this connection finds its session
}

void Server::on_worker_hello(ConnectionId from, const v1::Hello& hello, std::int64_t now) {
  Connection& c = connections_[from];
  Result<scheduler::event::WorkerHello> event = worker_hello(hello, from);
  if (!event) return refuse(from, Code::invalid, "hello: " + event.status().message());
  if (event->spawn != 0) {
    if (std::find(dead_spawns_.begin(), dead_spawns_.end(), event->spawn) != dead_spawns_.end()) {
      return refuse(from, Code::refused, "this worker process has ended");
    }
    // A process that some other daemon started here (one that was killed, say) leaves; its calls are not ours.
    const std::uint32_t pid = parts_.transport->peer(from).pid;
    if (parts_.supervisor == nullptr || pid == 0 || parts_.supervisor->pid(event->spawn) != pid) {
      return refuse(from, Code::refused, "this worker process was started by another daemon");
    }
  }
  for (const v1::TaskType& type : hello.types()) {
    const auto [it, added] = types_.try_emplace(type.name(), type);
    if (!added && it->second.plugin() == type.plugin() && !type.schema().empty()) it->second = type;
  }
  c.role = Role::worker;
  handle(*event, now);
  carry_out(now);
  const scheduler::Worker* w = core_.worker(c.worker);
  if (phase_ != Phase::working && w != nullptr && !w->draining) drain_worker(c.worker, false, now);
}

Status Server::on_client_message(Connection& c, const wire::Envelope& e, std::int64_t now) {
  Result<scheduler::Event> event = Status(Code::invalid, "a client does not send this kind of message");
  switch (e.kind) {
    case v1::KIND_SUBMIT:
      event = decoder_.submit(e, c.session, {c.owner, now + unix_offset_ns_});
      if (event) elements_ += std::get<scheduler::event::Submit>(*event).payloads.size();
      break;
    case v1::KIND_DELIVERED:
      event = decoder_.delivered(e, c.session);
      if (event) {
        elements_ += 256;
        for (const auto& taken : decoder_.last_delivered().output()) {
          const scheduler::TaskSlot slot = core_.by_handle(c.session, taken.handle());
          if (slot == scheduler::kNoSlot) continue;
          output_.taken(c.session, core_.tasks()[slot].number, taken.attempt(), taken.bytes());
        }
      }
      break;
    case v1::KIND_CANCEL:
      event = decoder_.cancel(e, c.session);
      if (event) elements_ += std::get<scheduler::event::Cancel>(*event).handles.size();
      break;
    case v1::KIND_ATTACH:
      event = decoder_.attach(e, c.session);
      if (event) elements_ += std::get<scheduler::event::Attach>(*event).tasks.size();
      break;
    case v1::KIND_REQUEST: {
      v1::Request request;
      if (Status s = wire::parse(e, request); !s.ok()) return s;
      elements_ += 1024;
      on_request(c.session, request, now);
      return {};
    }
    default:
      break;
  }
  if (!event) return event.status();
  handle(*event, now);
  return {};
}

Status Server::on_worker_message(Connection& c, const wire::Envelope& e, std::int64_t now) {
  scheduler::event::WorkerCredit credit;
  switch (e.kind) {
    case v1::KIND_RAN: {
      const auto event = decoder_.ran(e, c.worker, reports_[c.worker], config_.payload_limit, credit);
      if (!event) return event.status();
      elements_ += std::get<scheduler::event::Ran>(*event).tokens.size();
      if (!output_.empty()) {
        for (const AttemptToken& t : std::get<scheduler::event::Ran>(*event).tokens) output_.ended(c.worker, t);
      }
      handle(*event, now);
      handle(credit, now);
      report_acks_.add(c.worker, reports_[c.worker], now, false);
      return {};
    }
    case v1::KIND_RUNNING: {
      const auto event = decoder_.running(e, c.worker);
      if (!event) return event.status();
      elements_ += std::get<scheduler::event::Running>(*event).tokens.size();
      handle(*event, now);
      return {};
    }
    case v1::KIND_CREDIT: {
      v1::Credit m;
      if (Status s = wire::parse(e, m); !s.ok()) return s;
      handle(scheduler::event::WorkerCredit{c.worker, {m.thread_credit(), m.async_credit()}}, now);
      return {};
    }
    case v1::KIND_RECALLED: {
      const auto event = decoder_.recalled(e, c.worker, credit);
      if (!event) return event.status();
      handle(*event, now);
      handle(credit, now);
      return {};
    }
    case v1::KIND_EMITTED: {
      v1::Emitted m;
      if (Status s = wire::parse(e, m); !s.ok()) return s;
      if (m.token().size() != kTokenBytes) return malformed("a token has 16 bytes");
      return on_emitted(c.worker, m, now);
    }
    case v1::KIND_ANNOUNCE: {
      bool complete = false;
      const auto event = decoder_.announce(e, c.worker, c.announced_running, c.announced_other, complete);
      if (!event) return event.status();
      if (c.announced_running.size() + c.announced_other.size() > 1'000'000) {
        return malformed("an announce of more than a million calls");
      }
      if (!complete) return {};
      handle(*event, now);
      output_.announced(c.worker);
      c.announced_running.clear();
      c.announced_other.clear();
      return {};
    }
    default:
      return malformed("a worker does not send this kind of message");
  }
}

void Server::gone(ConnectionId which, bool on_purpose, std::int64_t now) {
  const auto it = connections_.find(which);
  if (it == connections_.end()) return;
  const Connection c = std::move(it->second);
  connections_.erase(it);
  if (c.role == Role::client && c.session != scheduler::kNoSession) {
    handle(scheduler::event::ClientGone{c.session, on_purpose}, now);
    refresh_output();
  } else if (c.role == Role::worker && c.worker != 0) {
    const scheduler::Worker* w = core_.worker(c.worker);
    if (on_purpose && w != nullptr && w->spawn == 0) {
      reports_.erase(c.worker);
      handle(scheduler::event::WorkerLost{c.worker, false, {}, 0, 0}, now);
    } else {
      handle(scheduler::event::WorkerDisconnected{c.worker}, now);
    }
  }
}

}  // namespace futured::daemon
