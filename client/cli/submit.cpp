#include "client/cli/records.hpp"
#include "client/cli/run.hpp"

namespace futured::cli {

int submit_verb(Context& context) {
  TaskOptions options = task_options(context, Gone::keep);
  if (context.args.has("wait")) {
    const Submitted task = submit_words(context, options);
    return finish(context, task, goes_on(context.args, Gone::keep));
  }
  if (!goes_on(context.args, Gone::keep)) {
    throw Failure(Exit::usage, "--on-disconnect cancel needs --wait: without it fut is gone at once");
  }
  const Submitted task = submit_words(context, options.detached());
  const auto record = context.daemon.record(task.number);
  if (context.out.json()) {
    if (!record) throw Failure(Exit::forgotten, "task " + std::to_string(task.number) + " is forgotten already");
    schema::Json json = json_of(*record);
    mark_existing(json, task.existing);
    context.out.print(json);
  } else {
    context.out.line(std::to_string(task.number));
  }
  if (!record || record->state() != v1::STATE_FAILED) return 0;
  // A task that was refused for what it is has ended before anybody could wait for it.
  const Exit code = exit_of(*record);
  if (code != Exit::input_refused && code != Exit::refused_now) return 0;
  Outcome refused;
  refused.state = record->state();
  refused.error = record->error();
  report(context, task.number, task.info.name, refused);
  return static_cast<int>(code);
}

}  // namespace futured::cli
