// What a task asks for, on its way to a daemon that the test plays; and what a full daemon does to it.
#include <doctest/doctest.h>

#include <future>

#include "client/control.hpp"
#include "futured/executor.hpp"
#include "tests/client/pair.hpp"

using namespace futured;
using namespace std::chrono_literals;
using fake::Pair;

namespace {

std::string text_of(const std::string& raw) { return to_hex(raw); }

/// Credit for `more` tasks beyond those accepted so far.
void accept(Pair& p, std::uint64_t first, std::uint64_t count, std::uint64_t credit, bool full) {
  v1::Accepted m;
  m.set_first_seq(first);
  m.set_count(count);
  m.set_first_number(first + 1);
  m.set_submit_credit_tasks(credit);
  m.set_submit_credit_bytes(std::uint64_t{1} << 40);
  m.set_full(full);
  p.daemon->send(v1::KIND_ACCEPTED, m);
}

}  // namespace

TEST_CASE("times, limits and keys of a task reach the daemon") {
  Pair p;
  const auto at = std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000));
  auto f = p.ex.submit("t", "x",
                       TaskOptions()
                           .delay(1s)
                           .at(at)
                           .timeout(2s)
                           .deadline(3s)
                           .expires(4s)
                           .backoff(5s, 60s)
                           .key("K")
                           .limit("L")
                           .fair("F")
                           .is_volatile());
  const auto m = p.submitted().as<v1::Submit>();
  const v1::Spec& spec = m.specs(0);
  CHECK(spec.delay_ns() == 1'000'000'000);
  CHECK(spec.at_unix_ns() == 1'700'000'000'000'000'000);
  CHECK(spec.timeout_ns() == 2'000'000'000);
  CHECK(spec.deadline_ns() == 3'000'000'000);
  CHECK(spec.expires_ns() == 4'000'000'000);
  CHECK(spec.backoff_ns() == 5'000'000'000);
  CHECK(spec.backoff_max_ns() == 60'000'000'000);
  CHECK(spec.key() == "K");
  CHECK(spec.limit_key() == "L");
  CHECK(spec.fair_key() == "F");
  CHECK(spec.volatile_task());
}

TEST_CASE("a task waits for others by number, id, future and group") {
  Pair p;
  const TaskId id = *parse_task_id("000102030405060708090a0b0c0d0e0f");
  auto first = p.ex.submit("t", "a");
  p.submitted();
  auto second = p.ex.submit("t", "b",
                            TaskOptions()
                                .after(TaskNumber{7})
                                .after(id, Condition::failure)
                                .after(first, Condition::any)
                                .after_group("g", Condition::any)
                                .input_from(first));
  const auto m = p.submitted().as<v1::Submit>();
  const v1::Spec& spec = m.specs(0);
  REQUIRE(spec.after_size() == 4);
  CHECK(spec.after(0).task().number() == 7);
  CHECK(spec.after(0).on() == v1::Dependency::SUCCESS);
  CHECK(text_of(spec.after(1).task().id()) == to_string(id));
  CHECK(spec.after(1).on() == v1::Dependency::FAILURE);
  CHECK(text_of(spec.after(2).task().id()) == to_string(first.id()));
  CHECK(spec.after(2).on() == v1::Dependency::ANY);
  CHECK(spec.after(3).group() == "g");
  CHECK_FALSE(spec.after(3).has_task());
  CHECK(text_of(spec.input_from().id()) == to_string(first.id()));
}

TEST_CASE("a task whose input comes from another waits for it, too") {
  const TaskOptions options = TaskOptions().after(TaskNumber{3}).input_from(TaskNumber{4}).input_from(TaskNumber{3});
  const auto& spec = options.data()->spec;
  REQUIRE(spec.after.size() == 2);
  CHECK(spec.after[1].task.number == 4);
  CHECK(spec.after[1].on == Condition::success);
  CHECK(spec.input_from->number == 3);
}

TEST_CASE("dependencies on nothing are refused at once") {
  CHECK_THROWS_AS(TaskOptions().after(TaskNumber{0}), std::invalid_argument);
  CHECK_THROWS_AS(TaskOptions().input_from(TaskNumber{0}), std::invalid_argument);
  CHECK_THROWS_AS(TaskOptions().after_group(""), std::invalid_argument);
  CHECK_THROWS_AS(TaskOptions().after(Future<>()), InvalidStateError);
  CHECK_THROWS_AS(TaskOptions().after(Promise<int>().future()), InvalidStateError);
}

TEST_CASE("a million dependencies travel with a task, more are refused, and their specs do not share a message") {
  TaskOptions options;
  const TaskId id = *parse_task_id("ffffffffffffffffffffffffffffffff");
  for (std::size_t i = 0; i < TaskOptions::kMaxDependencies; ++i) options.after(id);
  CHECK_THROWS_AS(options.after(TaskNumber{1}), std::invalid_argument);
  CHECK_THROWS_AS(options.after_group("g"), std::invalid_argument);
  Pair p;
  auto a = p.ex.submit("t", "a", options);
  auto b = p.ex.submit("t", "b", TaskOptions(options).priority(1));
  for (std::uint64_t seq = 0; seq < 2; ++seq) {
    const auto m = p.submitted().as<v1::Submit>();
    REQUIRE(m.specs_size() == 1);
    CHECK(m.specs(0).after_size() == 1'000'000);
    CHECK(m.payloads().size_size() == 1);
    p.daemon->accept(seq, 1);
  }
}

TEST_CASE("options that no message can carry fail by themselves") {
  Pair p;
  TaskOptions options;
  for (int i = 0; i < 40; ++i) options.label("name", std::string(1 << 20, 'x'));
  auto one = p.ex.submit("t", "a", options);
  CHECK_THROWS_AS((void)one.result(), RejectedError);
  auto many = p.ex.submit_many("t", std::vector<std::string>{"a", "b"}, options);
  for (const auto& f : many) CHECK_THROWS_AS((void)f.result(), RejectedError);
}

TEST_CASE("a future of a key that is taken is that of the other task") {
  Pair p;
  auto mine = p.ex.submit("t", "a", TaskOptions().key("K"));
  auto other = p.ex.submit("t", "b", TaskOptions().key("L"));
  auto asked = std::async(std::launch::async, [&] { return other.existing(); });
  CHECK(asked.wait_for(20ms) == std::future_status::timeout);  // not accepted yet
  while (p.end != 2) p.submitted();
  v1::Accepted m;
  m.set_first_seq(0);
  m.set_count(2);
  m.set_first_number(10);
  m.set_submit_credit_tasks(1000);
  m.set_submit_credit_bytes(std::uint64_t{1} << 40);
  auto* e = m.add_existing();
  e->set_seq(1);
  e->set_number(4);
  e->set_input_differs(true);
  p.daemon->send(v1::KIND_ACCEPTED, m);
  CHECK(asked.get());
  CHECK_FALSE(mine.existing());
  Control control(p.ex);
  CHECK(*control.number(mine, 5s) == 10);
  CHECK(*control.number(other, 5s) == 4);
  CHECK_FALSE(control.existing(mine, 5s)->has_value());
  const auto known = *control.existing(other, 5s);
  REQUIRE(known.has_value());
  CHECK(known->number == 4);
  CHECK(known->input_differs);
  p.daemon->outcome(1, "B");
  CHECK(other.result(10s) == "B");
  CHECK(other.existing());
  // What waits for it names the task that it is.
  auto next = p.ex.submit("t", "c", TaskOptions().after(other));
  CHECK(p.submitted().as<v1::Submit>().specs(0).after(0).task().number() == 4);
  CHECK_FALSE(Promise<int>().future().existing());
}

TEST_CASE("times that are over show as errors of the task, with words also where the daemon has none") {
  Pair p;
  std::vector<Future<>> all;
  for (int i = 0; i < 4; ++i) all.push_back(p.ex.submit("t", "x"));
  while (p.end != 4) {
    p.submitted();
    p.daemon->accept(0, p.end);
  }
  p.daemon->failure(0, v1::STATE_FAILED, v1::ERROR_KIND_TIMEOUT, "");
  p.daemon->failure(1, v1::STATE_FAILED, v1::ERROR_KIND_DEADLINE, "");
  p.daemon->failure(2, v1::STATE_EXPIRED, v1::ERROR_KIND_NONE, "");
  p.daemon->failure(3, v1::STATE_CANCELLED, v1::ERROR_KIND_DEPENDENCY, "");
  const auto failed = [](const Future<>& f) {
    try {
      (void)f.result(10s);
    } catch (const TaskError& e) {
      return std::string(name(e.kind)) + ": " + e.what();
    } catch (const ExpiredError& e) {
      return std::string("expired: ") + e.what();
    } catch (const CancelledError& e) {
      return std::string(name(e.kind)) + ": " + e.what();
    }
    return std::string("succeeded");
  };
  CHECK(failed(all[0]) == "timeout: an attempt took longer than the task's timeout");
  CHECK(failed(all[1]) == "deadline: the task was not done by its deadline");
  CHECK(failed(all[2]) == "expired: the task had not started when its `expires` was over");
  CHECK(failed(all[3]) == "dependency: a task that it waited for did not end as it had to");
  CHECK(all[2].cancelled());
  CHECK(all[3].cancelled());
}

TEST_CASE("when the submit window is used up submit() waits, for ever or for its patience") {
  Pair p(2);
  auto a = p.ex.submit("t", "a");
  auto b = p.ex.submit("t", "b");
  CHECK_THROWS_AS((void)p.ex.submit("t", "c", TaskOptions().on_full(OnFull::block, 20ms)), QueueFull);
  auto blocked = std::async(std::launch::async, [&] { return p.ex.submit("t", "c"); });
  CHECK(blocked.wait_for(50ms) == std::future_status::timeout);
  p.submitted();
  p.daemon->accept(0, 1);
  auto c = blocked.get();
  CHECK(c.id().seq == 2);
}

TEST_CASE("a task that fails when the daemon is full waits for the daemon's word, and no longer") {
  Pair p(2);
  const auto fail = TaskOptions().on_full(OnFull::fail);
  auto a = p.ex.submit("t", "a", fail);
  auto b = p.ex.submit("t", "b", fail);
  while (p.end != 2) p.submitted();
  // The window is used up; the answer brings room.
  auto waits = std::async(std::launch::async, [&] { return p.ex.submit("t", "c", fail); });
  CHECK(waits.wait_for(50ms) == std::future_status::timeout);
  accept(p, 0, 2, 3, false);
  CHECK(waits.get().id().seq == 2);
  // The answer says that there will be none.
  auto refused = std::async(std::launch::async, [&] { return p.ex.submit("t", "d", fail); });
  CHECK(refused.wait_for(50ms) == std::future_status::timeout);
  while (p.end != 3) p.submitted();
  accept(p, 2, 1, 3, true);
  CHECK_THROWS_AS((void)refused.get(), QueueFull);
  CHECK_THROWS_AS((void)p.ex.submit("t", "d", fail), QueueFull);
  CHECK_THROWS_AS((void)p.ex.submit("t", "d", TaskOptions().on_full(OnFull::block, 20ms)), QueueFull);
  auto blocked = std::async(std::launch::async, [&] { return p.ex.submit("t", "d"); });
  CHECK(blocked.wait_for(30ms) == std::future_status::timeout);
  // Tasks have ended.
  accept(p, 3, 0, 10, false);
  CHECK(blocked.get().id().seq == 3);
  CHECK(p.ex.submit("t", "e", fail).id().seq == 4);
}

TEST_CASE("a full daemon that has room for what was promised still takes it") {
  Pair p(3);
  auto a = p.ex.submit("t", "a");
  p.submitted();
  accept(p, 0, 1, 3, true);
  const auto fail = TaskOptions().on_full(OnFull::fail);
  auto b = p.ex.submit("t", "b", fail);
  auto c = p.ex.submit("t", "c", fail);
  while (p.end != 3) p.submitted();
  accept(p, 1, 2, 3, true);
  CHECK_THROWS_AS((void)p.ex.submit("t", "d", fail), QueueFull);
}

TEST_CASE("a welcome without credit is a full daemon") {
  Pair p(0);
  CHECK_THROWS_AS((void)p.ex.submit("t", "a", TaskOptions().on_full(OnFull::fail)), QueueFull);
}

TEST_CASE("without a connection a task that must not wait fails") {
  Pair p(1);
  auto a = p.ex.submit("t", "a");
  p.submitted();
  p.daemon.reset();
  const auto fail = TaskOptions().on_full(OnFull::fail);
  CHECK_THROWS_WITH_AS((void)p.ex.submit("t", "b", fail), doctest::Contains("no connection"), QueueFull);
  fake::Daemon back(p.folder.socket());  // or leaving would wait for it
  back.greet(true, 1);
}

TEST_CASE("submit_many says how many of its inputs became tasks before the daemon was full") {
  Pair p(2);
  auto refused = std::async(std::launch::async, [&] {
    try {
      (void)p.ex.submit_many("t", std::vector<std::string>{"a", "b", "c", "d"}, TaskOptions().on_full(OnFull::fail));
    } catch (const QueueFull& e) {
      return e.submitted;
    }
    return std::size_t{99};
  });
  while (p.end != 2) p.submitted();
  accept(p, 0, 2, 2, true);
  CHECK(refused.get() == 2);
}

namespace {

/// Answers the next request with `reply` and returns it.
v1::Request answer(Pair& p, v1::Reply reply) {
  const auto request = p.daemon->expect(v1::KIND_REQUEST).as<v1::Request>();
  reply.set_request(request.request());
  p.daemon->send(v1::KIND_REPLY, reply);
  return request;
}

template <class F>
auto background(F f) {
  return std::async(std::launch::async, std::move(f));
}

}  // namespace

TEST_CASE("orders for tasks that a selector names go through all its pages") {
  Pair p;
  Control control(p.ex);
  v1::Selector selector;
  selector.add_groups("g");
  v1::Reply first;
  first.set_more(true);
  first.set_cursor("here");
  v1::Reply last;

  auto retried = background([&] { return *control.retry(selector, 5s); });
  first.add_numbers(7);
  last.add_numbers(8);
  CHECK(answer(p, first).retry().selector().groups(0) == "g");
  CHECK(answer(p, last).retry().cursor() == "here");
  CHECK(retried.get() == std::vector<TaskNumber>{7, 8});

  auto forgotten = background([&] { return *control.forget(selector, 5s); });
  first.set_count(2);
  last.set_count(3);
  CHECK(answer(p, first).forget().cursor().empty());
  CHECK(answer(p, last).forget().selector().groups(0) == "g");
  CHECK(forgotten.get() == 5);

  auto explained = background([&] {
    std::string all;
    CHECK(control
              .explain(selector, 5s,
                       [&](v1::Explanation& e) {
                         all += e.text();
                         return true;
                       })
              .ok());
    return all;
  });
  first.add_explanations()->set_text("a");
  last.add_explanations()->set_text("b");
  CHECK(answer(p, first).has_explain());
  CHECK(answer(p, last).explain().cursor() == "here");
  CHECK(explained.get() == "ab");
}

TEST_CASE("a problem of the daemon is the status of the order") {
  Pair p;
  Control control(p.ex);
  auto done = background([&] { return control.pause({"io", ""}, true, 5s); });
  v1::Reply reply;
  reply.mutable_problem()->set_code(v1::CODE_NOT_FOUND);
  reply.mutable_problem()->set_message("no pool 'io'");
  const auto request = answer(p, reply);
  CHECK(request.pause().pool() == "io");
  CHECK(request.pause().paused());
  const Status status = done.get();
  CHECK(status.code() == Code::not_found);
  CHECK(status.message() == "no pool 'io'");
}

TEST_CASE("limits, groups, workers and the configuration are asked for and changed") {
  Pair p;
  Control control(p.ex);
  const auto done = [&](auto order) {
    auto status = background(order);
    const auto request = answer(p, {});
    CHECK(status.get().ok());
    return request;
  };
  const auto set = done([&] { return control.set_limit({"api", 3, 10, 1s}, 5s); });
  CHECK(set.set_limit().key() == "api");
  CHECK(set.set_limit().running() == 3);
  CHECK(set.set_limit().starts() == 10);
  CHECK(set.set_limit().per_ns() == 1'000'000'000);
  CHECK_FALSE(set.set_limit().remove());
  CHECK(done([&] { return control.remove_limit("api", 5s); }).set_limit().remove());
  CHECK(done([&] { return control.close_group("g", 5s); }).close_group().name() == "g");
  CHECK(done([&] { return control.end_worker(4, true, 5s); }).end_worker().now());
  CHECK(done([&] { return control.reload(5s); }).has_reload());
  const auto change = done([&] { return control.change_schedule("s", v1::ChangeSchedule::PAUSE, 5s); });
  CHECK(change.change_schedule().name() == "s");
  CHECK(change.change_schedule().what() == v1::ChangeSchedule::PAUSE);

  v1::Reply reply;
  reply.add_limits()->set_key("api");
  reply.add_groups()->set_name("g");
  reply.add_schedules()->set_name("s");
  auto limits = background([&] { return *control.limits(5s); });
  CHECK(answer(p, reply).has_limits());
  CHECK(limits.get().at(0).key() == "api");
  auto groups = background([&] { return *control.groups("g", 5s); });
  CHECK(answer(p, reply).groups().name() == "g");
  CHECK(groups.get().at(0).name() == "g");
  auto schedules = background([&] { return *control.schedules(5s); });
  CHECK(answer(p, reply).has_schedules());
  CHECK(schedules.get().at(0).name() == "s");
}

TEST_CASE("a schedule carries the task that it will submit") {
  Pair p;
  Control control(p.ex);
  Control::Schedule schedule;
  schedule.name = "nightly";
  schedule.cron = "0 3 * * *";
  schedule.zone = "Europe/Berlin";
  schedule.catch_up = v1::AddSchedule::ALL;
  schedule.overlap = v1::AddSchedule::OVERLAP_SKIP;
  schedule.task = "exec";
  schedule.input = "bytes";
  schedule.options.retries(2).after_group("g");
  auto done = background([&] { return control.add_schedule(schedule, 5s); });
  const auto request = answer(p, {});
  const v1::AddSchedule& m = request.add_schedule();
  CHECK(m.name() == "nightly");
  CHECK(m.cron() == "0 3 * * *");
  CHECK(m.zone() == "Europe/Berlin");
  CHECK(m.interval_ns() == 0);
  CHECK(m.catch_up() == v1::AddSchedule::ALL);
  CHECK(m.overlap() == v1::AddSchedule::OVERLAP_SKIP);
  CHECK(m.spec().type() == "exec");
  CHECK(m.spec().retries() == 2);
  CHECK(m.spec().after(0).group() == "g");
  CHECK(m.input() == "bytes");
  CHECK(done.get().ok());
}

TEST_CASE("who waits for changes or output asks again after a lost connection") {
  Pair p;
  Control control(p.ex);
  auto changes = background([&] { return *control.changes({}, "c1", Control::Nanos::max()); });
  CHECK(p.daemon->expect(v1::KIND_REQUEST).as<v1::Request>().watch().cursor() == "c1");
  p.daemon.reset();
  p.daemon = std::make_unique<fake::Daemon>(p.folder.socket());
  p.daemon->greet(true, 0);
  v1::Reply reply;
  reply.set_cursor("c2");
  reply.add_changes()->set_what("ended");
  CHECK(answer(p, reply).watch().cursor() == "c1");
  const auto got = changes.get();
  CHECK(got.cursor == "c2");
  CHECK(got.records.at(0).what() == "ended");

  auto log = background([&] { return *control.log({12, 2, 100, true}, Control::Nanos::max()); });
  v1::Reply chunks;
  chunks.add_log()->set_data("out");
  const auto request = answer(p, chunks);
  CHECK(request.log().task().number() == 12);
  CHECK(request.log().attempt() == 2);
  CHECK(request.log().offset() == 100);
  CHECK(request.log().follow());
  CHECK(log.get().at(0).data() == "out");
}

TEST_CASE("who waits for changes is told when the executor is closed") {
  auto p = std::make_unique<Pair>();
  Control control(p->ex);
  auto changes = background([&] { return control.changes({}, "", Control::Nanos::max()).status().code(); });
  p->daemon->expect(v1::KIND_REQUEST);
  p->ex.shutdown(false);
  auto closing = background([&] { p->ex.core().close(); });
  closing.get();
  CHECK(changes.get() == Code::unavailable);
}
