// How a task ended, out of its future; how that is printed, and what exit code it makes.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "client/cli/context.hpp"
#include "futured/v1/client.pb.h"

namespace futured::cli {

struct Outcome {
  v1::State state = v1::STATE_UNKNOWN;
  v1::Error error;             ///< if it did not succeed
  std::uint32_t attempts = 0;  ///< 0: not known
  Future<std::string> future;  ///< keeps the bytes of a success
  std::string reply;           ///< what a failure had to say

  std::string_view bytes() const { return state == v1::STATE_SUCCEEDED ? future.bytes() : std::string_view(reply); }
  /// The result as JSON; null if there is none.
  schema::Json result(const TaskInfo& info) const;
  /// Why it did not succeed, if there is a reason beyond its state.
  void put_error(v1::TaskRecord& record) const;
};

/// Of a future that is done. Failure: the task is not known, or the daemon is gone.
Outcome outcome_of(const Future<std::string>& future);

Exit exit_of(const Outcome& outcome);
/// Of a task that has ended.
Exit exit_of(const v1::TaskRecord& task);

/// What a wait for one task waits for. Shared with callbacks that may come after the wait was given up. Any thread.
class Waiting {
 public:
  void finished();
  /// Asks for the end of the task, as Ctrl-C does.
  void interrupted(int signal);

 private:
  friend int await(Context&, const Future<std::string>&, bool, const std::shared_ptr<Waiting>&);
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  int signal_ = 0;
};

/// Waits for the future. Ctrl-C cancels the task (unless it `goes_on`) and waits a little for its end, a second one
/// leaves at once. Returns the signal, or 0.
int await(Context& context, const Future<std::string>& future, bool goes_on,
          const std::shared_ptr<Waiting>& waiting = std::make_shared<Waiting>());

/// The result alone: JSON if the task has a schema, else its exact bytes (on a terminal with a final newline, and only
/// if they are text: Failure(usage) otherwise). `field`: only that field of the JSON, raw.
void print_result(Context& context, const TaskInfo& info, std::string_view bytes, std::string_view field = {});

/// What a task has to show: the result of a success, or what a failed one had written until then.
void print_output(Context& context, const TaskInfo& info, const Outcome& outcome, std::string_view field = {});

/// The record as the daemon has it, with the result; from what is known here if it has forgotten the task.
schema::Json whole_record(Context& context, const TaskInfo& info, TaskNumber number, const Outcome& outcome);

/// "task 12 (fetch) failed: error: no such host" on standard error, for everything but success.
void report(Context& context, TaskNumber number, const std::string& task, const Outcome& outcome);

}  // namespace futured::cli
