// A queue in one growing circle of memory: no allocation per element, and an index that goes on for ever.
#pragma once

#include <cstdint>
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
  T& operator[](std::uint64_t position) { return slots_[position & (slots_.size() - 1)]; }
  const T& operator[](std::uint64_t position) const { return slots_[position & (slots_.size() - 1)]; }
  T& front() { return (*this)[begin_]; }
  const T& front() const { return (*this)[begin_]; }
  T& back() { return (*this)[end_ - 1]; }
  const T& back() const { return (*this)[end_ - 1]; }

  void push_back(T value) {
    if (size() == slots_.size()) grow();
    ++end_;
    back() = std::move(value);
  }
  void pop_front() {
    front() = T{};
    ++begin_;
    if (begin_ == end_ && slots_.size() > kKeep) slots_ = std::vector<T>(kKeep);
  }
  /// Only when empty: the position of the next element.
  void start_at(std::uint64_t position) { begin_ = end_ = position; }

 private:
  static constexpr std::size_t kKeep = 1024;
  void grow() {
    std::vector<T> bigger(slots_.empty() ? 8 : slots_.size() * 2);
    for (std::uint64_t p = begin_; p != end_; ++p) bigger[p & (bigger.size() - 1)] = std::move((*this)[p]);
    slots_ = std::move(bigger);
  }
  std::vector<T> slots_;
  std::uint64_t begin_ = 0, end_ = 0;
};

}  // namespace futured::scheduler
