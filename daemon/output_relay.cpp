#include "daemon/output_relay.hpp"

#include <algorithm>

namespace futured::daemon {

Status OutputRelay::emitted(WorkerId worker, const AttemptToken& token, std::uint64_t offset, std::uint64_t size,
                            const Call& call) {
  if (size > kChunk) return {Code::invalid, "more than 64 KiB of output in one message"};
  if (!call.live) {
    // Nobody will read it (the task was given up, or is of an earlier daemon), but the call must not stand still.
    if (size > 0 || offset > 0) credits_.push_back({worker, token, offset + size + kAhead});
    return {};
  }
  const auto it = streams_.find(token.task);
  Stream fresh;
  fresh.worker = worker;
  fresh.token = token;
  Stream& known = it != streams_.end() && it->second.worker == worker && it->second.token == token ? it->second : fresh;
  if (offset > known.granted || size > known.granted - offset) {
    return {Code::invalid, "output beyond its credit: " + std::to_string(size) + " bytes at " + std::to_string(offset) +
                               ", the credit ends at " + std::to_string(known.granted)};
  }
  if (offset < known.arrived) return {Code::invalid, "output that goes back behind what was sent"};
  Stream& stream = &known == &fresh ? streams_[token.task] = fresh : known;
  listens(stream, call.listener);
  if (offset > stream.arrived) {
    if (stream.lost_to != stream.arrived) stream.lost_from = stream.arrived;
    stream.lost_to = offset;
  }
  stream.arrived = offset + size;
  take(stream, stream.listener == scheduler::kNoSession ? stream.arrived : stream.taken);
  return {};
}

void OutputRelay::taken(SessionId session, TaskNumber task, std::uint32_t attempt, std::uint64_t bytes) {
  const auto it = streams_.find(task);
  if (it == streams_.end() || it->second.token.attempt != attempt || it->second.listener != session) return;
  take(it->second, bytes);
}

void OutputRelay::came_back(SessionId session) {
  for (auto& [task, stream] : streams_) {
    if (stream.listener == session) take(stream, stream.arrived);
  }
}

void OutputRelay::announced(WorkerId worker) {
  for (const auto& [task, stream] : streams_) {
    if (stream.worker == worker) credits_.push_back({worker, stream.token, stream.granted});
  }
}

void OutputRelay::ended(WorkerId worker, const AttemptToken& token) {
  // The report may be about an earlier attempt, from a worker that was given up.
  const auto it = streams_.find(token.task);
  if (it != streams_.end() && it->second.worker == worker && it->second.token == token) streams_.erase(it);
}

void OutputRelay::refresh(const std::function<Call(WorkerId, const AttemptToken&)>& find) {
  for (auto it = streams_.begin(); it != streams_.end();) {
    const Call call = find(it->second.worker, it->second.token);
    if (!call.live) {
      it = streams_.erase(it);
      continue;
    }
    listens(it->second, call.listener);
    ++it;
  }
}

void OutputRelay::listens(Stream& stream, SessionId listener) {
  if (stream.listener == listener) return;
  stream.listener = listener;
  take(stream, stream.arrived);  // what the one before had not taken is nobody's
}

void OutputRelay::take(Stream& stream, std::uint64_t end) {
  stream.taken = std::max(stream.taken, std::min(end, stream.arrived));
  if (stream.taken >= stream.lost_from) stream.taken = std::max(stream.taken, stream.lost_to);
  if (stream.taken + kAhead <= stream.granted) return;
  stream.granted = stream.taken + kAhead;
  credits_.push_back({stream.worker, stream.token, stream.granted});
}

}  // namespace futured::daemon
