// What Control asks of a Connection: questions, attachments and cancels of many. Nothing is thrown.
#include <algorithm>

#include "client/connection.hpp"
#include "futured/errors.hpp"

namespace futured::detail {

Result<std::vector<Connection::AttachResult>> Connection::attach_many(const std::vector<v1::TaskRef>& tasks,
                                                                      Deadline deadline, const AttachOutput& output) {
  if (forked()) return Status(Code::unavailable, "this executor was made before fork()");
  std::vector<client::order::AttachItem> items;
  std::vector<OutputCallback> outputs;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    items.push_back({tasks[i].number(), tasks[i].number() != 0 ? std::string() : tasks[i].id()});
    if (output) {
      outputs.push_back([output, i](int stream, std::string_view bytes) { output(i, stream, bytes); });
    }
  }
  std::vector<AttachResult> results;
  if (items.empty()) return results;
  if (items.size() > wire::kMaxBatchTasks) {
    return Status(Code::invalid, "attach: " + std::to_string(items.size()) + " tasks at once; at most " +
                                     std::to_string(wire::kMaxBatchTasks));
  }
  auto wait = std::make_shared<AttachWait>();
  {
    const Lock lock(state_);
    if (over()) return no_answer();
    for (AttachedCell* c : start_attach(std::move(items), std::move(outputs), wait)) {
      results.push_back({CellRef(&c->cell), {}});
    }
  }
  pump();
  Lock lock(state_);
  if (!wait_answer(lock, deadline, [&] { return wait->answered; })) return no_answer();
  for (std::size_t i = 0; i < results.size() && i < static_cast<std::size_t>(wait->answer.tasks_size()); ++i) {
    results[i].facts = wait->answer.tasks(static_cast<int>(i));
  }
  return results;
}

Result<std::vector<v1::Cancelled::Verdict>> Connection::cancel_many(std::vector<Handle> handles, bool running_too,
                                                                    std::int64_t grace_ns, const std::string& why,
                                                                    Deadline deadline) {
  if (forked()) return Status(Code::unavailable, "this executor was made before fork()");
  std::vector<std::shared_ptr<CancelWait>> waits;
  {
    const Lock lock(state_);
    if (over()) return no_answer();
    for (std::size_t begin = 0; begin < handles.size(); begin += wire::kMaxBatchTasks) {
      const std::size_t n = std::min(handles.size() - begin, wire::kMaxBatchTasks);
      client::order::Cancel c;
      const auto from = handles.begin() + static_cast<std::ptrdiff_t>(begin);
      c.handles.assign(from, from + static_cast<std::ptrdiff_t>(n));
      c.running_too = running_too;
      c.grace_ns = grace_ns;
      c.why = why;
      waits.push_back(start_cancel(std::move(c)));
    }
  }
  pump();
  std::vector<v1::Cancelled::Verdict> verdicts;
  Lock lock(state_);
  for (const auto& w : waits) {
    if (!wait_answer(lock, deadline, [&] { return w->answered; })) return no_answer();
    verdicts.insert(verdicts.end(), w->verdicts.begin(), w->verdicts.end());
  }
  return verdicts;
}

Result<v1::Reply> Connection::request(v1::Request request, Deadline deadline) {
  if (forked()) return Status(Code::unavailable, "this executor was made before fork()");
  const auto wait = std::make_shared<ReplyWait>();
  std::uint64_t id = 0;
  {
    Lock lock(state_);
    if (!wait_answer(lock, deadline, [this] { return session_.phase() == client::Session::Phase::up; }) || closed_) {
      return over() ? no_answer() : Status(Code::unavailable, "no connection to " + endpoint());
    }
    id = next_extra_++;
    request.set_request(id);
    replies_.emplace(id, wait);
    extra_.push_back(wire::encode(v1::KIND_REQUEST, session_.generation(), request));
  }
  pump();
  Lock lock(state_);
  const bool answered = wait_answer(lock, deadline, [&] { return wait->answered; });
  replies_.erase(id);
  if (!answered) return no_answer();
  if (!wait->status.ok()) return wait->status;
  if (wait->reply.has_problem() && wait->reply.problem().code() != v1::CODE_OK) {
    return client::status_of(wait->reply.problem(), "the daemon could not do this");
  }
  return std::move(wait->reply);
}

Result<std::chrono::nanoseconds> Connection::ping(Deadline deadline) {
  if (forked()) return Status(Code::unavailable, "this executor was made before fork()");
  const auto wait = std::make_shared<ReplyWait>();
  const auto began = Clock::now();
  std::uint64_t id = 0;
  {
    const Lock lock(state_);
    if (closed_ || session_.phase() != client::Session::Phase::up) {
      return Status(Code::unavailable, "no connection to " + endpoint());
    }
    id = next_extra_++;
    replies_.emplace(id, wait);
    v1::Ping ping;
    ping.set_id(id);
    extra_.push_back(wire::encode(v1::KIND_PING, session_.generation(), ping));
  }
  pump();
  Lock lock(state_);
  const bool answered = wait_answer(lock, deadline, [&] { return wait->answered; });
  replies_.erase(id);
  if (!answered) return no_answer();
  if (!wait->status.ok()) return wait->status;
  return std::chrono::nanoseconds(Clock::now() - began);
}

Result<TaskNumber> Connection::number(const RemoteHome& home, const Cell& cell, Deadline deadline) {
  if (forked()) return Status(Code::unavailable, "this executor was made before fork()");
  Lock lock(state_);
  if (const auto* a = dynamic_cast<const AttachedCell*>(&home)) {
    wait_answer(lock, deadline, [&] { return a->number != 0 || cell.state() >= CellState::cancelled; });
    if (a->number == 0) return Status(Code::not_found, "the daemon does not know this task");
    return a->number;
  }
  const auto& chunk = static_cast<const Chunk&>(home);
  const Seq seq = chunk.seq_of(cell);
  if (!wait_answer(lock, deadline, [&] { return seq < session_.first_unaccepted(); })) {
    return over() ? no_answer() : Status(Code::unavailable, "the daemon has not accepted the task yet");
  }
  if (const auto other = chunk.existing_of.find(seq); other != chunk.existing_of.end()) return other->second.number;
  for (const Chunk::Extent& x : chunk.extents) {
    if (seq >= x.first && seq - x.first < x.count) return x.number + (seq - x.first);
  }
  return Status(Code::not_found, "the number of this task is not known any more");
}

Result<std::optional<Chunk::Existing>> Connection::existing(const RemoteHome& home, const Cell& cell,
                                                            Deadline deadline) {
  if (forked()) return Status(Code::unavailable, "this executor was made before fork()");
  const auto* chunk = dynamic_cast<const Chunk*>(&home);
  if (chunk == nullptr) return std::optional<Chunk::Existing>();
  const Seq seq = chunk->seq_of(cell);
  Lock lock(state_);
  // A task that was cancelled before it was sent has its verdict first.
  if (!wait_answer(lock, deadline,
                   [&] { return seq < session_.first_unaccepted() || cell.state() >= CellState::cancelled; })) {
    return no_answer();
  }
  const auto at = chunk->existing_of.find(seq);
  return at == chunk->existing_of.end() ? std::nullopt : std::optional(at->second);
}

bool Connection::ended() const {
  const Lock lock(state_);
  return over();
}

std::string Connection::warning(Handle handle) const {
  const Lock lock(state_);
  const auto at = warnings_.find(handle);
  return at == warnings_.end() ? std::string() : at->second;
}

void Connection::watch(Watcher watcher) {
  const Lock lock(state_);
  watcher_ = std::make_shared<const Watcher>(std::move(watcher));
}

/// Under state_: only what changes is told.
void Connection::tell_watcher(bool connected) {
  if (std::exchange(connected_, connected) == connected || watcher_ == nullptr || stop_) return;
  post([watcher = watcher_, connected] { (*watcher)(connected); });
}

v1::Welcome Connection::welcome() const {
  const Lock lock(state_);
  return welcome_;
}

}  // namespace futured::detail
