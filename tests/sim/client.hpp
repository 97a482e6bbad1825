// A client process: the real client session, and a user who submits, cancels and attaches.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "client/session/session.hpp"
#include "tests/sim/world.hpp"

namespace futured::sim {

class Client final : public Peer {
 public:
  Client(World& world, std::uint32_t number);

  void start() { act(); }
  void receive(ConnectionId from, Message&& message) override;
  void lost(ConnectionId connection) override;

  /// The user wants so many tasks more; they are submitted as the credit allows.
  void want(std::uint32_t tasks);
  void cancel_some();
  void attach_some();
  void die();
  void leave();
  /// From now on the daemon may see it gone, whether it knows that itself or not.
  void went_away();

  bool alive() const { return alive_; }
  ConnectionId connection() const { return connection_; }
  /// Whether everything that was wanted is submitted, accepted and resolved.
  bool idle() const;
  /// Of what the daemon has accepted or was asked for, something whose end it has not told; in words, or empty.
  std::string still_owed() const;
  /// In words, if it is not idle.
  std::string waits_for() const;

 private:
  void act();
  void act(client::Order& order);
  void submit_wanted();
  void arm();
  void on_accepted(const msg::Accepted& m);
  void on_outcomes(const msg::Outcomes& m);
  void resolve_lost(const std::vector<client::Handle>& lost);
  void over();
  scheduler::Spec draw_spec();
  void draw_after(scheduler::Spec& spec);
  Behaviour draw_behaviour();

  World& world_;
  const std::uint32_t number_;
  std::uint8_t streams_ = 0;
  StreamId new_stream();
  client::Session session_;
  ConnectionId connection_ = 0;
  bool alive_ = true;
  bool was_given_up_ = false;         ///< since the last welcome
  Time lost_at_ = scheduler::kNever;  ///< the last connection
  std::string instance_;
  std::uint32_t epoch_ = 0;  ///< of the daemon it is connected to
  std::uint32_t wanted_ = 0;
  std::shared_ptr<scheduler::Spec> spec_;  ///< of the next tasks
  bool going_ = false;                     ///< its connection breaks
  std::optional<Oracle::Key> next_;        ///< drawn, waits for room
  std::vector<Oracle::Key> keys_;          ///< by seq
  std::map<client::Handle, Oracle::Key> attached_;
  struct Asked {
    std::vector<Oracle::Key> keys;
    bool running_too = false;
    bool own = false;  ///< handles are seqs
  };
  std::map<std::uint64_t, Asked> cancels_;
  std::map<std::uint64_t, std::vector<client::Handle>> attaches_;
  Time armed_ = scheduler::kNever;
};

}  // namespace futured::sim
