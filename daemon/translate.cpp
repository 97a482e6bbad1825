#include "daemon/translate.hpp"

#include <algorithm>
#include <cstring>
#include <map>

namespace futured::daemon {

namespace {

using namespace scheduler;  // NOLINT(google-build-using-namespace): this file is the bridge to it

constexpr std::size_t kMaxSpecs = wire::kMaxBatchTasks;
constexpr std::size_t kMaxBatchTokens = wire::kMaxBatchTasks * kTokenBytes;
constexpr std::size_t kRunTasks = 1024;  // of one RUN or OUTCOMES
constexpr std::size_t kRunBytes = 1 << 20;

Status tokens_of(const std::string& raw, std::vector<AttemptToken>& out) {
  if (raw.size() % kTokenBytes != 0) return {Code::invalid, "tokens are not a multiple of 16 bytes"};
  for (std::size_t at = 0; at < raw.size(); at += kTokenBytes) out.push_back(get_token(raw.data() + at));
  return {};
}

}  // namespace

Result<Event> Decoder::submit(const wire::Envelope& e, SessionId session, const Submitter& by) {
  if (Status s = wire::parse(e, submit_); !s.ok()) return s;
  payloads_.clear();
  if (Status s = wire::read_payloads(*submit_.mutable_payloads(), e.payloads, payloads_); !s.ok()) return s;
  const auto spec_count = static_cast<std::size_t>(submit_.specs_size());
  if (spec_count == 0 || spec_count > kMaxSpecs) return Status(Code::invalid, "a submit without specs, or too many");
  const auto& spec_of = submit_.spec_of();
  if (!spec_of.empty() && static_cast<std::size_t>(spec_of.size()) != payloads_.size()) {
    return Status(Code::invalid, "spec_of does not have one element per task");
  }
  if (std::any_of(spec_of.begin(), spec_of.end(), [&](std::uint32_t i) { return i >= spec_count; })) {
    return Status(Code::invalid, "spec_of points beyond the specs");
  }
  specs_.clear();
  specs_.resize(spec_count);
  for (std::size_t i = 0; i < spec_count; ++i) {
    if (Status s = spec_of_wire(submit_.specs(static_cast<int>(i)), by, specs_[i]); !s.ok()) return s;
  }
  return Event(event::Submit{
      session, submit_.first_seq(), specs_, {spec_of.data(), static_cast<std::size_t>(spec_of.size())}, payloads_});
}

Result<Event> Decoder::delivered(const wire::Envelope& e, SessionId session) {
  if (Status s = wire::parse(e, delivered_); !s.ok()) return s;
  return Event(event::Delivered{session, delivered_.processed_delivery(), delivered_.result_credit_tasks(),
                                delivered_.result_credit_bytes()});
}

Result<Event> Decoder::cancel(const wire::Envelope& e, SessionId session) {
  if (Status s = wire::parse(e, cancel_); !s.ok()) return s;
  if (static_cast<std::size_t>(cancel_.handles_size()) > wire::kMaxBatchTasks) {
    return Status(Code::invalid, "more than 4096 handles in one cancel");
  }
  return Event(event::Cancel{session,
                             cancel_.request(),
                             {cancel_.handles().data(), static_cast<std::size_t>(cancel_.handles_size())},
                             cancel_.running_too(),
                             cancel_.grace_ns()});
}

Result<Event> Decoder::attach(const wire::Envelope& e, SessionId session) {
  if (Status s = wire::parse(e, attach_); !s.ok()) return s;
  if (static_cast<std::size_t>(attach_.tasks_size()) > wire::kMaxBatchTasks) {
    return Status(Code::invalid, "more than 4096 tasks in one attach");
  }
  if (attach_.first_handle() <= kMaxSeq) return Status(Code::invalid, "handles of attached tasks have bit 40 set");
  refs_.clear();
  for (const v1::TaskRef& ref : attach_.tasks()) {
    event::TaskRef r;
    r.number = ref.number();
    if (r.number == 0 && !from_raw_id(ref.id(), r.id)) return Status(Code::invalid, "a task id has 16 bytes");
    refs_.push_back(r);
  }
  return Event(event::Attach{session, attach_.request(), attach_.first_handle(), refs_, attach_.live_output()});
}

Result<Event> Decoder::ran(const wire::Envelope& e, WorkerId worker, std::uint64_t& seen, std::uint64_t payload_limit,
                           event::WorkerCredit& credit) {
  if (Status s = wire::parse(e, ran_); !s.ok()) return s;
  tokens_.clear();
  payloads_.clear();
  failures_.clear();
  if (Status s = tokens_of(ran_.tokens(), tokens_); !s.ok()) return s;
  if (Status s = wire::read_payloads(*ran_.mutable_payloads(), e.payloads, payloads_); !s.ok()) return s;
  if (payloads_.size() != tokens_.size()) return Status(Code::invalid, "tokens and replies differ in number");
  std::uint64_t next_index = 0;
  for (const v1::Ran::Failure& f : ran_.failures()) {
    if (f.index() >= tokens_.size() || f.index() < next_index) {
      return Status(Code::invalid, "failures are not ascending within the batch");
    }
    next_index = std::uint64_t{f.index()} + 1;
    failures_.push_back({f.index(), failure_of(f.error()), f.cancelled()});
  }
  for (std::size_t i = 0; i < payloads_.size(); ++i) {
    if (payloads_[i].size() <= payload_limit) continue;
    const auto at = std::find_if(failures_.begin(), failures_.end(), [i](const auto& f) { return f.index >= i; });
    if (at == failures_.end() || at->index != i) {
      Failure f;
      f.kind = ErrorKind::too_large;
      f.permanent = true;
      f.message =
          "result of " + std::to_string(payloads_[i].size()) + " bytes; the limit is " + std::to_string(payload_limit);
      failures_.insert(at, {static_cast<std::uint32_t>(i), std::move(f), false});
    }
    payloads_[i] = {};
  }
  // Reports that were sent again after a reconnect and had arrived before.
  const std::uint64_t known =
      seen > ran_.first_report() ? std::min<std::uint64_t>(seen - ran_.first_report(), tokens_.size()) : 0;
  seen = std::max(seen, ran_.first_report() + tokens_.size());
  if (known > 0) {
    tokens_.erase(tokens_.begin(), tokens_.begin() + static_cast<std::ptrdiff_t>(known));
    payloads_.erase(payloads_.begin(), payloads_.begin() + static_cast<std::ptrdiff_t>(known));
    std::erase_if(failures_, [known](const auto& f) { return f.index < known; });
    for (auto& f : failures_) f.index -= static_cast<std::uint32_t>(known);
  }
  credit = {worker, {ran_.thread_credit(), ran_.async_credit()}};
  return Event(event::Ran{worker, tokens_, payloads_, failures_});
}

Result<Event> Decoder::running(const wire::Envelope& e, WorkerId worker) {
  if (Status s = wire::parse(e, running_); !s.ok()) return s;
  tokens_.clear();
  if (Status s = tokens_of(running_.tokens(), tokens_); !s.ok()) return s;
  return Event(event::Running{worker, tokens_});
}

Result<Event> Decoder::recalled(const wire::Envelope& e, WorkerId worker, event::WorkerCredit& credit) {
  if (Status s = wire::parse(e, recalled_); !s.ok()) return s;
  tokens_.clear();
  if (Status s = tokens_of(recalled_.tokens(), tokens_); !s.ok()) return s;
  if (static_cast<std::size_t>(recalled_.returned_size()) != tokens_.size()) {
    return Status(Code::invalid, "tokens and answers of a recall differ in number");
  }
  credit = {worker, {recalled_.thread_credit(), recalled_.async_credit()}};
  return Event(event::Recalled{worker, tokens_, {recalled_.returned().data(), tokens_.size()}});
}

Result<Event> Decoder::announce(const wire::Envelope& e, WorkerId worker, std::vector<AttemptToken>& running,
                                std::vector<AttemptToken>& other, bool& complete) {
  if (Status s = wire::parse(e, announce_); !s.ok()) return s;
  if (Status s = tokens_of(announce_.running(), running); !s.ok()) return s;
  if (Status s = tokens_of(announce_.waiting(), other); !s.ok()) return s;
  if (Status s = tokens_of(announce_.ended(), other); !s.ok()) return s;
  complete = announce_.end();
  return Event(event::Announced{worker, running, other});
}

Result<event::WorkerHello> worker_hello(const v1::Hello& hello, std::uint64_t connection) {
  event::WorkerHello e;
  e.connection = connection;
  e.instance = hello.instance();
  e.pool = hello.pool().empty() ? "default" : hello.pool();
  e.host = hello.host();
  e.pid = hello.pid();
  e.spawn = hello.spawn();
  e.slots[0] = hello.threads();
  e.slots[1] = hello.async_slots();
  e.credit[0] = hello.thread_credit();
  e.credit[1] = hello.async_credit();
  const auto name_ok = [](const std::string& name) {
    return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' ||
             c == '-';
    });
  };
  if (!name_ok(e.pool)) return Status(Code::invalid, "a pool's name is 1-64 of [A-Za-z0-9_.-]");
  if (e.slots[0] > 1024 || e.slots[1] > 100'000) {
    return Status(Code::invalid, "a worker has at most 1024 threads and 100000 async slots");
  }
  if (hello.types_size() > 4096) return Status(Code::invalid, "a worker offers at most 4096 task types");
  if (e.host.size() > 256 || e.instance.size() > 64) return Status(Code::invalid, "host or instance is too long");
  for (const v1::TaskType& t : hello.types()) {
    if (!name_ok(t.name())) return Status(Code::invalid, "a task's name is 1-64 of [A-Za-z0-9_.-]");
    e.types.push_back({t.name(), t.lane() == v1::LANE_ASYNC ? Lane::async : Lane::thread});
  }
  return e;
}

void Encoder::runs(const std::vector<Run>& runs) {
  std::map<WorkerId, std::vector<TaskSlot>> by_worker;
  for (std::size_t i = 0; i < runs.size();) {
    auto& tasks = by_worker[runs[i].worker];
    for (const WorkerId w = runs[i].worker; i < runs.size() && runs[i].worker == w; ++i) tasks.push_back(runs[i].task);
  }
  for (const auto& [worker, tasks] : by_worker) run_batch(worker, tasks);
}

void Encoder::run_batch(WorkerId worker, const std::vector<TaskSlot>& tasks) {
  std::map<SpecId, std::uint32_t> specs;
  SpecId last_spec = UINT32_MAX;
  std::uint32_t last_index = 0;
  bool mixed = false;
  const auto flush = [&] {
    if (payloads_.count() == 0) return;
    if (!mixed) run_.clear_spec_of();
    if (const auto taken = reports_.extract(worker)) run_.set_reports(taken.mapped());
    wire::Frames frames = payloads_.finish(*run_.mutable_payloads());
    to_worker_(worker, v1::KIND_RUN, run_, std::move(frames));
    run_.Clear();
    specs.clear();
    last_spec = UINT32_MAX;
    mixed = false;
  };
  for (const TaskSlot slot : tasks) {
    const TaskRecord& t = core_.tasks()[slot];
    if (payloads_.count() >= kRunTasks || payloads_.inline_bytes() >= kRunBytes ||
        payloads_.full_for(t.payload.size())) {
      flush();
    }
    if (t.spec != last_spec) {
      const auto [it, added] = specs.try_emplace(t.spec, static_cast<std::uint32_t>(run_.specs_size()));
      if (added) {
        const Spec& s = core_.spec(slot);
        v1::RunSpec* rs = run_.add_specs();
        rs->set_type(s.type);
        rs->set_content_type(s.content_type);
        rs->set_live_output(s.live_output);
        rs->set_keep_output(true);
        rs->set_timeout_ns(s.timeout_ns);
        for (const auto& [name, value] : s.headers) {
          v1::Header* h = rs->add_headers();
          h->set_name(name);
          h->set_value(value);
        }
      }
      if (last_spec != UINT32_MAX) mixed = true;
      last_spec = t.spec;
      last_index = it->second;
    }
    run_.add_spec_of(last_index);
    put_token(*run_.mutable_tokens(), core_.token(slot));
    payloads_.add(t.payload);
  }
  flush();
}

void Encoder::stops(const std::vector<TokenOrder>& orders) {
  std::map<std::pair<WorkerId, Time>, v1::Stop> by_worker;
  const auto send = [this](const std::pair<WorkerId, Time>& key, v1::Stop& stop) {
    stop.set_grace_ns(key.second);
    to_worker_(key.first, v1::KIND_STOP, stop, {});
    stop.Clear();
  };
  for (const TokenOrder& o : orders) {
    const std::pair<WorkerId, Time> key{o.worker, o.grace};
    v1::Stop& stop = by_worker[key];
    if (stop.tokens().size() == kMaxBatchTokens) send(key, stop);
    put_token(*stop.mutable_tokens(), o.token);
  }
  for (auto& [key, stop] : by_worker) send(key, stop);
}

void Encoder::recalls(const std::vector<TokenOrder>& orders) {
  std::map<WorkerId, v1::Recall> by_worker;
  for (const TokenOrder& o : orders) {
    v1::Recall& recall = by_worker[o.worker];
    if (recall.tokens().size() == kMaxBatchTokens) {
      to_worker_(o.worker, v1::KIND_RECALL, recall, {});
      recall.Clear();
    }
    put_token(*recall.mutable_tokens(), o.token);
  }
  for (const auto& [worker, recall] : by_worker) to_worker_(worker, v1::KIND_RECALL, recall, {});
}

void Encoder::accepted(SessionId session, const std::vector<Accepted>& list, bool in_company) {
  const Session* s = core_.session(session);
  if (s == nullptr) return;
  for (const Accepted& a : list) {
    v1::Accepted alone;
    v1::Accepted& m = in_company ? *accepted_[session].Add() : alone;
    m.set_first_seq(a.first_seq);
    m.set_count(a.count);
    m.set_first_number(a.first_number);
    m.set_submit_credit_tasks(s->granted_seq);
    m.set_submit_credit_bytes(s->granted_bytes);
    if (!a.warning.empty()) {
      auto* w = m.add_warnings();
      w->set_seq(a.first_seq);
      w->set_message(a.warning);
    }
    for (const Accepted::Existing& x : a.existing) {
      auto* existing = m.add_existing();
      existing->set_seq(x.seq);
      existing->set_number(x.number);
      existing->set_input_differs(x.input_differs);
    }
    m.set_full(s->starved);
    if (!in_company) to_client_(session, v1::KIND_ACCEPTED, m, {});
  }
}

void Encoder::reports_taken(WorkerId worker, std::uint64_t reports, bool in_company) {
  if (in_company) {
    reports_[worker] = reports;
    return;
  }
  v1::RanAck ack;
  ack.set_reports(reports);
  to_worker_(worker, v1::KIND_RAN_ACK, ack, {});
}

void Encoder::credit(const std::vector<SessionId>& sessions) {
  for (const SessionId id : sessions) {
    const Session* s = core_.session(id);
    if (s == nullptr) continue;
    v1::Accepted m;
    m.set_first_seq(s->accepted_seq);
    m.set_submit_credit_tasks(s->granted_seq);
    m.set_submit_credit_bytes(s->granted_bytes);
    to_client_(id, v1::KIND_ACCEPTED, m, {});
  }
}

void Encoder::started(const std::vector<Started>& list) {
  std::map<SessionId, std::pair<v1::Started, std::uint64_t>> by_session;
  for (const Started& s : list) {
    auto& [m, last] = by_session[s.session];
    if (static_cast<std::size_t>(m.handle_delta_size()) == wire::kMaxBatchTasks) {
      to_client_(s.session, v1::KIND_STARTED, m, {});
      m.Clear();
      last = 0;
    }
    m.add_handle_delta(static_cast<std::int64_t>(s.handle - last));
    last = s.handle;
  }
  for (const auto& [session, m] : by_session) to_client_(session, v1::KIND_STARTED, m.first, {});
}

void Encoder::outcomes(const std::vector<Outcome>& list) {
  SessionId session = kNoSession;
  std::uint64_t last_handle = 0;
  bool all_succeeded = true;
  const auto flush = [&] {
    if (payloads_.count() == 0) return;
    if (all_succeeded) outcomes_.clear_state();
    if (auto accepted = accepted_.extract(session)) outcomes_.mutable_accepted()->Swap(&accepted.mapped());
    wire::Frames frames = payloads_.finish(*outcomes_.mutable_payloads());
    to_client_(session, v1::KIND_OUTCOMES, outcomes_, std::move(frames));
    outcomes_.Clear();
    last_handle = 0;
    all_succeeded = true;
  };
  for (const Outcome& o : list) {
    const TaskRecord& t = core_.tasks()[o.task];
    if (o.session != session || payloads_.count() >= kRunTasks || payloads_.inline_bytes() >= kRunBytes ||
        payloads_.full_for(t.payload.size())) {
      flush();
      session = o.session;
    }
    if (payloads_.count() == 0) outcomes_.set_first_delivery(o.delivery);
    outcomes_.add_handle_delta(static_cast<std::int64_t>(o.handle - last_handle));
    last_handle = o.handle;
    const TaskState state = state_of(t.phase);
    outcomes_.add_state(static_cast<std::uint32_t>(state));
    if (state != TaskState::succeeded) {
      all_succeeded = false;
      v1::Outcomes::Failure* f = outcomes_.add_failures();
      f->set_index(static_cast<std::uint32_t>(payloads_.count()));
      f->set_attempts(t.attempt);
      const SideRecord* side = core_.tasks().side_if(o.task);
      if (side != nullptr && side->failure != nullptr) to_wire(*side->failure, *f->mutable_error());
    }
    payloads_.add(t.payload);
  }
  flush();
}

void Encoder::cancelled(const std::vector<CancelReply>& list) {
  for (const CancelReply& r : list) {
    v1::Cancelled m;
    m.set_request(r.request);
    for (const Verdict v : r.verdicts) m.add_verdicts(static_cast<v1::Cancelled::Verdict>(v));
    to_client_(r.session, v1::KIND_CANCELLED, m, {});
  }
}

void Encoder::attached(const std::vector<AttachReply>& list) {
  for (const AttachReply& r : list) {
    v1::Attached m;
    m.set_request(r.request);
    for (const AttachReply::Item& item : r.items) {
      auto* t = m.add_tasks();
      t->set_code(item.known == Known::yes         ? v1::CODE_OK
                  : item.known == Known::forgotten ? v1::CODE_FORGOTTEN
                                                   : v1::CODE_NOT_FOUND);
      t->set_number(item.number);
      if (item.known == Known::yes) t->set_id(raw_id(item.id));
      t->set_state(static_cast<v1::State>(item.state));
    }
    to_client_(r.session, v1::KIND_ATTACHED, m, {});
  }
}

}  // namespace futured::daemon
