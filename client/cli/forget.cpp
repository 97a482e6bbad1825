#include "client/cli/progress.hpp"
#include "client/cli/records.hpp"
#include "client/cli/tasks.hpp"

namespace futured::cli {

int forget_verb(Context& context) {
  const Selection selection = context.selection();
  Exit worst = Exit::done;
  if (selection.exact()) {
    // Before they are forgotten: afterwards nobody could tell which were unknown.
    for (const auto& task : find_tasks(context, selection, worst)) {
      if (!has_ended(task) && is_named(selection, task)) {
        context.out.note("task " + std::to_string(task.number()) + " is " + state_word(task.state()) +
                         ": only what has ended can be forgotten; 'fut cancel " + std::to_string(task.number()) +
                         "' ends it");
      }
    }
  }
  const auto count = expect_reached(context.daemon.control().forget(selection.selector, kAnswerTime), worst);
  if (!count) return static_cast<int>(worst);
  if (context.out.json()) {
    context.out.print(schema::Json::object().add("forgotten", *count));
  } else if (context.out.quiet()) {
    context.out.line(std::to_string(*count));
  } else if (*count > 0 || !selection.exact()) {
    context.out.line("forgot " + counted_tasks(*count));
  }
  return static_cast<int>(worst);
}

}  // namespace futured::cli
