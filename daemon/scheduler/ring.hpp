// A queue in chunks of memory: an index that goes on for ever, nothing is moved when it grows, and in the steady state
// nothing is allocated.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace futured::scheduler {

/// Elements have positions begin() .. end()-1; pop_front moves begin, push_back moves end.
template <class T>
class Ring {
 public:
  std::uint64_t begin() const { return begin_; }
  std::uint64_t end() const { return end_; }
  bool empty() const { return begin_ == end_; }
  std::uint64_t size() const { return end_ - begin_; }
  /// begin() <= position < end()
  T& operator[](std::uint64_t position) { return chunk(position)[position & kMask]; }
  const T& operator[](std::uint64_t position) const { return chunk(position)[position & kMask]; }
  T& front() { return (*this)[begin_]; }
  const T& front() const { return (*this)[begin_]; }
  T& back() { return (*this)[end_ - 1]; }
  const T& back() const { return (*this)[end_ - 1]; }

  void push_back(T value) {
    if (chunks_.empty() || (end_ >> kBits) - (begin_ >> kBits) == chunks_.size()) grow();
    std::unique_ptr<T[]>& c = chunk(end_);
    if (c == nullptr && !spares_.empty()) {
      c = std::move(spares_.back());
      spares_.pop_back();
    } else if (c == nullptr) {
      c = std::make_unique<T[]>(kMask + 1);
    }
    c[end_ & kMask] = std::move(value);
    ++end_;
  }
  void pop_front() {
    front() = T{};
    ++begin_;
    if ((begin_ & kMask) == 0) {
      std::unique_ptr<T[]> done = std::move(chunk(begin_ - 1));
      if (spares_.size() < kSpares) spares_.push_back(std::move(done));
    }
    if (begin_ == end_ && chunks_.size() > kKeep) reset();
  }
  /// Likewise for all before `position`, at most end(), a chunk at a time.
  void pop_front_to(std::uint64_t position) {
    while (begin_ < position && ((begin_ & kMask) != 0 || position - begin_ <= kMask)) pop_front();
    for (; begin_ < position && position - begin_ > kMask; begin_ += kMask + 1) chunk(begin_).reset();
    while (begin_ < position) pop_front();
  }
  /// Drops what is at `position` and after, at least begin(), a chunk at a time.
  void pop_back_to(std::uint64_t position) {
    for (; end_ > position; --end_) {
      if ((end_ & kMask) == 0 && end_ - position > kMask) {
        chunk(end_ - 1).reset();
        end_ -= kMask;
      } else {
        back() = T{};
      }
    }
  }
  /// Only when empty: the position of the next element.
  void start_at(std::uint64_t position) {
    reset();
    begin_ = end_ = position;
  }

 private:
  static constexpr unsigned kBits = 6;
  static constexpr std::uint64_t kMask = (1U << kBits) - 1;
  static constexpr std::size_t kSpares = 8;   // as many as a batch of tasks needs
  static constexpr std::size_t kKeep = 1024;  // chunks of which an empty ring remembers the places
  std::unique_ptr<T[]>& chunk(std::uint64_t position) { return chunks_[(position >> kBits) & (chunks_.size() - 1)]; }
  const std::unique_ptr<T[]>& chunk(std::uint64_t position) const {
    return chunks_[(position >> kBits) & (chunks_.size() - 1)];
  }
  void reset() { chunks_ = std::vector<std::unique_ptr<T[]>>(); }
  /// More places for chunks; the chunks stay where they are.
  void grow() {
    std::vector<std::unique_ptr<T[]>> bigger(chunks_.empty() ? 1 : chunks_.size() * 2);
    for (std::uint64_t c = begin_ >> kBits; !chunks_.empty() && c < (end_ >> kBits); ++c) {
      bigger[c & (bigger.size() - 1)] = std::move(chunks_[c & (chunks_.size() - 1)]);
    }
    chunks_ = std::move(bigger);
  }
  std::vector<std::unique_ptr<T[]>> chunks_;  // by position; a power of two of them
  std::vector<std::unique_ptr<T[]>> spares_;
  std::uint64_t begin_ = 0, end_ = 0;
};

}  // namespace futured::scheduler
