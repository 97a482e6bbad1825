// What the simulated peers say to each other: the messages of proto/README.md as values.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "daemon/scheduler/action.hpp"
#include "proto/status.hpp"

namespace futured::sim {

using scheduler::ConnectionId;
using scheduler::Time;

namespace msg {

// From clients.
struct ClientHello {
  scheduler::event::ClientHello hello;
};
struct Submit {
  Seq first_seq = 0;
  std::vector<scheduler::Spec> specs;
  std::vector<std::uint32_t> spec_of;
  std::vector<Slice> payloads;
};
struct Delivered {
  std::uint64_t processed = 0, credit_tasks = 0, credit_bytes = 0;
};
struct Cancel {
  std::uint64_t request = 0;
  std::vector<std::uint64_t> handles;
  bool running_too = false;
  Time grace = 0;
};
struct Attach {
  std::uint64_t request = 0, first_handle = 0;
  std::vector<scheduler::event::TaskRef> tasks;
};
// From workers.
struct WorkerHello {
  scheduler::event::WorkerHello hello;
};
struct Ran {
  std::uint64_t first_report = 0;
  std::vector<AttemptToken> tokens;
  std::vector<Slice> replies;
  std::vector<scheduler::event::RanFailure> failures;
  std::uint64_t credit[kLanes] = {0, 0};
};
struct Running {
  std::vector<AttemptToken> tokens;
};
struct Credit {
  std::uint64_t credit[kLanes] = {0, 0};
};
struct Recalled {
  std::vector<AttemptToken> tokens;
  std::vector<bool> returned;
  std::uint64_t credit[kLanes] = {0, 0};
};
struct Announce {
  std::vector<AttemptToken> running, waiting, ended;
  bool end = false;
};
// From both.
struct Goodbye {};

// To clients.
struct ClientWelcome {
  std::string instance;
  std::uint32_t epoch = 0;
  Seq accepted_seq = 0;
  std::uint64_t credit_tasks = 0, credit_bytes = 0;
  bool resumed = false;
};
struct Accepted {
  Seq first_seq = 0;
  std::uint64_t count = 0;
  TaskNumber first_number = 0;
  std::uint64_t credit_tasks = 0, credit_bytes = 0;
  std::vector<scheduler::Accepted::Existing> existing;
};
struct Outcomes {
  struct Item {
    std::uint64_t handle = 0;
    TaskState state = TaskState::unknown;
    ErrorKind kind = ErrorKind::none;
    std::uint32_t attempts = 0;
    Slice payload;
  };
  std::uint64_t first_delivery = 0;
  std::vector<Item> items;
  std::vector<Accepted> accepted;  // came along
};
struct Started {
  std::vector<std::uint64_t> handles;
};
struct Cancelled {
  std::uint64_t request = 0;
  std::vector<scheduler::Verdict> verdicts;
};
struct Attached {
  std::uint64_t request = 0;
  std::vector<scheduler::Known> known;
};
// To workers.
struct WorkerWelcome {};
struct Run {
  struct Call {
    AttemptToken token;
    std::string type;
    Slice input;
  };
  std::vector<Call> calls;
  std::uint64_t reports = 0;  // a RanAck that came along
};
struct Stop {
  std::vector<AttemptToken> tokens;
};
struct Recall {
  std::vector<AttemptToken> tokens;
};
struct RanAck {
  std::uint64_t reports = 0;
};
struct Drain {};
// To both.
struct Refused {
  Code code = Code::invalid;
  std::string message;
};
struct Rehello {};

}  // namespace msg

using Message =
    std::variant<msg::ClientHello, msg::Submit, msg::Delivered, msg::Cancel, msg::Attach, msg::WorkerHello, msg::Ran,
                 msg::Running, msg::Credit, msg::Recalled, msg::Announce, msg::Goodbye, msg::ClientWelcome,
                 msg::Accepted, msg::Outcomes, msg::Started, msg::Cancelled, msg::Attached, msg::WorkerWelcome,
                 msg::Run, msg::Stop, msg::Recall, msg::RanAck, msg::Drain, msg::Refused, msg::Rehello>;

inline const char* name_of(const Message& m) {
  static constexpr const char* names[] = {
      "HELLO",    "SUBMIT",   "DELIVERED", "CANCEL",  "ATTACH",   "HELLO",    "RAN",     "RUNNING",   "CREDIT",
      "RECALLED", "ANNOUNCE", "GOODBYE",   "WELCOME", "ACCEPTED", "OUTCOMES", "STARTED", "CANCELLED", "ATTACHED",
      "WELCOME",  "RUN",      "STOP",      "RECALL",  "RANACK",   "DRAIN",    "REFUSED", "REHELLO"};
  return names[m.index()];
}

}  // namespace futured::sim
