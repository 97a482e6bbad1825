#include "client/cli/duration.hpp"
#include "client/cli/outcome.hpp"
#include "client/cli/records.hpp"
#include "client/cli/tasks.hpp"

namespace futured::cli {

using namespace std::chrono_literals;

int result_verb(Context& context) {
  const std::string field(context.args.value("field").value_or(""));
  if (!field.empty() && context.out.json()) throw Failure(Exit::usage, "--field prints a field raw; leave out -j");
  Exit worst = Exit::done;
  const auto tasks = find_tasks(context, context.selection(), worst);
  TaskInfos infos(context);
  for (const auto& task : tasks) {
    const auto attached = expect(context.daemon.control().attach(task.number(), 10s));
    if (const int signal = await(context, attached.future, true); signal != 0) return 128 + signal;
    const TaskInfo& info = infos.of(task.type());
    const Outcome outcome = outcome_of(attached.future);
    if (context.out.json()) {
      context.out.print(whole_record(context, info, task.number(), outcome));
    } else {
      print_output(context, info, outcome, field);
    }
    report(context, task.number(), task.type(), outcome);
    worst = worse(worst, exit_of(outcome));
    if (context.out.closed()) break;
  }
  return static_cast<int>(worst);
}

}  // namespace futured::cli
