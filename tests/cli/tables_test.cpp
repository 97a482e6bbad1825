// Replies of a daemon as people and programs see them.
#include "client/cli/tables.hpp"

#include <doctest/doctest.h>

#include "client/cli/records.hpp"
#include "client/cli/top_frame.hpp"

using namespace futured;
using namespace futured::cli;

namespace {
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kNow = 1'700'000'000 * kSecond;  // 2023-11-14T22:13:20Z
}  // namespace

TEST_CASE("a state says why, until when, and how far it is") {
  v1::TaskRecord task;
  task.set_state(v1::STATE_WAITING);
  task.set_reason(v1::REASON_DELAYED);
  task.set_due_unix_ns(kNow + 200 * kSecond);
  CHECK(state_words(task, kNow) == "waiting (delayed, 3m20s)");
  CHECK(state_words(task, kNow + 201 * kSecond) == "waiting (delayed)");
  task.set_reason(v1::REASON_BLOCKED);
  task.set_due_unix_ns(0);
  CHECK(state_words(task, kNow) == "waiting (blocked)");
  task.set_state(v1::STATE_QUEUED);
  task.set_reason(v1::REASON_LIMITED);
  CHECK(state_words(task, kNow) == "queued (limited)");
  task.set_state(v1::STATE_RUNNING);
  task.set_reason(v1::REASON_NONE);
  task.set_has_progress(true);
  task.set_progress(0.42);
  CHECK(state_words(task, kNow) == "running 42%");
  task.set_progress_text("7 of\n12");
  CHECK(progress_words(task) == "42% 7 of\\x0a12");
  task.set_progress(7);
  CHECK(progress_words(task).find("100%") == 0);
}

TEST_CASE("the JSON of a task tells of its key, what it waits for, and how far it is") {
  v1::TaskRecord task;
  auto json = json_of(task);
  CHECK(json.find("key")->is_null());
  CHECK(json.find("due")->is_null());
  CHECK(json.find("progress")->is_null());
  CHECK(json.find("after")->dump() == "[]");
  task.set_key("K");
  task.add_after()->set_number(7);
  task.add_after()->set_id(std::string(16, '\x01'));
  task.set_due_unix_ns(kNow);
  task.set_retries_left(2);
  task.set_has_progress(true);
  task.set_progress(0.5);
  task.set_progress_text("half");
  json = json_of(task);
  CHECK(json.find("key")->dump() == "\"K\"");
  CHECK(json.find("after")->dump() == R"([7,"01010101010101010101010101010101"])");
  CHECK(json.find("due")->dump() == "\"2023-11-14T22:13:20.000Z\"");
  CHECK(json.find("retries_left")->dump() == "2");
  CHECK(json.find("progress")->dump() == "0.5");
  CHECK(json.find("progress_text")->dump() == "\"half\"");
  CHECK(after_words(task) == "7 01010101010101010101010101010101");
}

TEST_CASE("limits") {
  v1::LimitRecord both;
  both.set_key("api");
  both.set_running(4);
  both.set_starts(100);
  both.set_per_ns(60 * kSecond);
  both.set_in_use(3);
  both.set_queued(12);
  v1::LimitRecord slow;
  slow.set_key("mail");
  slow.set_starts(5);
  slow.set_per_ns(10 * kSecond);
  CHECK(limit_table({both, slow}).text(0) ==
        "KEY   RUNNING   RATE  IN USE  QUEUED\n"
        "api         4  100/m       3      12\n"
        "mail        -  5/10s       0       0\n");
  CHECK(json_of(both).dump() == R"({"key":"api","running":4,"rate":"100/m","in_use":3,"queued":12})");
  CHECK(json_of(slow).dump() == R"({"key":"mail","running":null,"rate":"5/10s","in_use":0,"queued":0})");
}

TEST_CASE("groups") {
  v1::GroupRecord group;
  group.set_name("nightly");
  group.set_submitted(10);
  group.set_closed(true);
  group.mutable_tasks()->set_queued(2);
  group.mutable_tasks()->set_succeeded(7);
  group.mutable_tasks()->set_failed(1);
  CHECK(group_table({group}).text(0) ==
        "GROUP    STATE   SUBMITTED  LIVE  SUCCEEDED  FAILED  CANCELLED  EXPIRED\n"
        "nightly  closed         10     2          7       1          0        0\n");
  CHECK(json_of(group).dump() ==
        R"({"name":"nightly","tasks":{"waiting":0,"queued":2,"running":0,"succeeded":7,"failed":1,"cancelled":0,)"
        R"("expired":0},"submitted":10,"closed":true})");
}

TEST_CASE("schedules") {
  v1::ScheduleRecord nightly;
  nightly.set_name("nightly");
  nightly.set_type("exec");
  nightly.set_cron("0 3 * * *");
  nightly.set_zone("Europe/Berlin");
  nightly.set_catch_up(v1::AddSchedule::ONCE);
  nightly.set_overlap(v1::AddSchedule::OVERLAP_SKIP);
  nightly.set_next_unix_ns(kNow + 3600 * kSecond);
  nightly.set_last_unix_ns(kNow - 60 * kSecond);
  nightly.set_fired(3);
  nightly.set_last_number(17);
  v1::ScheduleRecord poll;
  poll.set_name("poll");
  poll.set_type("fetch");
  poll.set_interval_ns(600 * kSecond);
  poll.set_paused(true);
  poll.set_next_unix_ns(kNow + kSecond);
  v1::ScheduleRecord never;
  never.set_name("never");
  never.set_cron("0 0 30 2 *");
  CHECK(schedule_table({nightly, poll, never}, kNow).text(0) ==
        "SCHEDULE  TASK   WHEN                         NEXT       LAST  LAST TASK  FIRED  SKIPPED\n"
        "nightly   exec   0 3 * * * Europe/Berlin  in 1h00m  1m00s ago         17      3        0\n"
        "poll      fetch  every 10m00s               paused          -          -      0        0\n"
        "never            0 0 30 2 *                  never          -          -      0        0\n");
  CHECK(json_of(nightly).dump() ==
        R"({"name":"nightly","task":"exec","cron":"0 3 * * *","zone":"Europe/Berlin","every":null,"catch_up":"once",)"
        R"("overlap":"skip","paused":false,"next":"2023-11-14T23:13:20.000Z","last":"2023-11-14T22:12:20.000Z",)"
        R"("fired":3,"skipped":0,"last_number":17})");
  CHECK(json_of(poll).find("every")->dump() == "600");
  CHECK(json_of(poll).find("catch_up")->dump() == "\"skip\"");
  CHECK(json_of(poll).find("overlap")->dump() == "\"allow\"");
  CHECK(json_of(never).find("next")->is_null());
}

TEST_CASE("explanations, changes and output are a line each") {
  v1::Explanation explanation;
  explanation.set_number(12);
  explanation.set_state(v1::STATE_WAITING);
  explanation.set_reason(v1::REASON_BLOCKED);
  explanation.set_text("it waits for task 7, which runs");
  CHECK(explanation_line(explanation) == "12 waiting (blocked): it waits for task 7, which runs");
  CHECK(json_of(explanation).dump() ==
        R"({"number":12,"id":null,"state":"waiting","reason":"blocked","text":"it waits for task 7, which runs"})");

  v1::ChangeRecord change;
  change.set_sequence(5);
  change.set_at_unix_ns(kNow);
  change.set_what("ended");
  change.mutable_task()->set_number(12);
  change.mutable_task()->set_type("fetch");
  change.mutable_task()->set_state(v1::STATE_FAILED);
  change.mutable_task()->mutable_error()->set_kind(v1::ERROR_KIND_TIMEOUT);
  change.mutable_task()->mutable_error()->set_message("after 2 s");
  CHECK(change_line(change) == "2023-11-14T22:13:20.000Z 12 fetch ended: failed: timeout: after 2 s");
  const auto json = json_of(change);
  CHECK(json.find("sequence")->dump() == "5");
  CHECK(json.find("at")->dump() == "\"2023-11-14T22:13:20.000Z\"");
  CHECK(json.find("what")->dump() == "\"ended\"");
  CHECK(json.find("task")->dump() == "\"fetch\"");
  CHECK(json.find("state")->dump() == "\"failed\"");
  change.set_what("retrying");
  change.mutable_task()->clear_error();
  change.mutable_task()->set_state(v1::STATE_WAITING);
  change.mutable_task()->set_reason(v1::REASON_BACKOFF);
  change.mutable_task()->set_due_unix_ns(kNow + 12 * kSecond);
  CHECK(change_line(change) == "2023-11-14T22:13:20.000Z 12 fetch retrying: waiting (backoff, 12s)");

  v1::LogChunk chunk;
  chunk.set_attempt(2);
  chunk.set_stream(1);
  chunk.set_offset(100);
  chunk.set_data("\xff");
  CHECK(json_of(chunk, 12).dump() == R"({"number":12,"attempt":2,"stream":1,"offset":100,"data":{"bytes":"/w=="}})");
}

TEST_CASE("a pool says what keeps it") {
  v1::PoolRecord pool;
  CHECK(pool_words(pool).empty());
  pool.set_paused(true);
  pool.add_paused_types("fetch");
  pool.add_paused_types("exec");
  CHECK(pool_words(pool) == "paused; paused: fetch exec");
  pool.set_paused(false);
  pool.set_trouble("no such plugin");
  CHECK(pool_words(pool) == "paused: fetch exec; no such plugin");
  CHECK(json_of(pool).find("paused_tasks")->dump() == R"(["fetch","exec"])");
}

namespace {
TopData busy(int workers, int tasks) {
  TopData data;
  data.now = kNow;
  data.per_second = 49.7;
  data.status.set_version("0.1.0");
  data.status.set_pid(12);
  data.status.set_uptime_ns(200 * kSecond);
  data.status.set_workers(static_cast<std::uint32_t>(workers));
  data.status.set_clients(1);
  data.status.mutable_tasks()->set_running(static_cast<std::uint64_t>(tasks));
  data.status.mutable_tasks()->set_waiting(4);
  auto* pool = data.status.add_pools();
  pool->set_name("default");
  pool->set_processes(2);
  pool->set_ready(1);
  for (int i = 1; i <= workers; ++i) {
    v1::WorkerRecord worker;
    worker.set_id(static_cast<std::uint64_t>(i));
    worker.set_state("ready");
    data.workers.push_back(worker);
  }
  for (int i = 1; i <= tasks; ++i) {
    v1::TaskRecord task;
    task.set_number(static_cast<std::uint64_t>(i));
    task.set_type("sleep");
    task.set_started_unix_ns(kNow - 5 * kSecond);
    data.running.push_back(task);
  }
  return data;
}
std::size_t lines_of(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}
}  // namespace

TEST_CASE("top shows pools, workers and running tasks") {
  CHECK(top_frame(busy(1, 1), 0, 0, false) ==
        "futured 0.1.0  pid 12, up 3m20s, 1 worker, 1 client\n"
        "1 running, 0 queued, 4 waiting; 0 succeeded, 0 failed, 0 cancelled, 0 expired; 50/s\n"
        "\n"
        "POOL     READY  QUEUED  RUNNING  NOTE\n"
        "default    1/2       0        0\n"
        "\n"
        "WORKER  PID  POOL  STATE  RUNNING  COMPLETED\n"
        "     1    0        ready        0          0\n"
        "\n"
        "NUMBER  TASK   POOL   RUNS  GROUP  PROGRESS\n"
        "     1  sleep        5.00s\n");
}

TEST_CASE("top fits into its terminal, whatever there is to show") {
  for (const int workers : {0, 1, 500}) {
    for (const int tasks : {0, 1, 500}) {
      const TopData data = busy(workers, tasks);
      for (std::size_t height = 1; height < 60; ++height) {
        CAPTURE(height);
        CHECK(lines_of(top_frame(data, 80, height, true)) <= height);
      }
      const std::string frame = top_frame(data, 80, 40, false);
      CHECK((frame.find("WORKER") != std::string::npos) == (workers > 0));
      CHECK((frame.find("NUMBER") != std::string::npos) == (tasks > 0));
      if (tasks == 500) CHECK(lines_of(frame) == 40);
    }
  }
  for (std::size_t width = 1; width < 30; ++width) CHECK(!top_frame(busy(1, 1), width, 10, true).empty());
}
