#include "client/cli/progress.hpp"
#include "client/cli/records.hpp"
#include "client/cli/tasks.hpp"

namespace futured::cli {
namespace {

constexpr std::size_t kRecordsAtOnce = 500;

/// The records of tasks that were just made, in their order.
void print_records(Context& context, const std::vector<TaskNumber>& numbers) {
  for (std::size_t begin = 0; begin < numbers.size() && !context.out.closed(); begin += kRecordsAtOnce) {
    v1::Selector selector;
    for (std::size_t i = begin; i < std::min(numbers.size(), begin + kRecordsAtOnce); ++i) {
      auto* range = selector.add_numbers();
      range->set_first(numbers[i]);
      range->set_last(numbers[i]);
    }
    auto records = context.daemon.list(selector, true);
    std::sort(records.begin(), records.end(), [](const auto& a, const auto& b) { return a.number() < b.number(); });
    for (const auto& record : records) context.out.print(json_of(record));
  }
}

}  // namespace

int retry_verb(Context& context) {
  const Selection selection = context.selection();
  Exit worst = Exit::done;
  std::size_t failed = 0;
  if (selection.exact()) {
    for (const auto& task : find_tasks(context, selection, worst)) {
      if (!is_named(selection, task)) continue;
      if (!has_ended(task)) {
        context.out.note("task " + std::to_string(task.number()) + " is " + state_word(task.state()) +
                         ": it can be tried again when it has ended");
      } else if (task.state() == v1::STATE_SUCCEEDED) {
        context.out.note("task " + std::to_string(task.number()) +
                         " has succeeded: only a task that did not is tried again");
      } else {
        ++failed;
      }
    }
  }
  const auto numbers = expect_reached(context.daemon.control().retry(selection.selector, kAnswerTime), worst);
  if (!numbers) return static_cast<int>(worst);
  if (!numbers->empty()) context.daemon.remember(numbers->back());
  if (context.out.json()) {
    print_records(context, *numbers);
  } else {
    std::string text;
    for (const TaskNumber number : *numbers) text += std::to_string(number) + "\n";
    context.out.write(text);
  }
  if (failed > numbers->size()) {
    context.out.note(counted_tasks(failed - numbers->size()) +
                     " cannot be tried again: the input was not kept (--keep 0)");
  }
  if (numbers->empty() && !selection.exact()) context.out.note("none of these tasks has failed, or has been cancelled");
  return static_cast<int>(worst);
}

}  // namespace futured::cli
