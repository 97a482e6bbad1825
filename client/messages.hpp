// Orders of the session and replies of the daemon <-> messages of the wire. No state, any thread.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <string>

#include "client/session/session.hpp"
#include "futured/task_options.hpp"
#include "futured/v1/client.pb.h"
#include "proto/envelope.hpp"

namespace futured::client {

struct SelfFacts {
  std::string software, host, instance;
  std::uint32_t pid = 0;
};

/// What specs of a batch point to: SpecRef is a std::shared_ptr<const v1::Spec>.
std::shared_ptr<const v1::Spec> make_spec(std::string_view task, const detail::SpecData& data);

wire::Frames encode(const order::Hello& hello, const SelfFacts& self, std::uint16_t generation);
/// `scratch` is cleared and reused.
wire::Frames encode(const order::Submit& submit, std::uint16_t generation, v1::Submit& scratch);
wire::Frames encode(const order::Delivered& delivered, std::uint16_t generation);
wire::Frames encode(const order::Cancel& cancel, std::uint16_t generation);
wire::Frames encode(const order::Attach& attach, std::uint16_t generation);

std::string raw_id(const TaskId& id);    ///< 16 bytes
TaskId read_id(const std::string& raw);  ///< zeros if it is not 16 bytes

Status status_of(const v1::Problem& problem, const char* fallback);

/// How a task that did not succeed shows in its future.
struct Ending {
  bool cancelled = false;
  std::exception_ptr error;  ///< null: the plain CancelledError
};
Ending ending_of(v1::State state, const v1::Outcomes::Failure* failure, std::string_view reply);
std::exception_ptr lost_error();

}  // namespace futured::client
