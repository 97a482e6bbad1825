// Whether a selector means a task. Task tells number(), id(), state(), type(), pool(), group(), key(),
// has_label(), has_labels():
// a record of the wire, or a view of the scheduler's table that looks things up only when asked.
#pragma once

#include <algorithm>
#include <string>

#include "futured/v1/client.pb.h"
#include "proto/task_state.hpp"

namespace futured::daemon {

template <class Task>
bool selects(const v1::Selector& s, const Task& task) {
  const auto among = [](const auto& list, const auto& value) {
    return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
  };
  if (s.live() && is_terminal(static_cast<TaskState>(task.state()))) return false;
  if (!s.numbers().empty() || !s.ids().empty()) {
    const bool by_number = std::any_of(s.numbers().begin(), s.numbers().end(), [&](const auto& range) {
      return task.number() >= range.first() && task.number() <= range.last();
    });
    if (!by_number && (s.ids().empty() || !among(s.ids(), task.id()))) return false;
  }
  const auto state = static_cast<int>(task.state());
  if (!s.states().empty() && std::find(s.states().begin(), s.states().end(), state) == s.states().end()) return false;
  if (!among(s.types(), task.type()) || !among(s.groups(), task.group()) || !among(s.pools(), task.pool()))
    return false;
  if (!among(s.keys(), task.key())) return false;
  // Labels of one name are or, names are and.
  if (!s.labels().empty() && !task.has_labels()) return false;
  return std::all_of(s.labels().begin(), s.labels().end(), [&](const v1::Header& wanted) {
    return std::any_of(s.labels().begin(), s.labels().end(), [&](const v1::Header& either) {
      return either.name() == wanted.name() && task.has_label(either.name(), either.value());
    });
  });
}

}  // namespace futured::daemon
