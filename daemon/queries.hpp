// Answers to REQUEST messages that only look: status, list, catalog, workers, pools. Reads the scheduler's tables;
// bounded work per call, a longer answer goes on with a cursor. Loop thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "daemon/catalog/catalog.hpp"
#include "daemon/output_log.hpp"
#include "daemon/scheduler/scheduler.hpp"
#include "daemon/supervisor/supervisor.hpp"
#include "futured/daemon.hpp"
#include "futured/v1/client.pb.h"

namespace futured::daemon {

/// What the answers are drawn from besides the scheduler; owned by the server.
struct QueryContext {
  const scheduler::Scheduler& core;
  const Supervisor* supervisor = nullptr;  ///< null: this daemon starts no workers
  const std::vector<PoolConfig>& pools;
  const std::map<std::string, v1::TaskType>& types;  ///< all known, with schema
  const OutputLog& log;
  std::int64_t unix_offset_ns = 0;  ///< what to add to monotonic time
};

/// Walks tasks by number, from a cursor on, a bounded number per call.
class TaskWalk {
 public:
  /// Invalid: the selector selects nothing, or the cursor is not one of ours.
  static Result<TaskWalk> start(const QueryContext& context, const v1::Selector& selector, const std::string& cursor,
                                bool newest_first);
  /// The next task that matches; kNoSlot: nothing more in this portion (then see done()).
  scheduler::TaskSlot next();
  bool done() const { return done_; }
  std::string cursor() const;

 private:
  TaskWalk(const QueryContext& context, const v1::Selector& selector) : context_(&context), selector_(&selector) {}
  struct Range {
    TaskNumber first = 0, last = 0;
  };
  void name(const v1::Selector& selector);
  bool skip_to_named();
  bool is_named(TaskNumber number) const;
  bool matches(scheduler::TaskSlot slot) const;

  const QueryContext* context_;
  const v1::Selector* selector_;
  std::vector<Range> named_;  ///< empty: all numbers
  v1::Selector rest_;         ///< if some are named: what else is asked of them
  bool down_ = false;
  bool done_ = false;
  TaskNumber at_ = 0, first_ = 0, last_ = 0;
  std::size_t budget_ = 0;
};

/// `detail`: with its attempts.
void fill_record(const QueryContext& context, scheduler::TaskSlot slot, bool detail, v1::TaskRecord& into);
void fill_attempt(const QueryContext& context, const scheduler::Attempt& attempt, v1::Attempt& into);
void answer_status(const QueryContext& context, std::int64_t now, v1::DaemonStatus& into);
Status answer_list(const QueryContext& context, const v1::ListQuery& query, v1::Reply& into);
Status answer_catalog(const QueryContext& context, const v1::CatalogQuery& query, v1::Reply& into);
void answer_workers(const QueryContext& context, v1::Reply& into);
void answer_pools(const QueryContext& context, v1::Reply& into);
void answer_limits(const QueryContext& context, v1::Reply& into);
Status answer_groups(const QueryContext& context, const v1::GroupsQuery& query, v1::Reply& into);

}  // namespace futured::daemon
