#include "tests/sim/worker.hpp"

#include <algorithm>

#include "tests/sim/daemon.hpp"

namespace futured::sim {

namespace {

constexpr worker::CallType kTypes[] = {{Lane::thread, 0}, {Lane::async, 0}};
constexpr worker::CallType kAuxTypes[] = {{Lane::thread, 0}, {Lane::thread, 1}};
const std::vector<scheduler::TypeOffer> kOffers[] = {{{"t", Lane::thread}, {"a", Lane::async}},
                                                     {{"t", Lane::thread}, {"u", Lane::thread}}};

worker::SessionConfig config_of(const Mixture& m, std::uint64_t process) {
  worker::SessionConfig c;
  c.threads = static_cast<std::uint32_t>(m.threads);
  c.async_slots = static_cast<std::uint32_t>(m.async_slots);
  c.seed = process;
  return c;
}

}  // namespace

Worker::Worker(World& world, std::uint64_t process, std::uint64_t spawn, std::uint32_t pool)
    : world_(world),
      process_(process),
      spawn_(spawn),
      pool_(pool),
      instance_("process " + std::to_string(10'000'000 + process)),
      session_(config_of(world.mixture(), process)) {
  if (pool == 0) {
    session_.set_types(kTypes);
  } else {
    session_.set_types(kAuxTypes);
  }
}

void Worker::start() {
  session_.start(world_.now());
  act();
}

void Worker::arm() {
  const Time when = session_.next_deadline();
  if (!alive_ || when >= armed_ || when == worker::kNever) return;
  armed_ = std::max(when, world_.now() + 1);
  world_.at(armed_, [this, at = armed_] {
    if (!alive_ || armed_ != at) return;
    armed_ = scheduler::kNever;
    session_.tick(world_.now());
    act();
  });
}

void Worker::act() {
  for (bool flushed = false; alive_ && (!flushed || !session_.actions().empty());) {
    if (session_.actions().empty()) {
      session_.flush(world_.now());
      flushed = true;
      continue;
    }
    worker::Actions doing;
    std::swap(doing, session_.actions());
    if (doing.disconnect && connection_ != 0) {
      world_.close_by_peer(connection_, true);
      connection_ = 0;
    }
    if (doing.connect) {
      if (connection_ != 0) world_.close_by_peer(connection_, true);
      connection_ = world_.open(*this);
    }
    for (const worker::CallId id : doing.take_back) {
      const auto at = std::find(waiting_.begin(), waiting_.end(), id);
      const bool yes = at != waiting_.end();
      if (yes) {
        waiting_.erase(at);
        calls_.erase(id);
      }
      session_.taken_back(id, yes, world_.now());
    }
    for (const worker::CallId id : doing.stop) {
      const auto at = calls_.find(id);
      if (at == calls_.end()) continue;
      at->second.told_to_stop = true;
      if (world_.oracle().task(at->second.key).does.stops) {
        world_.after(world_.random().between(1, 2 * kMs), [this, id] { end(id); });
      }
    }
    for (const worker::CallId id : doing.start[0]) waiting_.push_back(id);
    for (const worker::CallId id : doing.start[1]) begin(id);
    fill_threads();
    for (const worker::Message& m : doing.say) say(m);
  }
  if (alive_ && session_.ending() != worker::Ending::none && !leaving_) {
    leaving_ = true;
    if (session_.ending() == worker::Ending::drained) world_.oracle().saw(Seen::worker_drained);
    world_.after(world_.random().between(1, kMs), [this] { exit_process(0); });
  }
  arm();
}

void Worker::fill_threads() {
  while (busy_threads_ < world_.mixture().threads && !waiting_.empty()) {
    const worker::CallId id = waiting_.front();
    waiting_.pop_front();
    begin(id);
  }
}

void Worker::begin(worker::CallId id) {
  Call& c = calls_.at(id);
  c.executing = true;
  c.began = world_.now();
  if (c.lane == Lane::thread) {
    ++busy_threads_;
    // Seen to run a little later, if it still does.
    world_.after(world_.random().between(0, 2 * kMs), [this, id] {
      const auto at = calls_.find(id);
      if (!alive_ || at == calls_.end() || !at->second.executing) return;
      session_.started(id, world_.now());
      act();
    });
  } else if (++busy_async_ > world_.mixture().async_slots) {
    throw Violation("more calls of the async lane run than there are slots");
  }
  if (busy_threads_ > 0 && busy_async_ > 0) world_.oracle().saw(Seen::lanes_both_used);
  Oracle::Task& t = world_.oracle().task(c.key);
  world_.note("  worker %llu: task %llu attempt %u begins", static_cast<unsigned long long>(process_),
              static_cast<unsigned long long>(c.token.task), c.token.attempt);
  world_.oracle().execution_began(c.input, c.token, process_, !by_hand(), world_.now());
  const Time takes = world_.random().between(t.does.duration / 2, t.does.duration) + 1;
  if (t.executions <= t.does.crashes) {
    world_.after(takes, [this, id] {
      const auto at = calls_.find(id);
      if (alive_ && at != calls_.end() && at->second.executing) kill(11);
    });
  } else {
    world_.after(takes, [this, id] { end(id); });
  }
}

void Worker::end(worker::CallId id) {
  const auto at = calls_.find(id);
  if (!alive_ || at == calls_.end() || !at->second.executing) return;
  const Call c = at->second;
  calls_.erase(at);
  --(c.lane == Lane::thread ? busy_threads_ : busy_async_);
  Oracle& oracle = world_.oracle();
  const Oracle::Task& t = oracle.task(c.key);
  std::unique_ptr<worker::Failure> failure;
  Slice reply;
  Oracle::End how = Oracle::End::succeeded;
  if (t.executions <= t.does.fails) {
    failure = std::make_unique<worker::Failure>();
    failure->message = "it broke";
    failure->permanent = t.does.permanent;
    failure->retry_after = t.does.retry_after;
    if (t.does.exits) {
      failure->kind = ErrorKind::exit;
      failure->status = 3;
    }
    how = t.does.permanent ? Oracle::End::failed_for_good : Oracle::End::failed;
  } else if (c.told_to_stop && t.does.stops) {
    failure = std::make_unique<worker::Failure>();
    failure->message = "told to stop";
    how = Oracle::End::told_to_stop;
  } else {
    reply = Slice::of(oracle.result_of(c.key, c.token));
  }
  oracle.execution_ended(c.key, c.token, process_, how);
  world_.note("  worker %llu: task %llu attempt %u ends%s", static_cast<unsigned long long>(process_),
              static_cast<unsigned long long>(c.token.task), c.token.attempt, failure ? " badly" : "");
  if (c.lane == Lane::thread) session_.served(Lane::thread, 1, world_.now() - c.began);
  session_.ended(id, std::move(reply), std::move(failure), world_.now());
  fill_threads();
  act();
}

void Worker::say(const worker::Message& message) {
  if (connection_ == 0) return;
  const auto credit = [](const worker::Credits& from, std::uint64_t(&to)[kLanes]) {
    std::copy(std::begin(from.lane), std::end(from.lane), std::begin(to));
  };
  if (const auto* hello = std::get_if<worker::SayHello>(&message)) {
    msg::WorkerHello m;
    m.hello.instance = instance_;
    m.hello.pool = pool_ == 0 ? "default" : "aux";
    m.hello.spawn = spawn_;
    m.hello.slots[0] = static_cast<std::uint32_t>(world_.mixture().threads);
    m.hello.slots[1] = pool_ == 0 ? static_cast<std::uint32_t>(world_.mixture().async_slots) : 0;
    credit(hello->credits, m.hello.credit);
    m.hello.types = kOffers[pool_];
    world_.to_daemon(connection_, std::move(m));
  } else if (const auto* page = std::get_if<worker::SayAnnounce>(&message)) {
    world_.to_daemon(connection_, msg::Announce{page->running, page->waiting, page->ended, page->end});
  } else if (const auto* ran = std::get_if<worker::SayRan>(&message)) {
    msg::Ran m;
    m.first_report = ran->first;
    for (std::uint32_t i = 0; i < ran->count; ++i) {
      const worker::Report& r = session_.report(ran->first + i);
      m.tokens.push_back(r.token);
      m.replies.push_back(r.reply);
      if (r.failure == nullptr) continue;
      scheduler::Failure f;
      f.kind = r.failure->kind;
      f.message = r.failure->message;
      f.permanent = r.failure->permanent;
      f.status = r.failure->status;
      f.retry_after_ns = r.failure->retry_after;
      m.failures.push_back({i, f, r.cancelled});
    }
    credit(ran->credits, m.credit);
    world_.to_daemon(connection_, std::move(m));
  } else if (const auto* running = std::get_if<worker::SayRunning>(&message)) {
    world_.to_daemon(connection_, msg::Running{running->tokens});
  } else if (const auto* more = std::get_if<worker::SayCredit>(&message)) {
    msg::Credit m;
    credit(more->credits, m.credit);
    world_.to_daemon(connection_, m);
  } else if (const auto* recalled = std::get_if<worker::SayRecalled>(&message)) {
    msg::Recalled m{recalled->tokens, recalled->returned, {0, 0}};
    credit(recalled->credits, m.credit);
    world_.to_daemon(connection_, std::move(m));
  } else if (std::holds_alternative<worker::SayGoodbye>(message)) {
    world_.to_daemon(connection_, msg::Goodbye{});
  }
}

void Worker::receive(ConnectionId from, Message&& message) {
  if (!alive_ || leaving_ || from != connection_) return;
  const Time now = world_.now();
  session_.heard(now);
  if (std::holds_alternative<msg::WorkerWelcome>(message)) {
    session_.welcome({}, now);
    // A worker that has said hello before and never saw the WELCOME is known to the daemon, which waits for its
    // ANNOUNCE; the session that was never welcomed leaves it out. It has nothing to announce.
    const auto& say = session_.actions().say;
    const bool announces = std::any_of(say.begin(), say.end(), [](const worker::Message& m) {
      return std::holds_alternative<worker::SayAnnounce>(m);
    });
    if (!announces && session_.generation() > 1) world_.to_daemon(connection_, msg::Announce{{}, {}, {}, true});
  } else if (auto* run = std::get_if<msg::Run>(&message)) {
    session_.ran_ack(run->reports);
    std::vector<worker::NewCall> calls;
    for (const auto& c : run->calls) {
      const auto& offers = kOffers[pool_];
      const auto type = std::find_if(offers.begin(), offers.end(), [&](const auto& o) { return o.name == c.type; });
      if (type == offers.end()) throw Violation("a worker was sent a task it does not offer");
      worker::NewCall call;
      call.token = c.token;
      call.type = static_cast<std::uint32_t>(type - offers.begin());
      calls.push_back(call);
    }
    session_.run(calls, now);
    for (std::size_t i = 0; i < calls.size(); ++i) {
      if (calls[i].id == 0) throw Violation("a worker refused a call: the daemon exceeded its credit");
      Call c;
      c.input = run->calls[i].input;
      c.key = Oracle::key_of(c.input);
      c.token = calls[i].token;
      c.lane = kOffers[pool_][calls[i].type].lane;
      calls_.emplace(calls[i].id, c);
    }
  } else if (auto* stop = std::get_if<msg::Stop>(&message)) {
    // What had not started ends by this; it is in no lane, or is taken back.
    session_.stop(stop->tokens);
  } else if (auto* recall = std::get_if<msg::Recall>(&message)) {
    session_.recall(recall->tokens);
  } else if (auto* ack = std::get_if<msg::RanAck>(&message)) {
    session_.ran_ack(ack->reports);
  } else if (std::holds_alternative<msg::Drain>(message)) {
    session_.drain(false, now);
  } else if (auto* refused = std::get_if<msg::Refused>(&message)) {
    session_.refused(refused->code, refused->message, now);
  } else if (std::holds_alternative<msg::Rehello>(message)) {
    session_.rehello(now);
  } else {
    throw Violation(std::string("a worker was sent ") + name_of(message));
  }
  act();
}

void Worker::lost(ConnectionId connection) {
  if (!alive_ || connection != connection_) return;
  connection_ = 0;
  session_.lost(world_.now());
  act();
}

void Worker::kill(int signal, bool by_daemon) {
  if (alive_) exit_process(signal, by_daemon);
}

void Worker::exit_process(int signal, bool by_daemon) {
  if (!alive_) return;
  alive_ = false;
  std::vector<AttemptToken> in_progress;
  for (const auto& [id, c] : calls_) {
    if (!c.executing) continue;
    in_progress.push_back(c.token);
    world_.oracle().execution_crashed(c.key, c.token, process_,
                                      !by_daemon && spawn_ != 0 && c.token.epoch == world_.daemon().epoch());
  }
  world_.note("  worker %llu: the process ends, signal %d, %zu calls in progress",
              static_cast<unsigned long long>(process_), signal, in_progress.size());
  calls_.clear();
  if (connection_ != 0) world_.close_by_peer(connection_, false);
  connection_ = 0;
  world_.worker_ended(*this, in_progress, signal, by_daemon);
}

}  // namespace futured::sim
