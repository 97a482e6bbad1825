// What a turn of the daemon's loop asks a store to make last: plain values, columns of one kind each. What is opaque to
// the store (specs, attempts, failures) comes as bytes that translation made and will read again.
//
// Times are nanoseconds of the wall clock since 1970, because they outlive the boot.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "proto/bytes.hpp"
#include "proto/ids.hpp"
#include "proto/task_state.hpp"

namespace futured::store {

/// Position in the order of what is made to last, from 1; grows by one with each Records. 0: nothing to wait for.
using Lsn = std::uint64_t;
using WallTime = std::int64_t;

/// Accepted together: consecutive numbers for consecutive seqs of one stream.
struct BatchRow {
  TaskNumber first = 0;
  std::uint32_t count = 0;
  StreamId stream;
  Seq first_seq = 0;
  WallTime submitted = 0;
  std::string specs;  ///< those that its tasks share, by TaskRow::spec
};
/// A task that has not ended; its batch is in the same Records or an earlier one.
struct TaskRow {
  TaskNumber number = 0;
  std::uint32_t spec = 0;
  Slice input;
};
/// What became of a live task since it was accepted: attempts, budgets, what it waits for. Takes the place of an
/// earlier one of the same task.
struct ProgressRow {
  TaskNumber number = 0;
  std::string data;
};
/// How a task ended; its TaskRow and ProgressRow leave with this.
struct OutcomeRow {
  TaskNumber number = 0;
  std::uint32_t spec = 0;
  TaskState state = TaskState::unknown;
  WallTime ended = 0;
  WallTime until = 0;  ///< forgotten then, if not before; 0: when it is taken
  bool taken = false;  ///< nobody waits for it
  std::string data;    ///< attempts and failure
  Slice result;
  Slice input;  ///< for another task with the same input; empty if it is not kept
};
/// How far a stream has been accepted: a seq below that is never a new task.
struct StreamRow {
  StreamId stream;
  Seq accepted = 0;
  bool gone = false;  ///< its client will not come back
};
/// Small things that are set by name: a pause, a limit, a schedule.
struct SettingRow {
  std::string name;
  std::string data;
  bool removed = false;
};
/// A worker process that may hold tasks.
struct WorkerRow {
  std::string instance;  ///< 16 bytes
  std::string data;
  bool gone = false;  ///< proven dead: nothing of it runs any more
};

/// Applied as a whole or not at all, after all with a lower lsn.
struct Records {
  Lsn lsn = 0;
  std::vector<BatchRow> batches;
  std::vector<TaskRow> tasks;  ///< of `batches`, ascending by number
  std::vector<ProgressRow> progress;
  std::vector<OutcomeRow> outcomes;
  std::vector<TaskNumber> taken;      ///< outcomes that nobody waits for any more
  std::vector<TaskNumber> forgotten;  ///< outcomes that nobody can ask for any more
  std::vector<StreamRow> streams;
  std::vector<SettingRow> settings;
  std::vector<WorkerRow> workers;
  TaskNumber numbers_until = 0;  ///< numbers below may be given out; 0: unchanged

  bool empty() const {
    return batches.empty() && tasks.empty() && progress.empty() && outcomes.empty() && taken.empty() &&
           forgotten.empty() && streams.empty() && settings.empty() && workers.empty() && numbers_until == 0;
  }
  /// What it takes in memory, roughly, in bytes.
  std::uint64_t size() const {
    std::uint64_t bytes = 0;
    for (const BatchRow& b : batches) bytes += sizeof b + b.specs.size();
    for (const TaskRow& t : tasks) bytes += sizeof t + t.input.size();
    for (const ProgressRow& p : progress) bytes += sizeof p + p.data.size();
    for (const OutcomeRow& o : outcomes) bytes += sizeof o + o.data.size() + o.result.size() + o.input.size();
    for (const SettingRow& s : settings) bytes += sizeof s + s.name.size() + s.data.size();
    for (const WorkerRow& w : workers) bytes += sizeof w + w.instance.size() + w.data.size();
    return bytes + (taken.size() + forgotten.size()) * sizeof(TaskNumber) + streams.size() * sizeof(StreamRow);
  }
};

}  // namespace futured::store
