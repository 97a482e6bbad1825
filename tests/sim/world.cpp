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

namespace {
Mixture chosen(Random& random, const World::Options& options) {
  const Mixture drawn = Mixture::of(random);
  for (std::uint64_t i = 0; i < options.variation; ++i) (void)random.next();
  return options.mixture != nullptr ? *options.mixture : drawn;
}
}  // namespace

World::World(std::uint64_t seed, const Options& options, Sightings& seen)
    : random_(seed),
      mixture_(chosen(random_, options)),
      trace_(options.trace),
      covers_(options.cover),
      invariants_(options.invariants),
      seen_(seen),
      oracle_(seen, mixture_) {
  daemon_ = std::make_unique<Daemon>(*this, 1);
}

World::~World() = default;

void World::at(Time when, std::function<void()> what) {
  std::size_t at = whats_.size();
  if (free_whats_.empty()) {
    whats_.push_back(std::move(what));
  } else {
    at = free_whats_.back();
    free_whats_.pop_back();
    whats_[at] = std::move(what);
  }
  queue_.push({std::max(when, now_), order_++, at});
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

void World::worker_ended(Worker& worker, const std::vector<AttemptToken>& in_progress, int signal, bool by_daemon) {
  if (worker.by_hand()) {
    if (!healed()) after(random_.between(1, 100 * kMs), [this] { start_worker(true, 0); });
    return;
  }
  after(random_.between(0, 2 * kMs), [this, spawn = worker.spawn(), in_progress, signal, by_daemon] {
    daemon_->worker_exited(spawn, in_progress, signal, by_daemon);
  });
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

// ---- the history

void World::run_until_quiet(const char* what) {
  while (!queue_.empty()) {
    if (++steps_ > kMostSteps) throw Violation(std::string("no end in sight ") + what);
    const Pending next = queue_.top();
    queue_.pop();
    now_ = next.when;
    const std::function<void()> what_now = std::move(whats_[next.what]);
    free_whats_.push_back(next.what);
    what_now();
  }
}

/// The daemon drained, gave up what was left, and all is quiet: everybody has heard what became of his tasks.
void World::check_left() const {
  daemon_->check();
  daemon_->check_left();
  for (const auto& c : clients_) {
    if (const std::string what = c->alive() ? c->still_owed() : std::string(); !what.empty()) {
      throw Violation(what + ", and the daemon has left");
    }
  }
}

void World::run() {
  const Mixture& m = mixture_;
  note("%s", m.text().c_str());
  wanted_[0] = static_cast<std::uint32_t>(m.workers);
  wanted_[1] = m.second_pool != 0 ? 1 : 0;
  after(random_.between(0, 20 * kMs), [this] { keep_workers(); });
  for (std::uint32_t i = 0; i < m.by_hand; ++i) {
    after(random_.between(0, 50 * kMs), [this] { start_worker(true, 0); });
  }
  for (std::uint32_t i = 0; i < m.clients; ++i) {
    clients_.push_back(std::make_unique<Client>(*this, i));
    Client* c = clients_.back().get();
    after(random_.between(0, 20 * kMs), [c] { c->start(); });
    for (auto left = static_cast<std::uint32_t>(m.tasks); left > 0;) {
      const std::uint32_t n = std::min(left, static_cast<std::uint32_t>(m.flood != 0 ? 250 : random_.skewed(1, 20)));
      left -= n;
      after(random_.between(0, m.flood != 0 ? 30 * kMs : m.faults_until), [c, n] { c->want(n); });
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
  nemesis(m.pause, &World::pause_or_resume);
  nemesis(m.set_limit, &World::set_some_limit);
  nemesis(m.forget, &World::forget_some);
  nemesis(m.own, &World::submit_own);
  nemesis(m.close_group, &World::close_some_group);
  if (m.leave != 0) at(m.leave, [this] { leave(); });
  at(m.faults_until, [this] { heal(); });
  run_until_quiet("after the faults have stopped");
  if (daemon_->core().draining()) {
    check_left();
    restart();
    run_until_quiet("after the daemon has left and another has come");
  }

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
