#include "client/cli/tables.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "client/cli/duration.hpp"
#include "client/cli/records.hpp"
#include "client/cli/terminal.hpp"
#include "proto/ids.hpp"

namespace futured::cli {
namespace {

std::string percent(double fraction) { return std::to_string(std::lround(std::clamp(fraction, 0.0, 1.0) * 100)) + "%"; }

std::string interval(std::int64_t ns) { return ns == 0 ? std::string() : show_duration(std::chrono::nanoseconds(ns)); }

std::string number_or_none(std::uint64_t n) { return n == 0 ? std::string("-") : std::to_string(n); }

}  // namespace

std::int64_t unix_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string time_between(std::int64_t from_unix_ns, std::int64_t to_unix_ns) {
  return from_unix_ns == 0 ? std::string() : interval(std::max<std::int64_t>(1, to_unix_ns - from_unix_ns));
}

std::string state_words(const v1::TaskRecord& task, std::int64_t now) {
  std::string out = state_word(task.state());
  std::string inside = reason_word(task.reason());
  if (task.state() == v1::STATE_WAITING && task.due_unix_ns() > now) {
    inside += (inside.empty() ? "" : ", ") + time_between(now, task.due_unix_ns());
  }
  if (!inside.empty()) out += " (" + inside + ")";
  if (task.state() == v1::STATE_RUNNING && task.has_progress()) out += " " + percent(task.progress());
  return out;
}

std::string after_words(const v1::TaskRecord& task) {
  std::string out;
  for (const auto& ref : task.after()) {
    out += (out.empty() ? "" : " ") + (ref.number() != 0 ? std::to_string(ref.number()) : to_hex(ref.id()));
  }
  return out;
}

std::string progress_words(const v1::TaskRecord& task) {
  if (!task.has_progress()) return {};
  const std::string text = harmless(task.progress_text());
  return percent(task.progress()) + (text.empty() ? "" : " " + text);
}

std::string pool_words(const v1::PoolRecord& pool) {
  std::string out = pool.paused() ? "paused" : "";
  std::string types;
  for (const auto& type : pool.paused_types()) types += (types.empty() ? "" : " ") + harmless(type);
  if (!types.empty()) out += (out.empty() ? "paused: " : "; paused: ") + types;
  if (!pool.trouble().empty()) out += (out.empty() ? "" : "; ") + harmless(pool.trouble());
  return out;
}

std::string explanation_line(const v1::Explanation& explanation) {
  const std::string reason = reason_word(explanation.reason());
  return std::to_string(explanation.number()) + " " + state_word(explanation.state()) +
         (reason.empty() ? "" : " (" + reason + ")") +
         (explanation.text().empty() ? "" : ": " + harmless(explanation.text()));
}

std::string change_line(const v1::ChangeRecord& change) {
  const v1::TaskRecord& task = change.task();
  std::string out = rfc3339(change.at_unix_ns()) + " " + std::to_string(task.number()) + " " + harmless(task.type()) +
                    " " + harmless(change.what());
  if (task.state() >= v1::STATE_SUCCEEDED) {
    out += ": " + state_word(task.state());
    if (task.state() != v1::STATE_SUCCEEDED && task.has_error()) out += ": " + sentence(task.error());
  } else if (const std::string reason = reason_word(task.reason()); !reason.empty()) {
    out += ": " + state_words(task, change.at_unix_ns());
  } else if (task.has_progress()) {
    out += ": " + progress_words(task);
  }
  for (const auto& attempt : task.attempts()) {
    out += "; attempt " + std::to_string(attempt.attempt()) + " " + harmless(attempt.outcome()) +
           (attempt.message().empty() ? "" : ": " + harmless(attempt.message()));
  }
  return out;
}

Table limit_table(const std::vector<v1::LimitRecord>& limits) {
  Table table({{"KEY", false, true},
               {"RUNNING", true, false},
               {"RATE", true, false},
               {"IN USE", true, false},
               {"QUEUED", true, false}});
  for (const auto& limit : limits) {
    table.row(
        {harmless(limit.key()), number_or_none(limit.running()),
         limit.starts() == 0 ? std::string("-") : show_rate({limit.starts(), std::chrono::nanoseconds(limit.per_ns())}),
         std::to_string(limit.in_use()), std::to_string(limit.queued())});
  }
  return table;
}

Table group_table(const std::vector<v1::GroupRecord>& groups) {
  Table table({{"GROUP", false, true},
               {"STATE", false, false},
               {"SUBMITTED", true, false},
               {"LIVE", true, false},
               {"SUCCEEDED", true, false},
               {"FAILED", true, false},
               {"CANCELLED", true, false},
               {"EXPIRED", true, false}});
  for (const auto& group : groups) {
    const v1::Counts& tasks = group.tasks();
    const std::uint64_t live = tasks.waiting() + tasks.queued() + tasks.running();
    table.row({harmless(group.name()),
               group.closed() ? "closed" : "open",
               std::to_string(group.submitted()),
               std::to_string(live),
               std::to_string(tasks.succeeded()),
               {std::to_string(tasks.failed()), tasks.failed() > 0 ? Colour::red : Colour::none},
               std::to_string(tasks.cancelled()),
               std::to_string(tasks.expired())});
  }
  return table;
}

Table schedule_table(const std::vector<v1::ScheduleRecord>& schedules, std::int64_t now) {
  Table table({{"SCHEDULE", false, true},
               {"TASK", false, true},
               {"WHEN", false, true},
               {"NEXT", true, false},
               {"LAST", true, false},
               {"LAST TASK", true, false},
               {"FIRED", true, false},
               {"SKIPPED", true, false}});
  for (const auto& schedule : schedules) {
    const std::string when = schedule.cron().empty()
                                 ? "every " + interval(schedule.interval_ns())
                                 : schedule.cron() + (schedule.zone().empty() ? "" : " " + schedule.zone());
    const std::string next = schedule.paused()                ? "paused"
                             : schedule.next_unix_ns() == 0   ? "never"
                             : schedule.next_unix_ns() <= now ? "now"
                                                              : "in " + time_between(now, schedule.next_unix_ns());
    table.row({harmless(schedule.name()), harmless(schedule.type()), harmless(when), next,
               schedule.last_unix_ns() == 0 ? std::string("-") : time_between(schedule.last_unix_ns(), now) + " ago",
               number_or_none(schedule.last_number()), std::to_string(schedule.fired()),
               std::to_string(schedule.skipped())});
  }
  return table;
}

}  // namespace futured::cli
