// Wire <-> scheduler: messages into events, actions into messages. No decisions. Loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "daemon/scheduler/scheduler.hpp"
#include "daemon/spec_wire.hpp"
#include "futured/v1/client.pb.h"
#include "futured/v1/worker.pb.h"
#include "proto/envelope.hpp"

namespace futured::daemon {

/// Decodes the messages that carry batches. The events it makes point into it: they are valid until its next call.
/// Invalid: why the message is not well-formed; nothing of it has happened.
class Decoder {
 public:
  Result<scheduler::Event> submit(const wire::Envelope& e, scheduler::SessionId session, const Submitter& by);
  Result<scheduler::Event> delivered(const wire::Envelope& e, scheduler::SessionId session);
  Result<scheduler::Event> cancel(const wire::Envelope& e, scheduler::SessionId session);
  Result<scheduler::Event> attach(const wire::Envelope& e, scheduler::SessionId session);
  /// `seen` is how many reports of this worker were taken before; it grows. Replies above `payload_limit` become
  /// failures. `credit` carries what the message says of credits.
  Result<scheduler::Event> ran(const wire::Envelope& e, WorkerId worker, std::uint64_t& seen,
                               std::uint64_t payload_limit, scheduler::event::WorkerCredit& credit);
  Result<scheduler::Event> running(const wire::Envelope& e, WorkerId worker);
  Result<scheduler::Event> recalled(const wire::Envelope& e, WorkerId worker, scheduler::event::WorkerCredit& credit);
  /// Pages are collected; the event comes with the last one, before that `complete` is false.
  Result<scheduler::Event> announce(const wire::Envelope& e, WorkerId worker, std::vector<AttemptToken>& running,
                                    std::vector<AttemptToken>& other, bool& complete);
  /// Of the DELIVERED decoded last.
  const v1::Delivered& last_delivered() const { return delivered_; }

 private:
  v1::Submit submit_;
  v1::Delivered delivered_;
  v1::Cancel cancel_;
  v1::Attach attach_;
  v1::Ran ran_;
  v1::Running running_;
  v1::Recalled recalled_;
  v1::Announce announce_;
  std::vector<scheduler::Spec> specs_;
  std::vector<Slice> payloads_;
  std::vector<AttemptToken> tokens_;
  std::vector<scheduler::event::RanFailure> failures_;
  std::vector<scheduler::event::TaskRef> refs_;
};

/// What a hello of a worker says; Invalid if it is out of bounds.
Result<scheduler::event::WorkerHello> worker_hello(const v1::Hello& hello, std::uint64_t connection);

/// Encodes the actions of one turn that concern tasks and hands the messages out. The callbacks take the message and
/// its payload frames.
class Encoder {
 public:
  using ToWorker = std::function<void(WorkerId, v1::Kind, const google::protobuf::MessageLite&, wire::Frames)>;
  using ToClient =
      std::function<void(scheduler::SessionId, v1::Kind, const google::protobuf::MessageLite&, wire::Frames)>;
  Encoder(const scheduler::Scheduler& core, ToWorker to_worker, ToClient to_client)
      : core_(core), to_worker_(std::move(to_worker)), to_client_(std::move(to_client)) {}

  // Acknowledgements; `in_company`: runs() or outcomes() of this turn has something for the same peer, and takes it
  // along.
  void accepted(scheduler::SessionId session, const std::vector<scheduler::Accepted>& list, bool in_company);
  void reports_taken(WorkerId worker, std::uint64_t reports, bool in_company);
  void runs(const std::vector<scheduler::Run>& runs);
  void stops(const std::vector<scheduler::TokenOrder>& orders);
  void recalls(const std::vector<scheduler::TokenOrder>& orders);
  void credit(const std::vector<scheduler::SessionId>& sessions);
  void started(const std::vector<scheduler::Started>& list);
  void outcomes(const std::vector<scheduler::Outcome>& list);
  void cancelled(const std::vector<scheduler::CancelReply>& list);
  void attached(const std::vector<scheduler::AttachReply>& list);

 private:
  void run_batch(WorkerId worker, const std::vector<scheduler::TaskSlot>& tasks);

  const scheduler::Scheduler& core_;
  const ToWorker to_worker_;
  const ToClient to_client_;
  v1::Run run_;
  v1::Outcomes outcomes_;
  wire::PayloadWriter payloads_;
  std::map<WorkerId, std::uint64_t> reports_;  // to go along
  std::map<scheduler::SessionId, google::protobuf::RepeatedPtrField<v1::Accepted>> accepted_;
};

}  // namespace futured::daemon
