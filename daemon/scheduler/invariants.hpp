// What is always true of a scheduler, between any two events. For tests and the simulator: check() walks everything.
#pragma once

#include <string>
#include <vector>

#include "daemon/scheduler/scheduler.hpp"

namespace futured::scheduler {

class Findings;

struct Invariants {
  /// One line for each thing that is wrong, at most kMost; empty if all is well. Call it after handle() or advance().
  static std::vector<std::string> check(const Scheduler& scheduler);
  /// After everything was delivered and every session has ended: what is still held, one line each. For tasks that are
  /// kept, not before their retention has passed.
  static std::vector<std::string> check_empty(const Scheduler& scheduler);

  static constexpr std::size_t kMost = 20;

 private:
  static void check_queue(const Scheduler& scheduler, Findings& wrong);
  static void check_life(const Scheduler& scheduler, Findings& wrong);
  static bool has_unlimited(const Scheduler& scheduler, ClassId cls);
};

}  // namespace futured::scheduler
