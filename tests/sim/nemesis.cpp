#include <algorithm>

#include "tests/sim/client.hpp"
#include "tests/sim/daemon.hpp"
#include "tests/sim/worker.hpp"
#include "tests/sim/world.hpp"

namespace futured::sim {

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
  daemon_->cancel_number(t.number, random_.chance(0.5) ? 0 : random_.skewed(0, 150 * kMs));
}

void World::restart() {
  note("the daemon is restarted");
  const std::uint32_t epoch = daemon_->epoch() + 1;
  for (ConnectionId c = 1; c <= links_.size(); ++c) close_by_daemon(c);
  daemon_ = std::make_unique<Daemon>(*this, epoch);
  paused_.clear();
  // Its own workers end with it; those started by hand come back.
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (workers_[i]->alive() && !workers_[i]->by_hand()) workers_[i]->kill(9);
  }
}

// ---- orders of an operator

void World::pause_or_resume() {
  if (!paused_.empty() && random_.chance(0.6)) {
    const auto one = *paused_.begin();
    paused_.erase(paused_.begin());
    daemon_->set_paused(one.first, one.second, false);
    return;
  }
  std::pair<std::string, std::string> one;
  if (random_.chance(0.4)) {
    one.first = std::string(mixture_.second_pool != 0 && random_.chance(0.5) ? "aux" : "default");
  } else {
    one.second = std::string(random_.chance(0.6) ? "t" : "a");
  }
  paused_.insert(one);
  daemon_->set_paused(one.first, one.second, true);
}
void World::set_some_limit() {
  scheduler::event::SetLimit l;
  l.name = "l" + std::to_string(random_.below(kLimits));
  l.remove = random_.chance(0.1);
  if (random_.chance(0.8)) l.running = static_cast<std::uint32_t>(random_.between(1, 4));
  if (random_.chance(0.3)) {
    l.starts = static_cast<std::uint32_t>(random_.between(1, 10));
    l.per = random_.between(5 * kMs, 60 * kMs);
  }
  daemon_->set_limit(l);
}
void World::forget_some() {
  const TaskNumber next = daemon_->core().tasks().next_number();
  for (int n = 0; n < 5 && next > 1; ++n) daemon_->forget(1 + random_.below(next - 1));
}
void World::submit_own() {
  if (oracle_.size() == 0) return;
  scheduler::Spec spec = oracle_.task(static_cast<Oracle::Key>(random_.below(oracle_.size()))).spec;
  Behaviour does = oracle_.task(static_cast<Oracle::Key>(random_.below(oracle_.size()))).does;
  TaskNumber retry_of = 0;
  if (random_.chance(0.6)) {
    const auto& tasks = daemon_->core().tasks();
    const TaskNumber number = tasks.next_live(1 + random_.below(tasks.next_number()));
    const scheduler::TaskSlot slot = number == 0 ? scheduler::kNoSlot : tasks.find(number);
    if (slot != scheduler::kNoSlot && scheduler::is_terminal(tasks[slot].phase) &&
        tasks[slot].phase != scheduler::Phase::succeeded) {
      spec = daemon_->core().spec(slot);
      spec.delay_ns = 0;
      retry_of = number;
      oracle_.saw(Seen::retried_by_order);
    }
  }
  spec.after.clear();
  spec.input_from = UINT32_MAX;
  if (retry_of != 0) spec.key.clear();
  spec.cancel_on_disconnect = false;
  const Oracle::Key key = oracle_.submitted(kNobody, spec, does);
  oracle_.unresolvable(key);
  daemon_->submit_own(key, Slice::of(Oracle::input_of(key)), retry_of);
}
/// The daemon is to stop: first it lets end what runs, then it gives up.
void World::leave() {
  note("the daemon is to leave");
  daemon_->drain();
  after(random_.skewed(0, 150 * kMs), [this, mine = daemon_->epoch()] {
    if (daemon_->epoch() == mine) daemon_->abandon();
  });
}
void World::close_some_group() { daemon_->close_group("g" + std::to_string(random_.below(kGroups))); }

void World::heal() {
  kept_ = daemon_->kept();
  for (const auto& [pool, type] : paused_) daemon_->set_paused(pool, type, false);
  paused_.clear();
}

}  // namespace futured::sim
