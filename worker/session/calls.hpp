// The calls at hand: a slab with a FIFO per task type. One thread. No allocation per call.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "worker/session/action.hpp"

namespace futured::worker {

inline constexpr std::uint32_t kNoType = UINT32_MAX;
inline constexpr std::uint32_t kNoIndex = UINT32_MAX;

struct CallType {
  Lane lane = Lane::thread;
  std::uint32_t max_concurrency = 0;  ///< 0: no limit
};

struct CallEntry {
  AttemptToken token;
  CallId id = 0;  ///< 0: free
  std::uint32_t index = 0;
  std::uint32_t next = kNoIndex;  // in the FIFO of its type, or in the free list
  std::uint32_t prev = kNoIndex;
  std::uint32_t type = kNoType;
  Lane lane = Lane::thread;
  bool waiting = false;  ///< here; otherwise handed to its lane
  bool started = false;  ///< known to run
  bool told_to_stop = false;
  bool stop_if_late = false;  ///< asked back; to be stopped if that comes too late
  /// What the answer to Actions::take_back is for.
  enum class Asked : std::uint8_t { nothing, recall, stop } asked = Asked::nothing;
  std::uint32_t recall_at = 0;  // position in the answer
  Time since = 0;               // when it was handed out
};

class Calls {
 public:
  Calls(std::uint32_t tag, std::uint64_t first_generation) : tag_(tag), generation_(first_generation) {}

  void set_types(std::span<const CallType> types);
  std::size_t types() const { return types_.size(); }
  const CallType& type(std::uint32_t t) const { return types_[t].type; }

  /// The entry is neither waiting nor handed out yet. References are valid until the next add().
  CallEntry& add(const AttemptToken& token, std::uint32_t type);
  /// Also takes it out of its FIFO, or off the count of its type.
  void remove(CallEntry& call);
  /// Null if the call has ended.
  CallEntry* find(CallId id) {
    const std::uint32_t i = index_of(id);
    return i < slab_.size() && slab_[i].id == id && id != 0 ? &slab_[i] : nullptr;
  }
  const CallEntry* find(CallId id) const { return const_cast<Calls*>(this)->find(id); }
  /// For each token the call it names, or null; the first if a token comes twice.
  void find(std::span<const AttemptToken> tokens, std::vector<CallEntry*>& out);

  void wait(CallEntry& call);      ///< to the end of the FIFO of its type
  void hand_out(CallEntry& call);  ///< counts against the limit of its type
  /// The oldest waiting call of the lane whose type has room; null if none.
  CallEntry* next(Lane lane);
  bool type_has_room(std::uint32_t type) const {
    const TypeState& t = types_[type];
    return t.type.max_concurrency == 0 || t.handed < t.type.max_concurrency;
  }

  std::size_t size() const { return in_hand_[0] + in_hand_[1]; }
  std::size_t in_hand(Lane l) const { return in_hand_[static_cast<std::size_t>(l)]; }
  std::size_t waiting(Lane l) const { return waiting_[static_cast<std::size_t>(l)]; }
  std::uint64_t next_generation() const { return generation_; }
  template <class F>
  void for_each(F&& f) {
    for (std::size_t i = 0; i < slab_.size(); ++i) {
      if (slab_[i].id != 0) f(slab_[i]);
    }
  }

 private:
  struct TypeState {
    CallType type;
    std::uint32_t handed = 0;
    std::uint32_t first = kNoIndex, last = kNoIndex;
  };
  void unlink(CallEntry& call);

  std::uint32_t tag_;
  std::uint64_t generation_;
  std::vector<CallEntry> slab_;
  std::uint32_t free_ = kNoIndex;
  std::vector<TypeState> types_;
  std::size_t in_hand_[kLanes] = {0, 0};
  std::size_t waiting_[kLanes] = {0, 0};
};

}  // namespace futured::worker
