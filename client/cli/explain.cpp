#include "client/cli/records.hpp"
#include "client/cli/tables.hpp"
#include "client/cli/tasks.hpp"

namespace futured::cli {

int explain_verb(Context& context) {
  const Selection selection = context.selection();
  std::uint64_t explained = 0;
  const auto take = [&](v1::Explanation& explanation) {
    ++explained;
    if (context.out.json()) {
      context.out.print(json_of(explanation));
    } else {
      context.out.line(explanation_line(explanation));
    }
    return !context.out.closed();
  };
  Exit worst = Exit::done;
  const Status asked = context.daemon.control().explain(selection.selector, kAnswerTime, take);
  const bool missing = asked.code() == Code::not_found || asked.code() == Code::forgotten;
  if (!asked.ok() && !(missing && selection.exact())) expect(asked, Exit::no_such_task);
  if (selection.exact() && explained < selection.numbers.size() + selection.ids.size() && !context.out.closed()) {
    find_tasks(context, selection, worst);
  }
  return static_cast<int>(worst);
}

}  // namespace futured::cli
