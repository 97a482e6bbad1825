// How traces and views say things.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "client/cli/duration.hpp"
#include "tests/scenarios/task_names.hpp"
#include "tests/scheduler/fixture.hpp"

namespace futured::scheduler::scenario {

inline std::string duration(Time ns) {
  if (ns == 0) return "0s";
  std::string out = cli::show_duration(std::chrono::nanoseconds(ns));
  if (const std::size_t at = out.find(".00s"); at != std::string::npos) out.erase(at, 3);  // 5.00s is 5s
  return out;
}

inline std::string quoted(std::string_view bytes) {
  constexpr std::size_t kShown = 40;
  if (bytes.size() > kShown) return std::to_string(bytes.size()) + " bytes";
  return "\"" + std::string(bytes) + "\"";
}

/// `failed (exit, status 3): message`
inline std::string failed(const Failure& f) {
  std::string out = "failed (" + std::string(name(f.kind));
  if (f.status != 0) out += ", status " + std::to_string(f.status);
  if (f.signal != 0) out += ", signal " + std::to_string(f.signal);
  return out + "): " + f.message;
}

/// `cancelled`, `cancelled (dependency): message`
inline std::string ended(Phase phase, const Failure* f) {
  if (f == nullptr) return std::string(name(state_of(phase)));
  if (phase == Phase::failed) return failed(*f);
  return std::string(name(state_of(phase))) + " (" + std::string(name(f->kind)) + "): " + f->message;
}

/// Lines; those that follow each other and differ only in the task are one.
class Lines {
 public:
  explicit Lines(const TaskNames& tasks) : tasks_(tasks) {}
  void add(const std::string& line) {
    flush();
    lines_.push_back(line);
  }
  void add(const std::string& before, TaskNumber task, const std::string& after) {
    if (before != before_ || after != after_) flush();
    before_ = before;
    after_ = after;
    group_.push_back(task);
  }
  std::vector<std::string> take() {
    flush();
    return std::move(lines_);
  }

 private:
  void flush() {
    if (!group_.empty()) lines_.push_back(before_ + tasks_.list(group_) + after_);
    group_.clear();
  }
  const TaskNames& tasks_;
  std::string before_, after_;
  std::vector<TaskNumber> group_;
  std::vector<std::string> lines_;
};

}  // namespace futured::scheduler::scenario
