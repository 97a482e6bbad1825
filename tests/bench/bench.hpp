// What the benchmarks share: statistics, the table, the JSON file, and programs run to their end.
// The daemon they drive is that of tests/support/daemon_process.hpp.
// Single-threaded. A benchmark that cannot run throws Failure: its row then says why, and the run fails.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace futured::bench {

using Clock = std::chrono::steady_clock;

class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}
/// Processor time of this thread in seconds: of a machine on which others are busy too it is what does not depend on
/// them.
double thread_seconds();
/// Of a non-empty sample; p from 0 to 1. percentile(s, 0.5) is the median.
double percentile(std::vector<double> sample, double p);
inline double median(std::vector<double> sample) { return percentile(std::move(sample), 0.5); }

/// One measured figure and what it stands beside.
struct Figure {
  std::string name;
  double value = 0;
  std::string unit;
  double floor = 0;        ///< what the bare machinery takes for the same work, in the same run; 0: no floor
  std::string floor_name;  ///< what that machinery is
  /// The target, either of the figure itself or of its ratio to the floor.
  std::optional<double> target;
  std::optional<double> target_ratio;
  bool more_is_better = false;
  std::optional<double> median;  ///< of the same sample, if the figure is the maximum of one

  double ratio() const { return floor == 0 ? 0 : value / floor; }
  bool has_target() const { return target || target_ratio; }
  bool meets_target() const;
};

/// Prints each figure as it comes and keeps all for the JSON file.
class Report {
 public:
  void add(const Figure& figure);
  void failed(std::string_view bench, std::string_view why);
  /// False if the file cannot be written; `path` empty: nothing to write.
  bool write_json(const std::filesystem::path& path) const;
  bool any_failed() const { return !failures_.empty(); }

 private:
  std::vector<Figure> figures_;
  std::vector<std::pair<std::string, std::string>> failures_;
  bool head_printed_ = false;
};

/// Tells the test support where the programs under test are, from where this one is.
void find_programs();
/// Where the plugin of these benchmarks is.
std::string clock_plugin_dir();
/// A program beside this one.
std::string sibling(const std::string& name);

/// Runs a program to its end and returns what it printed. Throws Failure unless it exits with 0. If this thread ends
/// before, the program is killed.
std::string run(const std::vector<std::string>& command);
/// The numbers in a text, one a line.
std::vector<double> numbers(const std::string& text);

}  // namespace futured::bench
