// What fut asks of a daemon and makes of its answers: the daemon is played by the test.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "tests/cli/fut.hpp"
#include "tests/client/fake_daemon.hpp"

using namespace futured;
using namespace futured::test;
using namespace std::chrono_literals;

namespace {

v1::TaskRecord record(std::uint64_t number, v1::State state) {
  v1::TaskRecord out;
  out.set_number(number);
  out.set_id(std::string(16, static_cast<char>(number)));
  out.set_type("echo");
  out.set_state(state);
  return out;
}

v1::Reply problem(v1::Code code, const std::string& message) {
  v1::Reply out;
  out.mutable_problem()->set_code(code);
  out.mutable_problem()->set_message(message);
  return out;
}

/// Answers each request by `answer`, and knows the task type echo and the tasks in `tasks`.
class Stage {
 public:
  using Answer = std::function<v1::Reply(const v1::Request&)>;
  explicit Stage(Answer answer, std::vector<v1::TaskRecord> tasks = {})
      : answer_(std::move(answer)), tasks_(std::move(tasks)), daemon_(folder_.socket()), thread_([this] { run(); }) {}
  ~Stage() {
    stop_ = true;
    thread_.join();
  }
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  Said fut(std::vector<std::string> words) {
    FutProcess process(std::move(words),
                       {"FUTURED_CONNECT=" + folder_.socket(), "XDG_STATE_HOME=" + folder_ / "state"});
    return process.finish();
  }
  std::string endpoint() const { return folder_.socket(); }
  /// Those that `answer` was asked for, since the last call.
  std::vector<v1::Request> asked() {
    const std::lock_guard lock(mutex_);
    return std::exchange(asked_, {});
  }
  v1::Submit submitted() {
    const std::lock_guard lock(mutex_);
    return submitted_;
  }

  std::atomic<std::uint64_t> credit{1000};
  std::optional<v1::Accepted::Existing> existing;

 private:
  void run() {
    while (!stop_) {
      auto m = daemon_.receive(20ms);
      if (!m) continue;
      if (m->kind() == v1::KIND_HELLO) daemon_.welcome(false, 0, credit);
      if (m->kind() == v1::KIND_REQUEST) on_request(m->as<v1::Request>());
      if (m->kind() == v1::KIND_SUBMIT) on_submit(m->as<v1::Submit>());
      if (m->kind() == v1::KIND_ATTACH) on_attach(m->as<v1::Attach>());
    }
  }
  void on_request(const v1::Request& request) {
    v1::Reply reply;
    if (request.has_catalog()) {
      reply.add_types()->set_name("echo");
    } else if (request.has_list()) {
      reply = list(request.list().selector());
    } else {
      {
        const std::lock_guard lock(mutex_);
        asked_.push_back(request);
      }
      reply = answer_(request);
    }
    reply.set_request(request.request());
    daemon_.send(v1::KIND_REPLY, reply);
  }
  v1::Reply list(const v1::Selector& selector) const {
    v1::Reply reply;
    for (const auto& task : tasks_) {
      const bool wanted = selector.numbers().empty() ||
                          std::any_of(selector.numbers().begin(), selector.numbers().end(), [&](const auto& range) {
                            return range.first() <= task.number() && task.number() <= range.last();
                          });
      if (wanted) *reply.add_tasks() = task;
    }
    return reply.tasks().empty() && !selector.numbers().empty() ? problem(v1::CODE_NOT_FOUND, "no such task") : reply;
  }
  void on_submit(const v1::Submit& submit) {
    {
      const std::lock_guard lock(mutex_);
      submitted_ = submit;
    }
    v1::Accepted m;
    m.set_first_seq(submit.first_seq());
    m.set_count(1);
    m.set_first_number(20);
    m.set_submit_credit_tasks(credit);
    m.set_submit_credit_bytes(std::uint64_t{1} << 40);
    if (existing) *m.add_existing() = *existing;
    daemon_.send(v1::KIND_ACCEPTED, m);
    if (!submit.specs(0).detached()) daemon_.outcome(submit.first_seq(), "reply");
  }
  /// Number 5 is forgotten; none is known.
  void on_attach(const v1::Attach& attach) {
    v1::Attached m;
    m.set_request(attach.request());
    for (const auto& task : attach.tasks()) {
      m.add_tasks()->set_code(task.number() == 5 ? v1::CODE_FORGOTTEN : v1::CODE_NOT_FOUND);
    }
    daemon_.send(v1::KIND_ATTACHED, m);
  }

  Answer answer_;
  std::vector<v1::TaskRecord> tasks_;
  fake::TempFolder folder_;
  fake::Daemon daemon_;
  std::mutex mutex_;
  std::vector<v1::Request> asked_;
  v1::Submit submitted_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

Stage::Answer done() {
  return [](const v1::Request&) { return v1::Reply(); };
}

}  // namespace

TEST_CASE("retry prints the numbers of the new tasks, and says what cannot be tried again") {
  Stage stage(
      [](const v1::Request&) {
        v1::Reply reply;
        reply.add_numbers(20);
        reply.add_numbers(21);
        return reply;
      },
      {record(12, v1::STATE_FAILED), record(13, v1::STATE_RUNNING), record(14, v1::STATE_SUCCEEDED),
       record(20, v1::STATE_QUEUED), record(21, v1::STATE_QUEUED)});
  const Said said = stage.fut({"retry", "12-14", "13", "14"});
  CHECK(said.code == 0);
  CHECK(said.out == "20\n21\n");
  CHECK(has(said.err, "task 13 is running: it can be tried again when it has ended"));
  CHECK(has(said.err, "task 14 has succeeded"));
  const Said json = stage.fut({"-j", "retry", "state=failed"});
  REQUIRE(json.json_lines().size() == 2);
  CHECK(json.json_lines()[1].find("number")->dump() == "21");
  CHECK(stage.fut({"show", "last"}).code == 0);
}

TEST_CASE("orders for tasks tell unknown from forgotten by their exit codes") {
  Stage stage([](const v1::Request&) { return problem(v1::CODE_NOT_FOUND, "no such task"); });
  for (const char* verb : {"retry", "forget", "explain", "logs"}) {
    CAPTURE(verb);
    const Said unknown = stage.fut({verb, "9"});
    CHECK(unknown.code == 4);
    CHECK(unknown.err == "fut: there is no task 9\n");
    const Said forgotten = stage.fut({verb, "5"});
    CHECK(forgotten.code == 5);
    CHECK(has(forgotten.err, "task 5 is forgotten"));
  }
}

TEST_CASE("forget says how many, and what has not ended") {
  Stage stage(
      [](const v1::Request&) {
        v1::Reply reply;
        reply.set_count(1);
        return reply;
      },
      {record(12, v1::STATE_FAILED), record(13, v1::STATE_RUNNING)});
  const Said said = stage.fut({"forget", "12", "13"});
  CHECK(said.code == 0);
  CHECK(said.out == "forgot 1 task\n");
  CHECK(has(said.err, "task 13 is running: only what has ended can be forgotten"));
  CHECK(stage.fut({"-j", "forget", "12"}).out == "{\"forgotten\":1}\n");
  CHECK(stage.fut({"-q", "forget", "12"}).out == "1\n");
}

TEST_CASE("explain prints a sentence for each task, from all pages") {
  Stage stage([](const v1::Request& request) {
    v1::Reply reply;
    auto* e = reply.add_explanations();
    e->set_number(request.explain().cursor().empty() ? 12 : 13);
    e->set_state(v1::STATE_QUEUED);
    e->set_reason(v1::REASON_NO_WORKER);
    e->set_text("no worker offers it");
    reply.set_more(request.explain().cursor().empty());
    reply.set_cursor("next");
    return reply;
  });
  CHECK(stage.fut({"explain", "12", "13"}).out ==
        "12 queued (no_worker): no worker offers it\n13 queued (no_worker): no worker offers it\n");
  CHECK(stage.fut({"-j", "explain", "state=queued"}).json_lines().size() == 2);
}

TEST_CASE("logs prints each stream where it belongs, and goes on until there is no more") {
  Stage stage(
      [](const v1::Request& request) {
        v1::Reply reply;
        const v1::LogQuery& q = request.log();
        const auto add = [&](std::uint32_t stream, std::uint64_t offset, const char* data) {
          auto* chunk = reply.add_log();
          chunk->set_attempt(2);
          chunk->set_stream(stream);
          chunk->set_offset(offset);
          chunk->set_data(data);
        };
        if (q.offset() == 0) {
          add(1, 0, "out ");
          add(2, 4, "problem\n");
        } else if (q.offset() == 12) {
          add(1, 10, "??more\n");  // two bytes were seen
          add(1, 27, "late\n");    // ten were dropped
        }
        return reply;
      },
      {record(12, v1::STATE_SUCCEEDED)});
  const Said said = stage.fut({"logs", "12"});
  CHECK(said.code == 0);
  CHECK(said.out == "out more\nlate\n");
  CHECK(has(said.err, "problem\n"));
  CHECK(has(said.err, "10 bytes of output were not kept"));
  const auto asked = stage.asked();
  REQUIRE(asked.size() == 3);
  CHECK(asked[0].log().attempt() == 0);
  CHECK(asked[1].log().attempt() == 2);
  CHECK(asked[2].log().offset() == 32);
  CHECK_FALSE(asked[0].log().follow());
  const auto lines = stage.fut({"-j", "logs", "12", "--attempt", "2"}).json_lines();
  REQUIRE(lines.size() == 4);
  CHECK(lines[2].dump() == R"({"number":12,"attempt":2,"stream":1,"offset":12,"data":"more\n"})");
}

TEST_CASE("logs -f follows a task from attempt to attempt to its end") {
  v1::TaskRecord task = record(12, v1::STATE_FAILED);
  task.set_attempt_count(2);
  Stage stage(
      [](const v1::Request& request) {
        const v1::LogQuery& q = request.log();
        v1::Reply reply;
        if (q.offset() == 0) {
          auto* chunk = reply.add_log();
          chunk->set_attempt(std::max(1U, q.attempt()));
          chunk->set_stream(1);
          chunk->set_data(q.attempt() == 2 ? "second\n" : "first\n");
        }
        return reply;
      },
      {task});
  const Said said = stage.fut({"logs", "-f", "12"});
  CHECK(said.code == 0);
  CHECK(said.out == "first\nsecond\n");
  for (const auto& request : stage.asked()) {
    if (request.log().attempt() < 2) CHECK(request.log().follow());
  }
}

TEST_CASE("watch goes on from cursor to cursor, and says when changes are missing") {
  std::atomic<int> calls{0};
  Stage stage([&](const v1::Request& request) {
    v1::Reply reply;
    const int n = ++calls;
    if (n == 3) return problem(v1::CODE_REFUSED, "enough");
    CHECK(request.watch().cursor() == (n == 1 ? "" : "c1"));
    reply.set_cursor("c1");
    auto* change = reply.add_changes();
    change->set_sequence(n == 1 ? 7 : 10);
    change->set_what("submitted");
    *change->mutable_task() = record(12, v1::STATE_QUEUED);
    return reply;
  });
  const Said said = stage.fut({"-j", "watch"});
  CHECK(said.code == 75);
  REQUIRE(said.json_lines().size() == 2);
  CHECK(said.json_lines()[1].find("sequence")->dump() == "10");
  CHECK(has(said.err, "2 changes are missing"));
  CHECK(stage.asked().front().watch().selector().all());
}

TEST_CASE("watch goes on from now when the daemon was started again") {
  std::atomic<int> calls{0};
  Stage stage([&](const v1::Request& request) {
    const int n = ++calls;
    if (n == 2) return problem(v1::CODE_FORGOTTEN, "of an earlier daemon");
    if (n == 4) return problem(v1::CODE_REFUSED, "enough");
    CHECK(request.watch().cursor().empty() == (n != 2));
    v1::Reply reply;
    reply.set_cursor("c");
    reply.add_changes()->set_sequence(static_cast<std::uint64_t>(n));
    return reply;
  });
  const Said said = stage.fut({"-j", "watch"});
  CHECK(said.code == 75);
  CHECK(said.json_lines().size() == 2);
  CHECK(has(said.err, "the daemon was started again: changes are missing"));
}

TEST_CASE("retry says when the input of a task was not kept") {
  Stage stage([](const v1::Request&) { return v1::Reply(); }, {record(12, v1::STATE_FAILED)});
  const Said said = stage.fut({"retry", "12"});
  CHECK(said.out.empty());
  CHECK(said.err == "fut: 1 task cannot be tried again: the input was not kept (--keep 0)\n");
}

TEST_CASE("a pool or a task type is paused and goes on") {
  Stage stage(done());
  CHECK(stage.fut({"pause", "io"}).code == 0);
  CHECK(stage.fut({"pause", "task=fetch"}).code == 0);
  CHECK(stage.fut({"-j", "resume", "pool=io"}).out == "{\"pool\":\"io\",\"paused\":false}\n");
  const auto asked = stage.asked();
  REQUIRE(asked.size() == 3);
  CHECK(asked[0].pause().pool() == "io");
  CHECK(asked[0].pause().paused());
  CHECK(asked[1].pause().type() == "fetch");
  CHECK(asked[1].pause().pool().empty());
  CHECK_FALSE(asked[2].pause().paused());
  for (const char* word : {"group=x", "task=", ""}) CHECK(stage.fut({"pause", word}).code == 2);
}

TEST_CASE("limits are set with a rate, listed and removed") {
  Stage stage([](const v1::Request& request) {
    v1::Reply reply;
    if (request.has_limits()) {
      reply.add_limits()->set_key("api");
      reply.mutable_limits(0)->set_running(4);
    }
    return request.set_limit().remove() ? problem(v1::CODE_NOT_FOUND, "there is no limit 'x'") : reply;
  });
  CHECK(stage.fut({"limit", "set", "api", "4", "--rate", "100/m"}).err == "fut: limit api: 4 at once, starts 100/m\n");
  CHECK(stage.fut({"-j", "limit", "set", "api", "0", "--rate", "10/s"}).out ==
        "{\"key\":\"api\",\"running\":null,\"rate\":\"10/s\"}\n");
  auto asked = stage.asked();
  REQUIRE(asked.size() == 2);
  CHECK(asked[0].set_limit().running() == 4);
  CHECK(asked[0].set_limit().starts() == 100);
  CHECK(asked[0].set_limit().per_ns() == 60'000'000'000);
  CHECK(asked[1].set_limit().running() == 0);
  CHECK(stage.fut({"-q", "limit", "list"}).out == "api\n");
  CHECK(stage.fut({"-j", "limit", "list"}).json().items()->size() == 1);
  const Said missing = stage.fut({"limit", "remove", "x"});
  CHECK(missing.code == 2);
  CHECK(missing.err == "fut: there is no limit 'x'\n");
  CHECK(has(stage.fut({"limit", "set", "api", "0"}).err, "0 without --rate limits nothing"));
  CHECK(has(stage.fut({"limit", "set", "api", "many"}).err, "'many' is no number of tasks"));
  CHECK(has(stage.fut({"limit", "set", "api"}).err, "how many tasks may run at once"));
  CHECK(has(stage.fut({"limit", "set", "api", "4", "--rate", "fast"}).err, "'fast' is no rate"));
}

TEST_CASE("groups are listed and closed, workers drained and killed, the configuration is read again") {
  Stage stage([](const v1::Request& request) {
    v1::Reply reply;
    if (request.has_groups()) reply.add_groups()->set_name("nightly");
    return reply;
  });
  CHECK(stage.fut({"-q", "group", "list"}).out == "nightly\n");
  CHECK(stage.fut({"group", "list", "nightly"}).code == 0);
  CHECK(stage.fut({"group", "close", "nightly"}).code == 0);
  CHECK(stage.fut({"worker", "drain", "3", "4"}).code == 0);
  CHECK(stage.fut({"-j", "worker", "kill", "5"}).out == "{\"id\":5,\"now\":true}\n");
  CHECK(stage.fut({"-j", "reload"}).out == "{\"reloaded\":true,\"changed\":[],\"needs_restart\":[]}\n");
  const auto asked = stage.asked();
  REQUIRE(asked.size() == 7);
  CHECK(asked[1].groups().name() == "nightly");
  CHECK(asked[2].close_group().name() == "nightly");
  CHECK(asked[3].end_worker().worker() == 3);
  CHECK_FALSE(asked[4].end_worker().now());
  CHECK(asked[5].end_worker().now());
  CHECK(asked[6].has_reload());
  CHECK(has(stage.fut({"worker", "kill", "all"}).err, "'all' is no worker"));
}

TEST_CASE("a schedule carries its times and the task with its input") {
  Stage stage([](const v1::Request& request) {
    v1::Reply reply;
    if (request.has_schedules()) {
      auto* schedule = reply.add_schedules();
      schedule->set_name("nightly");
      schedule->set_next_unix_ns(1'700'000'000'000'000'000);
    }
    return reply;
  });
  const Said said = stage.fut({"schedule", "add", "nightly", "--cron", "0 3 * * *", "--zone", "Europe/Berlin",
                               "--catch-up", "once", "--overlap", "skip", "echo", "hello", "--retries", "2"});
  CHECK(said.err == "fut: schedule nightly submits echo next at 2023-11-14T22:13:20.000Z\n");
  CHECK(said.code == 0);
  auto asked = stage.asked();
  REQUIRE(asked.size() == 2);
  const v1::AddSchedule& m = asked[0].add_schedule();
  CHECK(m.name() == "nightly");
  CHECK(m.cron() == "0 3 * * *");
  CHECK(m.zone() == "Europe/Berlin");
  CHECK(m.catch_up() == v1::AddSchedule::ONCE);
  CHECK(m.overlap() == v1::AddSchedule::OVERLAP_SKIP);
  CHECK(m.spec().type() == "echo");
  CHECK(m.spec().retries() == 2);
  CHECK(m.spec().keep_ns() == 86'400'000'000'000);
  CHECK(m.input() == "hello");
  CHECK(stage.fut({"schedule", "add", "poll", "--every", "10m", "echo"}).code == 0);
  CHECK(stage.asked()[0].add_schedule().interval_ns() == 600'000'000'000);
  CHECK(stage.fut({"schedule", "pause", "nightly"}).code == 0);
  CHECK(stage.fut({"-j", "schedule", "remove", "nightly"}).out == "{\"name\":\"nightly\",\"removed\":true}\n");
  asked = stage.asked();
  CHECK(asked[0].change_schedule().what() == v1::ChangeSchedule::PAUSE);
  CHECK(asked[1].change_schedule().what() == v1::ChangeSchedule::REMOVE);
  CHECK(stage.fut({"-q", "schedule", "list"}).out == "nightly\n");
  for (const auto& [words, why] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"n", "echo"}, "a schedule wants its times"},
           {{"n", "--cron", "@daily", "--every", "1h", "echo"}, "exclude each other"},
           {{"n", "--every", "0", "echo"}, "above 0"},
           {{"n", "--every", "1h", "--zone", "UTC", "echo"}, "--zone belongs to --cron"},
           {{"n", "--every", "1h"}, "wants a task after the name"},
           {{"n", "--every", "1h", "--key", "K", "echo"}, "has no option '--key': a schedule submits a new task each"},
           {{"n", "--every", "1h", "-a", "3", "echo"}, "has no option '-a': the tasks of a schedule wait for no"},
           {{"n", "--every", "1h", "--after=3", "echo"}, "has no option '--after': "},
           {{"n", "--every", "1h", "--input-from", "3", "echo"}, "has no option '--input-from': "},
           {{"n", "--every", "1h", "--at", "17:30", "echo"}, "has times of its own"},
           {{"n", "--every", "1h", "--on-full", "fail", "echo"}, "has no option '--on-full'"}}) {
    std::vector<std::string> all{"schedule", "add"};
    all.insert(all.end(), words.begin(), words.end());
    const Said refused = stage.fut(all);
    CHECK(refused.code == 2);
    CHECK_MESSAGE(has(refused.err, why), refused.err);
  }
}

TEST_CASE("the help of schedule add offers nothing that it refuses") {
  Stage stage(done());
  const std::string help = stage.fut({"schedule", "add", "--help"}).out;
  CHECK(has(help, "--retries N"));
  for (const char* option : {"--key", "--after", "--input-from", "--at ", "--detach"}) {
    CAPTURE(option);
    CHECK_FALSE(has(help, option));
  }
}

TEST_CASE("through a pipe top prints one frame") {
  Stage stage(
      [](const v1::Request& request) {
        v1::Reply reply;
        if (request.has_status()) reply.mutable_status()->set_version("0.1.0");
        if (request.has_workers()) reply.add_workers()->set_id(3);
        return reply;
      },
      {record(12, v1::STATE_RUNNING)});
  const Said said = stage.fut({"top"});
  CHECK(said.code == 0);
  CHECK(has(said.out, "futured 0.1.0"));
  CHECK(has(said.out, "NUMBER"));
  CHECK(!has(said.out, "\033"));
  const auto json = stage.fut({"top", "-j"}).json();
  CHECK(json.find("running")->items()->size() == 1);
  CHECK(json.find("workers")->items()->size() == 1);
  CHECK(text_of(*json.find("status"), "version") == "0.1.0");
}

TEST_CASE("options of a task reach the daemon; a key that is taken is told") {
  Stage stage(done(), {record(4, v1::STATE_RUNNING), record(20, v1::STATE_QUEUED)});
  CHECK(stage.fut({"submit", "echo", "hello", "-a", "12:any", "--timeout", "2s"}).out == "20\n");
  CHECK(stage.submitted().specs(0).after(0).task().number() == 12);
  CHECK(stage.submitted().specs(0).after(0).on() == v1::Dependency::ANY);
  CHECK(stage.submitted().specs(0).timeout_ns() == 2'000'000'000);
  stage.existing.emplace();
  stage.existing->set_seq(0);
  stage.existing->set_number(4);
  stage.existing->set_input_differs(true);
  const Said said = stage.fut({"submit", "echo", "hello", "--key", "K"});
  CHECK(said.out == "4\n");
  CHECK(has(said.err, "task 4 has this key already, with another input: it is taken"));
  const auto json = stage.fut({"-j", "submit", "echo", "hello", "--key", "K"}).json();
  CHECK(json.find("number")->dump() == "4");
  CHECK(json.find("existing")->dump() == "true");
  CHECK(json.find("input_differs")->dump() == "true");
}

TEST_CASE("a full daemon makes exit code 75 at once, or after the patience") {
  Stage stage([](const v1::Request&) { return v1::Reply(); });
  stage.credit = 0;
  for (const char* how : {"fail", "100ms"}) {
    CAPTURE(how);
    const Said said = stage.fut({"submit", "echo", "hello", "--on-full", how});
    CHECK(said.code == 75);
    CHECK(has(said.err, "is full"));
    FutProcess map({"map", "echo", "--on-full", how}, {"FUTURED_CONNECT=" + stage.endpoint()});
    const Said lines = map.finish("a\nb\n");
    CHECK(lines.code == 75);
    CHECK(has(lines.err, "line 1 and those after it were not submitted"));
  }
}
