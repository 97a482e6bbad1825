#include "client/cli/context.hpp"
#include "client/cli/duration.hpp"
#include "client/cli/records.hpp"
#include "client/cli/tables.hpp"
#include "client/cli/task_flags.hpp"
#include "client/cli/terminal.hpp"

namespace futured::cli {
namespace {

int change(Context& context, v1::ChangeSchedule::What what, const std::string& said) {
  const std::string& name = context.first_word("the name of a schedule");
  context.at_most(1);
  expect(context.daemon.control().change_schedule(name, what, kAnswerTime));
  if (context.out.json()) {
    schema::Json out = schema::Json::object().add("name", name);
    if (what == v1::ChangeSchedule::REMOVE) {
      out.add("removed", true);
    } else {
      out.add("paused", what == v1::ChangeSchedule::PAUSE);
    }
    context.out.print(out);
  } else {
    context.out.note("schedule " + harmless(name) + " " + said);
  }
  return 0;
}

/// When it fires, and what becomes of the firings that it missed or that come too soon.
void read_times(const Arguments& args, Control::Schedule& to) {
  const auto cron = args.value("cron");
  const auto every = args.value("every");
  if (cron.has_value() == every.has_value()) {
    throw Failure(Exit::usage, std::string(cron ? "--cron and --every exclude each other"
                                                : "a schedule wants its times: --cron \"0 3 * * *\", or --every 10m"));
  }
  if (every) {
    to.interval = expect(parse_duration(*every));
    if (to.interval.count() == 0) throw Failure(Exit::usage, "--every wants a time above 0");
    if (args.has("zone"))
      throw Failure(Exit::usage, "--zone belongs to --cron: --every counts time, not hours of a day");
  } else {
    to.cron = *cron;
    to.zone = args.value("zone").value_or("");
  }
  const auto catch_up = args.value("catch-up").value_or("skip");
  to.catch_up = catch_up == "all"    ? v1::AddSchedule::ALL
                : catch_up == "once" ? v1::AddSchedule::ONCE
                                     : v1::AddSchedule::SKIP;
  const auto overlap = args.value("overlap").value_or("allow");
  to.overlap = overlap == "replace" ? v1::AddSchedule::OVERLAP_REPLACE
               : overlap == "skip"  ? v1::AddSchedule::OVERLAP_SKIP
                                    : v1::AddSchedule::OVERLAP_ALLOW;
}

}  // namespace

int schedule_add_verb(Context& context) {
  Control::Schedule schedule;
  schedule.name = context.first_word("a name, times and a task");
  if (context.args.words.size() < 2) {
    throw Failure(Exit::usage, "'fut schedule add' wants a task after the name: fut schedule add " +
                                   std::string(context.verb.words));
  }
  read_times(context.args, schedule);
  schedule.task = context.args.words[1];
  schedule.options = task_options(context, Gone::keep);
  const TaskInfo info = context.daemon.task(schedule.task);
  const Input input = expect(Input::parse(info, input_words(context.args, 2), Input::Lines::none), Exit::input_refused);
  schedule.input = expect(input.bytes(), Exit::input_refused);
  expect(context.daemon.control().add_schedule(schedule, kAnswerTime));
  for (const auto& record : expect(context.daemon.control().schedules(kAnswerTime))) {
    if (record.name() != schedule.name) continue;
    if (context.out.json()) {
      context.out.print(json_of(record));
    } else {
      context.out.note("schedule " + harmless(schedule.name) + " submits " + harmless(schedule.task) +
                       (record.next_unix_ns() == 0 ? std::string(", but never: its times do not come")
                                                   : " next at " + rfc3339(record.next_unix_ns())));
    }
  }
  return 0;
}

int schedule_list_verb(Context& context) {
  context.at_most(0);
  const auto schedules = expect(context.daemon.control().schedules(kAnswerTime));
  if (context.out.json()) {
    schema::Json all = schema::Json::array();
    for (const auto& schedule : schedules) all.push(json_of(schedule));
    context.out.print(all);
  } else if (context.out.quiet()) {
    for (const auto& schedule : schedules) context.out.line(harmless(schedule.name()));
  } else {
    context.out.table(schedule_table(schedules, unix_now()));
  }
  return 0;
}

int schedule_pause_verb(Context& context) { return change(context, v1::ChangeSchedule::PAUSE, "is paused"); }
int schedule_resume_verb(Context& context) { return change(context, v1::ChangeSchedule::RESUME, "goes on"); }
int schedule_remove_verb(Context& context) {
  return change(context, v1::ChangeSchedule::REMOVE, "is removed; what it has submitted stays");
}

}  // namespace futured::cli
