#include "daemon/spec_wire.hpp"

#include <algorithm>
#include <cstring>

namespace futured::daemon {

namespace {

using namespace scheduler;  // NOLINT(google-build-using-namespace): this file is the bridge to it

constexpr std::size_t kMaxText = 4096;       // names, labels, messages
constexpr std::size_t kMaxPairs = 64;        // labels or headers of a task
constexpr std::size_t kMaxSpec = 64 * 1024;  // all of it
constexpr std::uint64_t kMostDependencies = 1'000'000;
constexpr std::int64_t kLongest = std::int64_t{100} * 365 * 86400 * 1'000'000'000;

Status pairs(const google::protobuf::RepeatedPtrField<v1::Header>& from, const char* what,
             std::vector<std::pair<std::string, std::string>>& to) {
  if (static_cast<std::size_t>(from.size()) > kMaxPairs) {
    return {Code::invalid, std::string("more than 64 ") + what + " on a task"};
  }
  for (const v1::Header& h : from) {
    if (h.name().size() > kMaxText || h.value().size() > kMaxText) {
      return {Code::invalid, std::string(what) + " longer than 4096 bytes"};
    }
    to.emplace_back(h.name(), h.value());
  }
  return {};
}

bool same_task(const v1::TaskRef& a, const v1::TaskRef& b) {
  return a.number() != 0 ? a.number() == b.number() : b.number() == 0 && a.id() == b.id();
}

Status dependencies(const v1::Spec& from, Spec& to) {
  for (const v1::Dependency& d : from.after()) {
    scheduler::Dependency& out = to.after.emplace_back();
    out.group = d.group();
    out.on = d.on() == v1::Dependency::FAILURE ? scheduler::Condition::failure
             : d.on() == v1::Dependency::ANY   ? scheduler::Condition::any
                                               : scheduler::Condition::success;
    if (!out.group.empty()) continue;
    out.count = std::max<std::uint64_t>(d.count(), 1);
    if (out.count > kMostDependencies) return {Code::invalid, "a task waits for at most 1000000 others"};
    scheduler::event::TaskRef task;
    if (Status s = task_ref(d.task(), task); !s.ok()) return s;
    out.number = task.number;
    out.id = task.id;
    if (from.has_input_from() && same_task(from.input_from(), d.task())) {
      to.input_from = static_cast<std::uint32_t>(to.after.size() - 1);
    }
  }
  if (from.has_input_from() && to.input_from == UINT32_MAX) {
    return {Code::invalid, "input_from is not one of the tasks to wait for"};
  }
  return {};
}

}  // namespace

Failure failure_of(const v1::Error& e) {
  Failure f;
  const int kind = e.kind();
  f.kind = kind >= v1::ERROR_KIND_ERROR && kind <= v1::ERROR_KIND_TOO_LARGE ? static_cast<ErrorKind>(kind)
                                                                            : ErrorKind::error;
  f.message = e.message().substr(0, kMaxText);
  f.status = e.status();
  f.signal = e.signal();
  f.permanent = e.permanent();
  f.retry_after_ns = e.retry_after_ns();
  return f;
}

Status spec_of_wire(const v1::Spec& from, const Submitter& by, Spec& to) {
  for (const std::string* text : {&from.type(), &from.pool(), &from.group(), &from.content_type(), &from.key(),
                                  &from.limit_key(), &from.fair_key()}) {
    if (text->size() > kMaxText) return {Code::invalid, "a name in a task's spec is longer than 4096 bytes"};
  }
  to.type = from.type();
  to.pool = from.pool();
  to.priority = from.priority();
  to.retries = from.retries();
  to.crashes = from.crashes();
  const auto duration = [](std::int64_t ns) { return std::clamp<std::int64_t>(ns, 0, kLongest); };
  to.backoff_ns = duration(from.backoff_ns());
  to.backoff_max_ns = duration(from.backoff_max_ns());
  to.delay_ns = duration(from.delay_ns());
  if (from.at_unix_ns() > by.unix_now) to.delay_ns = std::max(to.delay_ns, duration(from.at_unix_ns() - by.unix_now));
  to.timeout_ns = duration(from.timeout_ns());
  to.deadline_ns = duration(from.deadline_ns());
  to.expires_ns = duration(from.expires_ns());
  to.key = from.key();
  to.limit = from.limit_key();
  to.fair = from.fair_key();
  to.owner = by.owner;
  if (Status s = dependencies(from, to); !s.ok()) return s;
  to.keep_ns = duration(from.keep_ns());
  to.detached = from.detached();
  to.live_output = from.live_output();
  to.live_progress = from.live_progress();
  to.cancel_on_disconnect = from.on_disconnect() == v1::Spec::CANCEL;
  to.disconnect_grace_ns = std::max<std::int64_t>(from.disconnect_grace_ns(), 0);
  to.group = from.group();
  to.content_type = from.content_type();
  if (Status s = pairs(from.labels(), "labels", to.labels); !s.ok()) return s;
  if (Status s = pairs(from.headers(), "headers", to.headers); !s.ok()) return s;
  if (size_of(to) - to.after.size() * sizeof(scheduler::Dependency) > kMaxSpec)
    return {Code::invalid, "the labels and headers of a task have more than 64 KiB"};
  return {};
}

void to_wire(const Spec& from, v1::Spec& to) {
  to.set_type(from.type);
  to.set_pool(from.pool);
  to.set_priority(from.priority);
  to.set_retries(from.retries);
  to.set_backoff_ns(from.backoff_ns);
  to.set_backoff_max_ns(from.backoff_max_ns);
  to.set_crashes(from.crashes);
  to.set_delay_ns(from.delay_ns);
  to.set_timeout_ns(from.timeout_ns);
  to.set_deadline_ns(from.deadline_ns);
  to.set_expires_ns(from.expires_ns);
  to.set_keep_ns(from.keep_ns);
  to.set_group(from.group);
  const auto pairs_to = [](const auto& list, google::protobuf::RepeatedPtrField<v1::Header>& out) {
    for (const auto& [name, value] : list) {
      v1::Header* h = out.Add();
      h->set_name(name);
      h->set_value(value);
    }
  };
  pairs_to(from.labels, *to.mutable_labels());
  pairs_to(from.headers, *to.mutable_headers());
  to.set_limit_key(from.limit);
  to.set_fair_key(from.fair);
  to.set_on_disconnect(from.cancel_on_disconnect ? v1::Spec::CANCEL : v1::Spec::KEEP);
  to.set_disconnect_grace_ns(from.disconnect_grace_ns);
  to.set_content_type(from.content_type);
  to.set_key(from.key);
  to.set_live_output(from.live_output);
  to.set_live_progress(from.live_progress);
  to.set_detached(from.detached);
  for (std::size_t i = 0; i < from.after.size(); ++i) {
    const Dependency& d = from.after[i];
    v1::Dependency* out = to.add_after();
    out->set_on(d.on == Condition::failure ? v1::Dependency::FAILURE
                : d.on == Condition::any   ? v1::Dependency::ANY
                                           : v1::Dependency::SUCCESS);
    out->set_group(d.group);
    if (!d.group.empty()) continue;
    out->set_count(d.count);
    out->mutable_task()->set_number(d.number);
    if (d.number == 0) out->mutable_task()->set_id(raw_id(d.id));
    if (i == from.input_from) *to.mutable_input_from() = out->task();
  }
}

Status task_ref(const v1::TaskRef& from, scheduler::event::TaskRef& to) {
  to.number = from.number();
  if (to.number == 0 && !from_raw_id(from.id(), to.id)) return {Code::invalid, "a task id has 16 bytes"};
  return {};
}

std::string raw_id(const TaskId& id) {
  std::string raw(reinterpret_cast<const char*>(id.stream.bytes.data()), id.stream.bytes.size());
  for (int shift = 32; shift >= 0; shift -= 8) raw.push_back(static_cast<char>((id.seq >> shift) & 0xff));
  return raw;
}

bool from_raw_id(const std::string& raw, TaskId& id) {
  if (raw.size() != 16) return false;
  std::memcpy(id.stream.bytes.data(), raw.data(), id.stream.bytes.size());
  id.seq = 0;
  for (std::size_t i = 11; i < 16; ++i) id.seq = id.seq << 8 | static_cast<unsigned char>(raw[i]);
  return true;
}

void to_wire(const Failure& failure, v1::Error& error) {
  error.set_kind(static_cast<v1::ErrorKind>(failure.kind));
  error.set_message(failure.message);
  error.set_status(failure.status);
  error.set_signal(failure.signal);
  error.set_permanent(failure.permanent);
  error.set_retry_after_ns(failure.retry_after_ns);
}

}  // namespace futured::daemon
