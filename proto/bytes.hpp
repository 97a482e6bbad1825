// Counted immutable bytes: one allocation for a batch, shared by the slices of its tasks.
// Any thread may copy and drop slices (the count is atomic); the bytes never change once shared.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace futured {

/// Owner of a run of bytes. Subclass it to keep bytes where they came from (a received message, a mapped file).
class Blob {
 public:
  Blob() = default;
  Blob(const Blob&) = delete;
  Blob& operator=(const Blob&) = delete;
  void ref() const { refs_.fetch_add(1, std::memory_order_relaxed); }
  void unref() const {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 protected:
  virtual ~Blob() = default;

 private:
  mutable std::atomic<std::uint32_t> refs_{0};
};

/// A view into a Blob that keeps it alive. 24 bytes; an empty slice owns nothing.
class Slice {
 public:
  Slice() = default;
  /// Copies nothing: takes the string over as the blob of the slice.
  static Slice of(std::string bytes);
  static Slice copy(std::string_view bytes) { return of(std::string(bytes)); }
  /// `data` must stay valid while `owner` lives.
  Slice(const Blob* owner, const char* data, std::size_t size) : owner_(owner), data_(data), size_(size) {
    if (owner_ != nullptr) owner_->ref();
  }
  Slice(const Slice& o) : Slice(o.owner_, o.data_, o.size_) {}
  Slice(Slice&& o) noexcept
      : owner_(std::exchange(o.owner_, nullptr)),
        data_(std::exchange(o.data_, nullptr)),
        size_(std::exchange(o.size_, 0)) {}
  Slice& operator=(Slice o) noexcept {
    std::swap(owner_, o.owner_);
    std::swap(data_, o.data_);
    std::swap(size_, o.size_);
    return *this;
  }
  ~Slice() {
    if (owner_ != nullptr) owner_->unref();
  }

  std::string_view view() const { return {data_, size_}; }
  const char* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  /// The part [offset, offset+size) of the same blob; the caller has checked the bounds.
  Slice sub(std::size_t offset, std::size_t size) const {
    return size == 0 ? Slice{} : Slice{owner_, data_ + offset, size};
  }

 private:
  const Blob* owner_ = nullptr;
  const char* data_ = nullptr;
  std::size_t size_ = 0;
};

class StringBlob final : public Blob {
 public:
  explicit StringBlob(std::string s) : bytes(std::move(s)) {}
  const std::string bytes;
};

inline Slice Slice::of(std::string bytes) {
  if (bytes.empty()) return {};
  auto* blob = new StringBlob(std::move(bytes));
  return {blob, blob->bytes.data(), blob->bytes.size()};
}

}  // namespace futured
