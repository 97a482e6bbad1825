// The daemon's shell as a model: connections, turns, the supervisor's word. What it does with messages is what
// daemon/handlers.cpp and daemon/server.cpp do; the decisions are the real scheduler's.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "daemon/scheduler/scheduler.hpp"
#include "daemon/translate.hpp"
#include "tests/sim/world.hpp"

namespace futured::sim {

class Daemon {
 public:
  Daemon(World& world, std::uint32_t epoch);

  void receive(ConnectionId from, Message&& message);
  void gone(ConnectionId connection, bool on_purpose);
  /// `ordered`: this daemon has ended it.
  void worker_exited(std::uint64_t spawn, const std::vector<AttemptToken>& in_progress, int signal, bool ordered);
  void drain_worker(WorkerId worker);
  void cancel_number(TaskNumber number, Time grace);
  void set_paused(const std::string& pool, const std::string& type, bool paused);
  void set_limit(const scheduler::event::SetLimit& limit);
  void forget(TaskNumber number);
  void close_group(const std::string& name);
  void drain();
  void abandon();
  void submit_own(Key key, const Slice& input, TaskNumber retry_of);
  void turn();
  void arm(Time when);

  const std::string& instance() const { return instance_; }
  std::uint32_t epoch() const { return core_.epoch(); }
  const scheduler::Scheduler& core() const { return core_; }
  void check() const;
  void check_empty() const;
  /// After abandon() and when all is quiet.
  void check_left() const;
  /// Ended tasks whose retention has not passed.
  std::size_t kept() const;

 private:
  enum class Role : std::uint8_t { none, client, worker };
  struct Connection {
    Role role = Role::none;
    scheduler::SessionId session = scheduler::kNoSession;
    WorkerId worker = 0;
    WorkerId lost_worker = 0;  ///< it was this one's
    std::vector<AttemptToken> announced_running, announced_other;
  };
  void handle(const scheduler::Event& event);
  // What the oracle is told, and what is counted.
  void before(const scheduler::Event& event);
  void after(const scheduler::Event& event);
  void watch_away(const scheduler::Event& event);
  Time patience(scheduler::TaskSlot slot, Time since) const;
  void watch_taken(TaskNumber number);
  void watch_cancel(scheduler::TaskSlot slot, Time grace);
  void watch_call(const AttemptToken& token);
  void watch_orders();
  void watch_silent_stops();
  void cover(const scheduler::Event& event);
  void cover(std::size_t event, scheduler::TaskSlot slot);
  void carry_out();
  void carry_out_natively();
  void through_codec(Connection& connection, const Message& message);
  void client_message(Connection& connection, Message& message);
  void worker_message(Connection& connection, Message& message);
  void announced(Connection& connection);
  void close(ConnectionId connection);
  void end_worker(WorkerId id);
  void reap();
  struct Exit;
  void lose(const Exit& exit);
  void watch_runs();
  void watch_deadlines();
  void to_client(scheduler::SessionId session, Message message);
  void to_worker(WorkerId worker, Message message);
  void hash_actions();

  World& world_;
  scheduler::Scheduler core_;
  scheduler::Actions actions_;
  const std::string instance_;
  daemon::Decoder decoder_;
  daemon::Encoder encoder_;
  std::map<ConnectionId, Connection> connections_;
  std::map<WorkerId, std::uint64_t> reports_;
  std::vector<WorkerId> to_acknowledge_;
  struct Exit {
    Time until = 0;
    std::uint64_t spawn = 0;
    std::vector<AttemptToken> in_progress;
    int signal = 0;
    bool ordered = false;
  };
  std::vector<Exit> exits_;
  std::map<WorkerId, Time> away_;  ///< when each was last seen to go, or back without that
  std::vector<std::uint64_t> dead_spawns_;
  std::set<scheduler::SessionId> left_;  ///< on purpose
  std::map<scheduler::SessionId, std::uint64_t> next_deliveries_;
  /// Of a session's own tasks: as what delivery each was told.
  std::map<std::pair<scheduler::SessionId, std::uint64_t>, std::uint64_t> told_;
  scheduler::SessionId sessions_seen_ = 0;
  Time armed_ = scheduler::kNever;
  std::uint64_t turns_ = 0;
  std::vector<Key> submitted_;  ///< of the event there is
  std::size_t accepted_before_ = 0;
  TaskNumber next_before_ = 0;
  bool no_room_ = false;  ///< before the event, for a task of its own
  bool leaving_ = false;  ///< before the event
  // Of each flow: the number that was dispatched last for the first time.
  using FlowName = std::tuple<scheduler::SessionId, std::string, std::string, std::int32_t, std::string, std::string>;
  std::map<FlowName, TaskNumber> first_dispatches_;
};

}  // namespace futured::sim
