#include "client/cli/run.hpp"

namespace futured::cli {
namespace {

constexpr auto kLookAgain = std::chrono::milliseconds(500);

}  // namespace

Submitted submit_one(Context& context, TaskInfo info, const std::string& input, const TaskOptions& options) {
  Submitted out;
  out.info = std::move(info);
  TaskOptions patient = options;
  patient.on_full(OnFull::block, kLookAgain);
  while (!out.future.valid()) {
    try {
      out.future = context.daemon.executor().submit(out.info.name, input, patient);
    } catch (const QueueFull&) {  // there will be room again, unless the daemon is ending
      context.daemon.refuse_if_draining();
    }
  }
  out.number = context.daemon.accepted(out.future);
  context.daemon.remember(out.number);
  // The workers of a private daemon are just coming up.
  const std::string remark = context.args.has("embedded") ? "" : context.daemon.control().warning(out.future);
  if (!remark.empty()) {
    context.out.warn("task " + std::to_string(out.number) + ": " + remark);
  }
  return out;
}

Submitted submit_words(Context& context, const TaskOptions& options) {
  TaskInfo info = context.daemon.task(context.first_word("a task"));
  const Input input = expect(Input::parse(info, input_words(context.args), Input::Lines::none), Exit::input_refused);
  const std::string bytes = expect(input.bytes(), Exit::input_refused);
  return submit_one(context, std::move(info), bytes, options);
}

int finish(Context& context, const Submitted& task, bool goes_on) {
  const int signal = await(context, task.future, goes_on);
  if (signal != 0) {
    if (goes_on) {
      context.out.note("task " + std::to_string(task.number) + " goes on: 'fut result " + std::to_string(task.number) +
                       "' waits for its result");
    } else if (!task.future.done()) {
      context.out.note("task " + std::to_string(task.number) + " was told to stop");
    }
    return 128 + signal;
  }
  const Outcome outcome = outcome_of(task.future);
  if (context.out.json()) {
    context.out.print(whole_record(context, task.info, task.number, outcome));
  } else {
    print_output(context, task.info, outcome);
  }
  report(context, task.number, task.info.name, outcome);
  return static_cast<int>(exit_of(outcome));
}

int run_verb(Context& context) {
  const Submitted task = submit_words(context, task_options(context.args, Gone::cancel));
  return finish(context, task, goes_on(context.args, Gone::cancel));
}

}  // namespace futured::cli
