// What is kept of tasks comes back as it was.
#include "daemon/stored.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace futured;
using namespace futured::daemon;
using scheduler::Spec;

namespace {

Spec full_spec() {
  Spec s;
  s.type = "fetch";
  s.pool = "io";
  s.priority = -7;
  s.retries = 3;
  s.backoff_ns = 4;
  s.backoff_max_ns = 5;
  s.crashes = -1;
  s.delay_ns = 6;
  s.timeout_ns = 7;
  s.deadline_ns = 8;
  s.expires_ns = 9;
  s.keep_ns = 10;
  s.key = std::string("\xff\x00k", 3);
  s.limit = "api";
  s.fair = "team";
  s.owner = 1000;
  TaskId id;
  id.stream.bytes.fill(9);
  id.seq = 77;
  s.after.push_back({12, {}, 5, "", scheduler::Condition::any});
  s.after.push_back({0, id, 1, "", scheduler::Condition::failure});
  s.after.push_back({0, {}, 1, "nightly", scheduler::Condition::success});
  s.input_from = 1;
  s.detached = true;
  s.live_output = true;
  s.live_progress = true;
  s.cancel_on_disconnect = true;
  s.disconnect_grace_ns = 11;
  s.group = "g";
  s.labels = {{"a", "b"}, {"c", ""}};
  s.headers = {{"trace", std::string("\x80", 1)}};
  s.content_type = "text/plain";
  return s;
}

scheduler::Attempt attempt() {
  scheduler::Attempt a;
  a.worker = 4;
  a.number = 2;
  a.pid = 333;
  a.sent = 100;
  a.started = 0;
  a.ended = 300;
  a.ending = scheduler::Attempt::Ending::crashed;
  a.message = "signal 11";
  return a;
}

bool same(const scheduler::Attempt& a, const scheduler::Attempt& b) {
  return a.worker == b.worker && a.number == b.number && a.pid == b.pid && a.sent == b.sent && a.started == b.started &&
         a.ended == b.ended && a.ending == b.ending && a.message == b.message;
}

TEST_CASE("stored: specs and aliases of a batch") {
  StoredBatch batch;
  batch.specs = {full_spec(), Spec{}};
  batch.specs[1].type = "echo";
  batch.aliases.push_back({3, 17, true});
  StoredBatch back;
  REQUIRE(from_bytes(to_bytes(batch), back).ok());
  REQUIRE(back.specs.size() == 2);
  CHECK(back.specs[0] == batch.specs[0]);
  CHECK(back.specs[1] == batch.specs[1]);
  REQUIRE(back.aliases.size() == 1);
  CHECK(back.aliases[0].offset == 3);
  CHECK(back.aliases[0].task == 17);
  CHECK(back.aliases[0].input_differs);
}

TEST_CASE("stored: the times of a task are those of the wall, read by another boot") {
  const Clocks before{1'000'000}, after{999'000};  // it started later: 0 of its clock is a later time of the wall
  StoredProgress p;
  p.attempt = 2;
  p.crashes = 1;
  p.spent_retries = 1;
  p.due = 500;
  p.ran = p.linked = p.has_input = true;
  p.retry_of = 6;
  p.attempts.push_back(attempt());
  p.input = "appended";
  StoredProgress back;
  REQUIRE(from_bytes(to_bytes(p, before), before, back).ok());
  REQUIRE(back.attempts.size() == 1);
  CHECK(same(back.attempts[0], p.attempts[0]));
  CHECK(back.due == 500);
  CHECK(back.attempt == 2);
  CHECK(back.crashes == 1);
  CHECK(back.spent_retries == 1);
  CHECK((back.ran && back.linked && back.has_input));
  CHECK(back.retry_of == 6);
  CHECK(back.input == "appended");
  StoredProgress later;
  REQUIRE(from_bytes(to_bytes(p, before), after, later).ok());
  CHECK(later.due == 1500);
  CHECK(later.attempts[0].started == 0);  // none stays none
}

TEST_CASE("stored: how a task ended") {
  const Clocks clocks{5};
  StoredEnd end;
  end.attempts.push_back(attempt());
  end.failed = true;
  end.failure.kind = ErrorKind::exit;
  end.failure.message = "no";
  end.failure.status = 3;
  end.failure.signal = 9;
  end.failure.permanent = true;
  end.failure.retry_after_ns = 12;
  end.retry_of = 8;
  StoredEnd back;
  REQUIRE(from_bytes(to_bytes(end, clocks), clocks, back).ok());
  CHECK(same(back.attempts.at(0), end.attempts[0]));
  CHECK(back.failed);
  CHECK(back.failure.kind == ErrorKind::exit);
  CHECK(back.failure.message == "no");
  CHECK(back.failure.status == 3);
  CHECK(back.failure.signal == 9);
  CHECK(back.failure.permanent);
  CHECK(back.failure.retry_after_ns == 12);
  CHECK(back.retry_of == 8);
  StoredEnd good;
  REQUIRE(from_bytes(to_bytes(StoredEnd{}, clocks), clocks, good).ok());
  CHECK_FALSE(good.failed);
}

TEST_CASE("stored: bytes that make no sense are told, not taken") {
  const std::string bytes = "\xff\xff\xff no message";
  StoredBatch batch;
  StoredProgress progress;
  StoredEnd end;
  CHECK(from_bytes(bytes, batch).message().find("damaged") != std::string::npos);
  CHECK_FALSE(from_bytes(bytes, Clocks{}, progress).ok());
  CHECK_FALSE(from_bytes(bytes, Clocks{}, end).ok());
}

}  // namespace
