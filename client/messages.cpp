#include "client/messages.hpp"

#include "futured/errors.hpp"

namespace futured::client {

namespace {
void put_pairs(const detail::SpecData::Pairs& from, google::protobuf::RepeatedPtrField<v1::Header>* to) {
  for (const auto& [name, value] : from) {
    v1::Header* h = to->Add();
    h->set_name(name);
    h->set_value(value);
  }
}

void put_reference(const detail::TaskReference& from, v1::TaskRef& to) {
  if (from.number != 0) {
    to.set_number(from.number);
  } else {
    to.set_id(raw_id(from.id));
  }
}

v1::Dependency::Condition condition_of(Condition on) {
  switch (on) {
    case Condition::failure:
      return v1::Dependency::FAILURE;
    case Condition::any:
      return v1::Dependency::ANY;
    case Condition::success:
      break;
  }
  return v1::Dependency::SUCCESS;
}

/// For a daemon that says no more than the kind.
std::string message_of(const v1::Error& error, std::string_view otherwise) {
  if (!error.message().empty()) return error.message();
  switch (error.kind()) {
    case v1::ERROR_KIND_TIMEOUT:
      return "an attempt took longer than the task's timeout";
    case v1::ERROR_KIND_DEADLINE:
      return "the task was not done by its deadline";
    case v1::ERROR_KIND_DEPENDENCY:
      return "a task that it waited for did not end as it had to";
    default:
      return std::string(otherwise);
  }
}
}  // namespace

std::string raw_id(const TaskId& id) {
  std::string raw(reinterpret_cast<const char*>(id.stream.bytes.data()), id.stream.bytes.size());
  for (int shift = 32; shift >= 0; shift -= 8) raw.push_back(static_cast<char>((id.seq >> shift) & 0xff));
  return raw;
}

TaskId read_id(const std::string& raw) { return parse_task_id(to_hex(raw)).value_or(TaskId{}); }

std::shared_ptr<const v1::Spec> make_spec(std::string_view task, const detail::SpecData& d) {
  auto spec = std::make_shared<v1::Spec>();
  spec->set_type(std::string(task));
  spec->set_pool(d.pool);
  spec->set_priority(d.priority);
  spec->set_retries(d.retries);
  spec->set_backoff_ns(d.backoff_ns);
  spec->set_backoff_max_ns(d.backoff_max_ns);
  spec->set_crashes(d.crashes);
  spec->set_delay_ns(d.delay_ns);
  spec->set_timeout_ns(d.timeout_ns);
  spec->set_deadline_ns(d.deadline_ns);
  spec->set_expires_ns(d.expires_ns);
  spec->set_keep_ns(d.keep_ns);
  spec->set_volatile_task(d.volatile_task);
  spec->set_group(d.group);
  put_pairs(d.labels, spec->mutable_labels());
  put_pairs(d.headers, spec->mutable_headers());
  put_pairs(d.requirements, spec->mutable_requirements());
  for (const auto& [resource, amount] : d.demands) {
    v1::Amount* a = spec->add_demands();
    a->set_resource(resource);
    a->set_ten_thousandths(amount);
  }
  spec->set_limit_key(d.limit_key);
  spec->set_fair_key(d.fair_key);
  spec->set_on_disconnect(d.on_disconnect == OnDisconnect::cancel ? v1::Spec::CANCEL : v1::Spec::KEEP);
  spec->set_disconnect_grace_ns(d.disconnect_grace_ns);
  spec->set_content_type(d.content_type);
  spec->set_codec(d.codec);
  spec->set_schema_hash(d.schema_hash);
  if (d.parent || d.parent_number != 0) {
    v1::TaskRef* parent = spec->mutable_parent();
    parent->set_number(d.parent_number);
    if (d.parent) parent->set_id(raw_id(*d.parent));
  }
  spec->set_tenant(d.tenant);
  spec->set_key(d.key);
  spec->set_early_start(d.early_start);
  spec->set_live_output(d.live_output);
  spec->set_live_progress(d.live_progress);
  spec->set_detached(d.detached);
  spec->set_at_unix_ns(d.at_unix_ns);
  spec->mutable_after()->Reserve(static_cast<int>(d.after.size() + d.after_groups.size()));
  for (const detail::TaskDependency& dependency : d.after) {
    v1::Dependency* to = spec->add_after();
    put_reference(dependency.task, *to->mutable_task());
    to->set_on(condition_of(dependency.on));
  }
  for (const detail::GroupDependency& dependency : d.after_groups) {
    v1::Dependency* to = spec->add_after();
    to->set_group(dependency.group);
    to->set_on(condition_of(dependency.on));
  }
  if (d.input_from) put_reference(*d.input_from, *spec->mutable_input_from());
  return spec;
}

wire::Frames encode(const order::Hello& hello, const SelfFacts& self, std::uint16_t generation) {
  v1::Hello m;
  m.set_role(v1::Hello::CLIENT);
  m.set_version_min(wire::kVersion);
  m.set_version_max(wire::kVersion);
  m.set_software(self.software);
  m.set_host(self.host);
  m.set_pid(self.pid);
  m.set_instance(self.instance);
  v1::Limits* limits = m.mutable_limits();
  limits->set_payload_bytes(wire::kFrameLimit);
  limits->set_frame_bytes(wire::kFrameLimit);
  limits->set_frames(wire::kMaxFrames);
  limits->set_batch_tasks(wire::kMaxBatchTasks);
  m.set_stream(std::string(reinterpret_cast<const char*>(hello.stream.bytes.data()), hello.stream.bytes.size()));
  m.set_first_unacked_seq(hello.first_unacked);
  m.set_processed_delivery(hello.processed_delivery);
  m.set_daemon_instance(hello.daemon_instance);
  m.set_result_credit_tasks(hello.credit_tasks);
  m.set_result_credit_bytes(hello.credit_bytes);
  return wire::encode(v1::KIND_HELLO, generation, m);
}

wire::Frames encode(const order::Submit& submit, std::uint16_t generation, v1::Submit& m) {
  const SubmitRange& r = submit.range;
  const SubmitBatch& b = *r.batch;
  const std::size_t end = r.from + r.count;
  const bool whole = r.from == 0 && r.count == b.size.size();
  m.Clear();
  m.set_first_seq(r.first_seq());
  for (const SpecRef& s : b.specs) *m.add_specs() = *static_cast<const v1::Spec*>(s.get());
  if (!b.spec_of.empty()) {
    m.mutable_spec_of()->Reserve(static_cast<int>(r.count));
    for (std::size_t i = r.from; i < end; ++i) m.mutable_spec_of()->AddAlreadyReserved(b.spec_of[i]);
  }
  v1::Payloads* p = m.mutable_payloads();
  p->mutable_size()->Reserve(static_cast<int>(r.count));
  for (std::size_t i = r.from; i < end; ++i) p->mutable_size()->AddAlreadyReserved(b.size[i]);
  wire::Frames frames;
  for (const SubmitBatch::Framed& f : b.framed) {
    if (f.index < r.from || f.index >= end) continue;
    p->add_framed(static_cast<std::uint32_t>(f.index - r.from));
    frames.push_back(f.payload);
  }
  if (whole) {
    p->set_blob(b.blob);
  } else {
    std::size_t at = 0, begin = 0;
    std::size_t f = 0;
    for (std::size_t i = 0; i < end; ++i) {
      if (i == r.from) begin = at;
      if (f < b.framed.size() && b.framed[f].index == i) {
        ++f;
      } else {
        at += b.size[i];
      }
    }
    p->set_blob(b.blob.substr(begin, at - begin));
  }
  return wire::encode(v1::KIND_SUBMIT, generation, m, std::move(frames));
}

wire::Frames encode(const order::Delivered& d, std::uint16_t generation) {
  v1::Delivered m;
  m.set_processed_delivery(d.processed);
  m.set_result_credit_tasks(d.credit_tasks);
  m.set_result_credit_bytes(d.credit_bytes);
  for (const order::OutputTaken& o : d.output) {
    v1::Delivered::OutputTaken* t = m.add_output();
    t->set_handle(o.handle);
    t->set_bytes(o.bytes);
    t->set_attempt(o.attempt);
  }
  return wire::encode(v1::KIND_DELIVERED, generation, m);
}

wire::Frames encode(const order::Cancel& c, std::uint16_t generation) {
  v1::Cancel m;
  m.set_request(c.request);
  for (const Handle h : c.handles) m.add_handles(h);
  m.set_running_too(c.running_too);
  m.set_grace_ns(c.grace_ns);
  m.set_why(c.why);
  return wire::encode(v1::KIND_CANCEL, generation, m);
}

wire::Frames encode(const order::Attach& a, std::uint16_t generation) {
  v1::Attach m;
  m.set_request(a.request);
  m.set_first_handle(a.first_handle);
  m.set_live_output(a.live_output);
  for (const order::AttachItem& item : a.tasks) {
    v1::TaskRef* t = m.add_tasks();
    t->set_number(item.number);
    t->set_id(item.id);
  }
  return wire::encode(v1::KIND_ATTACH, generation, m);
}

Status status_of(const v1::Problem& problem, const char* fallback) {
  const auto code = problem.code() > v1::CODE_OK && problem.code() <= v1::CODE_INTERNAL
                        ? static_cast<Code>(problem.code())
                        : Code::internal;
  return {code, problem.message().empty() ? std::string(fallback) : problem.message()};
}

Ending ending_of(v1::State state, const v1::Outcomes::Failure* failure, std::string_view reply) {
  static const v1::Error no_error;
  const v1::Error& e = failure == nullptr ? no_error : failure->error();
  const auto kind = e.kind() > v1::ERROR_KIND_NONE && e.kind() <= v1::ERROR_KIND_TOO_LARGE
                        ? static_cast<ErrorKind>(e.kind())
                        : ErrorKind::none;
  if (state == v1::STATE_CANCELLED) {
    if (e.message().empty() && kind == ErrorKind::none) return {true, nullptr};
    return {true, std::make_exception_ptr(CancelledError(message_of(e, "the task was cancelled"), kind))};
  }
  if (state == v1::STATE_EXPIRED) {
    const std::string text = message_of(e, "the task had not started when its `expires` was over");
    return {true, std::make_exception_ptr(ExpiredError(text, kind))};
  }
  TaskError::Details d;
  d.kind = kind == ErrorKind::none ? ErrorKind::error : kind;
  d.message = message_of(e, {});
  d.status = e.status();
  d.signal = e.signal();
  d.permanent = e.permanent();
  d.attempts = failure == nullptr ? 0 : failure->attempts();
  d.reply = std::string(reply);
  if (kind == ErrorKind::rejected || kind == ErrorKind::too_large) {
    return {false, std::make_exception_ptr(RejectedError(std::move(d)))};
  }
  return {false, std::make_exception_ptr(TaskError(std::move(d)))};
}

std::exception_ptr lost_error() {
  TaskError::Details d;
  d.kind = ErrorKind::lost;
  d.message = "the daemon was restarted without a store and does not know this task any more; submit it again";
  return std::make_exception_ptr(TaskError(std::move(d)));
}

}  // namespace futured::client
