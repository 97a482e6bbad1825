// One history: a scheduler behind a model of the daemon's shell, clients and workers with their real sessions, a
// network that delays and breaks, and a nemesis. Everything is decided by the seed; time is virtual.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <functional>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/messages.hpp"
#include "tests/sim/mixture.hpp"
#include "tests/sim/oracle.hpp"
#include "tests/sim/random.hpp"

namespace futured::sim {

class Client;
class Daemon;
class Worker;

/// One end of a connection that is not the daemon's.
class Peer {
 public:
  virtual ~Peer() = default;
  virtual void receive(ConnectionId from, Message&& message) = 0;
  virtual void lost(ConnectionId connection) = 0;
};

class World {
 public:
  struct Options {
    bool trace = false;
    bool cover = false;                ///< count transitions
    const Mixture* mixture = nullptr;  ///< instead of the one that the seed draws
    bool invariants = true;            ///< else the oracle is alone
    std::uint64_t variation = 0;       ///< other chances with the same mixture
  };
  World(std::uint64_t seed, const Options& options, Sightings& seen);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  /// The whole history. Throws Violation.
  void run();
  std::uint64_t hash() const { return hash_; }
  std::uint64_t steps() const { return steps_; }

  // ---- for the parts of it
  Time now() const { return now_; }
  Random& random() { return random_; }
  Oracle& oracle() { return oracle_; }
  const Mixture& mixture() const { return mixture_; }
  Daemon& daemon() { return *daemon_; }
  bool healed() const { return now_ >= mixture_.faults_until; }
  void at(Time when, std::function<void()> what);
  void after(Time delay, std::function<void()> what) { at(now_ + delay, std::move(what)); }
  void mix(std::uint64_t value) { hash_ = (hash_ ^ value) * 0x100000001b3ULL ^ (hash_ >> 29); }
  bool checks_invariants() const { return invariants_; }
  bool covers() const { return covers_; }
  void covered(std::uint32_t transition) { seen_.transitions.insert(transition); }
  void note(const char* format, ...) __attribute__((format(printf, 2, 3)));

  // network
  ConnectionId open(Peer& peer);
  void to_daemon(ConnectionId connection, Message message);
  void to_peer(ConnectionId connection, Message message);
  void close_by_peer(ConnectionId connection, bool last_words);
  void close_by_daemon(ConnectionId connection);
  void break_connection(ConnectionId connection);

  // processes
  void worker_ended(Worker& worker, const std::vector<AttemptToken>& in_progress, int signal, bool by_daemon);
  const std::vector<std::unique_ptr<Worker>>& workers() const { return workers_; }
  const std::vector<std::unique_ptr<Client>>& clients() const { return clients_; }

 private:
  struct Link {
    Peer* peer = nullptr;
    Time last_up = 0, last_down = 0;
    Time cut_up = scheduler::kNever, cut_down = scheduler::kNever;
    bool peer_closed = false, daemon_closed = false;
  };
  struct Pending {
    Time when;
    std::uint64_t order;
    std::size_t what;  // in whats_
    bool operator<(const Pending& o) const { return when != o.when ? when > o.when : order > o.order; }
  };
  Time delay();
  void start_worker(bool by_hand, std::uint32_t pool);
  void keep_workers();
  void nemesis(Time mean, void (World::*what)());
  void break_some_client();
  void break_some_worker();
  void kill_some_worker();
  void kill_some_client();
  void leave_some_client();
  void drain_some_worker();
  void scale();
  void cancel_some();
  void attach_some();
  void cancel_some_number();
  void restart();
  void pause_or_resume();
  void set_some_limit();
  void forget_some();
  void submit_own();
  void close_some_group();
  void leave();
  void check_left() const;
  void heal();
  Client* some_client();
  Worker* some_worker();
  void run_until_quiet(const char* what);

  Random random_;
  const Mixture mixture_;
  const bool trace_, covers_, invariants_;
  Sightings& seen_;
  Oracle oracle_;
  Time now_ = kMs;
  std::uint64_t order_ = 0, steps_ = 0, hash_ = 0xcbf29ce484222325ULL;
  std::priority_queue<Pending> queue_;
  std::vector<std::function<void()>> whats_;
  std::vector<std::size_t> free_whats_;
  std::vector<Link> links_;  // by connection - 1
  std::unique_ptr<Daemon> daemon_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::uint32_t wanted_[2] = {0, 0};  // worker processes of our own, by pool
  std::uint64_t next_spawn_ = 1;
  std::size_t kept_ = 0;
  std::set<std::pair<std::string, std::string>> paused_;
};

}  // namespace futured::sim
