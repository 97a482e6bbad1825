#include "tests/sim/codec.hpp"

#include "daemon/translate.hpp"
#include "tests/sim/oracle.hpp"

namespace futured::sim {

namespace {

std::string raw(const std::vector<AttemptToken>& tokens) {
  std::string out;
  for (const AttemptToken& t : tokens) put_token(out, t);
  return out;
}

std::vector<AttemptToken> tokens_of(const std::string& bytes) {
  if (bytes.size() % kTokenBytes != 0) throw Violation("tokens are cut");
  std::vector<AttemptToken> out;
  for (std::size_t at = 0; at < bytes.size(); at += kTokenBytes) out.push_back(get_token(bytes.data() + at));
  return out;
}

wire::Frames payloads_of(const std::vector<Slice>& payloads, v1::Payloads& column) {
  wire::PayloadWriter writer;
  for (const Slice& p : payloads) writer.add(p);
  return writer.finish(column);
}

template <class M>
M parsed(const wire::Envelope& e) {
  M m;
  if (!wire::parse(e, m).ok()) throw Violation("a message of the daemon cannot be parsed");
  return m;
}

std::vector<Slice> payloads_in(v1::Payloads& column, const wire::Envelope& e) {
  std::vector<Slice> out;
  if (!wire::read_payloads(column, e.payloads, out).ok()) throw Violation("payloads of the daemon do not fit");
  return out;
}

msg::Accepted accepted_in(const v1::Accepted& m) {
  msg::Accepted out{m.first_seq(), m.count(), m.first_number(), m.submit_credit_tasks(), m.submit_credit_bytes(), {}};
  for (const auto& x : m.existing()) out.existing.push_back({x.seq(), x.number(), x.input_differs()});
  return out;
}

}  // namespace

wire::Frames to_frames(const Message& message) {
  if (const auto* m = std::get_if<msg::Submit>(&message)) {
    v1::Submit out;
    out.set_first_seq(m->first_seq);
    for (const scheduler::Spec& s : m->specs) {
      v1::Spec* spec = out.add_specs();
      spec->set_type(s.type);
      spec->set_pool(s.pool);
      spec->set_priority(s.priority);
      spec->set_retries(s.retries);
      spec->set_crashes(s.crashes);
      spec->set_keep_ns(s.keep_ns);
      spec->set_detached(s.detached);
      spec->set_on_disconnect(s.cancel_on_disconnect ? v1::Spec::CANCEL : v1::Spec::KEEP);
      spec->set_disconnect_grace_ns(s.disconnect_grace_ns);
      spec->set_backoff_ns(s.backoff_ns);
      spec->set_backoff_max_ns(s.backoff_max_ns);
      spec->set_delay_ns(s.delay_ns);
      spec->set_timeout_ns(s.timeout_ns);
      spec->set_deadline_ns(s.deadline_ns);
      spec->set_expires_ns(s.expires_ns);
      spec->set_key(s.key);
      spec->set_limit_key(s.limit);
      spec->set_fair_key(s.fair);
      spec->set_group(s.group);
      for (const scheduler::Dependency& d : s.after) {
        v1::Dependency* to = spec->add_after();
        to->set_group(d.group);
        to->set_count(d.count);
        to->set_on(d.on == scheduler::Condition::success   ? v1::Dependency::SUCCESS
                   : d.on == scheduler::Condition::failure ? v1::Dependency::FAILURE
                                                           : v1::Dependency::ANY);
        if (!d.group.empty()) continue;
        to->mutable_task()->set_number(d.number);
        if (d.number == 0) to->mutable_task()->set_id(daemon::raw_id(d.id));
      }
      if (s.input_from != UINT32_MAX) {
        *spec->mutable_input_from() = spec->after(static_cast<int>(s.input_from)).task();
      }
    }
    for (const std::uint32_t i : m->spec_of) out.add_spec_of(i);
    wire::Frames frames = payloads_of(m->payloads, *out.mutable_payloads());
    return wire::encode(v1::KIND_SUBMIT, 1, out, std::move(frames));
  }
  if (const auto* m = std::get_if<msg::Delivered>(&message)) {
    v1::Delivered out;
    out.set_processed_delivery(m->processed);
    out.set_result_credit_tasks(m->credit_tasks);
    out.set_result_credit_bytes(m->credit_bytes);
    return wire::encode(v1::KIND_DELIVERED, 1, out);
  }
  if (const auto* m = std::get_if<msg::Cancel>(&message)) {
    v1::Cancel out;
    out.set_request(m->request);
    for (const std::uint64_t h : m->handles) out.add_handles(h);
    out.set_running_too(m->running_too);
    out.set_grace_ns(m->grace);
    return wire::encode(v1::KIND_CANCEL, 1, out);
  }
  if (const auto* m = std::get_if<msg::Attach>(&message)) {
    v1::Attach out;
    out.set_request(m->request);
    out.set_first_handle(m->first_handle);
    for (const auto& ref : m->tasks) {
      v1::TaskRef* r = out.add_tasks();
      r->set_number(ref.number);
      if (ref.number == 0) r->set_id(daemon::raw_id(ref.id));
    }
    return wire::encode(v1::KIND_ATTACH, 1, out);
  }
  if (const auto* m = std::get_if<msg::Ran>(&message)) {
    v1::Ran out;
    out.set_first_report(m->first_report);
    out.set_tokens(raw(m->tokens));
    for (const auto& f : m->failures) {
      v1::Ran::Failure* failure = out.add_failures();
      failure->set_index(f.index);
      failure->set_cancelled(f.cancelled);
      daemon::to_wire(f.failure, *failure->mutable_error());
    }
    out.set_thread_credit(m->credit[0]);
    out.set_async_credit(m->credit[1]);
    wire::Frames frames = payloads_of(m->replies, *out.mutable_payloads());
    return wire::encode(v1::KIND_RAN, 1, out, std::move(frames));
  }
  if (const auto* m = std::get_if<msg::Running>(&message)) {
    v1::Running out;
    out.set_tokens(raw(m->tokens));
    return wire::encode(v1::KIND_RUNNING, 1, out);
  }
  if (const auto* m = std::get_if<msg::Recalled>(&message)) {
    v1::Recalled out;
    out.set_tokens(raw(m->tokens));
    for (const bool returned : m->returned) out.add_returned(returned);
    out.set_thread_credit(m->credit[0]);
    out.set_async_credit(m->credit[1]);
    return wire::encode(v1::KIND_RECALLED, 1, out);
  }
  if (const auto* m = std::get_if<msg::Announce>(&message)) {
    v1::Announce out;
    out.set_running(raw(m->running));
    out.set_waiting(raw(m->waiting));
    out.set_ended(raw(m->ended));
    out.set_end(m->end);
    return wire::encode(v1::KIND_ANNOUNCE, 1, out);
  }
  return {};
}

Message from_frames(const wire::Frames& frames) {
  const Result<wire::Envelope> opened = wire::open(frames);
  if (!opened) throw Violation("a message of the daemon cannot be opened");
  const wire::Envelope& e = *opened;
  switch (e.kind) {
    case v1::KIND_RUN: {
      auto m = parsed<v1::Run>(e);
      const auto tokens = tokens_of(m.tokens());
      const auto inputs = payloads_in(*m.mutable_payloads(), e);
      if (inputs.size() != tokens.size()) throw Violation("RUN: tokens and inputs differ in number");
      msg::Run out;
      out.reports = m.reports();
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        const auto spec = m.spec_of().empty() ? 0 : m.spec_of(static_cast<int>(i));
        out.calls.push_back({tokens[i], m.specs(static_cast<int>(spec)).type(), inputs[i]});
      }
      return out;
    }
    case v1::KIND_STOP:
      return msg::Stop{tokens_of(parsed<v1::Stop>(e).tokens())};
    case v1::KIND_RECALL:
      return msg::Recall{tokens_of(parsed<v1::Recall>(e).tokens())};
    case v1::KIND_ACCEPTED:
      return accepted_in(parsed<v1::Accepted>(e));
    case v1::KIND_OUTCOMES: {
      auto m = parsed<v1::Outcomes>(e);
      const auto results = payloads_in(*m.mutable_payloads(), e);
      msg::Outcomes out;
      out.first_delivery = m.first_delivery();
      for (const v1::Accepted& a : m.accepted()) out.accepted.push_back(accepted_in(a));
      std::uint64_t handle = 0;
      int f = 0;
      for (std::size_t i = 0; i < results.size(); ++i) {
        const int at = static_cast<int>(i);
        handle += static_cast<std::uint64_t>(m.handle_delta(at));
        msg::Outcomes::Item item{handle, TaskState::succeeded, ErrorKind::none, 0, results[i]};
        if (!m.state().empty()) item.state = static_cast<TaskState>(m.state(at));
        if (f < m.failures_size() && m.failures(f).index() == i) {
          item.kind = static_cast<ErrorKind>(m.failures(f).error().kind());
          item.attempts = m.failures(f).attempts();
          ++f;
        }
        out.items.push_back(item);
      }
      return out;
    }
    case v1::KIND_STARTED: {
      msg::Started out;
      std::uint64_t handle = 0;
      const auto m = parsed<v1::Started>(e);
      for (const auto delta : m.handle_delta()) {
        out.handles.push_back(handle += static_cast<std::uint64_t>(delta));
      }
      return out;
    }
    case v1::KIND_CANCELLED: {
      const auto m = parsed<v1::Cancelled>(e);
      msg::Cancelled out{m.request(), {}};
      for (const int v : m.verdicts()) out.verdicts.push_back(static_cast<scheduler::Verdict>(v));
      return out;
    }
    case v1::KIND_ATTACHED: {
      const auto m = parsed<v1::Attached>(e);
      msg::Attached out{m.request(), {}};
      for (const auto& t : m.tasks()) {
        out.known.push_back(t.code() == v1::CODE_OK          ? scheduler::Known::yes
                            : t.code() == v1::CODE_FORGOTTEN ? scheduler::Known::forgotten
                                                             : scheduler::Known::unknown);
      }
      return out;
    }
    default:
      throw Violation("a message of kind " + std::to_string(e.kind) + " is not expected");
  }
}

}  // namespace futured::sim
