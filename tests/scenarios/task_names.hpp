// Tasks by the names a story gives them, by number where it gives none.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "proto/ids.hpp"

namespace futured::scheduler::scenario {

/// The story itself is wrong: an unknown word, a name that stands for nothing.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// `t1` or `t1@2`: a task, perhaps one of its attempts.
struct TaskWord {
  TaskNumber number = 0;
  std::uint32_t attempt = 0;  ///< 0: not said
};

class TaskNames {
 public:
  void add(TaskNumber number, const std::string& name);
  /// Throws if `name` cannot be the name of a task or is one.
  void check_free(const std::string& name) const;
  std::string of(TaskNumber number) const;
  TaskNumber number(std::string_view name) const;
  /// `t1,3-7,t2@1`: names and numbers, ranges of them by number.
  std::vector<TaskWord> words(std::string_view text) const;
  /// In the given order; three or more that follow each other are folded: `t1, 4-9`.
  std::string list(const std::vector<TaskNumber>& numbers) const;

 private:
  bool follow(TaskNumber a, TaskNumber b) const;

  std::map<std::string, TaskNumber, std::less<>> numbers_;
  std::map<TaskNumber, std::string> names_;
};

}  // namespace futured::scheduler::scenario
