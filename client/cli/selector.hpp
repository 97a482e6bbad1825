// Selectors: which tasks a command means. Words of one kind are or, kinds are and.
//   12   3-7   0123456789abcdef0123456789abcdef   last   all   state=failed   label=k=v   group=G   task=T   pool=P
//   key=K
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "futured/v1/client.pb.h"
#include "proto/ids.hpp"
#include "proto/status.hpp"

namespace futured::cli {

struct Selection {
  v1::Selector selector;
  std::vector<TaskNumber> numbers;  ///< given one by one: each must exist
  std::vector<TaskId> ids;          ///< likewise
  /// Nothing but numbers and ids was said, so that the tasks are known without asking.
  bool exact() const;
};

/// `last` gives the number of the task submitted last, when somebody says `last`. Invalid: which word is wrong, and how
/// it is written. An empty list of words selects nothing.
Result<Selection> parse_selection(const std::vector<std::string>& words,
                                  const std::function<Result<TaskNumber>()>& last);

inline constexpr std::string_view kSelectorHelp =
    "SEL names tasks: a number or full id, 3-7, last (submitted by you), all (not ended), state=failed, label=k=v,\n"
    "group=G, task=T, pool=P, key=K. Words of one kind are or, kinds are and.";

}  // namespace futured::cli
