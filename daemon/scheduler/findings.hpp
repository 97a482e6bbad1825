// What the invariants found wrong, a line each.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/scheduler/invariants.hpp"
#include "daemon/scheduler/task.hpp"

namespace futured::scheduler {

class Findings {
 public:
  template <class... Parts>
  void operator()(const Parts&... parts) {
    if (lines.size() >= Invariants::kMost) return;
    std::string line;
    (add(line, parts), ...);
    lines.push_back(std::move(line));
  }
  /// A line if they differ.
  template <class A, class B>
  void same(const std::string& what, const A& is, const B& should) {
    if (static_cast<std::uint64_t>(is) != static_cast<std::uint64_t>(should)) {
      (*this)(what, " is ", static_cast<std::uint64_t>(is), ", by the tables ", static_cast<std::uint64_t>(should));
    }
  }
  std::vector<std::string> lines;

 private:
  static void add(std::string& to, const std::string& s) { to += s; }
  static void add(std::string& to, const char* s) { to += s; }
  template <class N>
  static void add(std::string& to, const N& n) {
    to += std::to_string(n);
  }
};

inline std::string task_name(const TaskRecord& t) { return "task " + std::to_string(t.number); }

}  // namespace futured::scheduler
