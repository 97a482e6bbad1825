#include "tests/bench/bench.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <utility>

namespace futured::bench {
namespace fs = std::filesystem;

double thread_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double percentile(std::vector<double> sample, double p) {
  if (sample.empty()) throw Failure("no samples");
  const auto at = static_cast<std::size_t>(std::lround(p * static_cast<double>(sample.size() - 1)));
  std::nth_element(sample.begin(), sample.begin() + static_cast<std::ptrdiff_t>(at), sample.end());
  return sample[at];
}

bool Figure::meets_target() const {
  const double seen = target_ratio ? ratio() : value;
  const double wanted = target_ratio ? *target_ratio : target.value_or(0);
  return more_is_better ? seen >= wanted : seen <= wanted;
}

namespace {

std::string show(double value) {
  char text[32];
  const int decimals = std::abs(value) >= 1000 ? 0 : std::abs(value) >= 10 ? 1 : 3;
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

std::string show_target(const Figure& f) {
  if (!f.has_target()) return "-";
  const std::string sign = f.more_is_better ? ">= " : "<= ";
  return sign + (f.target_ratio ? show(*f.target_ratio) + " x" : show(f.target.value_or(0))) +
         (f.meets_target() ? " met" : " MISSED");
}

}  // namespace

void Report::add(const Figure& f) {
  if (!std::exchange(head_printed_, true)) {
    std::printf("%-54s %10s %-9s %10s %7s  %-18s %s\n", "figure", "value", "", "floor", "ratio", "target", "beside");
  }
  const std::string beside = f.median ? "median " + show(*f.median) : f.floor_name;
  std::printf("%-54s %10s %-9s %10s %7s  %-18s %s\n", f.name.c_str(), show(f.value).c_str(), f.unit.c_str(),
              f.floor == 0 ? "-" : show(f.floor).c_str(), f.floor == 0 ? "-" : show(f.ratio()).c_str(),
              show_target(f).c_str(), beside.c_str());
  std::fflush(stdout);
  figures_.push_back(f);
}

void Report::failed(std::string_view bench, std::string_view why) {
  std::printf("%.*s could not be measured: %.*s\n", static_cast<int>(bench.size()), bench.data(),
              static_cast<int>(why.size()), why.data());
  std::fflush(stdout);
  failures_.emplace_back(bench, why);
}

bool Report::write_json(const fs::path& path) const {
  if (path.empty()) return true;
  auto all = nlohmann::ordered_json::array();
  for (const Figure& f : figures_) {
    nlohmann::ordered_json one = {{"name", f.name}, {"value", f.value}, {"unit", f.unit}};
    if (f.floor != 0) {
      one["floor"] = f.floor;
      one["floor_name"] = f.floor_name;
      one["ratio"] = f.ratio();
    }
    if (f.median) one["median"] = *f.median;
    if (f.target) one["target"] = *f.target;
    if (f.target_ratio) one["target_ratio"] = *f.target_ratio;
    if (f.has_target()) one["met"] = f.meets_target();
    one["more_is_better"] = f.more_is_better;
    all.push_back(std::move(one));
  }
  nlohmann::ordered_json document = {{"processors", std::thread::hardware_concurrency()}, {"figures", all}};
  for (const auto& [bench, why] : failures_) document["failures"].push_back({{"bench", bench}, {"why", why}});
  std::ofstream out(path);
  out << document.dump(2) << '\n';
  return static_cast<bool>(out.flush());
}

std::string sibling(const std::string& name) {
  return (fs::read_symlink("/proc/self/exe").parent_path() / name).string();
}

namespace {
// This program is build/tests/bin/futured-bench.
fs::path build_dir() { return fs::path(sibling("")).parent_path().parent_path().parent_path(); }
}  // namespace

void find_programs() {
  ::setenv("FUTURED_BIN_DIR", (build_dir() / "tests" / "bench" / "bin").c_str(), 1);
  ::setenv("FUTURED_PLUGIN_DIR", (build_dir() / "plugins").c_str(), 1);
}

std::string clock_plugin_dir() { return (build_dir() / "tests" / "bench" / "plugins").string(); }

std::string run(const std::vector<std::string>& command) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw Failure("cannot make a pipe");
  std::vector<std::string> words{"setpriv", "--pdeathsig", "KILL"};
  words.insert(words.end(), command.begin(), command.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_adddup2(&files, ends[1], 1);
  ::posix_spawn_file_actions_adddup2(&files, ends[1], 2);
  pid_t pid = -1;
  const int error = ::posix_spawnp(&pid, argv[0], &files, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&files);
  ::close(ends[1]);
  if (error != 0) {
    ::close(ends[0]);
    throw Failure("cannot start " + command[0]);
  }
  std::string text;
  char buffer[65536];
  for (ssize_t n = 0; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(n));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw Failure(command[0] + " failed: " + (text.empty() ? "it printed nothing" : text.substr(0, 2000)));
  }
  return text;
}

std::vector<double> numbers(const std::string& text) {
  std::istringstream in(text);
  std::vector<double> all;
  for (double one = 0; in >> one;) all.push_back(one);
  return all;
}

}  // namespace futured::bench
