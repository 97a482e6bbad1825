#include "client/cli/duration.hpp"
#include "client/cli/outcome.hpp"
#include "client/cli/records.hpp"
#include "client/cli/tables.hpp"
#include "client/cli/tasks.hpp"
#include "client/cli/terminal.hpp"

namespace futured::cli {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kResultShown = 1 << 20;  ///< larger ones are for `fut result`

/// Null: there is none, or it is not at hand.
schema::Json result_of(Context& context, TaskInfos& infos, const v1::TaskRecord& task) {
  if (!has_ended(task) || (!task.has_result() && task.result_bytes() == 0)) return {};
  if (task.result_bytes() > kResultShown) return {};
  try {
    const auto attached = expect(context.daemon.control().attach(task.number(), 10s));
    const Outcome outcome = outcome_of(attached.future);
    return outcome.result(infos.of(task.type()));
  } catch (const Error&) {  // forgotten meanwhile
    return {};
  }
}

void print(Context& context, const v1::TaskRecord& task, const schema::Json& result) {
  Output& out = context.out;
  std::string text;
  const auto line = [&](std::string_view name, const std::string& value) {
    if (value.empty()) return;
    std::string left(name);
    left.resize(11, ' ');
    text += out.paint(Colour::bold, left) + value + "\n";
  };
  const auto time = [](std::int64_t ns) { return ns == 0 ? std::string() : rfc3339(ns); };
  line("task", std::to_string(task.number()) + "  " + harmless(task.type()));
  line("id", to_hex(task.id()));
  line("state", out.paint(state_colour(task.state()), state_words(task, unix_now())));
  line("progress", progress_words(task));
  line("pool", harmless(task.pool()));
  line("priority", std::to_string(task.priority()));
  std::string labels;
  for (const auto& label : task.labels())
    labels += (labels.empty() ? "" : " ") + harmless(label.name() + "=" + label.value());
  line("labels", labels);
  line("group", harmless(task.group()));
  line("key", harmless(task.key()));
  line("after", after_words(task));
  line("submitted", time(task.submitted_unix_ns()));
  if (!has_ended(task)) line("due", time(task.due_unix_ns()));
  line("started", time(task.started_unix_ns()));
  line("ended", time(task.ended_unix_ns()));
  if (task.started_unix_ns() != 0 && task.ended_unix_ns() != 0) {
    line("took", show_duration(std::chrono::nanoseconds(task.ended_unix_ns() - task.started_unix_ns())));
  }
  if (task.input_bytes() > 0) line("input", std::to_string(task.input_bytes()) + " bytes");
  if (task.has_error()) line("error", out.paint(Colour::red, sentence(task.error())));
  if (!has_ended(task) && task.retries_left() > 0) line("retries", std::to_string(task.retries_left()) + " left");
  if (task.retry_of() != 0) line("retry of", std::to_string(task.retry_of()));
  if (!result.is_null()) {
    line("result", harmless(result.dump()));
  } else if (task.has_result()) {
    line("result", std::to_string(task.result_bytes()) + " bytes: 'fut result " + std::to_string(task.number()) + "'");
  }
  if (task.attempts_size() > 0) {
    Table table({{"ATTEMPT", true, false},
                 {"WORKER", true, false},
                 {"PID", true, false},
                 {"STARTED", false, false},
                 {"TOOK", true, false},
                 {"OUTCOME", false, false},
                 {"MESSAGE", false, true}});
    for (const auto& attempt : task.attempts()) {
      const bool timed = attempt.started_unix_ns() != 0 && attempt.ended_unix_ns() != 0;
      const std::string took =
          timed ? show_duration(std::chrono::nanoseconds(attempt.ended_unix_ns() - attempt.started_unix_ns()))
                : std::string();
      table.row({std::to_string(attempt.attempt()),
                 attempt.worker() == 0 ? std::string() : std::to_string(attempt.worker()),
                 attempt.pid() == 0 ? std::string() : std::to_string(attempt.pid()), time(attempt.started_unix_ns()),
                 took, attempt.outcome().empty() ? std::string("goes on") : harmless(attempt.outcome()),
                 harmless(attempt.message())});
    }
    text += "\n" + table.text(out.width(), false);
  }
  out.write(text);
}

}  // namespace

int show_verb(Context& context) {
  Exit worst = Exit::done;
  const auto tasks = find_tasks(context, context.selection(), worst);
  TaskInfos infos(context);
  for (std::size_t i = 0; i < tasks.size() && !context.out.closed(); ++i) {
    const auto result = result_of(context, infos, tasks[i]);
    if (context.out.json()) {
      context.out.print(json_of(tasks[i], result));
    } else {
      if (i > 0) context.out.write("\n");
      print(context, tasks[i], result);
    }
  }
  return static_cast<int>(worst);
}

}  // namespace futured::cli
