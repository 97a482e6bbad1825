// What a store keeps of tasks as bytes: scheduler values into messages of futured/v1/store.proto and back. No
// decisions. Bytes that make no sense (a damaged store) give a Status.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/scheduler/spec.hpp"
#include "daemon/scheduler/task.hpp"
#include "proto/status.hpp"

namespace futured::daemon {

/// The clocks of this boot: a time of the wall is `unix_offset` more than one of the scheduler. 0 stays 0.
struct Clocks {
  std::int64_t unix_offset = 0;
  std::int64_t to_wall(scheduler::Time at) const { return at == 0 ? 0 : at + unix_offset; }
  scheduler::Time from_wall(std::int64_t at) const { return at == 0 ? 0 : at - unix_offset; }
};

struct StoredBatch {
  std::vector<scheduler::Spec> specs;
  struct Alias {
    std::uint32_t offset = 0;
    TaskNumber task = 0;
    bool input_differs = false;
  };
  std::vector<Alias> aliases;
};

struct StoredProgress {
  std::uint32_t attempt = 0;
  std::uint32_t crashes = 0;
  std::uint32_t spent_retries = 0;
  scheduler::Time due = 0;
  bool ran = false;
  bool linked = false;
  TaskNumber retry_of = 0;
  std::vector<scheduler::Attempt> attempts;
  bool has_input = false;  ///< `input` takes the place of what was submitted
  std::string input;
};

struct StoredEnd {
  std::vector<scheduler::Attempt> attempts;
  bool failed = false;
  scheduler::Failure failure;
  TaskNumber retry_of = 0;
};

std::string to_bytes(const StoredBatch& batch);
std::string to_bytes(const StoredProgress& progress, const Clocks& clocks);
std::string to_bytes(const StoredEnd& end, const Clocks& clocks);
Status from_bytes(std::string_view bytes, StoredBatch& batch);
Status from_bytes(std::string_view bytes, const Clocks& clocks, StoredProgress& progress);
Status from_bytes(std::string_view bytes, const Clocks& clocks, StoredEnd& end);

}  // namespace futured::daemon
