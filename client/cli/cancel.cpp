#include <algorithm>

#include "client/cli/duration.hpp"
#include "client/cli/progress.hpp"
#include "client/cli/records.hpp"
#include "client/cli/tasks.hpp"

namespace futured::cli {

namespace {

/// How many of the tasks that were reached still run: they have been asked to stop, and may take their grace.
std::uint64_t still_running(Context& context, v1::Selector selector) {
  bool may_run = selector.states().empty();
  for (const int state : selector.states()) may_run = may_run || state == v1::STATE_RUNNING;
  if (!may_run) return 0;
  selector.clear_states();
  selector.add_states(v1::STATE_RUNNING);
  std::uint64_t count = 0;
  context.daemon.pages(selector, false, false, [&](const v1::Reply& reply) {
    count += static_cast<std::uint64_t>(reply.tasks_size());
    return true;
  });
  return count;
}

}  // namespace

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
  const std::uint64_t asked = reached == 0 ? 0 : std::min(reached, still_running(context, selection.selector));
  const std::uint64_t cancelled = reached - asked;
  if (context.out.json()) {
    context.out.print(schema::Json::object().add("cancelled", cancelled).add("asked_to_stop", asked));
  } else if (context.out.quiet()) {
    context.out.line(std::to_string(reached));
  } else if (reached > 0 || !selection.exact()) {
    std::string text;
    if (cancelled > 0 || asked == 0) text = "cancelled " + counted_tasks(cancelled);
    if (asked > 0) {
      text += (text.empty() ? "asked " : "; asked ") + std::to_string(asked) +
              (asked == 1 ? " running task to stop" : " running tasks to stop");
    }
    context.out.line(text);
  }
  return static_cast<int>(worst);
}

}  // namespace futured::cli
