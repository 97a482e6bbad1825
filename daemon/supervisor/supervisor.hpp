// The worker processes of this host: starts, ends, reaps and reports them. It decides nothing but the back-off between
// starts. Owned and used by the loop thread; nothing in it blocks (starting a process takes about a millisecond).
//
// A process leads a session of its own. When it has ended, whatever it left behind in that session is killed before
// its Exit is reported: once the Exit is there, none of its tasks runs on. Time is CLOCK_MONOTONIC in ns.
#pragma once

#include <poll.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proto/ids.hpp"

namespace futured::daemon {

/// Names one start of a worker process, from 1; never reused by one Supervisor. It is the --spawn-id of the process.
using SpawnId = std::uint64_t;

struct SupervisorConfig {
  struct Pool {
    std::string name;
    std::uint32_t threads = 1;
    std::uint32_t async_slots = 1000;
    std::vector<std::string> plugin_paths;
  };
  std::string worker_program;
  std::string endpoint;     ///< the workers connect to it
  std::string runtime_dir;  ///< for slots files; exists
  std::vector<Pool> pools;
  std::vector<std::pair<std::string, std::string>> plugin_config;  ///< plugin name -> JSON text
  /// The program futured is the reaper of orphans (process.hpp): collect those that end. Not for a library.
  bool reap_orphans = false;
};

class Supervisor {
 public:
  struct Exit {
    SpawnId spawn = 0;
    std::string pool;
    std::uint32_t pid = 0;
    int signal = 0;  ///< it was ended by this signal; 0: it ended by itself with `status`
    int status = 0;
    std::int64_t lived = 0;             ///< from its start to its end
    std::string trouble;                ///< that its end meant for its pool: what happens now; empty: none
    bool leaving = false;               ///< it was to leave (scaled down, terminated, killed by kill())
    std::vector<AttemptToken> running;  ///< calls that had started and not ended, by its slots file
  };
  struct PoolView {
    std::uint32_t wanted = 0;
    std::uint32_t alive = 0;    ///< without those that are leaving
    std::uint32_t leaving = 0;  ///< told to go, not gone yet
    std::string trouble;        ///< why processes do not come up or stay up, for people; empty: all is well
  };

  explicit Supervisor(SupervisorConfig config);
  ~Supervisor();  ///< kills what is left
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  /// The wanted number of processes of a pool. More: advance() starts them. Fewer: appends the spawns that are to
  /// leave, the youngest first; the caller sends them DRAIN and they exit by themselves (or are killed by kill()).
  /// False: no such pool.
  bool scale(const std::string& pool, std::uint32_t n, std::int64_t now, std::vector<SpawnId>& drain);
  /// This process is to leave and, unlike with scale(), to be replaced, at once. The caller sends DRAIN, or ends it.
  void retire(SpawnId spawn);
  /// Another PATH list for processes started from now on. False: no such pool.
  bool set_plugins(const std::string& pool, std::vector<std::string> plugin_paths);

  /// Reaps, ends sessions, starts what is due; appends what has ended. Call when the fd of pollfds() is readable or
  /// next_deadline() has passed; calling it more often is harmless.
  void advance(std::int64_t now, std::vector<Exit>& exits);
  /// INT64_MAX: none.
  std::int64_t next_deadline() const;
  /// Appends the one fd that becomes readable when a process has ended.
  void pollfds(std::vector<struct pollfd>& fds) const;

  /// SIGKILL to the process; advance() then ends its session and reports. It is replaced, if wanted, without back-off.
  void kill(SpawnId spawn);
  /// SIGTERM or SIGKILL to all; nothing is started any more (until scale()). The Exits are still reported.
  void terminate_all();
  void kill_all();
  /// No process is left and no Exit is outstanding.
  bool empty() const;

  PoolView view(const std::string& pool) const;
  /// 0: no such spawn (any more).
  std::uint32_t pid(SpawnId spawn) const;
  /// The spawn with this pid that has not been reported yet; 0: none.
  SpawnId spawn_of(std::uint32_t pid) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace futured::daemon
