#include "tests/scenarios/task_names.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace futured::scheduler::scenario {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// "page12" is "page" and 12; without digits at the end the number is 0.
std::pair<std::string_view, std::uint64_t> series(std::string_view name) {
  std::size_t digits = name.size();
  while (digits > 0 && is_digit(name[digits - 1])) --digits;
  std::uint64_t n = 0;
  std::from_chars(name.data() + digits, name.data() + name.size(), n);
  return {name.substr(0, digits), n};
}

}  // namespace

void TaskNames::check_free(const std::string& name) const {
  if (name.empty() || is_digit(name[0]) || name.find_first_of("-,@:= ") != std::string::npos) {
    throw Error("'" + name + "' cannot name a task: a name begins with a letter and has none of - , @ : =");
  }
  if (numbers_.count(name) != 0) throw Error("there is a task '" + name + "' already");
}

void TaskNames::add(TaskNumber number, const std::string& name) {
  check_free(name);
  numbers_.emplace(name, number);
  names_.emplace(number, name);
}

std::string TaskNames::of(TaskNumber number) const {
  const auto it = names_.find(number);
  return it == names_.end() ? std::to_string(number) : it->second;
}

TaskNumber TaskNames::number(std::string_view name) const {
  if (const auto it = numbers_.find(name); it != numbers_.end()) return it->second;
  TaskNumber n = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), n);
  if (error != std::errc{} || end != name.data() + name.size() || n == 0) {
    throw Error("no task is called '" + std::string(name) + "'");
  }
  return n;
}

std::vector<TaskWord> TaskNames::words(std::string_view text) const {
  std::vector<TaskWord> out;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    std::string_view part = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    std::uint32_t attempt = 0;
    if (const std::size_t at = part.find('@'); at != std::string_view::npos) {
      const auto [end, error] = std::from_chars(part.data() + at + 1, part.data() + part.size(), attempt);
      if (error != std::errc{} || end != part.data() + part.size()) {
        throw Error("'" + std::string(part) + "': a number of an attempt belongs after @");
      }
      part = part.substr(0, at);
    }
    const std::size_t dash = part.find('-');
    const TaskNumber first = number(part.substr(0, dash));
    const TaskNumber last = dash == std::string_view::npos ? first : number(part.substr(dash + 1));
    if (last < first) throw Error("'" + std::string(part) + "' ends before it begins");
    for (TaskNumber n = first; n <= last; ++n) out.push_back({n, attempt});
  }
  return out;
}

bool TaskNames::follow(TaskNumber a, TaskNumber b) const {
  if (b != a + 1) return false;
  const auto x = names_.find(a);
  const auto y = names_.find(b);
  if (x == names_.end() || y == names_.end()) return x == y;
  const auto [stem_x, n_x] = series(x->second);
  const auto [stem_y, n_y] = series(y->second);
  return stem_x == stem_y && n_y == n_x + 1;
}

std::string TaskNames::list(const std::vector<TaskNumber>& numbers) const {
  std::string out;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t end = i + 1;
    while (end < numbers.size() && follow(numbers[end - 1], numbers[end])) ++end;
    if (end - i < 3) end = i + 1;
    out += (i == 0 ? "" : ", ") + of(numbers[i]);
    if (end - i > 1) out += "-" + of(numbers[end - 1]);
    i = end;
  }
  return out;
}

}  // namespace futured::scheduler::scenario
