#include "client/cli/run.hpp"

#include <algorithm>

namespace futured::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::nanoseconds kLookAgain = std::chrono::milliseconds(500);
constexpr std::int64_t kLongest = 1'000'000'000'000'000'000;  // 31 years, far from an overflow of the clock

}  // namespace

Submitted submit_one(Context& context, TaskInfo info, const std::string& input, const TaskOptions& options) {
  Submitted out;
  out.info = std::move(info);
  const auto& data = options.data();
  const bool waits = data == nullptr || data->on_full == OnFull::block;
  const bool for_ever = data == nullptr || data->full_timeout_ns < 0;
  const auto until = for_ever ? Clock::time_point::max()
                              : Clock::now() + std::chrono::nanoseconds(std::min(data->full_timeout_ns, kLongest));
  TaskOptions patient = options;
  while (!out.future.valid()) {
    const auto left = std::max(until - Clock::now(), Clock::duration::zero());
    if (waits) patient.on_full(OnFull::block, for_ever ? kLookAgain : std::min<Clock::duration>(kLookAgain, left));
    try {
      out.future = context.daemon.executor().submit(out.info.name, input, patient);
    } catch (const QueueFull&) {  // there will be room again, unless the daemon is ending
      if (!waits || Clock::now() >= until) throw;
      context.daemon.refuse_if_draining();
    }
  }
  out.number = context.daemon.accepted(out.future);
  context.daemon.remember(out.number);
  if (data != nullptr && !data->spec.key.empty()) {
    out.existing = expect(context.daemon.control().existing(out.future, kLookAgain));
    if (out.existing) {
      context.out.note("task " + std::to_string(out.number) + " has this key already" +
                       (out.existing->input_differs ? ", with another input" : "") + ": it is taken");
    }
  }
  // The workers of a private daemon are just coming up.
  const std::string remark = context.args.has("embedded") ? "" : context.daemon.control().warning(out.future);
  if (!remark.empty()) {
    context.out.warn("task " + std::to_string(out.number) + ": " + remark);
  }
  return out;
}

void mark_existing(schema::Json& record, const std::optional<Control::Existing>& existing) {
  if (!existing) return;
  record.set("existing", true);
  record.set("input_differs", existing->input_differs);
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
    schema::Json record = whole_record(context, task.info, task.number, outcome);
    mark_existing(record, task.existing);
    context.out.print(record);
  } else {
    print_output(context, task.info, outcome);
  }
  report(context, task.number, task.info.name, outcome);
  return static_cast<int>(exit_of(outcome));
}

int run_verb(Context& context) {
  const Submitted task = submit_words(context, task_options(context, Gone::cancel));
  return finish(context, task, goes_on(context.args, Gone::cancel));
}

}  // namespace futured::cli
