#include "daemon/server.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <ctime>
#include <random>

#include "daemon/config.hpp"
#include "daemon/log.hpp"
#include "daemon/supervisor/child.hpp"

namespace futured::daemon {

namespace {

constexpr std::size_t kMessagesPerTurn = 256;
constexpr std::size_t kElementsPerTurn = 8192;
constexpr std::int64_t kHeartbeat = 5'000'000'000;
constexpr std::int64_t kLastWords = 500'000'000;   // how long the messages of a dead worker are waited for
constexpr std::int64_t kFarewell = 2'000'000'000;  // how long clients may take to fetch their last outcomes
constexpr std::int64_t kLastLook = 50'000'000;     // how long the connections stay after GOAWAY
constexpr std::size_t kMaxWaitingBytes = 256 << 20;
constexpr std::size_t kMaxWaiting = 100'000;
constexpr std::size_t kDeadSpawns = 1000;

std::int64_t clock_ns(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return t.tv_sec * std::int64_t{1'000'000'000} + t.tv_nsec;
}

std::string random_instance() {
  std::random_device device;
  std::string raw;
  for (int i = 0; i < 16; ++i) raw.push_back(static_cast<char>(device() & 0xff));
  return raw;
}

scheduler::Limits limits_of(const DaemonConfig& config) {
  scheduler::Limits limits;
  limits.payload_bytes = config.payload_limit;
  limits.tasks = config.max_queued_tasks;
  limits.bytes = config.max_queued_bytes;
  limits.window_bytes = std::max(limits.window_bytes, 2 * config.payload_limit);
  return limits;
}

/// Without a store there is no counter of starts: chance tells the tokens of one daemon from those of the next, which
/// may start within the same second and number its tasks alike.
std::uint32_t epoch_of(const std::string& instance) {
  std::uint32_t epoch = 0;
  std::memcpy(&epoch, instance.data(), sizeof epoch);
  return std::max(epoch, 1U);
}

}  // namespace

std::int64_t monotonic_now() { return clock_ns(CLOCK_MONOTONIC); }
std::int64_t unix_now() { return clock_ns(CLOCK_REALTIME); }

Server::Server(DaemonConfig config, DaemonConfig written, Parts parts)
    : config_(std::move(config)),
      written_(std::move(written)),
      parts_(std::move(parts)),
      instance_(random_instance()),
      started_at_(monotonic_now()),
      unix_offset_ns_(clock_ns(CLOCK_REALTIME) - started_at_),
      core_(limits_of(config_), epoch_of(instance_)),
      encoder_(
          core_,
          [this](WorkerId w, v1::Kind kind, const google::protobuf::MessageLite& m, wire::Frames frames) {
            to_worker(w, kind, m, std::move(frames));
          },
          [this](scheduler::SessionId s, v1::Kind kind, const google::protobuf::MessageLite& m, wire::Frames frames) {
            to_client(s, kind, m, std::move(frames));
          }),
      feed_(instance_) {
  for (const v1::TaskType& type : parts_.catalog.types()) types_[type.name()] = type;
  for (const PoolConfig& pool : config_.pools) {
    scheduler::event::PoolDefined e{pool.name, {}, parts_.supervisor != nullptr ? pool.processes : 0};
    for (const Catalog::Plugin& plugin : parts_.catalog.plugins()) {
      if (!pool.plugins.empty() &&
          std::find(pool.plugins.begin(), pool.plugins.end(), plugin.name) == pool.plugins.end()) {
        continue;
      }
      for (const std::string& name : plugin.types) {
        const v1::TaskType* type = parts_.catalog.find(name);
        e.types.push_back({name, type != nullptr && type->lane() == v1::LANE_ASYNC ? Lane::async : Lane::thread});
      }
    }
    core_.handle(e, started_at_, actions_);
    std::vector<SpawnId> none;
    if (parts_.supervisor != nullptr) parts_.supervisor->scale(pool.name, pool.processes, started_at_, none);
  }
  actions_.clear();
}

void Server::stop(Stop how) {
  const int level = how == Stop::now ? 2 : 1;
  int seen = stop_requested_.load();
  while (seen < level && !stop_requested_.compare_exchange_weak(seen, level)) {
  }
  parts_.transport->wake();
}

Status Server::run() {
  next_heartbeat_ = monotonic_now() + 1'000'000'000;
  log_info(start_line(config_, endpoints(), types_.size()));
  std::vector<pollfd> fds;
  while (phase_ != Phase::done) {
    const std::int64_t before = monotonic_now();
    fds.clear();
    if (parts_.signals != nullptr) fds.push_back({parts_.signals->fd(), POLLIN, 0});
    if (parts_.supervisor != nullptr) parts_.supervisor->pollfds(fds);
    parts_.transport->wait(std::max<std::int64_t>(wait_until(before) - before, 0), fds);
    const std::int64_t now = monotonic_now();
    const bool fd_ready = std::any_of(fds.begin(), fds.end(), [](const pollfd& fd) { return fd.revents != 0; });
    turn(now, fd_ready);
  }
  // The farewell gets a moment to be read: when a connection ends, ZeroMQ throws away what its peer has not taken.
  const std::int64_t until = monotonic_now() + kLastLook;
  for (std::int64_t now = until - kLastLook; now < until; now = monotonic_now()) {
    parts_.transport->wait(until - now, {});
    ConnectionId from = 0;
    Frames frames;
    while (parts_.transport->receive(from, frames)) frames.clear();
    while (parts_.transport->next_gone(from)) connections_.erase(from);
    if (connections_.empty()) break;
  }
  if (lost_ > 0) {
    log_warning("ends; " + std::to_string(lost_) + (lost_ == 1 ? " task" : " tasks") + " had not ended and " +
                (lost_ == 1 ? "is" : "are") + " lost");
  } else {
    log_info("ends; no task is lost");
  }
  return {};
}

std::int64_t Server::wait_until(std::int64_t now) const {
  std::int64_t until = std::min(next_heartbeat_, core_.next_deadline());
  if (parts_.supervisor != nullptr) until = std::min(until, parts_.supervisor->next_deadline());
  for (const auto& [deadline, exit] : exits_) until = std::min(until, deadline);
  until = std::min({until, accept_acks_.next_deadline(), report_acks_.next_deadline()});
  if (phase_ == Phase::working) until = std::min(until, schedules_.next_deadline(core_, now, unix_now()));
  if (phase_ != Phase::working) until = std::min(until, phase_deadline_);
  // A peer that did not take its messages is tried again soon; zmq does not tell when it reads.
  if (!waiting_.empty()) until = std::min(until, now + 2'000'000);
  if (phase_ == Phase::ending) until = std::min(until, now + 5'000'000);
  return until;
}

void Server::turn(std::int64_t now, bool fd_ready) {
  receive(now);
  ConnectionId which = 0;
  while (parts_.transport->next_gone(which)) gone(which, false, now);
  if (fd_ready || !exits_.empty() || (parts_.supervisor != nullptr && parts_.supervisor->next_deadline() <= now)) {
    reap(now);
  }
  if (now >= next_heartbeat_) heartbeat(now);
  if (fd_ready) take_signals(now);
  advance_stop(now);
  if (phase_ == Phase::working) schedules_.advance(core_, now, unix_now(), actions_);
  core_.advance(now, actions_);
  carry_out(now);
  if (!parked_.empty() || feed_on_) answer_all_parked(now);
  for (const ConnectionId id : std::exchange(waiting_, {})) {
    if (const auto it = connections_.find(id); it != connections_.end()) send_waiting(id, it->second);
  }
  for (const ConnectionId id : std::exchange(overflowed_, {})) {
    if (connections_.count(id) == 0) continue;
    log_warning("closed the connection of a peer that does not read (" + parts_.transport->peer(id).address + ")");
    parts_.transport->close(id);
    gone(id, false, now);
  }
}

void Server::receive(std::int64_t now) {
  elements_ = 0;
  ConnectionId from = 0;
  Frames frames;
  for (std::size_t n = 0; n < kMessagesPerTurn && elements_ < kElementsPerTurn; ++n) {
    if (!parts_.transport->receive(from, frames)) return;
    on_message(from, frames, now);
    frames.clear();
  }
}

void Server::handle(const scheduler::Event& event, std::int64_t now) { core_.handle(event, now, actions_); }

void Server::carry_out(std::int64_t now) {
  for (const scheduler::WorkerWelcome& w : actions_.worker_welcomes) {
    const auto it = connections_.find(w.connection);
    if (it == connections_.end()) continue;
    std::erase_if(connections_, [&](const auto& entry) {
      const auto& [id, other] = entry;
      if (other.worker != w.worker || id == w.connection) return false;
      parts_.transport->close(id);
      return true;
    });
    it->second.worker = w.worker;
    v1::Welcome m;
    m.set_version(wire::kVersion);
    m.set_software("futured " FUTURED_VERSION);
    m.set_daemon_instance(instance_);
    m.set_epoch(core_.epoch());
    m.mutable_limits()->set_payload_bytes(config_.payload_limit);
    m.mutable_limits()->set_frame_bytes(wire::kFrameLimit);
    m.mutable_limits()->set_frames(wire::kMaxFrames);
    m.mutable_limits()->set_batch_tasks(wire::kMaxBatchTasks);
    m.set_heartbeat_ns(kHeartbeat);
    m.set_worker(w.worker);
    send(w.connection, v1::KIND_WELCOME, m);
    // What was told to its last connection may have been lost with it.
    const scheduler::Worker* worker = core_.worker(w.worker);
    if (worker != nullptr && worker->draining) send(w.connection, v1::KIND_DRAIN, v1::Drain());
  }
  for (const scheduler::ClientWelcome& w : actions_.client_welcomes) {
    const auto it = connections_.find(w.connection);
    const scheduler::Session* session = core_.session(w.session);
    if (it == connections_.end() || session == nullptr) continue;
    std::erase_if(connections_, [&](const auto& entry) {
      const auto& [id, other] = entry;
      if (other.session != w.session || id == w.connection) return false;
      parts_.transport->close(id);
      return true;
    });
    it->second.session = w.session;
    v1::Welcome m;
    m.set_version(wire::kVersion);
    m.set_software("futured " FUTURED_VERSION);
    m.set_daemon_instance(instance_);
    m.set_epoch(core_.epoch());
    m.mutable_limits()->set_payload_bytes(config_.payload_limit);
    m.mutable_limits()->set_frame_bytes(wire::kFrameLimit);
    m.mutable_limits()->set_frames(wire::kMaxFrames);
    m.mutable_limits()->set_batch_tasks(wire::kMaxBatchTasks);
    m.set_heartbeat_ns(kHeartbeat);
    m.set_session(w.session);
    m.set_accepted_seq(w.accepted_seq);
    m.set_submit_credit_tasks(session->granted_seq);
    m.set_submit_credit_bytes(session->granted_bytes);
    m.set_resumed(w.resumed);
    send(w.connection, v1::KIND_WELCOME, m);
    if (w.resumed) output_.came_back(w.session);
  }
  acknowledge(now);
  encoder_.runs(actions_.runs);
  encoder_.stops(actions_.stops);
  encoder_.recalls(actions_.recalls);
  encoder_.attached(actions_.attached);
  encoder_.started(actions_.started);
  encoder_.outcomes(actions_.outcomes);
  encoder_.credit(
      actions_.credit);  // after the acknowledgements that outcomes take along: it says that all before it is accepted
  encoder_.cancelled(actions_.cancelled);
  for (const scheduler::Breach& b : actions_.breaches) {
    log_warning("refused a client: " + b.message);
    // Without a session it is the stream that cannot be used; a new one can.
    refuse(b.connection, b.session == scheduler::kNoSession ? Code::forgotten : Code::invalid, b.message);
  }
  take_changes(now);
  for (const WorkerId worker : actions_.condemned) relieve(worker);
  const std::vector<WorkerId> kills = std::move(actions_.kills);
  actions_.clear();
  for (const WorkerId worker : kills) kill_worker(worker);
  send_output_credits();
}

/// A process with a call in it that does not stop is replaced at once, while the calls beside it have their time. So
/// that there are never more than twice the processes wanted, one above that is replaced when it has ended.
void Server::relieve(WorkerId id) {
  const scheduler::Worker* w = core_.worker(id);
  if (w == nullptr) return;
  log_warning("worker " + std::to_string(id) + " (process " + std::to_string(w->pid) +
              ") is replaced: a call in it did not stop when it was told to");
  if (w->spawn == 0 || parts_.supervisor == nullptr) return;
  const Supervisor::PoolView pool = parts_.supervisor->view(core_.workers().pools[w->pool].name);
  if (pool.leaving < pool.wanted) parts_.supervisor->retire(w->spawn);
}

/// Its time is over. One that was started by hand can only be told.
void Server::kill_worker(WorkerId id) {
  const scheduler::Worker* w = core_.worker(id);
  if (w == nullptr) return;
  if (w->spawn != 0 && parts_.supervisor != nullptr) {
    parts_.supervisor->kill(w->spawn);
  } else if (w->connection != 0) {
    refuse(w->connection, Code::refused, "a call in this worker did not stop when it was told to");
  }
}

void Server::acknowledge(std::int64_t now) {
  for (scheduler::Accepted& a : actions_.accepted) {
    // A task whose outcome is not delivered, or that somebody should hear a warning about, has no company to wait for.
    const scheduler::TaskSlot first = core_.tasks().find(a.first_number);
    const bool at_once = !a.warning.empty() || first == scheduler::kNoSlot || core_.spec(first).detached;
    const scheduler::SessionId session = a.session;
    accept_acks_.add(session, std::move(a), now, at_once);
  }
  if (!accept_acks_.empty()) {
    for (const scheduler::Outcome& o : actions_.outcomes) accept_acks_.company(o.session);
    for (const scheduler::SessionId id : actions_.credit) accept_acks_.hurry(id);
    accept_acks_.take_due(now, [this](scheduler::SessionId session, const auto& list, bool in_company) {
      encoder_.accepted(session, list, in_company);
    });
  }
  if (report_acks_.empty()) return;
  for (std::size_t i = 0; i < actions_.runs.size(); ++i) {
    if (i == 0 || actions_.runs[i].worker != actions_.runs[i - 1].worker) report_acks_.company(actions_.runs[i].worker);
  }
  report_acks_.take_due(now, [this](WorkerId worker, const auto& reports, bool in_company) {
    encoder_.reports_taken(worker, reports.back(), in_company);
  });
}

void Server::send(ConnectionId to, v1::Kind kind, const google::protobuf::MessageLite& body, Frames payloads) {
  const auto it = connections_.find(to);
  if (it == connections_.end()) return;
  Connection& c = it->second;
  Frames message = wire::encode(kind, c.generation, body, std::move(payloads));
  if (c.waiting.empty() && parts_.transport->send(to, std::move(message)) != Transport::Sent::full) return;
  std::size_t bytes = 0;
  // NOLINTNEXTLINE(bugprone-use-after-move): a transport that is full leaves the message as it was
  for (const Slice& frame : message) bytes += frame.size();
  if (c.waiting.empty()) waiting_.push_back(to);
  c.waiting.push_back(std::move(message));
  c.waiting_bytes += bytes;
  if (c.waiting_bytes > kMaxWaitingBytes || c.waiting.size() > kMaxWaiting) overflowed_.push_back(to);
}

void Server::send_waiting(ConnectionId to, Connection& c) {
  while (!c.waiting.empty()) {
    std::size_t bytes = 0;
    for (const Slice& frame : c.waiting.front()) bytes += frame.size();
    const Transport::Sent sent = parts_.transport->send(to, std::move(c.waiting.front()));
    if (sent == Transport::Sent::full) {
      waiting_.push_back(to);
      return;
    }
    c.waiting_bytes -= bytes;
    c.waiting.pop_front();
  }
}

void Server::to_worker(WorkerId worker, v1::Kind kind, const google::protobuf::MessageLite& body, Frames payloads) {
  const scheduler::Worker* w = core_.worker(worker);
  if (w != nullptr && w->connection != 0) send(w->connection, kind, body, std::move(payloads));
}

void Server::to_client(scheduler::SessionId session, v1::Kind kind, const google::protobuf::MessageLite& body,
                       Frames payloads) {
  const scheduler::Session* s = core_.session(session);
  if (s != nullptr && s->connection != 0) send(s->connection, kind, body, std::move(payloads));
}

void Server::reap(std::int64_t now) {
  if (parts_.supervisor == nullptr) return;
  std::vector<Supervisor::Exit> exits;
  parts_.supervisor->advance(now, exits);
  for (Supervisor::Exit& exit : exits) {
    if (!exit.leaving) {
      log_warning("worker process " + std::to_string(exit.pid) + " of pool " + exit.pool + " ended with " +
                  describe({exit.signal, exit.status}) + " after " + std::to_string(exit.lived / 1'000'000'000) + "." +
                  std::to_string(exit.lived / 100'000'000 % 10) + " s, calls under way: " +
                  std::to_string(exit.running.size()) + (exit.trouble.empty() ? "" : "; " + exit.trouble));
    }
    dead_spawns_.push_back(exit.spawn);
    if (dead_spawns_.size() > kDeadSpawns) dead_spawns_.pop_front();
    // Its last reports may still be on their way to us: what it finished need not run again.
    exits_.emplace_back(now + kLastWords, std::move(exit));
  }
  for (auto it = exits_.begin(); it != exits_.end();) {
    const auto& workers = core_.workers().workers;
    const auto worker = std::find_if(workers.begin(), workers.end(), [&](const scheduler::Worker& w) {
      return w.id != 0 && w.spawn == it->second.spawn;
    });
    const bool silent = worker == workers.end() || worker->connection == 0;
    if (silent || it->first <= now) {
      lose_worker(it->second, now);
      it = exits_.erase(it);
    } else {
      ++it;
    }
  }
}

void Server::lose_worker(const Supervisor::Exit& exit, std::int64_t now) {
  for (const scheduler::Worker& w : core_.workers().workers) {
    if (w.id == 0 || w.spawn != exit.spawn) continue;
    const WorkerId id = w.id;
    for (auto& [connection, c] : connections_) {
      if (c.worker != id) continue;
      c.role = Role::none;
      c.worker = 0;
      parts_.transport->close(connection);
    }
    reports_.erase(id);
    handle(scheduler::event::WorkerLost{id, true, exit.running, exit.signal, exit.status}, now);
    return;
  }
}

void Server::heartbeat(std::int64_t now) {
  // What came in while the loop itself was late is already received: silence is judged after listening.
  next_heartbeat_ = now + 1'000'000'000;
  refresh_output();
  std::vector<ConnectionId> silent;
  for (auto& [id, c] : connections_) {
    if (now - c.last_heard < kHeartbeat * (c.pings + 1)) continue;
    if (c.pings >= 3) {
      if (c.judged_by_silence) silent.push_back(id);
      continue;
    }
    ++c.pings;
    if (c.role == Role::none) continue;
    v1::Ping ping;
    ping.set_id(static_cast<std::uint64_t>(now));
    send(id, v1::KIND_PING, ping);
  }
  for (const ConnectionId id : silent) {
    const auto it = connections_.find(id);
    if (it == connections_.end()) continue;
    const scheduler::Worker* w = it->second.worker != 0 ? core_.worker(it->second.worker) : nullptr;
    if (it->second.role != Role::none) {
      log_warning("a peer has not answered for " + std::to_string((now - it->second.last_heard) / 1'000'000'000) +
                  " s and is given up (" + parts_.transport->peer(id).address + ")");
    }
    if (w != nullptr && w->spawn != 0 && parts_.supervisor != nullptr) parts_.supervisor->kill(w->spawn);
    parts_.transport->close(id);
    gone(id, false, now);
  }
}

void Server::drain_worker(WorkerId worker, bool at_once, std::int64_t now) {
  v1::Drain drain;
  drain.set_now(at_once);
  to_worker(worker, v1::KIND_DRAIN, drain);
  handle(scheduler::event::WorkerDraining{worker}, now);
}

void Server::begin_drain(std::int64_t now) {
  phase_ = Phase::draining;
  phase_deadline_ = now + config_.drain_timeout_ns;
  log_info("draining: " + std::to_string(core_.at_workers()) + " calls under way, at most " +
           std::to_string(config_.drain_timeout_ns / 1'000'000'000) + " s");
  handle(scheduler::event::Drain{}, now);
  if (parts_.supervisor != nullptr) {
    std::vector<SpawnId> leaving;  // all of them; told below with everybody else
    for (const PoolConfig& pool : config_.pools) parts_.supervisor->scale(pool.name, 0, now, leaving);
  }
  for (const scheduler::Worker& w : core_.workers().workers) {
    if (w.id != 0) drain_worker(w.id, false, now);
  }
}

void Server::take_signals(std::int64_t now) {
  if (parts_.signals == nullptr) return;
  for (int signal = parts_.signals->next(); signal != 0; signal = parts_.signals->next()) {
    if (signal == SIGHUP) {
      v1::Reloaded ignored;
      (void)reload(ignored, now);  // the log says how it went
    } else {
      stop(stop_requested_.load() == 0 ? Stop::drain : Stop::now);
    }
  }
}

void Server::advance_stop(std::int64_t now) {
  const int wanted = stop_requested_.load();
  const bool processes = parts_.supervisor != nullptr && !parts_.supervisor->empty();
  if (phase_ == Phase::working && wanted >= 1) begin_drain(now);
  if (phase_ == Phase::draining) {
    const bool idle = core_.at_workers() == 0 && !processes;
    if (idle || wanted >= 2 || now >= phase_deadline_) {
      if (processes) parts_.supervisor->kill_all();
      phase_ = Phase::killing;
      phase_deadline_ = now + kLastWords + kFarewell;
    }
  }
  if (phase_ == Phase::killing && ((!processes && exits_.empty()) || now >= phase_deadline_)) {
    lost_ = core_.counts().waiting + core_.counts().queued + core_.counts().running;
    handle(scheduler::event::Abandon{}, now);
    phase_ = Phase::ending;
    phase_deadline_ = now + kFarewell;
  }
  if (phase_ == Phase::ending) {
    // A peer that is owed an acknowledgement would wait for the next daemon to give it.
    const bool told = core_.abandoned() && !core_.owes_deliveries() && waiting_.empty() && accept_acks_.empty() &&
                      report_acks_.empty();
    if (!told && now < phase_deadline_) return;
    v1::GoAway bye;
    bye.set_reason("the daemon was stopped");
    for (const auto& [id, c] : connections_) {
      if (c.role != Role::none) send(id, v1::KIND_GOAWAY, bye);
    }
    phase_ = Phase::done;
  }
}

QueryContext Server::query_context() const {
  return {core_, parts_.supervisor.get(), config_.pools, types_, log_, unix_offset_ns_};
}

}  // namespace futured::daemon
