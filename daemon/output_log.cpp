#include "daemon/output_log.hpp"

#include <utility>

namespace futured::daemon {

OutputLog::Log& OutputLog::touch(TaskNumber task, bool& fresh) {
  const auto [it, added] = logs_.try_emplace(task);
  fresh = added;
  if (added) {
    it->second.age = by_age_.insert(by_age_.end(), task);
    bytes_ += kOverhead;
  } else {
    by_age_.splice(by_age_.end(), by_age_, it->second.age);
  }
  return it->second;
}

bool OutputLog::output(TaskNumber task, Chunk chunk) {
  bool fresh = false;
  Log& log = touch(task, fresh);
  log.bytes += chunk.data.size();
  bytes_ += chunk.data.size();
  Chunk* last = log.chunks.empty() ? nullptr : &log.chunks.back();
  if (last != nullptr && last->attempt == chunk.attempt && last->stream == chunk.stream &&
      last->offset + last->data.size() == chunk.offset && last->data.size() + chunk.data.size() <= kPerTask / 16) {
    last->data += chunk.data;  // lines that come one by one
  } else {
    log.chunks.push_back(std::move(chunk));
  }
  while (log.bytes > kPerTask && log.chunks.size() > 1) {
    const std::uint64_t size = log.chunks.front().data.size();
    log.bytes -= size;
    bytes_ -= size;
    log.chunks.pop_front();
  }
  shrink();
  return fresh;
}

bool OutputLog::progress(TaskNumber task, Progress progress) {
  bool fresh = false;
  Log& log = touch(task, fresh);
  bytes_ -= log.progress.text.size();
  bytes_ += progress.text.size();
  log.progress = std::move(progress);
  log.has_progress = true;
  shrink();
  return fresh;
}

void OutputLog::shrink() {
  while (bytes_ > kInAll && by_age_.size() > 1) forget(by_age_.front());
}

void OutputLog::forget(TaskNumber task) {
  const auto it = logs_.find(task);
  if (it == logs_.end()) return;
  bytes_ -= it->second.bytes + it->second.progress.text.size() + kOverhead;
  by_age_.erase(it->second.age);
  logs_.erase(it);
}

const OutputLog::Log* OutputLog::find(TaskNumber task) const {
  const auto it = logs_.find(task);
  return it == logs_.end() ? nullptr : &it->second;
}

void OutputLog::read(TaskNumber task, std::uint32_t attempt, std::uint64_t offset, std::uint64_t most,
                     std::vector<Chunk>& into) const {
  const Log* log = find(task);
  if (log == nullptr) return;
  std::uint64_t bytes = 0;
  for (const Chunk& c : log->chunks) {
    if (c.attempt != attempt || c.offset + c.data.size() <= offset || bytes >= most) continue;
    Chunk part = c;
    if (part.offset < offset) {
      part.data.erase(0, offset - part.offset);
      part.offset = offset;
    }
    bytes += part.data.size();
    into.push_back(std::move(part));
  }
}

}  // namespace futured::daemon
