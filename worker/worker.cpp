#include "worker/worker.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <exception>

#include "futured/v1/worker.pb.h"
#include "proto/envelope.hpp"
#include "worker/log.hpp"
#include "worker/translate.hpp"

namespace futured::worker {
namespace {

constexpr std::size_t kMessagesPerTurn = 64;
constexpr std::uint32_t kComplaints = 20;  // about a peer that talks nonsense; then silence
constexpr Time kLinger = 1'000'000'000;    // for the last reports and GOODBYE

std::uint64_t seed_of(const Identity& identity) {
  std::uint64_t seed = 1;
  if (identity.instance.size() >= sizeof seed) std::memcpy(&seed, identity.instance.data(), sizeof seed);
  return seed;
}

}  // namespace

Worker::Worker(const WorkerConfig& config, Registry& registry, CallTable& table)
    : config_(config), registry_(registry), table_(table) {}

Result<std::unique_ptr<Worker>> Worker::make(const WorkerConfig& config, Registry& registry) {
  Identity identity;
  describe_this_process(identity);
  identity.pool = config.pool;
  identity.threads = config.threads;
  identity.async_slots = config.async_slots;
  identity.spawn = config.spawn;
  identity.labels = config.labels;
  SessionConfig session;
  session.threads = config.threads;
  session.async_slots = config.async_slots;
  session.orphan = config.orphan;
  session.seed = seed_of(identity);
  Result<CallTable*> table = CallTable::acquire(Session::most_calls(session));
  if (!table) return table.status();
  session.tag = (*table)->tag();
  session.first_generation = (*table)->first_generation();
  std::unique_ptr<Worker> w(new Worker(config, registry, **table));
  w->session_ = std::make_unique<Session>(session);
  w->translator_ = std::make_unique<Translator>(std::move(identity));
  Result<std::unique_ptr<Executor>> executor =
      Executor::make(**table, {config.threads, config.async_slots, config.slots_file});
  if (!executor) return executor.status();
  w->executor_ = std::move(*executor);
  return w;
}

Result<std::unique_ptr<Worker>> Worker::remote(const WorkerConfig& config, Registry& registry,
                                               const std::string& endpoint) {
  Result<std::unique_ptr<Link>> link = make_zmq_link(endpoint);
  if (!link) return link.status();
  Result<std::unique_ptr<Worker>> w = make(config, registry);
  if (w) {
    (*w)->link_ = std::move(*link);
    (*w)->endpoint_ = endpoint;
  }
  return w;
}

Result<std::unique_ptr<Worker>> Worker::in_process(const WorkerConfig& config, Registry& registry,
                                                   PipeConnector connect) {
  Result<std::unique_ptr<Worker>> w = make(config, registry);
  if (w) (*w)->link_ = make_pipe_link(std::move(connect), (*w)->table_.wakeup());
  return w;
}

Worker::~Worker() {
  link_.reset();
  if (executor_ != nullptr) {
    std::vector<CallId> open;
    session_->for_each_call([&open](CallId id) { open.push_back(id); });
    for (const CallId id : open) {
      if (!executor_->take_back(id)) executor_->stop(id);
    }
  }
  executor_.reset();
  CallTable::release(&table_, session_->next_generation());
}

void Worker::log(const std::string& text) const {
  if (config_.log && !config_.problems) log_line(text);
}

void Worker::warn(const std::string& text) const {
  if (config_.log) log_line(text);
}

void Worker::complain(const std::string& text) {
  if (++complaints_ <= kComplaints) warn("ignored a message of the daemon: " + text);
}

void Worker::tell_if_alone() {
  // Of a connection that was lost it was told already: it is worth another word if the first try to come back fails.
  if (told_alone_ || session_->ready() || session_->failed_tries() < (was_connected_ ? 2 : 1)) return;
  told_alone_ = true;
  log("no daemon answers" + (endpoint_.empty() ? std::string() : " at " + endpoint_) + "; trying again");
}

void Worker::take_types() {
  std::vector<const TaskType*> all = registry_.types();
  std::vector<CallType> types;
  types.reserve(all.size());
  for (const TaskType* t : all) types.push_back({t->lane, t->max_concurrency});
  session_->set_types(types);
  translator_->set_types(std::move(all));
}

Leaving Worker::run() {
  executor_->attach();
  take_types();
  Time now = clock_now();
  session_->start(now);
  act(now);
  Wakeup& wakeup = table_.wakeup();
  bool stopped = false;
  while (session_->ending() == Ending::none) {
    executor_->set_worth_waking(session_->worth_waking());
    const Time until = std::min(session_->next_deadline(), executor_->next_check(now));
    wakeup.arm();
    const bool busy = executor_->has_news() || orders_.load(std::memory_order_acquire) != 0;
    if (!busy && until != kNever) now = clock_now();
    link_->wait(wakeup, busy ? 0 : until == kNever ? kNever : std::max<Time>(until - now, 0));
    wakeup.disarm();

    now = clock_now();
    if (const unsigned orders = orders_.exchange(0, std::memory_order_acq_rel); orders != 0) {
      if ((orders & kStop) != 0) {
        stopped = true;
        break;
      }
      if ((orders & kRefresh) != 0) {
        take_types();
        session_->reconnect(now);
      }
      if ((orders & kDrain) != 0) session_->leave(now);
      act(now);
    }
    receive(now);
    collect(now);
    if (config_.parent != 0 && !session_->ready() && ::getppid() != config_.parent) session_->daemon_ended();
    session_->tick(now);
    act(now);
    session_->flush(now);
    act(now);
    tell_if_alone();
  }
  connected_.store(false, std::memory_order_release);
  link_->close(kLinger);
  Executor::detach();
  if (stopped) {
    why_ = "stopped";
    return Leaving::stopped;
  }
  why_ = session_->ending_text();
  switch (session_->ending()) {
    case Ending::refused:
      return Leaving::refused;
    case Ending::orphaned:
      return Leaving::orphaned;
    case Ending::none:
    case Ending::drained:
      break;
  }
  return Leaving::drained;
}

void Worker::receive(Time now) {
  inbox_.clear();
  const bool open = link_->receive(inbox_, kMessagesPerTurn);
  for (const Link::Frames& frames : inbox_) {
    handle(frames, now);
    act(now);
  }
  if (!open) {
    if (session_->ready()) log("the connection to the daemon is lost");
    session_->lost(now);
    act(now);
  }
}

void Worker::handle(const Link::Frames& frames, Time now) {
  const Result<wire::Envelope> envelope = wire::open(frames);
  if (!envelope) return complain(envelope.status().message());
  const wire::Envelope& e = *envelope;
  if (e.version != wire::kVersion) return complain("it has version " + std::to_string(e.version));
  if (e.generation != session_->generation()) return;  // of an earlier connection
  session_->heard(now);
  const auto parsed = [&](google::protobuf::MessageLite& message) {
    const Status s = wire::parse(e, message);
    if (!s.ok()) session_->misbehaved(s.message(), now);
    return s.ok();
  };
  const auto tokens = [&](const std::string& raw) {
    Result<std::vector<AttemptToken>> t = Translator::read_tokens(raw);
    if (!t) session_->misbehaved(t.status().message(), now);
    return t;
  };
  switch (e.kind) {
    case v1::KIND_WELCOME: {
      v1::Welcome m;
      if (!parsed(m)) return;
      session_->welcome({m.heartbeat_ns(), m.limits().payload_bytes()}, now);
      table_.set_reply_limit(session_->payload_limit());
      session_->for_each_call([this](CallId id) { executor_->emit_position(id); });
      told_alone_ = false;
      was_connected_ = true;
      log("connected to " + std::string(m.software().empty() ? "a daemon" : m.software()) + " as worker " +
          std::to_string(m.worker()));
      return;
    }
    case v1::KIND_REFUSED: {
      v1::Refused m;
      if (!parsed(m)) return;
      std::string text = "the daemon refuses this worker: " + m.problem().message();
      if (m.problem().code() == v1::CODE_VERSION) {
        text += " (it speaks protocol versions " + std::to_string(m.version_min()) + " to " +
                std::to_string(m.version_max()) + ", this worker 1)";
      }
      warn(text);
      session_->refused(static_cast<Code>(m.problem().code()), text, now);
      return;
    }
    case v1::KIND_REHELLO:
      return session_->rehello(now);
    case v1::KIND_GOAWAY: {
      v1::GoAway m;
      if (parsed(m)) log("the daemon is leaving: " + m.reason());
      return;
    }
    case v1::KIND_PING: {
      v1::Ping m;
      if (parsed(m)) session_->ping(m.id());
      return;
    }
    case v1::KIND_PONG:
      return;
    case v1::KIND_RUN: {
      auto* batch = new RunBatch;
      const Slice keep(batch, nullptr, 0);  // the batch lives as long as one of its inputs does
      if (Status s = translator_->read_run(e, *batch); !s.ok()) {
        // Its calls would be missing for ever: begin anew and announce what is here.
        session_->misbehaved(s.message(), now);
        return;
      }
      session_->ran_ack(batch->reports);
      session_->run(batch->calls, now);
      for (std::size_t i = 0; i < batch->calls.size(); ++i) {
        const NewCall& c = batch->calls[i];
        if (c.id != 0) executor_->prepare(c.id, c.token, batch->specs[batch->spec_of[i]], batch->input(i));
      }
      return;
    }
    case v1::KIND_RAN_ACK: {
      v1::RanAck m;
      if (parsed(m)) session_->ran_ack(m.reports());
      return;
    }
    case v1::KIND_STOP: {
      v1::Stop m;
      if (!parsed(m)) return;
      if (const auto t = tokens(m.tokens())) session_->stop(*t);
      return;
    }
    case v1::KIND_RECALL: {
      v1::Recall m;
      if (!parsed(m)) return;
      if (const auto t = tokens(m.tokens())) session_->recall(*t);
      return;
    }
    case v1::KIND_EMIT_CREDIT: {
      v1::EmitCredit m;
      if (!parsed(m)) return;
      if (const auto t = tokens(m.token()); t && t->size() == 1) session_->emit_room(t->front(), m.bytes());
      return;
    }
    case v1::KIND_DRAIN: {
      v1::Drain m;
      if (!parsed(m)) return;
      log("the daemon drains this worker");
      session_->drain(m.now(), now);
      return;
    }
    default:
      return complain("kind " + std::to_string(static_cast<int>(e.kind)) + " is not for workers");
  }
}

void Worker::collect(Time now) {
  ended_.clear();
  executor_->collect(now, session_->ready(), ended_, emissions_);
  send_emissions();
  std::uint64_t calls = 0;
  Time busy = 0;
  executor_->served(calls, busy);
  if (calls > 0) session_->served(Lane::thread, calls, busy);
  for (Ended& e : ended_) session_->ended(e.call, std::move(e.reply), std::move(e.failure), now);
  seen_running_.clear();
  executor_->check(now, seen_running_);
  for (const CallId id : seen_running_) session_->started(id, now);
}

void Worker::send_emissions() {
  // Before WELCOME they wait here; emit() bounds them.
  std::uint64_t bytes = 0;
  if (session_->ready()) {
    for (Emission& e : emissions_) {
      bytes += e.data.size();
      (void)link_->send(translator_->encode(std::move(e), session_->generation()));
    }
    emissions_.clear();
  }
  executor_->emissions_sent(bytes);
}

void Worker::act(Time now) {
  while (!session_->actions().empty()) {
    std::swap(doing_, session_->actions());
    if (!doing_.note.empty()) warn(doing_.note);
    if (doing_.disconnect) link_->close(0);
    if (doing_.connect) {
      if (const Status s = link_->connect(); !s.ok()) {
        if (++complaints_ <= kComplaints) warn(s.message());
        doing_.say.clear();
        session_->lost(now);
      }
    }
    for (const CallId id : doing_.take_back) session_->taken_back(id, executor_->take_back(id), now);
    for (const CallId id : doing_.stop) executor_->stop(id);
    for (std::size_t l = 0; l < kLanes; ++l) {
      if (!doing_.start[l].empty()) executor_->start(static_cast<Lane>(l), doing_.start[l]);
    }
    for (const EmitRoom& room : doing_.emit_room) executor_->set_emit_room(room.call, room.bytes);
    for (const Message& m : doing_.say) {
      if (link_->send(translator_->encode(m, *session_))) continue;
      session_->lost(now);
      break;
    }
    doing_.clear();
  }
  connected_.store(session_->ready(), std::memory_order_release);
}

}  // namespace futured::worker
