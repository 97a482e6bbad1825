// One history: a scheduler behind a model of the daemon's shell, clients and workers with their real sessions, a
// network that delays and breaks, and a nemesis. Everything is decided by the seed; time is virtual.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "tests/sim/messages.hpp"
#include "tests/sim/oracle.hpp"
#include "tests/sim/random.hpp"

namespace futured::sim {

inline constexpr Time kMs = 1'000'000;

class Client;
class Daemon;
class Worker;

/// Drawn from the seed: each history has its own mixture of faults and sizes.
struct Mixture {
  // world
  std::uint32_t clients = 1, workers = 1, by_hand = 0, tasks = 20;
  std::uint32_t threads = 1, async_slots = 2;
  bool second_pool = false;
  Time delay = kMs;       ///< of a message, at most
  Time turn = kMs / 5;    ///< how long the daemon gathers, at most
  Time faults_until = 0;  ///< then everything heals
  Time session_resume = 0, worker_return = 0;
  std::uint64_t limit_tasks = 0, window_tasks = 0, result_window_tasks = 0, result_window_bytes = 0;
  std::uint64_t kept_tasks = 0, owed_bytes = 0;
  bool codec = false;  ///< every message goes through the wire format
  // tasks
  double fails = 0, crashes = 0, long_calls = 0, large_results = 0, priorities = 0, detached = 0, kept = 0,
         cancel_on_disconnect = 0, unknown = 0, async = 0;
  // faults and orders: mean time between two, 0: never
  Time break_client = 0, break_worker = 0, kill_worker = 0, kill_client = 0, leave_client = 0, drain_worker = 0,
       scale = 0, cancel = 0, attach = 0, cancel_number = 0, restart = 0;

  static Mixture of(Random& random);
};

/// One end of a connection that is not the daemon's.
class Peer {
 public:
  virtual ~Peer() = default;
  virtual void receive(ConnectionId from, Message&& message) = 0;
  virtual void lost(ConnectionId connection) = 0;
};

class World {
 public:
  World(std::uint64_t seed, bool trace, Sightings& seen);
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
  bool tracing() const { return trace_; }
  void note(const char* format, ...) __attribute__((format(printf, 2, 3)));

  // network
  ConnectionId open(Peer& peer);
  void to_daemon(ConnectionId connection, Message message);
  void to_peer(ConnectionId connection, Message message);
  void close_by_peer(ConnectionId connection, bool last_words);
  void close_by_daemon(ConnectionId connection);
  void break_connection(ConnectionId connection);

  // processes
  void worker_ended(Worker& worker, const std::vector<AttemptToken>& in_progress, int signal);
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
    std::function<void()> what;
    bool operator<(const Pending& o) const { return when != o.when ? when > o.when : order > o.order; }
  };
  Time delay();
  void start_worker(bool by_hand, std::uint32_t pool);
  void keep_workers();
  void drain();
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
  Client* some_client();
  Worker* some_worker();
  void run_until_quiet(const char* what);

  Random random_;
  const Mixture mixture_;
  const bool trace_;
  Oracle oracle_;
  Time now_ = kMs;
  std::uint64_t order_ = 0, steps_ = 0, hash_ = 0xcbf29ce484222325ULL;
  std::priority_queue<Pending> queue_;
  std::vector<Link> links_;  // by connection - 1
  std::unique_ptr<Daemon> daemon_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::uint32_t wanted_[2] = {0, 0};  // worker processes of our own, by pool
  std::uint64_t next_spawn_ = 1;
  std::size_t kept_ = 0;
};

}  // namespace futured::sim
