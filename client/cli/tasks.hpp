// Tasks that a selector names: looked up, attached to, and told apart when they are missing.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/context.hpp"

namespace futured::cli {

/// The records of a selection, in the order of their numbers, with attempts. Says on standard error which of those
/// named one by one are unknown or forgotten; `worst` becomes the exit code for that, unless it is worse already.
std::vector<v1::TaskRecord> find_tasks(Context& context, const Selection& selection, Exit& worst);

/// What an order for tasks brought; nothing if there are none of them and find_tasks() has said so (`worst`).
template <class T>
std::optional<T> expect_reached(Result<T> result, Exit worst) {
  const bool missing =
      !result.ok() && (result.status().code() == Code::not_found || result.status().code() == Code::forgotten);
  if (missing && worst != Exit::done) return std::nullopt;
  return expect(std::move(result));
}

/// Whether a task was named by its number or id, not only by what it is.
bool is_named(const Selection& selection, const v1::TaskRecord& task);

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
