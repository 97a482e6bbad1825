// An array that grows and shrinks at its end without moving what is in it: growing takes the same time however much
// there is.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace futured::scheduler {

template <class T>
class Chunked {
 public:
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](std::size_t i) { return chunks_[i >> kBits][i & kMask]; }
  const T& operator[](std::size_t i) const { return chunks_[i >> kBits][i & kMask]; }
  T& front() { return chunks_[0][0]; }
  const T& front() const { return chunks_[0][0]; }
  T& back() { return (*this)[size_ - 1]; }
  void push_back(const T& value) {
    if ((size_ >> kBits) == chunks_.size()) chunks_.push_back(std::make_unique<T[]>(kMask + 1));
    (*this)[size_++] = value;
  }
  /// Keeps one chunk more than it needs, so that a size to and fro allocates nothing.
  void pop_back() {
    --size_;
    while (chunks_.size() > (size_ >> kBits) + 2) chunks_.pop_back();
  }

 private:
  static constexpr unsigned kBits = 12;
  static constexpr std::size_t kMask = (std::size_t{1} << kBits) - 1;
  std::vector<std::unique_ptr<T[]>> chunks_;
  std::size_t size_ = 0;
};

}  // namespace futured::scheduler
