// Acknowledgements that wait a moment for company. On an idle way ACCEPTED and RANACK would be messages, and wake-ups,
// of their own between those that somebody waits for; here they leave within the next message to the same peer.
// They leave at once when the peer has sent two batches, because then it may be waiting for them to send a third, and
// after half a millisecond in any case. Loop thread; time is an argument.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace futured::daemon {

/// `Peer` names who is acknowledged, `Item` is what there is to say (items of one batch each).
template <class Peer, class Item>
class Acknowledgements {
 public:
  static constexpr std::int64_t kPatience = 500'000;
  static constexpr std::size_t kBatches = 2;  // as many as a sender may have unacknowledged (proto/ack_clock.hpp)

  void add(Peer peer, Item item, std::int64_t now, bool at_once) {
    Entry& e = entry(peer, now);
    e.items.push_back(std::move(item));
    if (at_once || e.items.size() >= kBatches) e.due = true;
  }
  /// A message that can carry them goes to this peer now.
  void company(Peer peer) {
    for (Entry& e : entries_) {
      if (e.peer == peer) e.due = e.in_company = true;
    }
  }
  /// What says as much, and more, goes to this peer now: they must be there first.
  void hurry(Peer peer) {
    for (Entry& e : entries_) {
      if (e.peer == peer) e.due = true;
    }
  }
  bool empty() const { return entries_.empty(); }
  std::int64_t next_deadline() const {
    std::int64_t next = std::numeric_limits<std::int64_t>::max();
    for (const Entry& e : entries_) next = std::min(next, e.due ? 0 : e.since + kPatience);
    return next;
  }
  /// Hands out and forgets what is due: say(peer, items, in_company).
  template <class Say>
  void take_due(std::int64_t now, Say say) {
    for (std::size_t i = 0; i < entries_.size();) {
      if (!entries_[i].due && entries_[i].since + kPatience > now) {
        ++i;
        continue;
      }
      const Entry e = std::move(entries_[i]);
      entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));
      say(e.peer, e.items, e.in_company);
    }
  }

 private:
  struct Entry {
    Peer peer;
    std::int64_t since = 0;
    bool due = false;
    bool in_company = false;
    std::vector<Item> items;
  };
  Entry& entry(Peer peer, std::int64_t now) {
    for (Entry& e : entries_) {
      if (e.peer == peer) return e;
    }
    entries_.push_back(Entry{peer, now, false, false, {}});
    return entries_.back();
  }
  std::vector<Entry> entries_;  // few: only peers that sent something within the last half millisecond
};

}  // namespace futured::daemon
