#include "worker/session/calls.hpp"

#include <algorithm>

namespace futured::worker {

void Calls::set_types(std::span<const CallType> types) {
  for (std::size_t i = types_.size(); i < types.size(); ++i) types_.push_back({types[i]});
}

CallEntry& Calls::add(const AttemptToken& token, std::uint32_t type) {
  std::uint32_t i = free_;
  if (i != kNoIndex) {
    free_ = slab_[i].next;
  } else {
    i = static_cast<std::uint32_t>(slab_.size());
    slab_.emplace_back();
  }
  CallEntry& c = slab_[i];
  c = CallEntry{};
  c.token = token;
  c.index = i;
  c.type = type;
  c.lane = types_[type].type.lane;
  if (generation_ > kMaxGeneration || generation_ == 0) generation_ = 1;
  c.id = generation_++ << (kIndexBits + kTagBits) | std::uint64_t{tag_} << kIndexBits | i;
  ++in_hand_[static_cast<std::size_t>(c.lane)];
  return c;
}

void Calls::remove(CallEntry& c) {
  if (c.waiting) {
    unlink(c);
  } else {
    --types_[c.type].handed;
  }
  --in_hand_[static_cast<std::size_t>(c.lane)];
  c.id = 0;
  c.next = free_;
  free_ = c.index;
}

void Calls::wait(CallEntry& c) {
  TypeState& t = types_[c.type];
  c.waiting = true;
  c.prev = t.last;
  c.next = kNoIndex;
  (t.last == kNoIndex ? t.first : slab_[t.last].next) = c.index;
  t.last = c.index;
  ++waiting_[static_cast<std::size_t>(c.lane)];
}

void Calls::hand_out(CallEntry& c) {
  if (c.waiting) unlink(c);
  ++types_[c.type].handed;
}

void Calls::unlink(CallEntry& c) {
  TypeState& t = types_[c.type];
  (c.prev == kNoIndex ? t.first : slab_[c.prev].next) = c.next;
  (c.next == kNoIndex ? t.last : slab_[c.next].prev) = c.prev;
  c.waiting = false;
  --waiting_[static_cast<std::size_t>(c.lane)];
}

CallEntry* Calls::next(Lane lane) {
  CallEntry* oldest = nullptr;
  for (std::uint32_t i = 0; i < types_.size(); ++i) {
    const TypeState& t = types_[i];
    if (t.type.lane != lane || t.first == kNoIndex || !type_has_room(i)) continue;
    CallEntry& c = slab_[t.first];
    if (oldest == nullptr || generation_of(c.id) < generation_of(oldest->id)) oldest = &c;
  }
  return oldest;
}

void Calls::find(std::span<const AttemptToken> tokens, std::vector<CallEntry*>& out) {
  out.assign(tokens.size(), nullptr);
  if (tokens.size() <= 4) {
    for (std::size_t k = 0; k < tokens.size(); ++k) {
      for (CallEntry& c : slab_) {
        if (c.id != 0 && c.token == tokens[k]) {
          out[k] = &c;
          break;
        }
      }
    }
    return;
  }
  // One walk over the slab for many tokens: these messages are rare, a permanent index would cost every call.
  std::vector<std::uint32_t> order(tokens.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, {}, [&](std::uint32_t i) { return std::pair(tokens[i], i); });
  for (CallEntry& c : slab_) {
    if (c.id == 0) continue;
    const auto at = std::ranges::lower_bound(order, c.token, {}, [&](std::uint32_t i) { return tokens[i]; });
    if (at != order.end() && tokens[*at] == c.token && out[*at] == nullptr) out[*at] = &c;
  }
}

}  // namespace futured::worker
