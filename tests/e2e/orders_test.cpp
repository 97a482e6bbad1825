// What is asked and ordered while tasks wait and run, and what becomes of them when those who submitted are gone.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "tests/support/e2e.hpp"

using namespace futured;
using namespace futured::test;

namespace {

v1::Selector everything() {
  v1::Selector selector;
  selector.set_all(true);
  return selector;
}

}  // namespace

TEST_CASE("nothing of a paused pool or type starts; what runs goes on, and the rest when it is resumed") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1", "--threads", "2"}));
  const std::filesystem::path held = daemon.folder() / "held";
  Executor ex = Executor::connect(daemon.endpoint());
  Control control(ex);
  auto running = ex.submit("test.until", held.string());
  REQUIRE(eventually([&] { return running.running(); }));
  REQUIRE(control.pause({"", "echo"}, true, 10s).ok());
  auto echo = ex.submit("echo", "x");
  CHECK(ex.submit("test.pid", "").result(20s) != "");
  CHECK(record(ex, echo).reason() == v1::REASON_PAUSED);
  CHECK(explain(ex, echo) == "task type 'echo' is paused; `fut resume task=echo`");
  REQUIRE(control.pause({"default", ""}, true, 10s).ok());
  auto pid = ex.submit("test.pid", "");
  tell_until(held, 1, "went on");
  CHECK(running.result(20s) == "went on");
  CHECK(record(ex, pid).reason() == v1::REASON_PAUSED);
  CHECK(explain(ex, pid) == "pool 'default' is paused; `fut resume default`");
  REQUIRE(control.pause({"default", ""}, false, 10s).ok());
  CHECK(pid.result(20s) != "");
  CHECK(record(ex, echo).reason() == v1::REASON_PAUSED);
  REQUIRE(control.pause({"", "echo"}, false, 10s).ok());
  CHECK(echo.result(20s) == "x");
  CHECK(control.pause({"nowhere", ""}, true, 10s).code() == Code::not_found);
  CHECK(control.pause({"", "nothing"}, true, 10s).code() == Code::not_found);
}

TEST_CASE("output is followed across a retry, progress is seen, and each change is told") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1"}));
  const std::filesystem::path held = daemon.folder() / "held";
  Executor ex = Executor::connect(daemon.endpoint());
  Executor watcher = Executor::connect(daemon.endpoint());
  auto changes = Control(watcher).changes(everything(), "", 10s);  // from now on
  REQUIRE(changes.ok());
  REQUIRE_FALSE(changes->cursor.empty());

  auto f = ex.submit("test.until", held.string(), TaskOptions().retries(1).keep(1h));
  const TaskNumber number = number_of(ex, f);
  Control control(watcher);
  auto chunks = control.log({number, 0, 0, true}, 20s);
  REQUIRE(chunks.ok());
  REQUIRE(chunks->size() == 1);
  CHECK(chunks->at(0).data() == "attempt 1\n");
  CHECK(chunks->at(0).attempt() == 1);
  CHECK(chunks->at(0).stream() == 1);
  REQUIRE(eventually([&] { return record(watcher, number).has_progress(); }));
  CHECK(record(watcher, number).progress() == doctest::Approx(0.5));
  CHECK(record(watcher, number).progress_text() == "half of attempt 1");
  tell_until(held, 1, "fail");
  chunks = control.log({number, 1, 10, true}, 20s);  // waits until the attempt is over
  REQUIRE(chunks.ok());
  CHECK(chunks->empty());
  chunks = control.log({number, 2, 0, true}, 20s);
  REQUIRE(chunks.ok());
  REQUIRE(eventually([&] { return record(watcher, number).state() == v1::STATE_RUNNING; }));
  REQUIRE(chunks->size() == 1);
  CHECK(chunks->at(0).data() == "attempt 2\n");
  tell_until(held, 2, "done");
  CHECK(f.result(20s) == "done");
  chunks = control.log({number, 1, 0, false}, 20s);  // what is kept can be read again
  REQUIRE(chunks.ok());
  CHECK(chunks->at(0).data() == "attempt 1\n");
  CHECK(control.log({number, 2, 4, false}, 20s)->at(0).data() == "mpt 2\n");

  std::string told;
  std::uint64_t sequence = 0;
  for (std::string cursor = changes->cursor; told.find("ended") == std::string::npos;) {
    const auto more = control.changes(everything(), cursor, 20s);
    REQUIRE(more.ok());
    for (const auto& change : more->records) {
      CHECK((sequence == 0 || change.sequence() == sequence + 1));
      sequence = change.sequence();
      CHECK(change.task().number() == number);
      if (told.size() < change.what().size() || !told.ends_with(change.what())) told += " " + change.what();
    }
    cursor = more->cursor;
  }
  CAPTURE(told);
  CHECK(told.find(" started") != std::string::npos);
  CHECK(told.find(" progress") != std::string::npos);
  CHECK(told.ends_with(" ended"));
}

TEST_CASE("a selector chooses what a watcher is told") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1"}));
  Executor ex = Executor::connect(daemon.endpoint());
  Executor watcher = Executor::connect(daemon.endpoint());
  v1::Selector group;
  group.add_groups("seen");
  const auto start = Control(watcher).changes(group, "", 10s);
  REQUIRE(start.ok());
  CHECK(ex.submit("echo", "x", TaskOptions().group("unseen")).result(20s) == "x");
  auto seen = ex.submit("echo", "x", TaskOptions().group("seen"));
  CHECK(seen.result(20s) == "x");
  const TaskNumber number = number_of(ex, seen);
  const auto told = Control(watcher).changes(group, start->cursor, 20s);
  REQUIRE(told.ok());
  REQUIRE_FALSE(told->records.empty());
  for (const auto& change : told->records) CHECK(change.task().number() == number);
}

TEST_CASE("forgotten and unknown are two things, by number and by id") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1"}));
  Executor ex = Executor::connect(daemon.endpoint());
  auto f = ex.submit("echo", "kept", TaskOptions().keep(1h));
  CHECK(f.result(20s) == "kept");
  const TaskNumber number = number_of(ex, f);
  const TaskId id = f.id();
  auto live = ex.submit("test.sleep_ms", "600000");
  const TaskNumber live_number = number_of(ex, live);
  Executor other = Executor::connect(daemon.endpoint());
  Control control(other);
  CHECK(*control.forget(only(live_number), 10s) == 0);
  CHECK(*control.forget(only(number), 10s) == 1);
  // It goes when the client that submitted it has acknowledged the result, too.
  REQUIRE(eventually([&] { return record(other, number).state() == v1::STATE_UNKNOWN; }));
  CHECK_THROWS_AS((void)other.future(number).result(20s), Forgotten);
  CHECK_THROWS_AS((void)other.future(id).result(20s), Forgotten);
  CHECK(control.log({number, 0, 0, false}, 10s).status().code() == Code::forgotten);
  CHECK(control.log({999'999, 0, 0, false}, 10s).status().code() == Code::not_found);
  CHECK_THROWS_AS((void)other.future(TaskNumber{999'999}).result(20s), NotFound);
  CHECK(f.result() == "kept");  // what was delivered stays delivered
  CHECK(live.cancel(5s));
}

TEST_CASE("an order for many reaches each of them once, also those that end and are forgotten by its first steps") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1"}));
  Executor ex = Executor::connect(daemon.endpoint());
  auto first = ex.submit("echo", "x", TaskOptions().delay(1h));
  const TaskNumber number = number_of(ex, first);
  for (int i = 0; i < 10; ++i) {  // cancelled with the first, and kept for nobody
    (void)number_of(ex, ex.submit("echo", "x", TaskOptions().after(number).detached()));
  }
  v1::Request cancel;
  cancel.mutable_cancel()->mutable_selector()->set_all(true);
  CHECK(ask(ex, cancel).count() >= 1);
  CHECK_THROWS_AS((void)first.result(20s), CancelledError);
  const v1::Counts tasks = status(ex).tasks();
  CHECK(tasks.cancelled() == 11);
  CHECK(tasks.waiting() == 0);
}

TEST_CASE("what did not succeed is tried again as a task of its own") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1"}));
  const std::filesystem::path held = daemon.folder() / "held";
  Executor ex = Executor::connect(daemon.endpoint());
  tell_until(held, 1, "fail");
  auto f = ex.submit("test.until", held.string(), TaskOptions().keep(1h).delay(10ms).label("who", "me"));
  CHECK_THROWS_AS((void)f.result(20s), TaskError);
  tell_until(held, 1, "second life");
  const TaskNumber number = number_of(ex, f);
  const auto numbers = Control(ex).retry(only(number), 10s);
  REQUIRE(numbers.ok());
  REQUIRE(numbers->size() == 1);
  CHECK(ex.future(numbers->at(0)).result(20s) == "second life");
  const v1::TaskRecord task = record(ex, numbers->at(0));
  CHECK(task.retry_of() == number);
  CHECK(task.labels(0).value() == "me");
  CHECK(Control(ex).retry(only(numbers->at(0)), 10s)->empty());  // it has succeeded
  CHECK(record(ex, number).state() == v1::STATE_FAILED);
}

TEST_CASE("a daemon that holds as much as it may makes clients wait, fail, or wait for so long") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1", "--max-queued-tasks", "8"}));
  const std::filesystem::path held = daemon.folder() / "held";
  // A client may use up the window that it was given while there was room; who comes later gets none.
  Executor first = Executor::connect(daemon.endpoint());
  auto taken = first.submit_many("test.until", std::vector<std::string>(8, held.string()));
  (void)number_of(first, taken.back());
  Executor ex = Executor::connect(daemon.endpoint());
  try {
    (void)ex.submit("echo", "x", TaskOptions().on_full(OnFull::fail));
    FAIL("it took more");
  } catch (const QueueFull& e) {
    CHECK(std::string(e.what()).find("is full") != std::string::npos);
  }
  const auto begin = std::chrono::steady_clock::now();
  CHECK_THROWS_AS(ex.submit("echo", "x", TaskOptions().on_full(OnFull::block, 200ms)), QueueFull);
  CHECK(std::chrono::steady_clock::now() - begin >= 200ms);
  std::atomic<bool> through = false;
  std::thread patient([&] {
    auto f = ex.submit("echo", "patience", TaskOptions().on_full(OnFull::block));
    through = f.result(20s) == "patience";
  });
  Executor other = Executor::connect(daemon.endpoint());
  CHECK_THROWS_AS(other.submit("echo", "x", TaskOptions().on_full(OnFull::fail)), QueueFull);
  CHECK_FALSE(through);
  tell_until(held, 1, "go");
  patient.join();
  CHECK(through);
  for (auto& f : as_completed(taken, 20s)) CHECK(f.result() == "go");
  CHECK(other.submit("echo", "room", TaskOptions().on_full(OnFull::block, 20s)).result(20s) == "room");
}

TEST_CASE("a client that is killed: what it said is to be cancelled is cancelled, the rest goes on") {
  DaemonProcess daemon(with_test_plugins({"--processes", "1"}));
  const std::filesystem::path said = daemon.folder() / "said";
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      Executor ex = Executor::connect(daemon.endpoint());
      auto keep = ex.submit("echo", "kept", TaskOptions().delay(1s).keep(1h));
      auto chained = ex.submit("echo", "<", TaskOptions().input_from(keep).keep(1h));
      auto cancel = ex.submit("echo", "x", TaskOptions().delay(1h).keep(1h).on_disconnect(OnDisconnect::cancel, 100ms));
      std::string numbers;
      for (const auto* f : {&keep, &chained, &cancel}) numbers += std::to_string(number_of(ex, *f)) + " ";
      std::ofstream(said.string() + ".new") << numbers;
      std::filesystem::rename(said.string() + ".new", said);
      while (true) ::pause();
    } catch (...) {
      ::_exit(1);
    }
  }
  Executor ex = Executor::connect(daemon.endpoint());
  REQUIRE(eventually([&] { return status(ex).pid() != 0 && std::filesystem::exists(said); }));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  std::ifstream in(said);
  TaskNumber keep = 0;
  TaskNumber chained = 0;
  TaskNumber cancel = 0;
  in >> keep >> chained >> cancel;
  CHECK_THROWS_AS((void)ex.future(cancel).result(20s), CancelledError);
  CHECK(ex.future(chained).result(20s) == "<kept");
  CHECK(ex.future(keep).result(20s) == "kept");
}
