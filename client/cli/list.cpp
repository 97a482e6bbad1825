#include <limits>

#include "client/cli/records.hpp"
#include "client/cli/tables.hpp"
#include "client/cli/tasks.hpp"
#include "client/cli/terminal.hpp"

namespace futured::cli {
namespace {

constexpr std::uint64_t kOnTerminal = 100;

std::string labels(const v1::TaskRecord& task) {
  std::string out;
  for (const auto& label : task.labels())
    out += (out.empty() ? "" : " ") + harmless(label.name() + "=" + label.value());
  return out;
}

void add_row(Table& table, const v1::TaskRecord& task, std::int64_t now) {
  const std::int64_t end = task.ended_unix_ns() != 0 ? task.ended_unix_ns() : now;
  table.row({std::to_string(task.number()),
             harmless(task.type()),
             {state_words(task, now), state_colour(task.state())},
             harmless(task.pool()),
             std::to_string(task.priority()),
             time_between(task.submitted_unix_ns(), now),
             time_between(task.started_unix_ns(), end),
             harmless(task.group()),
             labels(task),
             task.has_error() ? sentence(task.error()) : std::string()});
}

Table heading() {
  return Table({{"NUMBER", true, false},
                {"TASK", false, true},
                {"STATE", false, false},
                {"POOL", false, true},
                {"PRIO", true, false},
                {"AGE", true, false},
                {"TOOK", true, false},
                {"GROUP", false, true},
                {"LABELS", false, true},
                {"ERROR", false, true}});
}

}  // namespace

int list_verb(Context& context) {
  Selection selection = context.selection(true);
  if (context.args.words.empty()) selection.selector.set_all(true);
  Output& out = context.out;
  const bool table_to_terminal = !out.json() && !out.quiet() && out.out_is_terminal();
  const std::uint64_t most = context.count("limit", 1, std::numeric_limits<std::uint64_t>::max())
                                 .value_or(table_to_terminal ? kOnTerminal : std::numeric_limits<std::uint64_t>::max());
  std::uint64_t shown = 0;
  bool first_page = true;
  bool cut_short = false;
  if (out.json()) out.write("[");
  context.daemon.pages(selection.selector, out.json(), true, [&](const v1::Reply& page) {
    const std::int64_t now = unix_now();
    Table table = heading();
    std::string text;
    for (const auto& task : page.tasks()) {
      if (shown == most) {
        cut_short = true;
        break;
      }
      ++shown;
      if (out.json()) {
        if (shown > 1) text += ",\n";
        json_of(task).dump_to(text);
      } else if (out.quiet()) {
        text += std::to_string(task.number()) + "\n";
      } else {
        add_row(table, task, now);
      }
    }
    if (out.json() || out.quiet()) {
      out.write(text);
    } else if (!table.empty() || first_page) {
      out.table(table, first_page);
    }
    first_page = false;
    cut_short = cut_short || (shown == most && page.more());
    return !cut_short && !out.closed();
  });
  if (out.json()) out.write("]\n");
  if (cut_short && table_to_terminal) {
    out.note("the newest " + std::to_string(shown) + " are shown; -n N shows more");
  }
  if (shown < selection.numbers.size() + selection.ids.size() && selection.exact()) {
    Exit worst = Exit::done;
    find_tasks(context, selection, worst);
    return static_cast<int>(worst);
  }
  return 0;
}

}  // namespace futured::cli
