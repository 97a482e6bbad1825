// The life of a task in the hands of real processes: tries, times, order, keys and limits.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "tests/support/e2e.hpp"

using namespace futured;
using namespace futured::test;

namespace {

std::string cancelled_because(const Future<std::string>& future) {
  try {
    (void)future.result(20s);
  } catch (const CancelledError& e) {
    return std::string(name(e.kind)) + ": " + e.what();
  }
  throw std::runtime_error("it was not cancelled");
}
bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::int64_t monotonic_ns() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// How many executions were under way at once, at most.
int most_at_once(const std::vector<Execution>& all) {
  std::vector<std::pair<std::int64_t, int>> steps;
  for (const Execution& e : all) {
    steps.emplace_back(e.start, 1);
    steps.emplace_back(e.end, -1);
  }
  std::sort(steps.begin(), steps.end());
  int now = 0;
  int most = 0;
  for (const auto& [at, step] : steps) most = std::max(most, now += step);
  return most;
}

}  // namespace

TEST_CASE("a task that fails is tried again, each attempt is kept, and the waits between them grow") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1"}));
  Executor ex = Executor::connect(daemon.endpoint());
  auto f = ex.submit("test.flaky", "4", TaskOptions().retries(5).backoff(40ms).keep(1h));
  CHECK(f.result(20s) == "4");
  const v1::TaskRecord task = record(ex, f);
  CHECK(endings(task) == "failed failed failed succeeded");
  CHECK(task.attempts(1).message() == "attempt 2 fails");
  CHECK(task.retries_left() == 2);
  for (int i = 1; i < task.attempts_size(); ++i) {
    const std::int64_t wait = task.attempts(i).started_unix_ns() - task.attempts(i - 1).ended_unix_ns();
    CHECK(wait >= 30'000'000 << (i - 1));  // a quarter less at most
  }

  SUBCASE("retries that are used up leave the last error") {
    const TaskError e = error_of(ex.submit("test.flaky", "9", TaskOptions().retries(2)));
    CHECK(e.kind == ErrorKind::error);
    CHECK(e.attempts == 3);
    CHECK(e.what() == std::string("attempt 3 fails"));
  }
  SUBCASE("a failure that no attempt can cure is not tried again") {
    CHECK(error_of(ex.submit("test.reject", "never", TaskOptions().retries(5))).attempts == 1);
  }
  SUBCASE("who is told to come back later comes back later") {
    auto later = ex.submit("test.retry_after", "2 300", TaskOptions().retries(1).backoff(1ms).keep(1h));
    CHECK(later.result(20s) == "2");
    const v1::TaskRecord patient = record(ex, later);
    REQUIRE(patient.attempts_size() == 2);
    CHECK(patient.attempts(1).started_unix_ns() - patient.attempts(0).ended_unix_ns() >= 300'000'000);
  }
  SUBCASE("while it waits it says for what") {
    auto waiting = ex.submit("test.retry_after", "2 600000", TaskOptions().retries(1));
    REQUIRE(eventually([&] { return record(ex, waiting).state() == v1::STATE_WAITING; }));
    CHECK(record(ex, waiting).reason() == v1::REASON_BACKOFF);
    CHECK(has(explain(ex, waiting), "attempt 1 failed; the next one begins in"));
    CHECK(waiting.cancel());
    CHECK(eventually([&] { return record(ex, waiting).state() == v1::STATE_UNKNOWN; }));  // taken, and not kept
  }
}

TEST_CASE("what takes too long ends: an attempt, a task as a whole, and one that did not start in time") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1"}));
  Executor ex = Executor::connect(daemon.endpoint());
  auto slow = ex.submit("test.sleep_ms", "600000", TaskOptions().timeout(100ms).retries(1).keep(1h));
  const TaskError timeout = error_of(slow);
  CHECK(timeout.kind == ErrorKind::timeout);
  CHECK(timeout.attempts == 2);
  CHECK(has(timeout.what(), "timeout of 0.1 s"));
  CHECK(endings(record(ex, slow)) == "timeout timeout");

  const TaskError running = error_of(ex.submit("test.sleep_ms", "600000", TaskOptions().deadline(200ms).retries(100)));
  CHECK(running.kind == ErrorKind::deadline);
  CHECK(running.attempts == 1);
  CHECK(error_of(ex.submit("echo", "x", TaskOptions().delay(1h).deadline(50ms))).kind == ErrorKind::deadline);
  // Each attempt is short; all of them are not.
  CHECK(error_of(ex.submit("test.fail", "x", TaskOptions().retries(1'000'000).backoff(20ms, 20ms).deadline(300ms)))
            .kind == ErrorKind::deadline);

  const std::filesystem::path held = daemon.folder() / "held";
  auto first = ex.submit("test.until", held.string(), TaskOptions().expires(300ms));
  REQUIRE(eventually([&] { return first.running(); }));
  auto late = ex.submit("echo", "x", TaskOptions().expires(100ms));
  CHECK_THROWS_AS((void)late.result(20s), ExpiredError);
  auto later = ex.submit("echo", "x", TaskOptions().expires(300ms));
  CHECK_THROWS_AS((void)later.result(20s), ExpiredError);
  tell_until(held, 1, "in time");
  CHECK(first.result(20s) == "in time");  // it had started
  CHECK(status(ex).tasks().expired() == 2);
}

TEST_CASE("a thousand delayed tasks start when they are due, and not before") {
  DaemonProcess daemon(with_test_plugins({"--processes", "2", "--threads", "4"}));
  const std::string log = (daemon.folder() / "side.log").string();
  Executor ex = Executor::connect(daemon.endpoint());
  REQUIRE(wait_for_workers(ex, 2));
  const std::int64_t before = monotonic_ns();
  auto futures = ex.submit_many("test.sidelog", std::vector<std::string>(1000, log + " 0 x"), TaskOptions().delay(1s));
  const auto at = std::chrono::system_clock::now() + 1s;
  auto dated = ex.submit("test.sidelog", log + " 0 x", TaskOptions().at(at));
  const v1::TaskRecord waiting = record(ex, futures.back());
  const std::int64_t after = monotonic_ns();
  CHECK(waiting.state() == v1::STATE_WAITING);
  CHECK(waiting.reason() == v1::REASON_DELAYED);
  CHECK(has(explain(ex, dated), "it was submitted with a delay; it is due in 1 s"));
  CHECK(waiting.due_unix_ns() - waiting.submitted_unix_ns() == 1'000'000'000);
  for (auto& f : as_completed(futures, 20s)) CHECK(f.result() == "x");
  CHECK(dated.result(20s) == "x");
  CHECK(std::chrono::system_clock::now() >= at);
  const auto all = read_side_log(log);
  REQUIRE(all.size() == 1001);
  for (const Execution& e : all) {
    CHECK(e.start >= before + 1'000'000'000);
    CHECK(e.start <= after + 6'000'000'000);
  }
}

TEST_CASE("tasks that wait for others: in a chain, for many, with their results, and for nothing that can come") {
  DaemonProcess daemon(with_test_plugins({"--processes", "2", "--threads", "4"}));
  const std::string log = (daemon.folder() / "side.log").string();
  const std::filesystem::path held = daemon.folder() / "held";
  Executor ex = Executor::connect(daemon.endpoint());

  auto first = ex.submit("test.until", held.string());
  auto second = ex.submit("echo", "b<", TaskOptions().input_from(first));
  auto third = ex.submit("echo", "c<", TaskOptions().after(second).input_from(second));
  REQUIRE(eventually([&] { return first.running(); }));
  CHECK(record(ex, third).reason() == v1::REASON_BLOCKED);
  CHECK(record(ex, third).after(0).number() == 0);
  CHECK(explain(ex, third) == "it waits for 1 task to end; `fut show` names those it was submitted after");
  // Attached by id, from elsewhere, before it has run.
  Executor other = Executor::connect(daemon.endpoint());
  auto same = other.future(third.id());
  tell_until(held, 1, "a");
  CHECK(third.result(20s) == "c<b<a");
  CHECK(second.result(20s) == "b<a");
  CHECK(same.result(20s) == "c<b<a");

  // The many of a fan-in are one dependency each, or a group.
  auto parts = ex.submit_many("test.sidelog", std::vector<std::string>(300, log + " 1 x"),
                              TaskOptions().group("parts").keep(1h));
  TaskOptions after_all;
  for (const auto& part : parts) after_all.after(part);
  auto joined = ex.submit("test.sidelog", log + " 0 joined", after_all);
  auto grouped = ex.submit("test.sidelog", log + " 0 grouped", TaskOptions().after_group("parts"));
  CHECK(joined.result(20s) == "joined");
  CHECK(grouped.result(20s) == "grouped");
  auto all = read_side_log(log);
  REQUIRE(all.size() == 302);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.start < b.start; });
  for (std::size_t i = 0; i < 300; ++i) CHECK(all[i].end <= all[300].start);

  auto fails = ex.submit("test.until", (daemon.folder() / "fails").string(), TaskOptions().keep(1h));
  const std::string whom = "task " + std::to_string(number_of(ex, fails));
  auto unable = ex.submit("echo", "x", TaskOptions().after(fails));
  auto neither = ex.submit("echo", "x", TaskOptions().input_from(unable));
  auto instead = ex.submit("echo", "instead", TaskOptions().after(fails, Condition::failure));
  auto anyway = ex.submit("echo", "anyway", TaskOptions().after(neither, Condition::any).after(instead));
  tell_until(daemon.folder() / "fails", 1, "fail");
  CHECK(cancelled_because(unable) == "dependency: " + whom + " failed, and this task runs only after its success");
  CHECK(has(cancelled_because(neither), "dependency: "));
  CHECK(instead.result(20s) == "instead");
  CHECK(anyway.result(20s) == "anyway");
  // Also of one that had failed long ago.
  CHECK(has(cancelled_because(ex.submit("echo", "x", TaskOptions().after(fails))), whom + " failed"));
  CHECK(ex.submit("echo", "now", TaskOptions().after(fails, Condition::failure)).result(20s) == "now");
  CHECK_THROWS_AS((void)ex.submit("echo", "x", TaskOptions().after(TaskNumber{999'999})).result(20s), RejectedError);
}

TEST_CASE("one of two clients with the same key runs the task, and both have its result") {
  DaemonProcess daemon(with_test_plugins({"--processes", "2"}));
  const std::filesystem::path held = daemon.folder() / "held";
  Executor one = Executor::connect(daemon.endpoint());
  Executor two = Executor::connect(daemon.endpoint());
  const TaskOptions keyed = TaskOptions().key("K").keep(1h);
  auto a = one.submit("test.until", held.string(), keyed);
  CHECK_FALSE(a.existing());
  auto b = two.submit("test.until", held.string(), keyed);
  CHECK(b.existing());
  const auto existing = Control(two).existing(b, 10s);
  REQUIRE(existing.ok());
  REQUIRE(existing->has_value());
  CHECK((*existing)->number == number_of(one, a));
  CHECK_FALSE((*existing)->input_differs);
  CHECK((*Control(two).existing(two.submit("test.until", "other", keyed), 10s))->input_differs);
  CHECK_FALSE(two.submit("echo", "x", keyed).existing());  // another type of task
  tell_until(held, 1, "once");
  CHECK(a.result(20s) == "once");
  CHECK(b.result(20s) == "once");
  CHECK(record(one, a).attempts_size() == 1);
  auto after = two.submit("test.until", held.string(), keyed);  // it has succeeded, and is kept
  CHECK(after.result(20s) == "once");
  CHECK(after.existing());

  const TaskOptions failing = TaskOptions().key("F").keep(1h);
  auto failed = one.submit("test.fail", "x", failing);
  CHECK(error_of(failed).kind == ErrorKind::error);
  auto again = two.submit("test.fail", "x", failing);
  CHECK(error_of(again).kind == ErrorKind::error);
  CHECK_FALSE(again.existing());
}

TEST_CASE("a limit of two holds for twenty tasks, in two processes of four threads") {
  DaemonProcess daemon(with_test_plugins({"--processes", "2", "--threads", "4"}));
  const std::string log = (daemon.folder() / "side.log").string();
  Executor ex = Executor::connect(daemon.endpoint());
  Control control(ex);
  REQUIRE(wait_for_workers(ex, 2));
  REQUIRE(control.set_limit({"api", 2}, 10s).ok());
  const std::vector<std::string> inputs(20, log + " 40 x");
  auto limited = ex.submit_many("test.sidelog", inputs, TaskOptions().limit("api"));
  auto free = ex.submit("echo", "free", TaskOptions().limit("another"));
  CHECK(free.result(20s) == "free");
  REQUIRE(eventually([&] { return record(ex, limited.back()).reason() == v1::REASON_LIMITED; }));
  CHECK(has(explain(ex, limited.back()), "limit 'api' allows 2 at once and all are in use"));
  const auto limits = control.limits(10s);
  REQUIRE(limits.ok());
  const auto api = std::find_if(limits->begin(), limits->end(), [](const auto& l) { return l.key() == "api"; });
  REQUIRE(api != limits->end());
  CHECK(api->running() == 2);
  CHECK(api->in_use() <= 2);
  for (auto& f : as_completed(limited, 20s)) CHECK(f.result() == "x");
  CHECK(most_at_once(read_side_log(log)) == 2);

  // Without it all eight threads are used.
  std::filesystem::remove(log);
  REQUIRE(control.remove_limit("api", 10s).ok());
  auto unlimited = ex.submit_many("test.sidelog", inputs, TaskOptions().limit("api"));
  for (auto& f : as_completed(unlimited, 20s)) CHECK(f.result() == "x");
  CHECK(most_at_once(read_side_log(log)) > 2);

  // A rate: ten starts in each fifth of a second.
  REQUIRE(control.set_limit({"mail", 0, 5, 200ms}, 10s).ok());
  std::filesystem::remove(log);
  auto rated = ex.submit_many("test.sidelog", std::vector<std::string>(20, log + " 0 x"), TaskOptions().limit("mail"));
  for (auto& f : as_completed(rated, 20s)) CHECK(f.result() == "x");
  auto all = read_side_log(log);
  REQUIRE(all.size() == 20);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.start < b.start; });
  CHECK(all.back().start - all.front().start >= 400'000'000);
}
