#include "tests/sim/world.hpp"

#include <algorithm>
#include <cstdio>

#include "tests/sim/client.hpp"
#include "tests/sim/daemon.hpp"
#include "tests/sim/worker.hpp"

namespace futured::sim {

namespace {
constexpr std::uint64_t kMostSteps = 400'000;  // a history that goes on longer goes round in circles
}

Mixture Mixture::of(Random& r) {
  const auto mostly_not = [&r](double p, double most) {
    return r.chance(p) ? most * static_cast<double>(r.between(5, 100)) / 100 : 0;
  };
  const auto sometimes = [&r](double p, Time least, Time most) { return r.chance(p) ? r.skewed(least, most) : 0; };
  Mixture m;
  m.clients = static_cast<std::uint32_t>(r.between(1, 3));
  m.workers = static_cast<std::uint32_t>(r.between(1, 4));
  m.by_hand = r.chance(0.25) ? static_cast<std::uint32_t>(r.between(1, 2)) : 0;
  m.tasks = static_cast<std::uint32_t>(r.skewed(5, 60));
  m.threads = static_cast<std::uint32_t>(r.skewed(1, 4));
  m.async_slots = static_cast<std::uint32_t>(r.skewed(1, 8));
  m.second_pool = r.chance(0.2);
  m.delay = r.skewed(kMs / 20, 4 * kMs);
  m.turn = r.skewed(0, kMs);
  m.faults_until = r.between(50, 400) * kMs;
  m.session_resume = r.chance(0.2) ? r.skewed(1, 300) * kMs : 60'000 * kMs;
  m.worker_return = r.chance(0.5) ? r.between(1, 100) * kMs : 5'000 * kMs;
  m.limit_tasks = r.chance(0.2) ? static_cast<std::uint64_t>(r.between(2, 20)) : 1'000'000;
  m.window_tasks = r.chance(0.3) ? static_cast<std::uint64_t>(r.between(1, 10)) : 65'536;
  m.result_window_tasks = r.chance(0.3) ? static_cast<std::uint64_t>(r.between(1, 10)) : 65'536;
  m.result_window_bytes = r.chance(0.3) ? static_cast<std::uint64_t>(r.between(100, 5'000)) : 64 << 20;
  m.kept_tasks = r.chance(0.3) ? static_cast<std::uint64_t>(r.between(0, 5)) : 1'000'000;
  m.owed_bytes = r.chance(0.3) ? static_cast<std::uint64_t>(r.between(0, 5'000)) : 1 << 30;
  m.codec = r.chance(0.12);
  m.fails = mostly_not(0.5, 0.7);
  m.crashes = mostly_not(0.3, 0.3);
  m.long_calls = mostly_not(0.5, 0.3);
  m.large_results = mostly_not(0.3, 0.5);
  m.priorities = mostly_not(0.4, 1);
  m.detached = mostly_not(0.2, 0.5);
  m.kept = mostly_not(0.2, 0.7);
  m.cancel_on_disconnect = mostly_not(0.2, 0.7);
  m.unknown = mostly_not(0.1, 0.2);
  m.async = mostly_not(0.5, 1);
  m.break_client = sometimes(0.4, 5 * kMs, 200 * kMs);
  m.break_worker = sometimes(0.4, 5 * kMs, 200 * kMs);
  m.kill_worker = sometimes(0.4, 10 * kMs, 300 * kMs);
  m.kill_client = sometimes(0.1, 50 * kMs, 400 * kMs);
  m.leave_client = sometimes(0.1, 50 * kMs, 400 * kMs);
  m.drain_worker = sometimes(0.2, 20 * kMs, 300 * kMs);
  m.scale = sometimes(0.2, 20 * kMs, 300 * kMs);
  m.cancel = sometimes(0.5, kMs, 50 * kMs);
  m.attach = sometimes(0.3, 2 * kMs, 80 * kMs);
  m.cancel_number = sometimes(0.1, 5 * kMs, 100 * kMs);
  m.restart = sometimes(0.06, 50 * kMs, 400 * kMs);
  return m;
}

World::World(std::uint64_t seed, bool trace, Sightings& seen)
    : random_(seed), mixture_(Mixture::of(random_)), trace_(trace), oracle_(seen) {
  daemon_ = std::make_unique<Daemon>(*this, 1);
}

World::~World() = default;

void World::at(Time when, std::function<void()> what) {
  queue_.push({std::max(when, now_), order_++, std::move(what)});
}

void World::note(const char* format, ...) {
  if (!trace_) return;
  std::printf("%12.3f ms  ", static_cast<double>(now_) / static_cast<double>(kMs));
  va_list args;
  va_start(args, format);
  std::vprintf(format, args);
  va_end(args);
  std::printf("\n");
}

// ---- network

Time World::delay() { return random_.between(mixture_.delay / 10, mixture_.delay); }

ConnectionId World::open(Peer& peer) {
  links_.push_back(Link{});
  links_.back().peer = &peer;
  return links_.size();
}

void World::to_daemon(ConnectionId connection, Message message) {
  Link& l = links_[connection - 1];
  if (l.peer_closed) return;
  l.last_up = std::max(l.last_up, now_ + delay());
  at(l.last_up, [this, connection, m = std::move(message)]() mutable {
    const Link& link = links_[connection - 1];
    if (link.daemon_closed || now_ >= link.cut_up) return;
    note("connection %llu: %s to the daemon", static_cast<unsigned long long>(connection), name_of(m));
    daemon_->receive(connection, std::move(m));
  });
}

void World::to_peer(ConnectionId connection, Message message) {
  Link& l = links_[connection - 1];
  if (l.daemon_closed) return;
  l.last_down = std::max(l.last_down, now_ + delay());
  at(l.last_down, [this, connection, m = std::move(message)]() mutable {
    const Link& link = links_[connection - 1];
    if (link.peer_closed || now_ >= link.cut_down) return;
    note("connection %llu: %s from the daemon", static_cast<unsigned long long>(connection), name_of(m));
    link.peer->receive(connection, std::move(m));
  });
}

void World::close_by_peer(ConnectionId connection, bool last_words) {
  Link& l = links_[connection - 1];
  if (l.peer_closed) return;
  l.peer_closed = true;
  if (!last_words) l.cut_up = std::min(l.cut_up, now_ + random_.between(0, 2 * mixture_.delay));
  at(std::max(l.last_up, now_) + delay(), [this, connection] {
    Link& link = links_[connection - 1];
    if (link.daemon_closed) return;
    link.daemon_closed = true;
    daemon_->gone(connection, false);
  });
}

void World::close_by_daemon(ConnectionId connection) {
  Link& l = links_[connection - 1];
  if (l.daemon_closed) return;
  l.daemon_closed = true;
  at(std::max(l.last_down, now_) + delay(), [this, connection] {
    Link& link = links_[connection - 1];
    if (link.peer_closed) return;
    link.peer_closed = true;
    link.peer->lost(connection);
  });
}

void World::break_connection(ConnectionId connection) {
  Link& l = links_[connection - 1];
  if (l.cut_up != scheduler::kNever || l.peer_closed || l.daemon_closed) return;
  note("connection %llu breaks", static_cast<unsigned long long>(connection));
  l.cut_up = now_ + random_.between(0, mixture_.delay);
  l.cut_down = now_ + random_.between(0, mixture_.delay);
  at(l.cut_down, [this, connection] {
    Link& link = links_[connection - 1];
    if (link.peer_closed) return;
    link.peer_closed = true;
    link.peer->lost(connection);
  });
  // The daemon may notice much later: the peer can be back before.
  at(l.cut_up + (random_.chance(0.3) ? random_.between(0, 200 * kMs) : 0), [this, connection] {
    Link& link = links_[connection - 1];
    if (link.daemon_closed) return;
    link.daemon_closed = true;
    daemon_->gone(connection, false);
  });
}

// ---- processes

void World::start_worker(bool by_hand, std::uint32_t pool) {
  const std::uint64_t spawn = by_hand ? 0 : next_spawn_++;
  workers_.push_back(std::make_unique<Worker>(*this, workers_.size(), spawn, pool));
  workers_.back()->start();
}

void World::keep_workers() {
  for (std::uint32_t pool = 0; pool < 2; ++pool) {
    const auto staying = std::count_if(workers_.begin(), workers_.end(), [pool](const auto& w) {
      return w->alive() && !w->leaving() && !w->by_hand() && w->pool() == pool;
    });
    for (auto n = staying; n < static_cast<std::ptrdiff_t>(wanted_[pool]); ++n) start_worker(false, pool);
  }
}

void World::worker_ended(Worker& worker, const std::vector<AttemptToken>& in_progress, int signal) {
  if (worker.by_hand()) {
    if (!healed()) after(random_.between(1, 100 * kMs), [this] { start_worker(true, 0); });
    return;
  }
  after(random_.between(0, 2 * kMs),
        [this, spawn = worker.spawn(), in_progress, signal] { daemon_->worker_exited(spawn, in_progress, signal); });
  after(random_.between(1, 20 * kMs), [this] { keep_workers(); });
}

Client* World::some_client() {
  std::vector<Client*> alive;
  for (const auto& c : clients_) {
    if (c->alive()) alive.push_back(c.get());
  }
  return alive.empty() ? nullptr : alive[random_.below(alive.size())];
}

Worker* World::some_worker() {
  std::vector<Worker*> alive;
  for (const auto& w : workers_) {
    if (w->alive() && !w->leaving()) alive.push_back(w.get());
  }
  return alive.empty() ? nullptr : alive[random_.below(alive.size())];
}

// ---- the nemesis

void World::nemesis(Time mean, void (World::*what)()) {
  if (mean == 0) return;
  after(random_.between(1, 2 * mean), [this, mean, what] {
    if (healed()) return;
    (this->*what)();
    nemesis(mean, what);
  });
}

void World::break_some_client() {
  if (Client* c = some_client(); c != nullptr && c->connection() != 0) {
    c->went_away();
    break_connection(c->connection());
  }
}
void World::break_some_worker() {
  if (Worker* w = some_worker(); w != nullptr && w->connection() != 0) break_connection(w->connection());
}
void World::kill_some_worker() {
  if (Worker* w = some_worker()) w->kill(9);
}
void World::kill_some_client() {
  if (Client* c = some_client()) {
    oracle_.saw(Seen::client_died);
    c->die();
  }
}
void World::leave_some_client() {
  if (Client* c = some_client()) c->leave();
}
void World::drain_some_worker() {
  Worker* worker = some_worker();
  if (worker == nullptr) return;
  for (const scheduler::Worker& w : daemon_->core().workers().workers) {
    if (w.id != 0 && w.instance == worker->instance() && w.connection != 0) {
      daemon_->drain_worker(w.id);
      return;
    }
  }
}
void World::scale() {
  wanted_[0] = static_cast<std::uint32_t>(random_.between(1, 4));
  keep_workers();
  std::uint32_t over = 0;
  for (const auto& w : workers_) over += w->alive() && !w->leaving() && !w->by_hand() && w->pool() == 0 ? 1 : 0;
  for (over = over > wanted_[0] ? over - wanted_[0] : 0; over > 0; --over) drain_some_worker();
}
void World::cancel_some() {
  if (Client* c = some_client()) c->cancel_some();
}
void World::attach_some() {
  if (Client* c = some_client()) c->attach_some();
}
void World::cancel_some_number() {
  if (oracle_.size() == 0) return;
  const auto key = static_cast<Oracle::Key>(random_.below(oracle_.size()));
  const Oracle::Task& t = oracle_.task(key);
  if (t.number == 0 || t.epoch != daemon_->epoch()) return;
  oracle_.saw(Seen::cancelled_by_number);
  oracle_.cancel_asked(key, true);
  daemon_->cancel_number(t.number);
}

void World::restart() {
  note("the daemon is restarted");
  const std::uint32_t epoch = daemon_->epoch() + 1;
  for (ConnectionId c = 1; c <= links_.size(); ++c) close_by_daemon(c);
  daemon_ = std::make_unique<Daemon>(*this, epoch);
  // Its own workers end with it; those started by hand come back.
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (workers_[i]->alive() && !workers_[i]->by_hand()) workers_[i]->kill(9);
  }
}

// ---- the history

void World::run_until_quiet(const char* what) {
  while (!queue_.empty()) {
    if (++steps_ > kMostSteps) throw Violation(std::string("no end in sight ") + what);
    // The element is moved out of a queue that lets nobody touch its top.
    Pending next = std::move(const_cast<Pending&>(queue_.top()));
    queue_.pop();
    now_ = next.when;
    next.what();
  }
}

void World::run() {
  const Mixture& m = mixture_;
  note("%u clients with %u tasks each, %u workers and %u by hand, %u threads, %u async slots%s%s", m.clients, m.tasks,
       m.workers, m.by_hand, m.threads, m.async_slots, m.codec ? ", codec" : "", m.second_pool ? ", two pools" : "");
  wanted_[0] = m.workers;
  wanted_[1] = m.second_pool ? 1 : 0;
  after(random_.between(0, 20 * kMs), [this] { keep_workers(); });
  for (std::uint32_t i = 0; i < m.by_hand; ++i) {
    after(random_.between(0, 50 * kMs), [this] { start_worker(true, 0); });
  }
  for (std::uint32_t i = 0; i < m.clients; ++i) {
    clients_.push_back(std::make_unique<Client>(*this, i));
    Client* c = clients_.back().get();
    after(random_.between(0, 20 * kMs), [c] { c->start(); });
    for (std::uint32_t left = m.tasks; left > 0;) {
      const std::uint32_t n = std::min(left, static_cast<std::uint32_t>(random_.skewed(1, 20)));
      left -= n;
      after(random_.between(0, m.faults_until), [c, n] { c->want(n); });
    }
  }
  nemesis(m.break_client, &World::break_some_client);
  nemesis(m.break_worker, &World::break_some_worker);
  nemesis(m.kill_worker, &World::kill_some_worker);
  nemesis(m.kill_client, &World::kill_some_client);
  nemesis(m.leave_client, &World::leave_some_client);
  nemesis(m.drain_worker, &World::drain_some_worker);
  nemesis(m.scale, &World::scale);
  nemesis(m.cancel, &World::cancel_some);
  nemesis(m.attach, &World::attach_some);
  nemesis(m.cancel_number, &World::cancel_some_number);
  nemesis(m.restart, &World::restart);
  at(m.faults_until, [this] { kept_ = daemon_->kept(); });
  run_until_quiet("after the faults have stopped");

  for (const auto& c : clients_) {
    if (c->alive() && !c->idle()) throw Violation(c->waits_for() + ", and nothing happens any more");
  }
  oracle_.check_all_resolved();
  daemon_->check();
  for (const auto& c : clients_) c->leave();
  run_until_quiet("after everybody has left");
  daemon_->check();
  daemon_->check_empty();
  oracle_.saw(Seen::kept_and_expired, kept_);
}

}  // namespace futured::sim
