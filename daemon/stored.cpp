#include "daemon/stored.hpp"

#include "daemon/spec_wire.hpp"
#include "futured/v1/store.pb.h"

namespace futured::daemon {

namespace {

using namespace scheduler;  // NOLINT(google-build-using-namespace): this file is the bridge to it

void put(const Attempt& a, const Clocks& clocks, v1::StoredAttempt& to) {
  to.set_attempt(a.number);
  to.set_worker(a.worker);
  to.set_pid(a.pid);
  to.set_sent_unix_ns(clocks.to_wall(a.sent));
  to.set_started_unix_ns(clocks.to_wall(a.started));
  to.set_ended_unix_ns(clocks.to_wall(a.ended));
  to.set_ending(static_cast<std::uint32_t>(a.ending));
  to.set_message(a.message);
}

Attempt get(const v1::StoredAttempt& from, const Clocks& clocks) {
  Attempt a;
  a.number = from.attempt();
  a.worker = from.worker();
  a.pid = from.pid();
  a.sent = clocks.from_wall(from.sent_unix_ns());
  a.started = clocks.from_wall(from.started_unix_ns());
  a.ended = clocks.from_wall(from.ended_unix_ns());
  a.ending = from.ending() <= static_cast<std::uint32_t>(Attempt::Ending::timed_out)
                 ? static_cast<Attempt::Ending>(from.ending())
                 : Attempt::Ending::lost;
  a.message = from.message();
  return a;
}

template <class Message>
Status parse(std::string_view bytes, Message& m, const char* what) {
  if (m.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return {};
  return {Code::internal, std::string("the store has ") + what + " that cannot be read; it is damaged"};
}

}  // namespace

std::string to_bytes(const StoredBatch& batch) {
  v1::StoredBatch m;
  for (const Spec& spec : batch.specs) {
    v1::StoredSpec* s = m.add_specs();
    to_wire(spec, *s->mutable_spec());
    s->set_owner(spec.owner);
  }
  for (const StoredBatch::Alias& a : batch.aliases) {
    v1::StoredBatch::Alias* out = m.add_aliases();
    out->set_offset(a.offset);
    out->set_task(a.task);
    out->set_input_differs(a.input_differs);
  }
  return m.SerializeAsString();
}

Status from_bytes(std::string_view bytes, StoredBatch& batch) {
  v1::StoredBatch m;
  if (Status s = parse(bytes, m, "a batch"); !s.ok()) return s;
  for (const v1::StoredSpec& from : m.specs()) {
    Spec& spec = batch.specs.emplace_back();
    if (Status s = spec_of_wire(from.spec(), {from.owner(), 0}, spec); !s.ok()) {
      return {Code::internal, "the store has a task whose spec is not valid: " + s.message()};
    }
  }
  for (const auto& a : m.aliases()) batch.aliases.push_back({a.offset(), a.task(), a.input_differs()});
  return {};
}

std::string to_bytes(const StoredProgress& p, const Clocks& clocks) {
  v1::StoredProgress m;
  m.set_attempt(p.attempt);
  m.set_crashes(p.crashes);
  m.set_spent_retries(p.spent_retries);
  m.set_due_unix_ns(clocks.to_wall(p.due));
  m.set_ran(p.ran);
  m.set_linked(p.linked);
  m.set_retry_of(p.retry_of);
  for (const Attempt& a : p.attempts) put(a, clocks, *m.add_attempts());
  m.set_has_input(p.has_input);
  m.set_input(p.input);
  return m.SerializeAsString();
}

Status from_bytes(std::string_view bytes, const Clocks& clocks, StoredProgress& p) {
  v1::StoredProgress m;
  if (Status s = parse(bytes, m, "the progress of a task"); !s.ok()) return s;
  p.attempt = m.attempt();
  p.crashes = m.crashes();
  p.spent_retries = m.spent_retries();
  p.due = clocks.from_wall(m.due_unix_ns());
  p.ran = m.ran();
  p.linked = m.linked();
  p.retry_of = m.retry_of();
  for (const auto& a : m.attempts()) p.attempts.push_back(get(a, clocks));
  p.has_input = m.has_input();
  p.input = m.input();
  return {};
}

std::string to_bytes(const StoredEnd& end, const Clocks& clocks) {
  v1::StoredEnd m;
  for (const Attempt& a : end.attempts) put(a, clocks, *m.add_attempts());
  if (end.failed) to_wire(end.failure, *m.mutable_error());
  m.set_retry_of(end.retry_of);
  return m.SerializeAsString();
}

Status from_bytes(std::string_view bytes, const Clocks& clocks, StoredEnd& end) {
  v1::StoredEnd m;
  if (Status s = parse(bytes, m, "the end of a task"); !s.ok()) return s;
  for (const auto& a : m.attempts()) end.attempts.push_back(get(a, clocks));
  end.failed = m.has_error();
  if (end.failed) end.failure = failure_of(m.error());
  end.retry_of = m.retry_of();
  return {};
}

}  // namespace futured::daemon
