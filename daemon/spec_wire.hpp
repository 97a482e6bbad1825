// What tasks are told to be: specs, errors and ids between the wire's messages and the scheduler's values. No
// decisions.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/scheduler/event.hpp"
#include "daemon/scheduler/spec.hpp"
#include "futured/v1/common.pb.h"
#include "proto/status.hpp"

namespace futured::daemon {

/// Who submits, as the channel tells it, and what the wall clock says.
struct Submitter {
  std::uint32_t owner = 0;
  std::int64_t unix_now = 0;
};

/// What the tasks of a spec have in common; Invalid if it is out of bounds. `to` is a fresh one.
Status spec_of_wire(const v1::Spec& from, const Submitter& by, scheduler::Spec& to);

/// The same as a message; `owner` stands elsewhere.
void to_wire(const scheduler::Spec& spec, v1::Spec& to);
void to_wire(const scheduler::Failure& failure, v1::Error& error);
scheduler::Failure failure_of(const v1::Error& error);
/// Invalid: neither a number nor an id.
Status task_ref(const v1::TaskRef& from, scheduler::event::TaskRef& to);
std::string raw_id(const TaskId& id);
/// False if `raw` is not 16 bytes.
bool from_raw_id(const std::string& raw, TaskId& id);

}  // namespace futured::daemon
