// The daemon's loop against peers that speak the protocol by hand.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/daemon_edges/raw_peer.hpp"

namespace {

using namespace futured;
using namespace futured::test;

constexpr std::size_t kBatchTokens = wire::kMaxBatchTasks * kTokenBytes;

v1::Spec spec(bool live_output = false) {
  v1::Spec s;
  s.set_type("hold");
  s.set_live_output(live_output);
  return s;
}

void announce(RawPeer& worker, const std::string& running) {
  v1::Announce m;
  m.set_running(running);
  m.set_end(true);
  worker.say(v1::KIND_ANNOUNCE, m);
}

void emit(RawPeer& worker, const std::string& token, std::uint64_t offset, std::size_t size) {
  v1::Emitted m;
  m.set_token(token);
  m.set_stream(1);
  m.set_offset(offset);
  m.set_data(std::string(size, 'x'));
  worker.say(v1::KIND_EMITTED, m);
}

TEST_CASE("orders for many calls come in batches of 4096, also when they are given again") {
  RunningDaemon daemon;
  RawPeer worker(*daemon);
  REQUIRE(worker.hello_worker("w", "hold", 6000));
  RawPeer client(*daemon);
  REQUIRE(client.hello_client());
  constexpr std::size_t kCalls = 5000;
  for (std::size_t seq = 0; seq < kCalls; seq += 1000) {  // within the credit of a client that begins
    client.submit(seq, 1000, spec());
    REQUIRE(client.hear<v1::Accepted>(v1::KIND_ACCEPTED));
  }
  const std::string tokens = worker.take_calls(kCalls);
  REQUIRE(tokens.size() == kCalls * kTokenBytes);
  for (std::size_t at = 0; at < tokens.size(); at += kBatchTokens) {
    v1::Running m;
    m.set_tokens(tokens.substr(at, kBatchTokens));
    worker.say(v1::KIND_RUNNING, m);
  }
  std::size_t started = 0;
  while (started < kCalls) {
    const auto m = client.hear<v1::Started>(v1::KIND_STARTED);
    REQUIRE(m);
    CHECK(m->handle_delta_size() <= static_cast<int>(wire::kMaxBatchTasks));
    started += static_cast<std::size_t>(m->handle_delta_size());
  }
  for (const std::size_t from : {std::size_t{0}, std::size_t{3000}}) {
    v1::Cancel m;
    m.set_request(from + 1);
    m.set_running_too(true);
    m.set_grace_ns(60'000'000'000);
    for (std::size_t h = from; h < std::min(from + 3000, kCalls); ++h) m.add_handles(h);
    client.say(v1::KIND_CANCEL, m);
  }
  const auto stopped = [&](RawPeer& peer) {
    std::size_t bytes = 0;
    while (bytes < tokens.size()) {
      const auto stop = peer.hear<v1::Stop>(v1::KIND_STOP);
      if (!stop) break;
      CHECK(stop->tokens().size() <= kBatchTokens);
      bytes += stop->tokens().size();
    }
    return bytes / kTokenBytes;
  };
  REQUIRE(stopped(worker) == kCalls);
  RawPeer again(*daemon, 2);
  REQUIRE(again.hello_worker("w", "hold", 6000));
  announce(again, tokens);
  CHECK(stopped(again) == kCalls);
}

TEST_CASE("live output goes on after the worker's connection ended with output and credit on their way") {
  RunningDaemon daemon;
  auto worker = std::make_unique<RawPeer>(*daemon);
  REQUIRE(worker->hello_worker("w", "hold", 1));
  RawPeer client(*daemon);
  REQUIRE(client.hello_client());
  client.submit(0, 1, spec(true));
  const std::string token = worker->take_calls(1);
  REQUIRE(token.size() == kTokenBytes);
  emit(*worker, token, 0, 1000);
  REQUIRE(client.hear<v1::Output>(v1::KIND_OUTPUT));
  worker = std::make_unique<RawPeer>(*daemon, 2);
  REQUIRE(worker->hello_worker("w", "hold", 1));
  announce(*worker, token);
  auto credit = worker->hear<v1::EmitCredit>(v1::KIND_EMIT_CREDIT);
  REQUIRE(credit);
  CHECK(credit->bytes() == 256 << 10);
  // All the rest of the credit was lost with the old connection.
  emit(*worker, token, 256 << 10, 0);
  v1::Delivered taken;
  taken.set_result_credit_tasks(1 << 20);
  taken.set_result_credit_bytes(1 << 30);
  auto* output = taken.add_output();
  output->set_handle(0);
  output->set_attempt(1);
  output->set_bytes(1000);
  client.say(v1::KIND_DELIVERED, taken);
  credit = worker->hear<v1::EmitCredit>(v1::KIND_EMIT_CREDIT);
  REQUIRE(credit);
  CHECK(credit->bytes() == 512 << 10);
  emit(*worker, token, 256 << 10, 10);
  const auto next = client.hear<v1::Output>(v1::KIND_OUTPUT);
  REQUIRE(next);
  CHECK(next->offset() == 256 << 10);
}

TEST_CASE("a worker that emits more than it may is refused") {
  RunningDaemon daemon;
  RawPeer worker(*daemon);
  REQUIRE(worker.hello_worker("w", "hold", 1));
  RawPeer client(*daemon);
  REQUIRE(client.hello_client());
  client.submit(0, 1, spec(true));
  const std::string token = worker.take_calls(1);
  REQUIRE(token.size() == kTokenBytes);
  SUBCASE("in one message") { emit(worker, token, 0, (64 << 10) + 1); }
  SUBCASE("in all") {
    for (std::uint64_t at = 0; at <= 256 << 10; at += 64 << 10) emit(worker, token, at, 64 << 10);
  }
  const auto refused = worker.hear<v1::Refused>(v1::KIND_REFUSED);
  REQUIRE(refused);
  CHECK(refused->problem().code() == v1::CODE_INVALID);
}

v1::Reply ask(RawPeer& client, v1::Request request) {
  static std::uint64_t asked = 0;
  request.set_request(++asked);
  client.say(v1::KIND_REQUEST, request);
  const auto reply = client.hear<v1::Reply>(v1::KIND_REPLY);
  REQUIRE(reply);
  CHECK(reply->request() == asked);
  return *reply;
}
TEST_CASE("the output of a task is asked for by its id, from any connection, also while it is written") {
  RunningDaemon daemon;
  RawPeer worker(*daemon);
  REQUIRE(worker.hello_worker("w", "hold", 1));
  auto client = std::make_unique<RawPeer>(*daemon);
  REQUIRE(client->hello_client());
  client->submit(0, 1, spec());
  const std::string token = worker.take_calls(1);
  REQUIRE(token.size() == kTokenBytes);
  v1::Running running;
  running.set_tokens(token);
  worker.say(v1::KIND_RUNNING, running);
  emit(worker, token, 0, 10);
  REQUIRE(client->hear<v1::Started>(v1::KIND_STARTED));

  v1::Request request;
  v1::LogQuery& query = *request.mutable_log();
  query.mutable_task()->set_id("0123456789a" + std::string(5, '\0'));
  query.set_follow(true);
  v1::Reply reply = ask(*client, request);
  REQUIRE(reply.log_size() == 1);
  CHECK(reply.log(0).data() == std::string(10, 'x'));

  RawPeer other(*daemon);
  REQUIRE(other.hello_client("bcdefghijkl"));
  client.reset();  // the task outlives who submitted it
  reply = ask(other, request);
  REQUIRE(reply.log_size() == 1);
  query.set_offset(10);
  request.set_request(100);
  other.say(v1::KIND_REQUEST, request);  // there is nothing more yet
  emit(worker, token, 10, 5);
  const auto more = other.hear<v1::Reply>(v1::KIND_REPLY);
  REQUIRE(more);
  REQUIRE(more->log_size() == 1);
  CHECK(more->log(0).offset() == 10);
  CHECK(more->log(0).data().size() == 5);

  query.mutable_task()->set_id("0123456789a" + std::string(4, '\0') + "\x07");
  reply = ask(other, request);
  CHECK(reply.problem().code() == v1::CODE_NOT_FOUND);
  CHECK(reply.problem().message() == "there is no task 30313233343536373839610000000007");
  query.mutable_task()->set_id("short");
  CHECK(ask(other, request).problem().message() == "a task id has 16 bytes");
}

TEST_CASE("a task that was not to be kept is not tried again: its input is gone") {
  RunningDaemon daemon;
  RawPeer worker(*daemon);
  REQUIRE(worker.hello_worker("w", "hold", 2));
  RawPeer client(*daemon);
  REQUIRE(client.hello_client());
  v1::Spec kept = spec();
  kept.set_keep_ns(3'600'000'000'000);
  client.submit(0, 1, spec());
  client.submit(1, 1, kept);
  const std::string tokens = worker.take_calls(2);
  REQUIRE(tokens.size() == 2 * kTokenBytes);
  v1::Ran ran;
  ran.set_tokens(tokens);
  wire::PayloadWriter replies;
  for (const std::uint32_t index : {0U, 1U}) {
    replies.add(std::string_view());
    ran.add_failures()->set_index(index);
  }
  wire::Frames frames = replies.finish(*ran.mutable_payloads());
  worker.say(v1::KIND_RAN, ran, std::move(frames));
  REQUIRE(client.hear<v1::Outcomes>(v1::KIND_OUTCOMES));  // not acknowledged: both are still known

  v1::Request request;
  request.mutable_retry()->mutable_selector()->set_all(true);
  const v1::Reply reply = ask(client, request);
  CHECK(reply.count() == 1);
  REQUIRE(reply.numbers_size() == 1);
  v1::Request list;
  auto* range = list.mutable_list()->mutable_selector()->add_numbers();
  range->set_first(1);
  range->set_last(reply.numbers(0));
  const v1::Reply tasks = ask(client, list);
  REQUIRE(tasks.tasks_size() == 3);
  CHECK(tasks.tasks(0).state() == v1::STATE_FAILED);
  CHECK(tasks.tasks(2).retry_of() == 2);
}

v1::Reply change_schedule(RawPeer& client, const std::string& name, v1::ChangeSchedule::What what) {
  v1::Request request;
  request.mutable_change_schedule()->set_name(name);
  request.mutable_change_schedule()->set_what(what);
  return ask(client, request);
}
v1::Reply list_schedules(RawPeer& client) {
  v1::Request request;
  request.mutable_schedules();
  return ask(client, request);
}

TEST_CASE("a schedule submits tasks until it is paused or removed") {
  RunningDaemon daemon;
  RawPeer worker(*daemon);
  REQUIRE(worker.hello_worker("w", "hold", 1000));
  RawPeer client(*daemon);
  REQUIRE(client.hello_client());
  v1::Request request;
  v1::AddSchedule& order = *request.mutable_add_schedule();
  order.set_name("tick");
  order.set_interval_ns(50'000'000);
  *order.mutable_spec() = spec();
  order.set_input("in");
  REQUIRE_FALSE(ask(client, request).has_problem());
  CHECK(ask(client, request).problem().message() == "schedule 'tick' exists; remove it first, or take another name");
  const std::size_t called = worker.take_calls(2).size() / kTokenBytes;
  REQUIRE(called >= 2);

  REQUIRE_FALSE(change_schedule(client, "tick", v1::ChangeSchedule::PAUSE).has_problem());
  v1::Reply listed = list_schedules(client);
  REQUIRE(listed.schedules_size() == 1);
  const v1::ScheduleRecord record = listed.schedules(0);
  CHECK(record.paused());
  CHECK(record.type() == "hold");
  CHECK(record.interval_ns() == 50'000'000);
  CHECK(record.next_unix_ns() == 0);
  CHECK(record.last_unix_ns() % 50'000'000 == 0);
  CHECK(record.fired() >= called);
  CHECK(record.skipped() < 10 * record.fired());  // the loop wakes for them, not only for other reasons
  CHECK(record.last_number() == record.fired());
  v1::Request tasks;
  auto* label = tasks.mutable_list()->mutable_selector()->add_labels();
  label->set_name("schedule");
  label->set_value("tick");
  CHECK(static_cast<std::uint64_t>(ask(client, tasks).tasks_size()) == record.fired());

  REQUIRE_FALSE(change_schedule(client, "tick", v1::ChangeSchedule::RESUME).has_problem());
  const std::size_t more = record.fired() + 1 - called;
  REQUIRE(worker.take_calls(more).size() >= more * kTokenBytes);
  REQUIRE_FALSE(change_schedule(client, "tick", v1::ChangeSchedule::REMOVE).has_problem());
  CHECK(list_schedules(client).schedules_size() == 0);
  const v1::Reply gone = change_schedule(client, "tick", v1::ChangeSchedule::PAUSE);
  CHECK(gone.problem().code() == v1::CODE_NOT_FOUND);
  CHECK(gone.problem().message() == "there is no schedule 'tick'");
  order.mutable_spec()->set_type("hodl");
  CHECK(ask(client, request).problem().message() == "unknown task 'hodl'; did you mean 'hold'?");
}

}  // namespace
