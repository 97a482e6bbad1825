// The Server tells those who ask to be told: live output and progress, output logs, and what has changed.
#include <algorithm>
#include <utility>

#include "daemon/server.hpp"

namespace futured::daemon {

namespace {
constexpr std::size_t kMostParked = 1024;           // requests that wait for something to happen
constexpr std::uint64_t kLogPage = 256 << 10;       // bytes of output in one answer
constexpr std::int64_t kFeedIdle = 60'000'000'000;  // without anybody who watches, changes are no longer noted

void set_problem(v1::Reply& reply, const Status& status) {
  reply.mutable_problem()->set_code(static_cast<v1::Code>(status.code()));
  reply.mutable_problem()->set_message(status.message());
}

const char* word(const scheduler::Change& c) {
  if (c.again) return "retrying";
  switch (c.state) {
    case TaskState::waiting:
      return "waiting";
    case TaskState::queued:
      return c.attempt == 0 ? "queued" : "requeued";
    case TaskState::running:
      return "started";
    default:
      return "ended";
  }
}
}  // namespace

OutputRelay::Call Server::output_call(WorkerId worker, const AttemptToken& token) const {
  const scheduler::TaskSlot slot = core_.current(worker, token);
  if (slot == scheduler::kNoSlot) return {};
  const auto follower = core_.spec(slot).live_output ? core_.follower(slot) : std::nullopt;
  if (!follower || core_.session(follower->first)->connection == 0) return {true};
  return {true, follower->first, follower->second};
}

Status Server::on_emitted(WorkerId worker, v1::Emitted& m, std::int64_t now) {
  const AttemptToken token = get_token(m.token().data());
  const OutputRelay::Call call = output_call(worker, token);
  if (!m.has_progress() || !m.data().empty()) {
    if (Status s = output_.emitted(worker, token, m.offset(), m.data().size(), call); !s.ok()) return s;
  }
  if (!call.live) return {};
  if (call.listener != scheduler::kNoSession && !m.data().empty()) {
    v1::Output out;
    out.set_handle(call.handle);
    out.set_stream(m.stream());
    out.set_offset(m.offset());
    out.set_data(m.data());
    out.set_attempt(token.attempt);
    to_client(call.listener, v1::KIND_OUTPUT, out);
  }
  if (m.has_progress()) {
    if (const auto follower = core_.follower(core_.current(worker, token))) {
      v1::Output out;
      out.set_handle(follower->second);
      out.set_attempt(token.attempt);
      out.set_has_progress(true);
      out.set_fraction(m.fraction());
      out.set_text(m.text());
      to_client(follower->first, v1::KIND_OUTPUT, out);
    }
  }
  bool fresh = false;
  if (m.has_progress()) {
    fresh = log_.progress(token.task, {token.attempt, m.fraction(), std::move(*m.mutable_text())});
    note_change(token.task, "progress", now);
  }
  if (!m.data().empty()) {
    const bool first = log_.output(token.task, {token.attempt, m.stream(), m.offset(), std::move(*m.mutable_data())});
    fresh = fresh || first;
  }
  if (fresh) handle(scheduler::event::HasOutput{token.task}, now);
  return {};
}

void Server::refresh_output() {
  output_.refresh([this](WorkerId worker, const AttemptToken& token) { return output_call(worker, token); });
}

void Server::send_output_credits() {
  for (const OutputRelay::Credit& c : output_.take_credits()) {
    v1::EmitCredit credit;
    put_token(*credit.mutable_token(), c.token);
    credit.set_bytes(c.bytes);
    to_worker(c.worker, v1::KIND_EMIT_CREDIT, credit);
  }
}

void Server::note_change(TaskNumber task, const char* what, std::int64_t now) {
  if (!feed_on_) return;
  const scheduler::TaskSlot slot = core_.tasks().find(task);
  if (slot == scheduler::kNoSlot) return;
  v1::ChangeRecord& change = feed_.add();
  change.set_at_unix_ns(now + unix_offset_ns_);
  change.set_what(what);
  fill_record(query_context(), slot, false, *change.mutable_task());
}

/// A change of state, which may not be the last of this turn.
void Server::note_change(const scheduler::Change& c, std::int64_t now) {
  const scheduler::TaskSlot slot = core_.tasks().find(c.task);
  if (slot == scheduler::kNoSlot) return;
  const QueryContext context = query_context();
  v1::ChangeRecord& change = feed_.add();
  change.set_at_unix_ns(now + unix_offset_ns_);
  change.set_what(word(c));
  v1::TaskRecord& task = *change.mutable_task();
  fill_record(context, slot, false, task);
  if (static_cast<TaskState>(task.state()) != c.state) {
    task.set_state(static_cast<v1::State>(c.state));
    task.clear_reason();
    task.clear_due_unix_ns();
    task.clear_ended_unix_ns();
    task.clear_error();
    task.clear_has_result();
    task.clear_result_bytes();
  }
  const scheduler::SideRecord* side = core_.tasks().side_if(slot);
  if (c.again && side != nullptr) {
    for (const scheduler::Attempt& a : side->attempts) {
      if (a.number == c.attempt) fill_attempt(context, a, *task.add_attempts());
    }
  }
}

/// What the scheduler says of this turn.
void Server::take_changes(std::int64_t now) {
  for (const TaskNumber task : actions_.forgotten) log_.forget(task);
  for (const scheduler::Change& c : actions_.changes) note_change(c, now);
}

/// Likewise: false if nothing is there and more may come.
bool Server::answer_log(const v1::LogQuery& q, v1::Reply& reply) const {
  scheduler::event::TaskRef ref;
  bool issued = false;
  Status status = task_ref(q.task(), ref);
  const scheduler::TaskSlot slot = status.ok() ? core_.find(ref, issued) : scheduler::kNoSlot;
  if (status.ok() && slot == scheduler::kNoSlot) {
    const std::string which = "task " + (ref.number != 0 ? std::to_string(ref.number) : to_string(ref.id));
    status =
        issued ? Status(Code::forgotten, which + " is forgotten") : Status(Code::not_found, "there is no " + which);
  }
  if (!status.ok()) {
    set_problem(reply, status);
    return true;
  }
  const scheduler::TaskRecord& t = core_.tasks()[slot];
  const std::uint32_t attempt = q.attempt() != 0 ? q.attempt() : std::max<std::uint32_t>(t.attempt, 1);
  std::vector<OutputLog::Chunk> chunks;
  log_.read(t.number, attempt, q.offset(), kLogPage, chunks);
  const bool over = is_terminal(t.phase) || t.attempt > attempt || (t.attempt == attempt && !is_at_worker(t.phase));
  if (chunks.empty() && q.follow() && !over) return false;
  for (OutputLog::Chunk& c : chunks) {
    v1::LogChunk& out = *reply.add_log();
    out.set_attempt(c.attempt);
    out.set_stream(c.stream);
    out.set_offset(c.offset);
    out.set_data(std::move(c.data));
  }
  return true;
}

/// Looks at one request that may have to wait. True: `reply` is the answer to be sent.
bool Server::answer_parked(Parked& p, v1::Reply& reply, std::int64_t now) {
  Status status;
  if (p.request.has_watch()) {
    feed_used_ = now;
    std::string cursor = p.request.watch().cursor();
    status = feed_.read(p.request.watch().selector(), cursor, reply);
    if (status.ok() && reply.changes().empty()) {
      *p.request.mutable_watch()->mutable_cursor() = cursor;
      return false;
    }
    reply.set_cursor(cursor);
  } else if (p.request.has_drain()) {
    if (core_.draining() && core_.at_workers() != 0) return false;
    if (!core_.draining()) status = {Code::refused, "the drain was undone"};
  } else {
    return answer_log(p.request.log(), reply);
  }
  if (!status.ok()) set_problem(reply, status);
  return true;
}

Status Server::park(scheduler::SessionId session, const v1::Request& request, std::int64_t now) {
  if (parked_.size() >= kMostParked) {
    return {Code::refused, "1024 requests wait for something to happen already; try again later"};
  }
  Parked p{session, request};
  if (request.has_watch()) {
    if (!std::exchange(feed_on_, true)) {
      feed_.skip();
      handle(scheduler::event::Watched{true}, now);
    }
    feed_used_ = now;
    if (request.watch().cursor().empty()) {
      // The first answer says where to go on from, and comes at once.
      v1::Reply reply;
      reply.set_request(request.request());
      reply.set_cursor(feed_.now());
      to_client(session, v1::KIND_REPLY, reply);
      return {};
    }
  }
  parked_.push_back(std::move(p));
  return {};
}

/// At the end of a turn.
void Server::answer_all_parked(std::int64_t now) {
  for (std::size_t i = 0; i < parked_.size();) {
    Parked& p = parked_[i];
    v1::Reply reply;
    const scheduler::Session* session = core_.session(p.session);
    const bool gone = session == nullptr || session->connection == 0;
    if (!gone && !answer_parked(p, reply, now)) {
      ++i;
      continue;
    }
    if (!gone) {
      reply.set_request(p.request.request());
      to_client(p.session, v1::KIND_REPLY, reply);
    }
    parked_[i] = std::move(parked_.back());
    parked_.pop_back();
  }
  if (feed_on_ && now - feed_used_ > kFeedIdle) {
    feed_on_ = false;
    handle(scheduler::event::Watched{false}, now);
  }
}

}  // namespace futured::daemon
