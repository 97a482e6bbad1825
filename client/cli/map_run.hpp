// The engine of `fut map`: lines in, one task each, results out as they complete or in order. At most `in_flight` tasks
// are with the daemon, at most `window` results wait to be printed, and their bytes are bounded: the input may be
// endless. Lives on the main thread; the reader and the executor only leave word.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/cli/input.hpp"
#include "client/cli/line_reader.hpp"
#include "client/cli/outcome.hpp"
#include "client/cli/progress.hpp"

namespace futured::cli {

struct MapSettings {
  std::uint64_t in_flight = 4096;
  std::uint64_t window = 16384;
  std::uint64_t max_fails = 0;  ///< 0: any number
  bool ordered = false;
  bool goes_on = false;  ///< tasks outlive fut
  char line_end = '\n';
  bool fails_when_full = false;                      ///< ends the map when the daemon is full
  std::optional<std::chrono::nanoseconds> patience;  ///< or when it has been for so long
  TaskOptions options;
  /// Appends what is printed for one task to `out`.
  std::function<void(std::uint64_t index, TaskNumber number, const Outcome& outcome, std::string& out)> print;
};

class MapRun {
 public:
  MapRun(Context& context, const TaskInfo& info, const Input& input, MapSettings settings);
  MapRun(const MapRun&) = delete;
  MapRun& operator=(const MapRun&) = delete;

  /// To the end of the input and of all tasks, or to an interrupt. The exit code.
  int run();

 private:
  struct Item {
    Future<std::string> future;
    std::optional<Outcome> refused;  ///< the line never became a task
    std::size_t input_bytes = 0;
    bool done = false;
  };
  /// What other threads leave here. Outlives this object where a callback may still come.
  struct Word {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::uint64_t> done;
    bool lines = false;
    int signal = 0;
  };

  bool may_submit() const;
  void submit_some();
  bool submit_line(std::string line);
  void take_done(const std::vector<std::uint64_t>& done);
  void emit(std::uint64_t index, Item& item);
  void emit_in_order();
  void stop();
  void cancel_running();
  void flush();
  void tick(Progress::Time now);
  void wait_for_word(Progress::Time until);
  int end();

  Context& context_;
  const TaskInfo& info_;
  const Input& input_;
  MapSettings settings_;
  std::shared_ptr<Word> word_ = std::make_shared<Word>();
  std::unique_ptr<LineReader> reader_;
  std::optional<std::string> held_;  ///< a line that the daemon had no room for
  int refusals_ = 0;                 ///< in a row
  std::optional<Progress::Time> full_since_;
  bool gave_up_ = false;  ///< the daemon was full for too long: no more submits; what was submitted goes on
  std::unordered_map<std::uint64_t, Item> items_;  ///< read and not printed
  std::uint64_t next_index_ = 0, next_printed_ = 0;
  std::uint64_t in_flight_ = 0;
  std::size_t held_bytes_ = 0;  ///< inputs and results of items_
  std::string text_;            ///< to be written
  Progress progress_;
  Progress::Time next_tick_;
  std::uint64_t file_bytes_ = 0;  ///< of the input, if it is a file
  bool typed_ = false;            ///< the input is a terminal
  bool stopping_ = false;         ///< no more submits; what has not started was cancelled
  int signal_ = 0;
  std::optional<Progress::Time> leave_at_;  ///< running tasks are waited for until then
  bool running_cancelled_ = false;
};

}  // namespace futured::cli
