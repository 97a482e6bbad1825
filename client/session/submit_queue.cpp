#include "client/session/submit_queue.hpp"

#include <algorithm>
#include <utility>

namespace futured::client {

SubmitBatch& SubmitQueue::batch_for(const SpecRef& spec, std::size_t size) {
  SubmitBatch* b = open_ ? batches_.back().get() : nullptr;
  if (b != nullptr) {
    const bool large = size >= kFramedFrom;
    if (b->size.size() >= kBatchTasks || (large && b->framed.size() >= kBatchFrames) ||
        (!large && b->blob.size() + size > kBatchInlineBytes)) {
      b = nullptr;
    }
  }
  std::uint32_t index = 0;
  if (b != nullptr) {
    // Neighbours tend to be of one kind.
    index = b->spec_of.empty() ? 0 : b->spec_of.back();
    if (!(b->specs[index] == spec)) {
      const auto at = std::find(b->specs.begin(), b->specs.end(), spec);
      index = static_cast<std::uint32_t>(at - b->specs.begin());
      if (at == b->specs.end()) {
        if (b->specs.size() >= kBatchSpecs || b->spec_bytes + spec.bytes() > kBatchSpecBytes) {
          b = nullptr;
        } else {
          b->specs.push_back(spec);
          b->spec_bytes += spec.bytes();
        }
      }
    }
  }
  if (b == nullptr) {
    batches_.push_back(std::make_shared<SubmitBatch>());
    open_ = true;
    b = batches_.back().get();
    b->first = clock_.next_to_add();
    b->specs.push_back(spec);
    b->spec_bytes = spec.bytes();
    b->size.reserve(AckClock::kElements);
    index = 0;
  }
  if (index != 0 && b->spec_of.empty()) b->spec_of.assign(b->size.size(), 0);
  if (index != 0 || !b->spec_of.empty()) b->spec_of.push_back(index);
  return *b;
}

void SubmitQueue::note(SubmitBatch& batch, std::size_t size) {
  batch.size.push_back(static_cast<std::uint32_t>(size));
  batch.bytes += size;
  queued_bytes_ += size;
  clock_.add(size);
}

Seq SubmitQueue::add(const SpecRef& spec, std::string_view payload) {
  if (payload.size() >= kFramedFrom) return add(spec, Slice::copy(payload));
  SubmitBatch& b = batch_for(spec, payload.size());
  b.blob.append(payload);
  note(b, payload.size());
  return clock_.next_to_add() - 1;
}

Seq SubmitQueue::add(const SpecRef& spec, Slice payload) {
  if (payload.size() < kFramedFrom) return add(spec, payload.view());
  SubmitBatch& b = batch_for(spec, payload.size());
  const std::size_t size = payload.size();
  b.framed.push_back({static_cast<std::uint32_t>(b.size.size()), std::move(payload)});
  note(b, size);
  return clock_.next_to_add() - 1;
}

bool SubmitQueue::sendable() const {
  const Seq at = clock_.next_to_send();
  if (at >= credit_tasks_) return false;
  const SubmitBatch& b = *batches_[send_index_];
  return sent_bytes_ + b.size[at - b.first] <= credit_bytes_;
}

std::optional<SubmitRange> SubmitQueue::next() {
  if (!may_send()) return std::nullopt;
  const auto& batch = batches_[send_index_];
  if (send_index_ + 1 == batches_.size()) open_ = false;  // it is shared with the encoder from now on
  SubmitRange range{batch, clock_.next_to_send() - batch->first, 0};
  const std::size_t end = std::min<std::uint64_t>(batch->size.size(), credit_tasks_ - batch->first);
  std::uint64_t bytes = 0;
  for (std::size_t i = range.from; i < end && sent_bytes_ + bytes + batch->size[i] <= credit_bytes_; ++i) {
    bytes += batch->size[i];
    ++range.count;
  }
  sent_bytes_ += bytes;
  clock_.sent(range.count, bytes);
  if (range.from + range.count == batch->size.size()) ++send_index_;
  return range;
}

std::uint64_t SubmitQueue::bytes_between(Seq from, Seq to) const {
  std::uint64_t bytes = 0;
  for (const auto& b : batches_) {
    if (b->first >= to) break;
    const Seq end = b->first + b->size.size();
    if (end <= from) continue;
    if (b->first >= from && end <= to) {
      bytes += b->bytes;
      continue;
    }
    for (Seq s = std::max(from, b->first); s < std::min(to, end); ++s) bytes += b->size[s - b->first];
  }
  return bytes;
}

void SubmitQueue::drop_below(Seq below) {
  while (!batches_.empty() && batches_.front()->first + batches_.front()->size.size() <= below) {
    if (batches_.size() == 1) open_ = false;
    batches_.pop_front();
    if (send_index_ > 0) --send_index_;
  }
}

bool SubmitQueue::accepted(Seq below) {
  const Seq before = clock_.first_unacked();
  if (!clock_.acked(below)) return false;
  if (below <= before) return true;
  accepted_bytes_ += bytes_between(before, below);
  drop_below(below);
  return true;
}

bool SubmitQueue::rewind(Seq below, bool counts_anew) {
  const Seq before = clock_.first_unacked();
  if (below > clock_.next_to_add()) return false;
  below = std::max(below, before);
  accepted_bytes_ = counts_anew ? 0 : accepted_bytes_ + bytes_between(before, below);
  const std::uint64_t rest = bytes_between(below, clock_.next_to_add());
  drop_below(below);
  clock_.rewind(below, rest);
  sent_bytes_ = accepted_bytes_;
  queued_bytes_ = accepted_bytes_ + rest;
  send_index_ = 0;
  return true;
}

}  // namespace futured::client
