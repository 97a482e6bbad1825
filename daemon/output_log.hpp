// What tasks said while they ran: the latest progress, and the newest output in a ring for each, so that a task may be
// asked about it at any time and none takes more than its share. Without I/O. Owned and called by the loop thread.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "proto/ids.hpp"

namespace futured::daemon {

class OutputLog {
 public:
  static constexpr std::uint64_t kPerTask = 64 << 10;    ///< bytes of output kept of a task, all attempts
  static constexpr std::uint64_t kInAll = 256ULL << 20;  ///< above, the tasks that were silent longest lose theirs
  static constexpr std::uint64_t kOverhead = 256;        ///< what a task is charged beside its output

  struct Chunk {
    std::uint32_t attempt = 0;
    std::uint32_t stream = 0;
    std::uint64_t offset = 0;  ///< within the output of the attempt; a gap before it was dropped
    std::string data;
  };
  struct Progress {
    std::uint32_t attempt = 0;
    double fraction = 0;  ///< below 0: unknown
    std::string text;
  };
  struct Log {
    std::deque<Chunk> chunks;  ///< oldest first
    std::uint64_t bytes = 0;
    bool has_progress = false;
    Progress progress;
    std::list<TaskNumber>::iterator age;
  };

  /// True if nothing was known of the task before.
  bool output(TaskNumber task, Chunk chunk);
  bool progress(TaskNumber task, Progress progress);
  void forget(TaskNumber task);
  /// Null if it said nothing, or what it said was dropped.
  const Log* find(TaskNumber task) const;
  /// Appends what is there of an attempt from `offset` on, at most some `most` bytes.
  void read(TaskNumber task, std::uint32_t attempt, std::uint64_t offset, std::uint64_t most,
            std::vector<Chunk>& into) const;
  std::uint64_t bytes() const { return bytes_; }
  std::size_t tasks() const { return logs_.size(); }

 private:
  Log& touch(TaskNumber task, bool& fresh);
  void shrink();

  std::unordered_map<TaskNumber, Log> logs_;  // looked up, never walked
  std::list<TaskNumber> by_age_;              // silent longest first
  std::uint64_t bytes_ = 0;                   // with overhead
};

}  // namespace futured::daemon
