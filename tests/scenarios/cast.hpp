// Who plays in a story: clients and workers by name, with what they remember of what they were told.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/scenarios/script.hpp"
#include "tests/scheduler/fixture.hpp"

namespace futured::scheduler::scenario {

inline constexpr std::size_t index(Lane lane) { return static_cast<std::size_t>(lane); }

struct ClientRole {
  std::string name;
  StreamId stream;
  ConnectionId connection = 0;  ///< 0: not connected
  SessionId session = kNoSession;
  std::map<std::uint64_t, TaskNumber> handles;                 ///< own tasks by seq, attached ones from kAttach on
  std::uint64_t next_attach = 0;                               ///< handles given
  std::map<std::uint64_t, std::vector<std::string>> requests;  ///< what was asked, by number of the request
  std::uint64_t accepted = 0;                                  ///< acknowledged: the next seq
  std::uint64_t next_delivery = 0;                             ///< deliveries below were received
  std::uint64_t taken = 0;                                     ///< deliveries below were acknowledged
  std::uint64_t credit_tasks = 1'000'000, credit_bytes = 1 << 30;

  /// The handle under which it knows a task.
  std::uint64_t handle(TaskNumber number, const std::string& task) const;
};

struct WorkerRole {
  std::string name;
  std::string instance;
  std::vector<WorkerId> ids;  ///< the last one counts: another one for each time that the daemon did not know it
  ConnectionId connection = 0;
  std::string pool = "default";
  std::uint32_t slots[kLanes] = {1, 0};
  std::uint64_t ahead = 0;  ///< calls of each lane that it takes beyond its slots
  std::vector<TypeOffer> types = {{"echo", Lane::thread}};
  bool by_hand = false;  ///< started by hand: nobody will tell when it ends
  std::uint64_t credit[kLanes] = {0, 0};
  bool own_credit = true;  ///< it raises its credit with each call that ends, as workers do
  struct Call {
    std::uint32_t attempt = 0;
    Lane lane = Lane::thread;
    bool open = true;  ///< it has not ended here
  };
  std::map<TaskNumber, Call> calls;  ///< what it was last sent

  WorkerId id() const { return ids.empty() ? 0 : ids.back(); }
  std::uint64_t window(std::size_t lane) const { return slots[lane] == 0 ? 0 : slots[lane] + ahead; }
  Lane lane_of(const std::string& type) const;
};

/// `a,b:async`
std::vector<TypeOffer> type_offers(const Value& v);
ErrorKind error_kind(const Value& v);

class Cast {
 public:
  ClientRole& add_client(const std::string& name);
  WorkerRole& add_worker(const std::string& name);
  /// Null if there is none of that name.
  ClientRole* client(std::string_view name) const;
  WorkerRole* worker(std::string_view name) const;
  ClientRole* by_session(SessionId id) const;
  std::string name_of(SessionId id) const;
  std::string name_of(ConnectionId id, SessionId session) const;
  std::string worker_name(WorkerId id) const;
  const std::vector<std::unique_ptr<ClientRole>>& clients() const { return clients_; }
  const std::vector<std::unique_ptr<WorkerRole>>& workers() const { return workers_; }
  /// The owner of a task: its role and the seq there; null if nobody here submitted it.
  std::pair<const ClientRole*, Seq> owner(TaskNumber number) const;

  /// What the actions of a turn tell the roles. Throws if they contradict what was told before.
  void learn(const test::Bench& bench);

 private:
  std::vector<std::unique_ptr<ClientRole>> clients_;  // a name may stand here again: the last one counts
  std::vector<std::unique_ptr<WorkerRole>> workers_;
  std::uint8_t streams_ = 0;
};

}  // namespace futured::scheduler::scenario
