#include "client/cli/records.hpp"

#include <chrono>
#include <cmath>

#include "client/cli/duration.hpp"
#include "client/cli/terminal.hpp"
#include "proto/ids.hpp"
#include "proto/task_state.hpp"

namespace futured::cli {

using schema::Json;
using schema::json_of_bytes;

namespace {

Json seconds(std::int64_t ns) { return std::round(static_cast<double>(ns) / 1e6) / 1e3; }

Json text_or_null(const std::string& text) { return text.empty() ? Json() : json_of_bytes(text); }

Json labels(const google::protobuf::RepeatedPtrField<v1::Header>& list) {
  Json out = Json::object();
  for (const auto& label : list) out.set(label.name(), json_of_bytes(label.value()));
  return out;
}

/// Numbers, or ids where there is none.
Json references(const google::protobuf::RepeatedPtrField<v1::TaskRef>& list) {
  Json out = Json::array();
  for (const auto& ref : list) out.push(ref.number() != 0 ? Json(ref.number()) : Json(to_hex(ref.id())));
  return out;
}

Json json_of(const v1::Counts& counts) {
  return Json::object()
      .add("waiting", counts.waiting())
      .add("queued", counts.queued())
      .add("running", counts.running())
      .add("succeeded", counts.succeeded())
      .add("failed", counts.failed())
      .add("cancelled", counts.cancelled())
      .add("expired", counts.expired());
}

Json json_of_attempt(const v1::Attempt& attempt) {
  return Json::object()
      .add("attempt", attempt.attempt())
      .add("worker", attempt.worker() == 0 ? Json() : Json(attempt.worker()))
      .add("pid", attempt.pid() == 0 ? Json() : Json(attempt.pid()))
      .add("started", json_of_time(attempt.started_unix_ns()))
      .add("ended", json_of_time(attempt.ended_unix_ns()))
      .add("outcome", text_or_null(attempt.outcome()))
      .add("message", text_or_null(attempt.message()));
}

}  // namespace

std::string state_word(v1::State state) { return std::string(name(static_cast<TaskState>(state))); }
std::string reason_word(v1::Reason reason) { return std::string(name(static_cast<Reason>(reason))); }
std::string kind_word(v1::ErrorKind kind) { return std::string(name(static_cast<ErrorKind>(kind))); }

std::string_view catch_up_word(v1::AddSchedule::CatchUp what) {
  return what == v1::AddSchedule::ALL ? "all" : what == v1::AddSchedule::ONCE ? "once" : "skip";
}
std::string_view overlap_word(v1::AddSchedule::Overlap what) {
  return what == v1::AddSchedule::OVERLAP_REPLACE ? "replace"
         : what == v1::AddSchedule::OVERLAP_SKIP  ? "skip"
                                                  : "allow";
}

Colour state_colour(v1::State state) {
  switch (state) {
    case v1::STATE_RUNNING:
      return Colour::blue;
    case v1::STATE_SUCCEEDED:
      return Colour::green;
    case v1::STATE_FAILED:
      return Colour::red;
    case v1::STATE_CANCELLED:
    case v1::STATE_EXPIRED:
      return Colour::yellow;
    default:
      return Colour::none;
  }
}

Json json_of_time(std::int64_t unix_ns) { return unix_ns == 0 ? Json() : Json(rfc3339(unix_ns)); }

Json json_of(const v1::Error& error) {
  return Json::object()
      .add("kind", kind_word(error.kind()))
      .add("message", json_of_bytes(error.message()))
      .add("signal", error.signal() == 0 ? Json() : Json(error.signal()))
      .add("status", error.kind() == v1::ERROR_KIND_EXIT && error.signal() == 0 ? Json(error.status()) : Json())
      .add("retryable", !error.permanent());
}

Json json_of(const v1::TaskRecord& task, Json result) {
  Json attempts = Json::array();
  for (const auto& attempt : task.attempts()) attempts.push(json_of_attempt(attempt));
  return Json::object()
      .add("id", task.id().empty() ? Json() : Json(to_hex(task.id())))
      .add("number", task.number())
      .add("task", task.type())
      .add("state", state_word(task.state()))
      .add("reason", text_or_null(reason_word(task.reason())))
      .add("pool", text_or_null(task.pool()))
      .add("priority", task.priority())
      .add("labels", labels(task.labels()))
      .add("group", text_or_null(task.group()))
      .add("attempts", std::move(attempts))
      .add("submitted", json_of_time(task.submitted_unix_ns()))
      .add("started", json_of_time(task.started_unix_ns()))
      .add("ended", json_of_time(task.ended_unix_ns()))
      .add("error", task.has_error() ? json_of(task.error()) : Json())
      .add("result", std::move(result))
      .add("retry_of", task.retry_of() == 0 ? Json() : Json(task.retry_of()))
      .add("existing", task.existing())
      .add("attempt_count", task.attempt_count())
      .add("input_bytes", task.input_bytes())
      .add("result_bytes", task.result_bytes())
      .add("progress", task.has_progress() ? Json(task.progress()) : Json())
      .add("progress_text", text_or_null(task.progress_text()))
      .add("key", text_or_null(task.key()))
      .add("after", references(task.after()))
      .add("due", json_of_time(task.due_unix_ns()))
      .add("retries_left", task.retries_left());
}

Json json_of(const v1::WorkerRecord& worker) {
  Json types = Json::array();
  for (const auto& type : worker.types()) types.push(type);
  return Json::object()
      .add("id", worker.id())
      .add("pid", worker.pid())
      .add("host", json_of_bytes(worker.host()))
      .add("pool", json_of_bytes(worker.pool()))
      .add("state", json_of_bytes(worker.state()))
      .add("running", worker.running())
      .add("slots", worker.threads() + worker.async_slots())
      .add("threads", worker.threads())
      .add("async_slots", worker.async_slots())
      .add("completed", worker.completed())
      .add("tasks", std::move(types));
}

Json json_of(const v1::PoolRecord& pool) {
  Json plugins = Json::array();
  for (const auto& plugin : pool.plugins()) plugins.push(json_of_bytes(plugin));
  Json paused = Json::array();
  for (const auto& type : pool.paused_types()) paused.push(json_of_bytes(type));
  return Json::object()
      .add("name", json_of_bytes(pool.name()))
      .add("processes", pool.processes())
      .add("ready", pool.ready())
      .add("threads", pool.threads())
      .add("async_slots", pool.async_slots())
      .add("queued", pool.queued())
      .add("running", pool.running())
      .add("plugins", std::move(plugins))
      .add("trouble", text_or_null(pool.trouble()))
      .add("paused", pool.paused())
      .add("paused_tasks", std::move(paused));
}

Json json_of(const v1::DaemonStatus& status) {
  Json pools = Json::array();
  for (const auto& pool : status.pools()) pools.push(json_of(pool));
  Json endpoints = Json::array();
  for (const auto& endpoint : status.endpoints()) endpoints.push(json_of_bytes(endpoint));
  Json refused = Json::array();
  for (const auto& plugin : status.plugins_refused()) {
    refused.push(
        Json::object().add("path", json_of_bytes(plugin.path())).add("message", json_of_bytes(plugin.message())));
  }
  return Json::object()
      .add("version", json_of_bytes(status.version()))
      .add("pid", status.pid())
      .add("uptime", seconds(status.uptime_ns()))
      .add("epoch", status.epoch())
      .add("store", json_of_bytes(status.store()))
      .add("tasks", json_of(status.tasks()))
      .add("workers", status.workers())
      .add("pools", std::move(pools))
      .add("submitted_total", status.submitted_total())
      .add("completed_total", status.completed_total())
      .add("draining", status.draining())
      .add("clients", status.clients())
      .add("stale_reports", status.stale_reports())
      .add("bad_messages", status.bad_messages())
      .add("endpoints", std::move(endpoints))
      .add("plugins_refused", std::move(refused));
}

Json json_of(const v1::Explanation& explanation) {
  return Json::object()
      .add("number", explanation.number())
      .add("id", explanation.id().empty() ? Json() : Json(to_hex(explanation.id())))
      .add("state", state_word(explanation.state()))
      .add("reason", text_or_null(reason_word(explanation.reason())))
      .add("text", json_of_bytes(explanation.text()));
}

Json json_of(const v1::LimitRecord& limit) {
  const Rate rate{limit.starts(), std::chrono::nanoseconds(limit.per_ns())};
  return Json::object()
      .add("key", json_of_bytes(limit.key()))
      .add("running", limit.running() == 0 ? Json() : Json(limit.running()))
      .add("rate", rate.starts == 0 ? Json() : Json(show_rate(rate)))
      .add("in_use", limit.in_use())
      .add("queued", limit.queued());
}

Json json_of(const v1::GroupRecord& group) {
  return Json::object()
      .add("name", json_of_bytes(group.name()))
      .add("tasks", json_of(group.tasks()))
      .add("submitted", group.submitted())
      .add("closed", group.closed());
}

Json json_of(const v1::ScheduleRecord& schedule) {
  return Json::object()
      .add("name", json_of_bytes(schedule.name()))
      .add("task", json_of_bytes(schedule.type()))
      .add("cron", text_or_null(schedule.cron()))
      .add("zone", text_or_null(schedule.zone()))
      .add("every", schedule.interval_ns() == 0 ? Json() : seconds(schedule.interval_ns()))
      .add("catch_up", catch_up_word(schedule.catch_up()))
      .add("overlap", overlap_word(schedule.overlap()))
      .add("paused", schedule.paused())
      .add("next", json_of_time(schedule.next_unix_ns()))
      .add("last", json_of_time(schedule.last_unix_ns()))
      .add("fired", schedule.fired())
      .add("skipped", schedule.skipped())
      .add("last_number", schedule.last_number() == 0 ? Json() : Json(schedule.last_number()));
}

Json json_of(const v1::LogChunk& chunk, TaskNumber number) {
  return Json::object()
      .add("number", number)
      .add("attempt", chunk.attempt())
      .add("stream", chunk.stream())
      .add("offset", chunk.offset())
      .add("data", json_of_bytes(chunk.data()));
}

Json json_of(const v1::ChangeRecord& change) {
  Json out = Json::object()
                 .add("sequence", change.sequence())
                 .add("at", json_of_time(change.at_unix_ns()))
                 .add("what", json_of_bytes(change.what()));
  Json task = json_of(change.task());
  for (auto& [name, value] : *task.members()) out.add(std::move(name), std::move(value));
  return out;
}

std::string sentence(const v1::Error& error) {
  std::string out = kind_word(error.kind());
  if (out.empty()) out = "error";
  if (!error.message().empty()) return out + ": " + harmless(error.message());
  if (error.signal() != 0) return out + ": signal " + std::to_string(error.signal());
  if (error.kind() == v1::ERROR_KIND_EXIT) return out + ": status " + std::to_string(error.status());
  return out;
}

}  // namespace futured::cli
