#include "worker/session/reports.hpp"

#include <algorithm>

namespace futured::worker {

void Reports::add(Report&& report) {
  if (unacked() == ring_.size()) {
    std::vector<Report> larger(ring_.size() * 2);
    for (std::uint64_t n = first_unacked(); n != end(); ++n) {
      larger[n & (larger.size() - 1)] = std::move(ring_[n & (ring_.size() - 1)]);
    }
    ring_ = std::move(larger);
  }
  bytes_ += report.reply.size();
  const std::uint64_t n = end();
  clock_.add(payload(report));
  ring_[n & (ring_.size() - 1)] = std::move(report);
}

std::uint32_t Reports::next_batch() const {
  const std::uint64_t first = next_to_send();
  const std::uint64_t most = std::min(waiting(), kMostElements);
  std::uint64_t count = 0;
  std::uint64_t frames = 0;
  std::uint64_t bytes = 0;
  for (; count < most; ++count) {
    const Report& r = at(first + count);
    frames += r.reply.size() >= kFramedFrom ? 1 : 0;
    bytes += in_body(r);
    if (count > 0 && (frames > kMostFrames || bytes > kMostBytes)) break;
  }
  return static_cast<std::uint32_t>(count);
}

void Reports::sent(std::uint32_t count) { clock_.sent(count, in_body(next_to_send(), next_to_send() + count)); }

bool Reports::acked(std::uint64_t below) {
  const std::uint64_t from = first_unacked();
  if (!clock_.acked(below)) return false;
  for (std::uint64_t n = from; n < below; ++n) {
    Report& r = ring_[n & (ring_.size() - 1)];
    bytes_ -= r.reply.size();
    r.reply = {};
    r.failure.reset();
  }
  return true;
}

void Reports::rewind() { (void)clock_.rewind(first_unacked(), in_body(first_unacked(), end())); }

}  // namespace futured::worker
