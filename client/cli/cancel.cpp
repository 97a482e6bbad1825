#include "client/cli/duration.hpp"
#include "client/cli/records.hpp"
#include "client/cli/tasks.hpp"

namespace futured::cli {

int cancel_verb(Context& context) {
  std::chrono::nanoseconds grace = std::chrono::seconds(5);
  if (const auto text = context.args.value("grace")) grace = expect(parse_duration(*text));
  const Selection selection = context.selection();
  v1::Request request;
  auto& cancel = *request.mutable_cancel();
  *cancel.mutable_selector() = selection.selector;
  cancel.set_grace_ns(grace.count());
  cancel.set_why("fut cancel");
  Exit worst = Exit::done;
  std::uint64_t reached = 0;
  for (bool more = true; more;) {  // the daemon walks through a part of its tasks at a time
    const v1::Reply reply = context.daemon.ask(request);
    reached += reply.count();
    more = reply.more();
    cancel.set_cursor(reply.cursor());
  }
  if (selection.exact() && reached < selection.numbers.size() + selection.ids.size()) {
    for (const auto& task : find_tasks(context, selection, worst)) {
      if (has_ended(task)) {
        context.out.note("task " + std::to_string(task.number()) + " had ended: " + state_word(task.state()));
      }
    }
  }
  if (context.out.json()) {
    context.out.print(schema::Json::object().add("cancelled", reached));
  } else if (context.out.quiet()) {
    context.out.line(std::to_string(reached));
  } else if (reached > 0 || !selection.exact()) {
    context.out.line("cancelled " + std::to_string(reached) + (reached == 1 ? " task" : " tasks"));
  }
  return static_cast<int>(worst);
}

}  // namespace futured::cli
