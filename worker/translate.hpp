// Wire <-> session: no decisions here. One thread; the messages are reused from call to call.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "futured/v1/worker.pb.h"
#include "proto/envelope.hpp"
#include "proto/status.hpp"
#include "worker/executor/call_table.hpp"
#include "worker/session/session.hpp"

namespace futured::worker {

/// What HELLO says of this worker, beside its types and credits.
struct Identity {
  std::string pool;
  std::uint32_t threads = 0;
  std::uint32_t async_slots = 0;
  std::uint64_t spawn = 0;
  std::vector<std::pair<std::string, std::string>> labels;
  // Found out by describe_this_process().
  std::string software, host, boot_id, instance;
  std::uint32_t pid = 0;
  std::uint64_t start_time = 0;
};
void describe_this_process(Identity& identity);

v1::TaskType to_wire(const TaskType& type, bool with_schema);

/// A decoded RUN: it owns inputs and specs of its calls.
class RunBatch final : public Blob {
 public:
  std::vector<CallSpec> specs;
  std::vector<std::uint32_t> type_of_spec;  ///< number of the type, kNoType if this worker does not offer it
  std::vector<Slice> inputs;
  std::vector<std::uint32_t> spec_of;  ///< one for each call
  std::vector<NewCall> calls;
  std::uint64_t reports = 0;  ///< an acknowledgement that came along
  /// The input of call i; keeps this batch alive, also if it is empty.
  Slice input(std::size_t i) const { return {this, inputs[i].data(), inputs[i].size()}; }
};

class Translator {
 public:
  explicit Translator(Identity identity) : identity_(std::move(identity)) {}

  void set_types(std::vector<const TaskType*> types);
  const std::vector<const TaskType*>& types() const { return types_; }

  /// Frames of a message of the session.
  wire::Frames encode(const Message& message, const Session& session);
  wire::Frames encode(Emission&& emission, std::uint16_t generation);

  /// Fills an empty batch.
  Status read_run(const wire::Envelope& envelope, RunBatch& into);
  static Result<std::vector<AttemptToken>> read_tokens(std::string_view raw);

 private:
  Identity identity_;
  std::vector<const TaskType*> types_;
  std::unordered_map<std::string_view, std::uint32_t> number_of_;
  v1::Run run_;
  v1::Ran ran_;
};

}  // namespace futured::worker
