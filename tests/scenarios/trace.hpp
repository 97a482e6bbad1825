// What a turn ordered and what the tables hold, in words.
#pragma once

#include <string>
#include <vector>

#include "tests/scenarios/cast.hpp"
#include "tests/scenarios/task_names.hpp"

namespace futured::scheduler::scenario {

/// What a trace reads.
struct Scene {
  const test::Bench& bench;
  const Cast& cast;
  const TaskNames& tasks;
};

/// The actions of the last turn, one line each, in the order of README.md; neighbours that differ only in the task are
/// one line.
std::vector<std::string> trace(const Scene& scene);

// Views.
std::vector<std::string> show_task(const Scene& scene, TaskNumber number);
std::vector<std::string> show_counts(const Scene& scene);
std::vector<std::string> show_queues(const Scene& scene);
std::vector<std::string> show_workers(const Scene& scene);
std::vector<std::string> show_clients(const Scene& scene);
std::vector<std::string> explain_task(const Scene& scene, TaskNumber number);
std::vector<std::string> show_input(const Scene& scene, TaskNumber number);
std::vector<std::string> show_groups(const Scene& scene);
std::vector<std::string> show_limits(const Scene& scene);

}  // namespace futured::scheduler::scenario
