// What the daemon says, as JSON (the keys are a contract) and as words. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "client/cli/output.hpp"
#include "futured/v1/client.pb.h"
#include "proto/ids.hpp"
#include "proto/schema/json.hpp"

namespace futured::cli {

std::string state_word(v1::State state);
std::string reason_word(v1::Reason reason);  ///< empty: none
std::string kind_word(v1::ErrorKind kind);
std::string_view catch_up_word(v1::AddSchedule::CatchUp what);
std::string_view overlap_word(v1::AddSchedule::Overlap what);
Colour state_colour(v1::State state);

schema::Json json_of(const v1::Error& error);
/// `result` stands in the record under its name.
schema::Json json_of(const v1::TaskRecord& task, schema::Json result = {});
schema::Json json_of(const v1::WorkerRecord& worker);
schema::Json json_of(const v1::PoolRecord& pool);
schema::Json json_of(const v1::DaemonStatus& status);
schema::Json json_of(const v1::Explanation& explanation);
schema::Json json_of(const v1::LimitRecord& limit);
schema::Json json_of(const v1::GroupRecord& group);
schema::Json json_of(const v1::ScheduleRecord& schedule);
schema::Json json_of(const v1::LogChunk& chunk, TaskNumber number);
/// With the keys of the task.
schema::Json json_of(const v1::ChangeRecord& change);
/// null for 0.
schema::Json json_of_time(std::int64_t unix_ns);

/// "failed: exit: the command ended with status 3"
std::string sentence(const v1::Error& error);

}  // namespace futured::cli
