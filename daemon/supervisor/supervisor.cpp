#include "daemon/supervisor/supervisor.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <map>
#include <string_view>

#include "daemon/log.hpp"
#include "daemon/supervisor/child.hpp"
#include "proto/process_session.hpp"
#include "proto/slots_file.hpp"

namespace futured::daemon {
namespace {

constexpr std::int64_t kMillisecond = 1'000'000;
constexpr std::int64_t kSecond = 1'000 * kMillisecond;
// A process that lived this long came up properly: its end costs its pool nothing.
constexpr std::int64_t kProperLife = 10 * kSecond;
constexpr std::int64_t kFirstBackoff = 100 * kMillisecond;
constexpr std::int64_t kLastBackoff = 10 * kSecond;
// Processes of an ended session die within a scheduler tick, unless the kernel holds one in a system call.
constexpr std::int64_t kSweepPause = kMillisecond;
constexpr std::int64_t kLongestSweepPause = 20 * kMillisecond;
constexpr std::int64_t kSweepLimit = 5 * kSecond;
constexpr std::uint32_t kStartsAtOnce = 8;  // each takes about a millisecond of the loop
constexpr std::int64_t kReapOrphansEvery = 10 * kSecond;
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

std::string seconds(std::int64_t ns) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f s", static_cast<double>(ns) / 1e9);
  return text.data();
}

}  // namespace

struct Supervisor::State {
  struct Pool {
    SupervisorConfig::Pool config;
    std::uint32_t wanted = 0;
    int early_ends = 0;           // in a row, each counted once per generation of processes
    std::int64_t counted = 0;     // when the last one was counted
    std::int64_t not_before = 0;  // no start before that
    std::string trouble;
  };
  struct Process {
    SpawnId id = 0;
    std::size_t pool = 0;
    Child child;
    std::int64_t started = 0;
    std::string slots;
    bool leaving = false;
    // After its end: its session is being cleared.
    bool ended = false;
    Ended how;
    std::string trouble;  // for its pool
    std::int64_t ended_at = 0;
    std::int64_t next_sweep = 0;
    std::int64_t sweep_pause = kSweepPause;
  };

  SupervisorConfig config;
  std::vector<Pool> pools;
  std::map<SpawnId, Process> processes;  // oldest first
  SpawnId last_spawn = 0;
  int epoll = -1;
  std::int64_t next_orphans = 0;
  bool start_now = false;  // something is wanted that advance() has not tried yet

  Pool* find(const std::string& name) {
    for (Pool& p : pools) {
      if (p.config.name == name) return &p;
    }
    return nullptr;
  }

  std::uint32_t alive(std::size_t pool) const {
    return static_cast<std::uint32_t>(std::count_if(processes.begin(), processes.end(), [pool](const auto& entry) {
      return entry.second.pool == pool && !entry.second.ended && !entry.second.leaving;
    }));
  }

  // What happens now.
  std::string back_off(Pool& pool, std::int64_t now, const std::string& what) {
    ++pool.early_ends;
    pool.counted = now;
    const std::int64_t pause =
        pool.early_ends > 10 ? kLastBackoff : std::min(kLastBackoff, kFirstBackoff << (pool.early_ends - 1));
    pool.not_before = now + pause;
    std::string next = "trying again in " + seconds(pause);
    pool.trouble = what + "; " + next;
    return next;
  }

  std::vector<std::string> command(const Pool& pool, SpawnId id, const std::string& slots) const {
    std::vector<std::string> argv{config.worker_program,
                                  "--connect",
                                  config.endpoint,
                                  "--pool",
                                  pool.config.name,
                                  "--threads",
                                  std::to_string(pool.config.threads),
                                  "--async-slots",
                                  std::to_string(pool.config.async_slots)};
    for (const std::string& path : pool.config.plugin_paths) argv.insert(argv.end(), {"--plugin", path});
    for (const auto& [name, json] : config.plugin_config) {
      argv.insert(argv.end(), {"--plugin-config", name + "=" + json});
    }
    argv.insert(argv.end(), {"--spawn-id", std::to_string(id), "--slots-file", slots});
    return argv;
  }

  // False: it did not work; the pool backs off.
  bool start(std::size_t index, std::int64_t now) {
    Pool& pool = pools[index];
    Process p;
    p.id = ++last_spawn;
    p.pool = index;
    p.started = now;
    p.slots = config.runtime_dir + "/slots-" + std::to_string(p.id);
    auto child = start_child(command(pool, p.id, p.slots), -1, -1);
    if (!child) {
      back_off(pool, now, child.status().message());
      log_warning("pool " + pool.config.name + ": " + pool.trouble);
      return false;
    }
    p.child = *child;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = p.id;
    epoll_ctl(epoll, EPOLL_CTL_ADD, p.child.pidfd, &event);
    log_debug("pool " + pool.config.name + ": started worker process " + std::to_string(p.child.pid));
    processes.emplace(p.id, std::move(p));
    return true;
  }

  void note_end(Process& p, std::int64_t now) {
    epoll_ctl(epoll, EPOLL_CTL_DEL, p.child.pidfd, nullptr);
    p.ended = true;
    p.ended_at = p.next_sweep = now;
    start_now = true;
    Pool& pool = pools[p.pool];
    const std::int64_t life = now - p.started;
    if (p.leaving) return;
    if (life >= kProperLife) {
      pool.early_ends = 0;
    } else if (p.started >= pool.counted) {
      p.trouble = back_off(pool, now,
                           "worker process " + std::to_string(p.child.pid) + " ended with " + describe(p.how) +
                               " after " + seconds(life));
    }  // else: of a generation whose failure was counted: eight that fail together are one failure
  }

  void collect_ends(std::int64_t now) {
    std::array<epoll_event, 64> events{};
    const int n = epoll_wait(epoll, events.data(), static_cast<int>(events.size()), 0);
    for (int i = 0; i < n; ++i) {
      const auto it = processes.find(events[static_cast<std::size_t>(i)].data.u64);
      if (it == processes.end() || it->second.ended) continue;
      if (child_ended(it->second.child, false, it->second.how)) note_end(it->second, now);
    }
  }

  // Ends what is left of the sessions of ended processes. Those of which nothing is left (or can be made to leave).
  std::vector<SpawnId> sweep(std::int64_t now) {
    std::vector<Process*> due;
    std::vector<pid_t> leaders;
    std::vector<SpawnId> swept;
    for (auto& [id, p] : processes) {
      if (!p.ended || p.next_sweep > now) continue;
      due.push_back(&p);
      leaders.push_back(p.child.pid);
    }
    if (due.empty()) return swept;
    const std::vector<int> left = kill_sessions(leaders);
    for (std::size_t i = 0; i < due.size(); ++i) {
      Process& p = *due[i];
      if (left[i] == 0) {
        swept.push_back(p.id);
      } else if (now - p.ended_at > kSweepLimit) {
        log_error("worker process " + std::to_string(p.child.pid) + " left " + std::to_string(left[i]) +
                  " processes behind that cannot be killed (session " + std::to_string(p.child.pid) + ")");
        swept.push_back(p.id);
      } else {
        p.next_sweep = now + p.sweep_pause;
        p.sweep_pause = std::min(p.sweep_pause * 2, kLongestSweepPause);
      }
    }
    return swept;
  }

  Exit finish(Process& p) {
    Exit exit;
    exit.spawn = p.id;
    exit.pool = pools[p.pool].config.name;
    exit.pid = static_cast<std::uint32_t>(p.child.pid);
    exit.signal = p.how.signal;
    exit.status = p.how.status;
    exit.lived = p.ended_at - p.started;
    exit.trouble = p.trouble;
    exit.leaving = p.leaving;
    // No such file, or not whole: it died before anything ran.
    if (auto running = read_slots_file(p.slots)) exit.running = std::move(*running);
    unlink(p.slots.c_str());
    Ended ignored;
    child_ended(p.child, true, ignored);
    ::close(p.child.pidfd);
    return exit;
  }

  void start_missing(std::int64_t now) {
    std::uint32_t budget = kStartsAtOnce;
    start_now = false;
    for (std::size_t i = 0; i < pools.size(); ++i) {
      if (pools[i].not_before > now) continue;
      for (std::uint32_t n = alive(i); n < pools[i].wanted; ++n) {
        if (budget == 0) {
          start_now = true;
          return;
        }
        --budget;
        if (!start(i, now)) break;
      }
    }
  }

  // A pool is well again once all that it wants have lived properly.
  void clear_trouble(std::int64_t now) {
    for (std::size_t i = 0; i < pools.size(); ++i) {
      if (!pools[i].trouble.empty() && well_at(i) <= now) {
        pools[i].trouble.clear();
        pools[i].early_ends = 0;
      }
    }
  }

  std::int64_t well_at(std::size_t pool) const {
    if (alive(pool) < pools[pool].wanted) return kNever;
    std::int64_t at = 0;
    for (const auto& [id, p] : processes) {
      if (p.pool == pool && !p.ended && !p.leaving) at = std::max(at, p.started + kProperLife);
    }
    return at;
  }

  void reap_orphans(std::int64_t now) {
    if (!config.reap_orphans || now < next_orphans) return;
    next_orphans = now + kReapOrphansEvery;
    for (;;) {
      siginfo_t info{};
      if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
      const bool own = std::any_of(processes.begin(), processes.end(),
                                   [&](const auto& entry) { return entry.second.child.pid == info.si_pid; });
      if (own) return;  // its turn comes when its session is cleared
      waitid(P_PID, static_cast<id_t>(info.si_pid), &info, WEXITED | WNOHANG);
    }
  }
};

Supervisor::Supervisor(SupervisorConfig config) : state_(std::make_unique<State>()) {
  for (SupervisorConfig::Pool& pool : config.pools) {
    State::Pool p;
    p.config = std::move(pool);
    state_->pools.push_back(std::move(p));
  }
  config.pools.clear();
  state_->config = std::move(config);
  state_->epoll = epoll_create1(EPOLL_CLOEXEC);
}

Supervisor::~Supervisor() {
  kill_all();
  timespec t{};
  std::vector<Exit> exits;
  for (int i = 0; i < 1000 && !empty(); ++i) {
    clock_gettime(CLOCK_MONOTONIC, &t);
    advance(std::int64_t{t.tv_sec} * kSecond + t.tv_nsec, exits);
    if (empty()) break;
    epoll_event event{};
    epoll_wait(state_->epoll, &event, 1, 2);
  }
  for (const auto& [id, p] : state_->processes) ::close(p.child.pidfd);
  ::close(state_->epoll);
}

bool Supervisor::scale(const std::string& pool, std::uint32_t n, std::int64_t now, std::vector<SpawnId>& drain) {
  State::Pool* p = state_->find(pool);
  if (p == nullptr) return false;
  if (n > p->wanted) p->not_before = std::min(p->not_before, now);  // an order is tried at once
  p->wanted = n;
  const auto index = static_cast<std::size_t>(p - state_->pools.data());
  std::uint32_t alive = state_->alive(index);
  if (alive < n) state_->start_now = true;
  for (auto it = state_->processes.rbegin(); alive > n && it != state_->processes.rend(); ++it) {
    State::Process& process = it->second;
    if (process.pool != index || process.ended || process.leaving) continue;
    process.leaving = true;
    drain.push_back(process.id);
    --alive;
  }
  if (n == 0) p->trouble.clear();
  return true;
}

void Supervisor::retire(SpawnId spawn) {
  const auto it = state_->processes.find(spawn);
  if (it == state_->processes.end() || it->second.ended) return;
  it->second.leaving = true;
  state_->start_now = true;
}

bool Supervisor::set_plugins(const std::string& pool, std::vector<std::string> plugin_paths) {
  State::Pool* p = state_->find(pool);
  if (p == nullptr) return false;
  p->config.plugin_paths = std::move(plugin_paths);
  return true;
}

void Supervisor::advance(std::int64_t now, std::vector<Exit>& exits) {
  State& s = *state_;
  s.collect_ends(now);
  for (const SpawnId id : s.sweep(now)) {
    const auto it = s.processes.find(id);
    exits.push_back(s.finish(it->second));
    s.processes.erase(it);
  }
  s.clear_trouble(now);
  s.start_missing(now);
  s.reap_orphans(now);
}

std::int64_t Supervisor::next_deadline() const {
  const State& s = *state_;
  if (s.start_now) return 0;
  std::int64_t at = kNever;
  for (const auto& [id, p] : s.processes) {
    if (p.ended) at = std::min(at, p.next_sweep);
  }
  for (std::size_t i = 0; i < s.pools.size(); ++i) {
    if (s.alive(i) < s.pools[i].wanted) {
      at = std::min(at, s.pools[i].not_before);
    } else if (!s.pools[i].trouble.empty()) {
      at = std::min(at, s.well_at(i));
    }
  }
  if (s.config.reap_orphans && !s.processes.empty()) at = std::min(at, s.next_orphans);
  return at;
}

void Supervisor::pollfds(std::vector<struct pollfd>& fds) const { fds.push_back({state_->epoll, POLLIN, 0}); }

void Supervisor::kill(SpawnId spawn) {
  const auto it = state_->processes.find(spawn);
  if (it == state_->processes.end() || it->second.ended) return;
  it->second.leaving = true;
  state_->start_now = true;
  signal_child(it->second.child, SIGKILL);
}

void Supervisor::terminate_all() {
  for (State::Pool& p : state_->pools) p.wanted = 0;
  for (auto& [id, p] : state_->processes) {
    if (p.ended) continue;
    p.leaving = true;
    signal_child(p.child, SIGTERM);
  }
}

void Supervisor::kill_all() {
  for (State::Pool& p : state_->pools) p.wanted = 0;
  for (auto& [id, p] : state_->processes) {
    if (p.ended) continue;
    p.leaving = true;
    signal_child(p.child, SIGKILL);
  }
}

bool Supervisor::empty() const { return state_->processes.empty(); }

Supervisor::PoolView Supervisor::view(const std::string& pool) const {
  PoolView view;
  const State::Pool* p = state_->find(pool);
  if (p == nullptr) return view;
  const auto index = static_cast<std::size_t>(p - state_->pools.data());
  view.wanted = p->wanted;
  view.alive = state_->alive(index);
  view.leaving = static_cast<std::uint32_t>(
      std::count_if(state_->processes.begin(), state_->processes.end(),
                    [index](const auto& e) { return e.second.pool == index && !e.second.ended && e.second.leaving; }));
  view.trouble = p->trouble;
  return view;
}

std::uint32_t Supervisor::pid(SpawnId spawn) const {
  const auto it = state_->processes.find(spawn);
  return it != state_->processes.end() ? static_cast<std::uint32_t>(it->second.child.pid) : 0;
}

SpawnId Supervisor::spawn_of(std::uint32_t pid) const {
  for (const auto& [id, p] : state_->processes) {
    if (static_cast<std::uint32_t>(p.child.pid) == pid) return id;
  }
  return 0;
}

}  // namespace futured::daemon
