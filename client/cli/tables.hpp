// What the daemon says, as tables and lines for people. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/cli/output.hpp"
#include "futured/v1/client.pb.h"

namespace futured::cli {

/// Of the clock of this machine.
std::int64_t unix_now();
/// From one point in time to another; empty if the first is none.
std::string time_between(std::int64_t from_unix_ns, std::int64_t to_unix_ns);
/// "waiting (delayed, 3m20s)", "running (cancelling)", "running 42%".
std::string state_words(const v1::TaskRecord& task, std::int64_t now);
/// The tasks that it waits for: numbers, or ids where there is none.
std::string after_words(const v1::TaskRecord& task);
/// "42% 7 of 12 pages"; empty: none is known.
std::string progress_words(const v1::TaskRecord& task);
/// What keeps a pool from running tasks: paused, paused tasks, trouble.
std::string pool_words(const v1::PoolRecord& pool);
/// "12 waiting (blocked): it waits for task 7"
std::string explanation_line(const v1::Explanation& explanation);
/// "2026-11-22T17:22:57.123Z 12 fetch ended: failed: error: no such host"
std::string change_line(const v1::ChangeRecord& change);

Table limit_table(const std::vector<v1::LimitRecord>& limits);
Table group_table(const std::vector<v1::GroupRecord>& groups);
Table schedule_table(const std::vector<v1::ScheduleRecord>& schedules, std::int64_t now);

}  // namespace futured::cli
