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
  /// There will be no connection any more: the executor is closed, was refused for good, or has given up.
  bool ended() const;
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
  /// Whether a future of a task with a key is that of an earlier task: waits for the daemon to accept it. Nothing: it
  /// is a task of its own.
  struct Existing {
    TaskNumber number = 0;
    bool input_differs = false;
  };
  Result<std::optional<Existing>> existing(const Future<std::string>& future, Nanos timeout);

  // ---- orders and questions about tasks that a selector names. All pages of them: the time is that of each.
  /// The numbers of the new tasks, in the order of the old ones.
  Result<std::vector<TaskNumber>> retry(const v1::Selector& selector, Nanos timeout);
  /// How many tasks are kept no more.
  Result<std::uint64_t> forget(const v1::Selector& selector, Nanos timeout);
  /// Calls `take` with each explanation until it says false.
  Status explain(const v1::Selector& selector, Nanos timeout, const std::function<bool(v1::Explanation&)>& take);

  struct LogPart {
    TaskNumber task = 0;
    std::uint32_t attempt = 0;  ///< 0: the last
    std::uint64_t offset = 0;
    bool follow = false;  ///< waits until there is more or the attempt has ended, also across lost connections
  };
  /// Chunks from `offset` on; none: there is no more.
  Result<std::vector<v1::LogChunk>> log(const LogPart& part, Nanos timeout);

  struct Changes {
    std::vector<v1::ChangeRecord> records;
    std::string cursor;  ///< for the next call
  };
  /// Waits until something has changed, also across lost connections. An empty cursor: from now on.
  Result<Changes> changes(const v1::Selector& selector, const std::string& cursor, Nanos timeout);

  // ---- orders and questions about the daemon
  struct PauseWhat {
    std::string pool;
    std::string task;  ///< instead of a pool
  };
  Status pause(const PauseWhat& what, bool paused, Nanos timeout);

  struct Limit {
    std::string key;
    std::uint32_t running = 0;  ///< at once; 0: no bound
    std::uint32_t starts = 0;   ///< within `per`; 0: no bound
    Nanos per{};
  };
  Status set_limit(const Limit& limit, Nanos timeout);
  Status remove_limit(const std::string& key, Nanos timeout);
  Result<std::vector<v1::LimitRecord>> limits(Nanos timeout);

  /// An empty name: all.
  Result<std::vector<v1::GroupRecord>> groups(const std::string& name, Nanos timeout);
  Status close_group(const std::string& name, Nanos timeout);

  struct Schedule {
    std::string name;
    std::string cron;  ///< or an interval
    std::string zone;  ///< of `cron`; empty: the daemon's
    Nanos interval{};
    v1::AddSchedule::CatchUp catch_up = v1::AddSchedule::SKIP;
    v1::AddSchedule::Overlap overlap = v1::AddSchedule::OVERLAP_ALLOW;
    std::string task;
    std::string input;
    TaskOptions options;
  };
  Status add_schedule(const Schedule& schedule, Nanos timeout);
  Result<std::vector<v1::ScheduleRecord>> schedules(Nanos timeout);
  Status change_schedule(const std::string& name, v1::ChangeSchedule::What what, Nanos timeout);

  /// `now`: it is killed, else it drains.
  Status end_worker(WorkerId worker, bool now, Nanos timeout);
  /// Nothing more starts and no task is accepted, or does so again. `wait`: until no call is under way. The number
  /// of those that are.
  Result<std::uint64_t> drain(bool wait, Nanos timeout);
  Result<std::uint64_t> undrain(Nanos timeout);
  /// The daemon reads its configuration file again. Invalid: what is wrong with it, and where; nothing has changed.
  Result<v1::Reloaded> reload(Nanos timeout);

 private:
  /// Asks again when the connection is lost meanwhile: for questions that may be asked twice.
  Result<v1::Reply> request_lasting(const v1::Request& request, Nanos timeout);
  Status order(const v1::Request& request, Nanos timeout);
  detail::Connection& connection_;
};

}  // namespace futured
