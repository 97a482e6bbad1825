// Tasks that a selector names: looked up, attached to, and told apart when they are missing.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "client/cli/context.hpp"

namespace futured::cli {

/// The records of a selection, in the order of their numbers, with attempts. Says on standard error which of those
/// named one by one are unknown or forgotten; `worst` becomes the exit code for that, unless it is worse already.
std::vector<v1::TaskRecord> find_tasks(Context& context, const Selection& selection, Exit& worst);

inline bool has_ended(const v1::TaskRecord& task) { return task.state() >= v1::STATE_SUCCEEDED; }

/// The catalog's word on a task type; without schema if it is not there any more. Asked once per type.
class TaskInfos {
 public:
  explicit TaskInfos(Context& context) : context_(context) {}
  const TaskInfo& of(const std::string& type);

 private:
  Context& context_;
  std::deque<TaskInfo> known_;  ///< references stay
};

}  // namespace futured::cli
