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
  if (context.out.json()) {
    const auto record = context.daemon.record(task.number);
    if (!record) throw Failure(Exit::forgotten, "task " + std::to_string(task.number) + " is forgotten already");
    schema::Json json = json_of(*record);
    mark_existing(json, task.existing);
    context.out.print(json);
  } else {
    context.out.line(std::to_string(task.number));
  }
  return 0;
}

}  // namespace futured::cli
