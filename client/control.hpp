// What the tools of this project do with a connection beyond submitting: questions, attach by number, live output,
// cancel with a verdict. In-tree only. Any thread; calls block up to their timeout and throw nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "futured/executor.hpp"
#include "futured/v1/client.pb.h"
#include "proto/ids.hpp"
#include "proto/status.hpp"

namespace futured {

class Control {
 public:
  using Nanos = std::chrono::nanoseconds;
  /// `executor` must outlive it.
  explicit Control(const Executor& executor) : connection_(executor.core().connection()) {}

  /// Fills in `request.request`. Unavailable: no answer within `timeout`, or the executor is closed. A Reply with a
  /// problem is returned as the Status of that problem.
  Result<v1::Reply> request(v1::Request request, Nanos timeout);

  /// The time of one round trip to the daemon.
  Result<Nanos> ping(Nanos timeout);

  /// What the daemon said of itself when the connection was made (software, instance, epoch, limits).
  v1::Welcome welcome() const;
  std::string endpoint() const;
  /// From now on `watcher` is called, on the executor's callback thread, whenever the connection is lost (false), and
  /// when it is back (true).
  void watch(std::function<void(bool connected)> watcher);

  struct Attached {
    Future<std::string> future;
    TaskNumber number = 0;
    TaskId id;
    v1::State state = v1::STATE_UNKNOWN;  ///< when it was attached
  };
  /// One entry per task asked for; not_found or forgotten tasks have a future that fails so and number 0 or as asked.
  /// `output` is called with the live output of all of them, from where it stands now.
  using Output = std::function<void(std::size_t index, int stream, std::string_view bytes)>;
  Result<std::vector<Attached>> attach(const std::vector<v1::TaskRef>& tasks, Nanos timeout,
                                       const Output& output = nullptr);
  Result<Attached> attach(TaskNumber number, Nanos timeout, OutputCallback output = nullptr);
  Result<Attached> attach(const TaskId& id, Nanos timeout, OutputCallback output = nullptr);

  struct CancelOptions {
    CancelOptions() {}  // NOLINT(modernize-use-equals-default): option types are not aggregates
    bool running_too = true;
    Nanos grace = std::chrono::seconds(5);
    std::string why;
  };
  /// One verdict for each future.
  Result<std::vector<v1::Cancelled::Verdict>> cancel(const std::vector<Future<std::string>>& futures, Nanos timeout,
                                                     const CancelOptions& options = CancelOptions());

  /// The number of a future's task: waits for the daemon to accept it.
  Result<TaskNumber> number(const Future<std::string>& future, Nanos timeout);
  /// What the daemon had to remark when it accepted the task ("no worker offers it now"); empty: nothing.
  std::string warning(const Future<std::string>& future) const;

 private:
  detail::Connection& connection_;
};

}  // namespace futured
