// The executor of a connection against a daemon that the test plays.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <numeric>
#include <thread>

#include "client/control.hpp"
#include "client/endpoint.hpp"
#include "futured/executor.hpp"
#include "tests/client/fake_daemon.hpp"
#include "tests/client/pair.hpp"

using namespace futured;
using namespace std::chrono_literals;
using fake::Daemon;
using fake::EchoDaemon;
using fake::Pair;
using fake::TempFolder;

namespace {

std::string what(const std::function<void()>& f) {
  try {
    f();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "no exception";
}

template <class F>
double seconds(F f) {
  const auto t = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - t).count();
}

}  // namespace

TEST_CASE("without a daemon connect() fails at once and says how to start one") {
  const TempFolder folder;
  std::string message;
  CHECK(seconds([&] {
          try {
            (void)Executor::connect(folder.socket());
          } catch (const NoDaemonError& e) {
            message = e.what();
          }
        }) < 2);
  CHECK(message == "no daemon at " + folder.socket() + ": start one with `futured`");
  CHECK_THROWS_AS((void)Executor::connect("tcp://127.0.0.1:1"), NoDaemonError);
  CHECK_THROWS_AS((void)Executor::connect("nonsense://x"), ConnectError);
}

TEST_CASE("a socket that never answers is given up after the timeout") {
  const TempFolder folder;
  const Daemon silent(folder.socket());
  CHECK(what([&] {
          (void)Executor::connect(ConnectOptions().endpoint(folder.socket()).timeout(300ms));
        }).find("no answer from") != std::string::npos);
}

TEST_CASE("a refusal tells version from permission") {
  const TempFolder folder;
  Daemon daemon(folder.socket());
  const auto refused = [&](v1::Code code, std::uint32_t from, std::uint32_t to) {
    auto connecting = std::async(std::launch::async, [&] { (void)Executor::connect(folder.socket()); });
    daemon.expect(v1::KIND_HELLO);
    v1::Refused m;
    m.mutable_problem()->set_code(code);
    m.mutable_problem()->set_message("because");
    m.set_version_min(from);
    m.set_version_max(to);
    daemon.send(v1::KIND_REFUSED, m);
    connecting.get();
  };
  CHECK_THROWS_AS(refused(v1::CODE_VERSION, 2, 3), VersionError);
  CHECK_THROWS_AS(refused(v1::CODE_NOT_ALLOWED, 1, 1), NotAllowedError);
  CHECK(what([&] { refused(v1::CODE_VERSION, 2, 3); }).find("versions 2..3") != std::string::npos);
}

TEST_CASE("inputs arrive as they are, small ones together and large ones framed; so do results") {
  Pair p;
  const std::string big(100'000, 'b');
  auto one = p.ex.submit("echo", "one");
  CHECK(p.submitted().payloads() == std::vector<std::string>{"one"});
  auto two = p.ex.submit("echo", "two");
  CHECK(p.submitted().payloads() == std::vector<std::string>{"two"});
  auto empty = p.ex.submit("other", "", TaskOptions().priority(3).label("k", "v").retries(2));
  auto f = p.ex.submit("echo", big);
  auto third = p.submitted();
  const auto m = third.as<v1::Submit>();
  CHECK(m.first_seq() == 2);
  CHECK(third.payloads() == std::vector<std::string>{"", big});
  CHECK(third.envelope.payloads.size() == 1);
  REQUIRE(m.specs_size() == 2);
  CHECK(m.specs(0).type() == "other");
  CHECK(m.specs(0).priority() == 3);
  CHECK(m.specs(0).retries() == 2);
  CHECK(m.specs(0).labels(0).name() == "k");
  CHECK(m.specs(1).type() == "echo");
  p.daemon->accept(0, 4);
  p.daemon->outcomes({2, 0, 3}, {"", "1", big});
  CHECK(f.result(10s) == big);
  CHECK(one.result(10s) == "1");
  CHECK(empty.result(10s).empty());
  CHECK_FALSE(two.done());
}

TEST_CASE("each way of ending shows as its own error") {
  Pair p;
  auto error = p.ex.submit("t", "0");
  p.submitted();
  p.daemon->accept(0, 1);
  auto rejected = p.ex.submit("t", "1");
  auto cancelled = p.ex.submit("t", "2");
  auto expired = p.ex.submit("t", "3");
  auto dependency = p.ex.submit("t", "4");
  p.submitted();
  p.daemon->failure(0, v1::STATE_FAILED, v1::ERROR_KIND_EXIT, "exit 3", "partial");
  p.daemon->failure(1, v1::STATE_FAILED, v1::ERROR_KIND_REJECTED, "unknown task");
  p.daemon->failure(2, v1::STATE_CANCELLED, v1::ERROR_KIND_NONE, "");
  p.daemon->failure(3, v1::STATE_EXPIRED, v1::ERROR_KIND_NONE, "");
  p.daemon->failure(4, v1::STATE_CANCELLED, v1::ERROR_KIND_DEPENDENCY, "task 7 failed");
  try {
    (void)error.result(10s);
    FAIL("it succeeded");
  } catch (const TaskError& e) {
    CHECK(e.kind == ErrorKind::exit);
    CHECK(e.attempts == 2);
    CHECK(e.reply() == "partial");
    CHECK(std::string(e.what()) == "exit 3");
  }
  CHECK_THROWS_AS((void)rejected.result(10s), RejectedError);
  CHECK_THROWS_AS((void)cancelled.result(10s), CancelledError);
  CHECK(cancelled.cancelled());
  CHECK_THROWS_AS((void)expired.result(10s), ExpiredError);
  try {
    (void)dependency.result(10s);
    FAIL("it succeeded");
  } catch (const CancelledError& e) {
    CHECK(e.kind == ErrorKind::dependency);
  }
  CHECK(error.exception() != nullptr);
  CHECK_THROWS_AS((void)cancelled.exception(), CancelledError);
}

TEST_CASE("cancel() is decided by the daemon in one round trip") {
  Pair p;
  auto a = p.ex.submit("t", "a");
  p.submitted();
  p.daemon->accept(0, 1);
  const auto verdict = [&](v1::Cancelled::Verdict v, bool grace) {
    auto answer = std::async(std::launch::async, [&] { return grace ? a.cancel(2s) : a.cancel(); });
    const auto c = p.daemon->expect(v1::KIND_CANCEL).as<v1::Cancel>();
    CHECK(c.handles(0) == 0);
    CHECK(c.running_too() == grace);
    CHECK(c.grace_ns() == (grace ? 2'000'000'000 : 0));
    v1::Cancelled m;
    m.set_request(c.request());
    m.add_verdicts(v);
    p.daemon->send(v1::KIND_CANCELLED, m);
    return answer.get();
  };
  v1::Started started;
  started.add_handle_delta(0);
  p.daemon->send(v1::KIND_STARTED, started);
  CHECK_FALSE(verdict(v1::Cancelled::RUNNING, false));
  CHECK(a.running());
  CHECK(verdict(v1::Cancelled::REQUESTED, true));
  CHECK_FALSE(a.done());
  CHECK(verdict(v1::Cancelled::CANCELLED, false));
  CHECK(a.cancelled());
  CHECK(a.cancel());
  p.daemon->failure(0, v1::STATE_CANCELLED, v1::ERROR_KIND_NONE, "");
  auto b = p.ex.submit("t", "b");
  p.submitted();
  p.daemon->outcome(1, "done");
  CHECK(b.result(10s) == "done");
  CHECK_FALSE(b.cancel());
}

TEST_CASE("a lost connection is made again, and what was not acknowledged is sent again") {
  Pair p;
  auto a = p.ex.submit("t", "a");
  p.submitted();
  p.daemon->accept(0, 1);
  CHECK(Control(p.ex).number(a, 10s).ok());  // the client has heard of it
  auto b = p.ex.submit("t", "b");
  p.submitted();
  p.daemon.reset();
  p.daemon = std::make_unique<Daemon>(p.folder.socket());
  const auto hello = p.daemon->greet(true, 1);
  CHECK(hello.first_unacked_seq() == 1);
  CHECK(hello.daemon_instance() == std::string(16, 'a'));
  CHECK(p.daemon->generation() >= 2);
  const auto again = p.submitted();
  CHECK(again.as<v1::Submit>().first_seq() == 1);
  CHECK(again.payloads() == std::vector<std::string>{"b"});
  p.daemon->accept(1, 1);
  p.daemon->outcomes({0, 1}, {"A", "B"});
  CHECK(a.result(10s) == "A");
  CHECK(b.result(10s) == "B");
}

TEST_CASE("tasks acknowledged by a daemon that has forgotten them fail as lost; the others are sent again") {
  Pair p;
  auto a = p.ex.submit("t", "a");
  p.submitted();
  p.daemon->accept(0, 1);
  CHECK(Control(p.ex).number(a, 10s).ok());  // the client has heard of it
  auto b = p.ex.submit("t", "b");
  p.submitted();
  p.daemon.reset();
  p.daemon = std::make_unique<Daemon>(p.folder.socket(), std::string(16, 'z'));
  const auto hello = p.daemon->expect(v1::KIND_HELLO).as<v1::Hello>();
  p.daemon->welcome(false, hello.first_unacked_seq());
  try {
    (void)a.result(10s);
    FAIL("it succeeded");
  } catch (const TaskError& e) {
    CHECK(e.kind == ErrorKind::lost);
  }
  CHECK(p.submitted().payloads() == std::vector<std::string>{"b"});
  p.daemon->accept(1, 1);
  p.daemon->outcome(1, "B");
  CHECK(b.result(10s) == "B");
}

TEST_CASE("asked for a new hello, the client comes with a new connection and the next generation") {
  Pair p;
  auto a = p.ex.submit("t", "a");
  p.submitted();
  CHECK(p.daemon->generation() == 1);
  p.daemon->send(v1::KIND_REHELLO, v1::Rehello());
  p.daemon->greet(true, 0);
  CHECK(p.daemon->generation() == 2);
  p.submitted();
  // What an older connection still had to say is dropped.
  p.daemon->set_generation(1);
  p.daemon->outcome(0, "old");
  p.daemon->set_next_delivery(0);
  p.daemon->set_generation(2);
  p.daemon->accept(0, 1);
  p.daemon->outcome(0, "new");
  CHECK(a.result(10s) == "new");
}

TEST_CASE("garbage from the daemon costs the connection and nothing else") {
  Pair p;
  auto a = p.ex.submit("t", "a");
  p.submitted();
  p.daemon->accept(0, 1);
  const std::string prefix{'f', 'd', 1, static_cast<char>(v1::KIND_OUTCOMES), 0, 0, 1, 0};
  std::uint16_t generation = 1;
  const auto recovers = [&] {
    p.daemon->greet(true, 1);
    ++generation;
    CHECK(p.daemon->generation() == generation);
  };
  p.daemon->send_raw({"x"});
  recovers();
  p.daemon->send_raw({std::string(prefix).replace(6, 1, 1, static_cast<char>(generation)) + "\xff\xff\xff"});
  recovers();
  {
    v1::Outcomes columns_differ;
    columns_differ.add_handle_delta(0);
    p.daemon->send(v1::KIND_OUTCOMES, columns_differ);
    recovers();
  }
  {
    v1::Outcomes sizes_lie;
    sizes_lie.add_handle_delta(0);
    sizes_lie.mutable_payloads()->add_size(1 << 30);
    sizes_lie.mutable_payloads()->set_blob("x");
    p.daemon->send(v1::KIND_OUTCOMES, sizes_lie);
    recovers();
  }
  {
    v1::Accepted too_much;
    too_much.set_first_seq(1);
    too_much.set_count(1000);
    p.daemon->send(v1::KIND_ACCEPTED, too_much);
    recovers();
  }
  p.daemon->send(static_cast<v1::Kind>(200), v1::Ping());  // a newer daemon may say more
  p.daemon->outcome(0, "A");
  CHECK(a.result(10s) == "A");
}

TEST_CASE("what the daemon says before WELCOME, or nonsense in it, is not believed and costs no time") {
  const TempFolder folder;
  Daemon daemon(folder.socket());
  auto connecting = std::async(std::launch::async, [&] { return Executor::connect(folder.socket()); });
  daemon.expect(v1::KIND_HELLO);
  v1::Accepted early;
  early.set_first_seq(0);
  early.set_count(std::uint64_t{1} << 62);
  daemon.send(v1::KIND_ACCEPTED, early);
  early.set_first_seq(~std::uint64_t{0} - 5);
  daemon.send(v1::KIND_ACCEPTED, early);
  daemon.welcome(false, 0, 1 << 20, INT64_MAX / 2);  // a heartbeat of a century and a half
  REQUIRE(connecting.wait_for(5s) == std::future_status::ready);
  Executor ex = connecting.get();
  auto a = ex.submit("t", "a");
  daemon.expect(v1::KIND_SUBMIT);
  for (int i = 0; i < 1000; ++i) daemon.accept(0, 1);  // again and again
  daemon.outcome(0, "A");
  CHECK(a.result(10s) == "A");
  CHECK(*Control(ex).number(a, 1s) == 1);
}

TEST_CASE("results for tasks that nobody has are dropped") {
  Pair p;
  auto a = p.ex.submit("t", "a");
  p.submitted();
  p.daemon->outcomes({999, std::uint64_t{1} << 40 | 5, 0, 0}, {"?", "?", "A", "again"});
  CHECK(a.result(10s) == "A");
}

TEST_CASE("a silent daemon is left for a new connection") {
  TempFolder folder;
  Daemon daemon(folder.socket());
  auto connecting = std::async(std::launch::async, [&] { return Executor::connect(folder.socket()); });
  daemon.expect(v1::KIND_HELLO);
  daemon.welcome(false, 0, 100, 50'000'000);
  Executor ex = connecting.get();
  CHECK(daemon.expect(v1::KIND_HELLO).generation() == 2);
  daemon.welcome(true, 0);
  CHECK(Control(ex).welcome().resumed() == Control(ex).welcome().resumed());
}

TEST_CASE("an input above the daemon's limit fails by itself and is not sent") {
  Pair p;
  auto big = p.ex.submit("t", std::string((64 << 20) + 1, 'x'));
  CHECK(big.done());
  CHECK_THROWS_AS((void)big.result(), RejectedError);
  auto a = p.ex.submit("t", "a");
  CHECK(p.submitted().as<v1::Submit>().first_seq() == 0);
}

TEST_CASE("leaving waits for what was submitted to be accepted, says goodbye, and breaks what is pending") {
  auto p = std::make_unique<Pair>();
  auto a = p->ex.submit("t", "a");
  std::atomic<int> called{0};
  a.add_done_callback([&](auto& f) { called += f.exception() != nullptr ? 1 : 100; });
  p->submitted();
  auto leaving = std::async(std::launch::async, [&] { const Executor gone = std::move(p->ex); });
  CHECK(leaving.wait_for(50ms) == std::future_status::timeout);
  p->daemon->accept(0, 1);
  p->daemon->expect(v1::KIND_GOODBYE);
  leaving.get();
  CHECK_THROWS_AS((void)a.result(), BrokenExecutor);
  CHECK(called == 1);
  CHECK_FALSE(a.cancel());
  CHECK(a.id().seq == 0);
  CHECK_THROWS_AS((void)p->ex.submit("t", "b"), BrokenExecutor);
}

TEST_CASE("shutdown refuses more tasks and waits for those there are") {
  Pair p;
  auto a = p.ex.submit("t", "a");
  p.submitted();
  p.daemon->accept(0, 1);
  p.ex.shutdown(false);
  CHECK_THROWS_AS((void)p.ex.submit("t", "b"), ShutdownError);
  auto done = std::async(std::launch::async, [&] { p.ex.shutdown(true); });
  CHECK(done.wait_for(30ms) == std::future_status::timeout);
  p.daemon->outcome(0, "A");
  done.get();
  CHECK(a.done());
}

TEST_CASE("shutdown with cancel_futures cancels what has not started with one message") {
  Pair p;
  std::vector<Future<>> all;
  for (int i = 0; i < 10; ++i) all.push_back(p.ex.submit("t", "x"));
  while (p.end != 10) {
    p.submitted();
    p.daemon->accept(0, p.end);
  }
  auto done = std::async(std::launch::async, [&] { p.ex.shutdown(true, true); });
  const auto c = p.daemon->expect(v1::KIND_CANCEL).as<v1::Cancel>();
  CHECK(c.handles_size() == 10);
  v1::Cancelled m;
  m.set_request(c.request());
  for (int i = 0; i < 10; ++i) m.add_verdicts(i < 2 ? v1::Cancelled::RUNNING : v1::Cancelled::CANCELLED);
  p.daemon->send(v1::KIND_CANCELLED, m);
  CHECK(done.wait_for(30ms) == std::future_status::timeout);
  p.daemon->outcomes({0, 1}, {"A", "B"});
  done.get();
  CHECK(std::count_if(all.begin(), all.end(), [](const auto& f) { return f.cancelled(); }) == 8);
}

TEST_CASE("callbacks run on a thread of the executor, or in the caller if the future is done") {
  Pair p;
  auto a = p.ex.submit("t", "a");
  std::promise<std::thread::id> where;
  a.add_done_callback([](auto&) { throw std::runtime_error("on purpose"); });
  a.add_done_callback([&](Future<>& f) {
    CHECK(f.result() == "A");
    where.set_value(std::this_thread::get_id());
  });
  p.submitted();
  p.daemon->outcome(0, "A");
  CHECK(where.get_future().get() != std::this_thread::get_id());
  std::thread::id here;
  a.add_done_callback([&](auto&) { here = std::this_thread::get_id(); });
  CHECK(here == std::this_thread::get_id());
}

TEST_CASE("a callback may use its executor, and may even be the last to hold it") {
  const TempFolder folder;
  const EchoDaemon daemon(folder.socket());
  auto ex = std::make_shared<Executor>(Executor::connect(folder.socket()));
  std::promise<std::string> chained;
  ex->submit("echo", "1").add_done_callback([&, ex](Future<>& f) {
    chained.set_value(ex->submit("echo", f.result() + "2").result(10s));
  });
  CHECK(chained.get_future().get() == "12");
  std::promise<void> gone;
  ex->submit("echo", "x").add_done_callback([&, last = std::move(ex)](auto&) mutable {
    last.reset();
    gone.set_value();
  });
  gone.get_future().get();
}

TEST_CASE("tasks of others are attached to by id or number") {
  Pair p;
  const TaskId id = *parse_task_id("000102030405060708090a0b0c0d0e0f");
  auto f = p.ex.future(id);
  auto asked = p.daemon->expect(v1::KIND_ATTACH).as<v1::Attach>();
  CHECK(asked.tasks(0).id().size() == 16);
  CHECK(to_hex(asked.tasks(0).id()) == "000102030405060708090a0b0c0d0e0f");
  v1::Attached m;
  m.set_request(asked.request());
  auto* t = m.add_tasks();
  t->set_code(v1::CODE_OK);
  t->set_number(77);
  p.daemon->send(v1::KIND_ATTACHED, m);
  CHECK(*Control(p.ex).number(f, 10s) == 77);
  p.daemon->outcome(asked.first_handle(), "theirs");
  CHECK(f.result(10s) == "theirs");
  CHECK(f.id() == id);

  auto missing = p.ex.future(TaskNumber{5});
  asked = p.daemon->expect(v1::KIND_ATTACH).as<v1::Attach>();
  CHECK(asked.tasks(0).number() == 5);
  m.set_request(asked.request());
  t->set_code(v1::CODE_NOT_FOUND);
  p.daemon->send(v1::KIND_ATTACHED, m);
  CHECK_THROWS_AS((void)missing.result(10s), NotFound);

  auto forgotten = p.ex.future("000102030405060708090a0b0c0d0e0f");
  asked = p.daemon->expect(v1::KIND_ATTACH).as<v1::Attach>();
  m.set_request(asked.request());
  t->set_code(v1::CODE_FORGOTTEN);
  p.daemon->send(v1::KIND_ATTACHED, m);
  CHECK_THROWS_AS((void)forgotten.result(10s), Forgotten);
  CHECK_THROWS_AS((void)p.ex.future("xyz"), std::invalid_argument);

  auto own = p.ex.submit("t", "a");
  CHECK(p.ex.future(own.id()) == own);
}

TEST_CASE("a task's number comes with its acceptance, and with it what the daemon had to remark") {
  Pair p;
  auto a = p.ex.submit("t", "a");
  const Control control(p.ex);
  CHECK_FALSE(Control(p.ex).number(a, 20ms).ok());
  p.submitted();
  v1::Accepted m;
  m.set_count(1);
  m.set_first_number(41);
  m.set_submit_credit_tasks(10);
  m.set_submit_credit_bytes(1000);
  auto* w = m.add_warnings();
  w->set_seq(0);
  w->set_message("nobody offers it");
  p.daemon->send(v1::KIND_ACCEPTED, m);
  CHECK(*Control(p.ex).number(a, 10s) == 41);
  CHECK(control.warning(a) == "nobody offers it");
}

TEST_CASE("questions have answers, problems and time limits") {
  Pair p;
  Control control(p.ex);
  v1::Request ask;
  ask.mutable_status();
  auto asking = std::async(std::launch::async, [&] { return control.request(ask, 10s); });
  auto q = p.daemon->expect(v1::KIND_REQUEST).as<v1::Request>();
  CHECK(q.has_status());
  v1::Reply m;
  m.set_request(q.request());
  m.mutable_status()->set_pid(7);
  p.daemon->send(v1::KIND_REPLY, m);
  auto reply = asking.get();
  REQUIRE(reply.ok());
  CHECK(reply->status().pid() == 7);

  asking = std::async(std::launch::async, [&] { return control.request(ask, 10s); });
  q = p.daemon->expect(v1::KIND_REQUEST).as<v1::Request>();
  m.set_request(q.request());
  m.mutable_problem()->set_code(v1::CODE_FORGOTTEN);
  m.mutable_problem()->set_message("gone");
  p.daemon->send(v1::KIND_REPLY, m);
  reply = asking.get();
  REQUIRE_FALSE(reply.ok());
  CHECK(reply.status().code() == Code::forgotten);

  reply = control.request(ask, 20ms);
  REQUIRE_FALSE(reply.ok());
  CHECK(reply.status().code() == Code::unavailable);

  auto pinging = std::async(std::launch::async, [&] { return control.ping(10s); });
  p.daemon->send(v1::KIND_PONG, p.daemon->expect(v1::KIND_PING).as<v1::Ping>());
  CHECK(pinging.get().ok());
  v1::Ping theirs;
  theirs.set_id(99);
  p.daemon->send(v1::KIND_PING, theirs);
  CHECK(p.daemon->expect(v1::KIND_PONG).as<v1::Ping>().id() == 99);
}

TEST_CASE("live output comes in order, all of it before the future is done, and raises its credit") {
  Pair p;
  std::string seen;
  auto a = p.ex.submit("t", "a", TaskOptions().on_output([&](int stream, std::string_view bytes) {
    seen += std::to_string(stream) + ":" + std::string(bytes) + " ";
  }));
  CHECK(p.submitted().as<v1::Submit>().specs(0).live_output());
  p.daemon->accept(0, 1);
  v1::Output o;
  o.set_attempt(1);
  std::uint64_t offset = 0;
  for (int i = 0; i < 100; ++i) {
    const std::string data = std::to_string(i);
    o.set_stream(static_cast<std::uint32_t>(1 + i % 2));
    o.set_offset(offset);
    o.set_data(data);
    offset += data.size();
    p.daemon->send(v1::KIND_OUTPUT, o);
  }
  p.daemon->outcome(0, "done");
  CHECK(a.result(10s) == "done");
  std::string expected;
  for (int i = 0; i < 100; ++i) expected += std::to_string(1 + i % 2) + ":" + std::to_string(i) + " ";
  CHECK(seen == expected);

  auto b = p.ex.submit("t", "b", TaskOptions().on_output([](int, std::string_view) {}));
  p.submitted();
  o.set_handle(1);
  o.set_offset(0);
  o.set_data(std::string(200'000, 'x'));
  p.daemon->send(v1::KIND_OUTPUT, o);
  for (;;) {
    const auto d = p.daemon->expect(v1::KIND_DELIVERED).as<v1::Delivered>();
    if (d.output_size() == 0) continue;
    CHECK(d.output(0).handle() == 1);
    CHECK(d.output(0).bytes() == 200'000);
    break;
  }
}

TEST_CASE("a detached task's future ends with its acceptance and says where to ask") {
  Pair p;
  auto a = p.ex.submit("t", "a", TaskOptions().detached());
  CHECK(p.submitted().as<v1::Submit>().specs(0).detached());
  CHECK_FALSE(a.done());
  p.daemon->accept(0, 1);
  CHECK_THROWS_AS((void)a.result(10s), InvalidStateError);
  p.ex.shutdown(true);
}

TEST_CASE("after fork() the child's executor is broken with a clear error, the parent's is not") {
  const TempFolder folder;
  const EchoDaemon daemon(folder.socket());
  Executor ex = Executor::connect(folder.socket());
  auto pending = ex.submit("echo", "x");
  const pid_t pid = fork();
  if (pid == 0) {
    int wrong = 0;
    try {
      (void)ex.submit("echo", "y");
      wrong |= 1;
    } catch (const BrokenExecutor&) {
    }
    ThreadPoolExecutor pool(1);  // one of its own works
    if (pool.submit([] { return 5; }).result(10s) != 5) wrong |= 2;
    { const Executor gone = std::move(ex); }
    _exit(wrong);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(pending.result(10s) == "x");
  CHECK(ex.submit("echo", "z").result(10s) == "z");
}

TEST_CASE("many threads submit, wait and drop futures at once; everything comes back") {
  const TempFolder folder;
  const EchoDaemon daemon(folder.socket());
  Executor ex = Executor::connect(folder.socket());
  std::vector<std::thread> threads;
  std::atomic<std::size_t> wrong{0};
  constexpr std::size_t kEach = 5000;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::vector<Future<>> mine;
      for (std::size_t i = 0; i < kEach; ++i) {
        auto f = ex.submit("echo", std::to_string(t * kEach + i));
        if (i % 3 == 0) continue;  // dropped: nobody wants it
        if (i % 100 == 1 && f.result(30s) != std::to_string(t * kEach + i)) ++wrong;
        mine.push_back(std::move(f));
      }
      std::size_t seen = 0;
      for (auto& f : as_completed(mine, 60s)) seen += f.result().empty() ? 0 : 1;
      if (seen != mine.size()) ++wrong;
    });
  }
  for (auto& t : threads) t.join();
  CHECK(wrong == 0);
}

TEST_CASE("a submit loop that nobody waits for neither blocks nor loses anything") {
  const TempFolder folder;
  const EchoDaemon daemon(folder.socket(), 10'000);
  Executor ex = Executor::connect(folder.socket());
  constexpr std::size_t kTasks = 200'000;
  std::vector<Future<>> futures;
  for (std::size_t i = 0; i < kTasks; ++i) futures.push_back(ex.submit("echo", std::string_view("0123456789")));
  ex.shutdown(true);
  CHECK(std::all_of(futures.begin(), futures.end(), [](const auto& f) { return f.done(); }));
  CHECK(futures.back().result() == "0123456789");
  CHECK(daemon.batches() < kTasks / 50);
}

TEST_CASE("submit_many and map send whole batches; map with a buffer reads its input as results are taken") {
  const TempFolder folder;
  const EchoDaemon daemon(folder.socket());
  Executor ex = Executor::connect(folder.socket());
  std::vector<std::string> inputs;
  for (int i = 0; i < 1000; ++i) inputs.push_back(std::to_string(i));
  const auto many = ex.submit_many("echo", inputs);
  CHECK(wait(many, 30s).not_done.empty());
  CHECK(many[999].result() == "999");
  std::size_t i = 0;
  for (auto& r : ex.map("echo", inputs)) CHECK(r == inputs[i++]);
  CHECK(i == 1000);
  i = 0;
  for (auto& r : ex.map("echo", inputs, MapOptions().buffersize(7))) CHECK(r == inputs[i++]);
  CHECK(i == 1000);
  i = 0;
  for (auto& r : ex.map("echo", std::vector<std::string>{"a", "b"}, MapOptions().buffersize(1))) i += r.size();
  CHECK(i == 2);
}

TEST_CASE("the endpoint is what was asked for, the environment, or the first socket there is") {
  const TempFolder folder;
  setenv("FUTURED_CONNECT", "tcp://127.0.0.1:9", 1);
  CHECK(client::resolve_endpoint("ipc:///x") == "ipc:///x");
  CHECK(client::resolve_endpoint("/x") == "ipc:///x");
  CHECK(client::resolve_endpoint("") == "tcp://127.0.0.1:9");
  unsetenv("FUTURED_CONNECT");
  setenv("XDG_RUNTIME_DIR", (folder / "run").c_str(), 1);
  CHECK(client::user_socket_path() == folder / "run/futured/futured.sock");
  unsetenv("XDG_RUNTIME_DIR");
  setenv("HOME", (folder / "home").c_str(), 1);
  CHECK(client::user_socket_path() == folder / "home/.local/state/futured/run/futured.sock");
}
