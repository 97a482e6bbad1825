// A worker process: the real worker session, and lanes that execute in virtual time.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "tests/sim/world.hpp"
#include "worker/session/session.hpp"

namespace futured::sim {

class Worker final : public Peer {
 public:
  /// `spawn` 0: started by hand, its end is not told.
  Worker(World& world, std::uint64_t process, std::uint64_t spawn, std::uint32_t pool);

  void start();
  void receive(ConnectionId from, Message&& message) override;
  void lost(ConnectionId connection) override;
  /// `by_daemon`: it is nobody's fault.
  void kill(int signal, bool by_daemon = false);

  bool alive() const { return alive_; }
  bool leaving() const { return leaving_; }
  bool by_hand() const { return spawn_ == 0; }
  std::uint64_t spawn() const { return spawn_; }
  std::uint64_t process() const { return process_; }
  std::uint32_t pool() const { return pool_; }
  ConnectionId connection() const { return connection_; }
  const std::string& instance() const { return instance_; }

 private:
  struct Call {
    Oracle::Key key = 0;
    Slice input;
    AttemptToken token;
    Lane lane = Lane::thread;
    bool executing = false;
    bool told_to_stop = false;
    Time began = 0;
  };
  void act();
  void say(const worker::Message& message);
  void begin(worker::CallId id);
  void end(worker::CallId id);
  void fill_threads();
  void arm();
  void exit_process(int signal, bool by_daemon = false);

  World& world_;
  const std::uint64_t process_;
  const std::uint64_t spawn_;
  const std::uint32_t pool_;
  const std::string instance_;
  worker::Session session_;
  ConnectionId connection_ = 0;
  bool alive_ = true;
  bool leaving_ = false;
  std::map<worker::CallId, Call> calls_;
  std::deque<worker::CallId> waiting_;  // of the thread lane
  std::uint32_t busy_threads_ = 0, busy_async_ = 0;
  Time armed_ = scheduler::kNever;
};

}  // namespace futured::sim
