// The daemon's loop and what it owns. One thread runs it: receive, decode, decide (scheduler), send. Everything from
// other threads comes in through Transport::wake().
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/acknowledgements.hpp"
#include "daemon/catalog/catalog.hpp"
#include "daemon/change_feed.hpp"
#include "daemon/output_log.hpp"
#include "daemon/output_relay.hpp"
#include "daemon/process.hpp"
#include "daemon/queries.hpp"
#include "daemon/schedule_desk.hpp"
#include "daemon/scheduler/scheduler.hpp"
#include "daemon/supervisor/supervisor.hpp"
#include "daemon/translate.hpp"
#include "daemon/transport/transport.hpp"
#include "futured/daemon.hpp"

namespace futured::daemon {

/// The parts that Daemon::create made; all but the scheduler touch the world.
struct Parts {
  std::unique_ptr<Signals> signals;  ///< null: signals are the host program's
  std::unique_ptr<RuntimeDir> runtime_dir;
  std::unique_ptr<Transport> transport;
  std::unique_ptr<Supervisor> supervisor;  ///< null: no pools
  Catalog catalog;
};

class Server final : public Daemon {
 public:
  /// `written`: the configuration before what it leaves open was filled in.
  Server(DaemonConfig config, DaemonConfig written, Parts parts);

  Status run() override;
  void stop(Stop how) override;
  std::unique_ptr<wire::Pipe::End> connect() override { return parts_.transport->connect(); }
  const std::vector<std::string>& endpoints() const override { return parts_.transport->endpoints(); }

 private:
  enum class Role : std::uint8_t { none, client, worker };
  struct Connection {
    Role role = Role::none;
    std::uint16_t generation = 0;
    scheduler::SessionId session = scheduler::kNoSession;
    WorkerId worker = 0;
    std::uint32_t owner = 0;         ///< the user at the other end
    bool judged_by_silence = false;  ///< the kernel does not tell when this peer dies
    std::int64_t last_heard = 0;
    std::uint32_t pings = 0;     ///< unanswered
    std::deque<Frames> waiting;  ///< what the peer does not take now
    std::size_t waiting_bytes = 0;
    std::vector<AttemptToken> announced_running, announced_other;  ///< pages so far
  };
  enum class Phase : std::uint8_t { working, draining, killing, ending, done };

  // server.cpp: the loop and the phases of stopping
  void turn(std::int64_t now, bool fd_ready);
  void receive(std::int64_t now);
  void carry_out(std::int64_t now);
  void relieve(WorkerId worker);
  void kill_worker(WorkerId worker);
  void acknowledge(std::int64_t now);
  std::int64_t wait_until(std::int64_t now) const;
  void take_signals(std::int64_t now);
  void advance_stop(std::int64_t now);
  void begin_drain(std::int64_t now);
  void drain_worker(WorkerId worker, bool at_once, std::int64_t now);
  void reap(std::int64_t now);
  void lose_worker(const Supervisor::Exit& exit, std::int64_t now);
  void heartbeat(std::int64_t now);

  // handlers.cpp: one message each
  void on_message(ConnectionId from, const Frames& frames, std::int64_t now);
  void on_hello(ConnectionId from, const wire::Envelope& e, std::int64_t now);
  void on_worker_hello(ConnectionId from, const v1::Hello& hello, std::int64_t now);
  Status on_client_message(Connection& c, const wire::Envelope& e, std::int64_t now);
  Status on_worker_message(Connection& c, const wire::Envelope& e, std::int64_t now);

  // requests.cpp
  Status scale(const v1::Scale& order, std::int64_t now);
  void scale(const std::string& pool, std::uint32_t processes, std::int64_t now);
  Status reload(v1::Reloaded& into, std::int64_t now);
  bool retry(TaskNumber task, v1::Reply& reply, std::int64_t now);
  Status drain(const v1::DrainDaemon& order, std::int64_t now);
  Status pause(const v1::Pause& order, std::int64_t now);
  Status set_limit(const v1::SetLimit& order, std::int64_t now);
  Status end_worker(const v1::EndWorker& order, std::int64_t now);
  Status add_schedule(scheduler::SessionId session, const v1::AddSchedule& order);
  void on_request(scheduler::SessionId session, const v1::Request& request, std::int64_t now);

  // following.cpp
  struct Parked {
    scheduler::SessionId session = scheduler::kNoSession;
    v1::Request request;
  };
  Status on_emitted(WorkerId worker, v1::Emitted& emitted, std::int64_t now);
  OutputRelay::Call output_call(WorkerId worker, const AttemptToken& token) const;
  void refresh_output();
  void send_output_credits();
  void note_change(TaskNumber task, const char* what, std::int64_t now);
  void note_change(const scheduler::Change& c, std::int64_t now);
  void take_changes(std::int64_t now);
  bool answer_log(const v1::LogQuery& query, v1::Reply& reply) const;
  bool answer_parked(Parked& parked, v1::Reply& reply, std::int64_t now);
  Status park(scheduler::SessionId session, const v1::Request& request, std::int64_t now);
  void answer_all_parked(std::int64_t now);

  void gone(ConnectionId which, bool on_purpose, std::int64_t now);
  void refuse(ConnectionId to, Code code, const std::string& message);
  void handle(const scheduler::Event& event, std::int64_t now);

  void send(ConnectionId to, v1::Kind kind, const google::protobuf::MessageLite& body, Frames payloads = {});
  void send_waiting(ConnectionId to, Connection& c);
  void to_worker(WorkerId worker, v1::Kind kind, const google::protobuf::MessageLite& body, Frames payloads = {});
  void to_client(scheduler::SessionId session, v1::Kind kind, const google::protobuf::MessageLite& body,
                 Frames payloads = {});
  QueryContext query_context() const;

  DaemonConfig config_;   ///< a reload changes some of it
  DaemonConfig written_;  ///< the same as it was read
  Parts parts_;
  const std::string instance_;
  const std::int64_t started_at_;
  const std::int64_t unix_offset_ns_;
  scheduler::Scheduler core_;
  scheduler::Actions actions_;
  ScheduleDesk schedules_;
  Decoder decoder_;
  Encoder encoder_;

  std::unordered_map<ConnectionId, Connection> connections_;
  std::vector<ConnectionId> waiting_;                      ///< connections with something waiting
  std::vector<ConnectionId> overflowed_;                   ///< connections with too much waiting, closed after the turn
  std::map<WorkerId, std::uint64_t> reports_;              ///< per worker: reports taken
  Acknowledgements<WorkerId, std::uint64_t> report_acks_;  ///< reports taken
  Acknowledgements<scheduler::SessionId, scheduler::Accepted> accept_acks_;
  std::map<std::string, v1::TaskType> types_;  ///< from plugins and from workers, with schema
  OutputRelay output_;
  OutputLog log_;
  ChangeFeed feed_;
  bool feed_on_ = false;
  std::int64_t feed_used_ = 0;
  std::vector<Parked> parked_;
  std::deque<std::pair<std::int64_t, Supervisor::Exit>> exits_;  ///< until when the last words of each are awaited
  std::deque<SpawnId> dead_spawns_;                              ///< recent ones
  std::int64_t next_heartbeat_ = 0;
  std::uint64_t bad_messages_ = 0;
  std::size_t elements_ = 0;  ///< decoded in this turn

  std::atomic<int> stop_requested_{0};  ///< 1: drain, 2: now
  Phase phase_ = Phase::working;
  std::int64_t phase_deadline_ = 0;
  std::uint64_t lost_ = 0;  ///< tasks that had not ended at the end
};

std::int64_t monotonic_now();
/// Of the wall clock, as it is set now.
std::int64_t unix_now();

}  // namespace futured::daemon
