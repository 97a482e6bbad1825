// Which of a stream's seqs still wait for their outcome: a bit each, in a window that moves up. One thread at a time.
#pragma once

#include <bit>
#include <cstdint>
#include <deque>

#include "proto/ids.hpp"

namespace futured::client {

class Unresolved {
 public:
  /// Ascending: each seq is above all that were added before.
  void add(Seq seq) {
    const Seq word = seq / 64;
    if (bits_.empty()) base_ = word;
    while (base_ + bits_.size() <= word) bits_.push_back(0);
    bits_[word - base_] |= bit(seq);
    ++count_;
  }
  /// True the first time for a seq that was added.
  bool resolve(Seq seq) {
    const Seq word = seq / 64;
    if (word < base_ || word - base_ >= bits_.size()) return false;
    std::uint64_t& w = bits_[word - base_];
    if ((w & bit(seq)) == 0) return false;
    w &= ~bit(seq);
    --count_;
    while (!bits_.empty() && bits_.front() == 0) {
      bits_.pop_front();
      ++base_;
    }
    return true;
  }
  bool contains(Seq seq) const {
    const Seq word = seq / 64;
    return word >= base_ && word - base_ < bits_.size() && (bits_[word - base_] & bit(seq)) != 0;
  }
  std::uint64_t count() const { return count_; }
  /// f(seq), ascending, for all below `end`.
  template <class F>
  void for_each_below(Seq end, F f) const {
    for (std::size_t i = 0; i < bits_.size(); ++i) {
      for (std::uint64_t w = bits_[i]; w != 0; w &= w - 1) {
        const Seq seq = (base_ + i) * 64 + static_cast<Seq>(std::countr_zero(w));
        if (seq >= end) return;
        f(seq);
      }
    }
  }

 private:
  static std::uint64_t bit(Seq seq) { return std::uint64_t{1} << (seq % 64); }
  std::deque<std::uint64_t> bits_;
  Seq base_ = 0;  // of bits_[0], in words
  std::uint64_t count_ = 0;
};

}  // namespace futured::client
