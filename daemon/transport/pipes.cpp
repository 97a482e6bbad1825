#include "daemon/transport/pipes.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace futured::daemon {

Waker::Waker() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Waker::~Waker() {
  if (fd_ >= 0) ::close(fd_);
}

// wake() stores woken_ and then loads asleep_; arm() stores asleep_ and then loads woken_: sequentially consistent, so
// at least one of the two sees the other.
void Waker::wake() {
  if (woken_.exchange(true)) return;
  if (!asleep_.load()) return;
  const int saved = errno;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto n = ::write(fd_, &one, sizeof one);
  errno = saved;
}

bool Waker::arm() {
  asleep_.store(true);
  return !woken_.load();
}

bool Waker::disarm(bool readable) {
  asleep_.store(false);
  if (readable) {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto n = ::read(fd_, &count, sizeof count);
  }
  return woken_.exchange(false);
}

Pipes::~Pipes() {
  collect();
  for (auto& [id, connection] : pipes_) connection.end->close();
}

std::unique_ptr<wire::Pipe::End> Pipes::connect(Id id) {
  auto [ours, theirs] = wire::Pipe::make();
  ours->on_readable([shared = shared_, id] {
    {
      const std::lock_guard lock(shared->mutex);
      shared->readable.push_back(id);
    }
    shared->waker->wake();
  });
  const std::lock_guard lock(shared_->mutex);
  shared_->fresh.emplace_back(id, std::move(ours));
  return std::move(theirs);
}

void Pipes::collect() {
  std::vector<std::pair<Id, std::unique_ptr<wire::Pipe::End>>> fresh;
  std::vector<Id> readable;
  {
    const std::lock_guard lock(shared_->mutex);
    fresh.swap(shared_->fresh);
    readable.swap(shared_->readable);
  }
  for (auto& [id, end] : fresh) pipes_[id].end = std::move(end);
  for (const Id id : readable) {
    const auto it = pipes_.find(id);
    if (it == pipes_.end() || it->second.queued) continue;
    it->second.queued = true;
    ready_.push_back(id);
  }
}

bool Pipes::receive(Id& from, Frames& message, std::vector<Id>& ended) {
  while (!ready_.empty()) {
    const Id id = ready_.front();
    ready_.pop_front();
    const auto it = pipes_.find(id);
    if (it == pipes_.end()) continue;
    Connection& c = it->second;
    if (c.taken == c.inbox.size()) {
      c.inbox.clear();
      c.taken = 0;
      const bool open = c.end->receive(c.inbox);
      if (!open) {
        pipes_.erase(it);
        ended.push_back(id);
        continue;
      }
      if (c.inbox.empty()) {
        c.queued = false;  // the next message makes it readable again
        continue;
      }
    }
    from = id;
    message = std::move(c.inbox[c.taken++]);
    ready_.push_back(id);
    return true;
  }
  return false;
}

bool Pipes::send(Id to, Frames&& message) {
  const auto it = pipes_.find(to);
  return it != pipes_.end() && it->second.end->send(std::move(message));
}

void Pipes::close(Id id) {
  const auto it = pipes_.find(id);
  if (it == pipes_.end()) return;
  it->second.end->close();
  pipes_.erase(it);
}

}  // namespace futured::daemon
