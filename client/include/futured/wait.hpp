// Waiting for several futures: as_completed() and wait().
#pragma once

#include <chrono>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "futured/future.hpp"

namespace futured {

enum class ReturnWhen : std::uint8_t { AllCompleted, FirstCompleted, FirstException };

namespace detail {

template <class T>
const Future<T>& as_future(const Future<T>& f) {
  return f;
}
/// So that a map from futures to anything can be waited for.
template <class T, class U>
const Future<T>& as_future(const std::pair<const Future<T>, U>& entry) {
  return entry.first;
}
template <class T, class U>
const Future<T>& as_future(const std::pair<Future<T>, U>& entry) {
  return entry.first;
}
template <class R>
using FutureOf = std::remove_cvref_t<decltype(as_future(*std::begin(std::declval<R&>())))>;

template <class R>
std::vector<CellRef> cells_of(const R& futures) {
  std::vector<CellRef> cells;
  if constexpr (requires { futures.size(); }) cells.reserve(futures.size());
  for (const auto& f : futures) {
    const CellRef& cell = FutureAccess::cell(as_future(f));
    if (!cell) throw_no_future();
    cells.push_back(cell);
  }
  return cells;
}

}  // namespace detail

/// Single pass: each future once, as it completes, those done already first. It keeps no reference to a future that
/// has been passed. Not copyable; iterate on one thread.
template <class T>
class AsCompleted {
 public:
  AsCompleted(std::vector<detail::CellRef> cells, detail::Deadline deadline)
      : completions_(std::move(cells)), deadline_(deadline) {}

  class iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Future<T>;
    using difference_type = std::ptrdiff_t;
    using pointer = Future<T>*;
    using reference = Future<T>&;
    Future<T>& operator*() const { return range_->current_; }
    Future<T>* operator->() const { return &range_->current_; }
    iterator& operator++() {
      if (!range_->advance()) range_ = nullptr;
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& a, const iterator& b) { return a.range_ == b.range_; }

   private:
    friend class AsCompleted;
    AsCompleted* range_ = nullptr;
  };

  /// Waits for the first. begin() and ++ throw TimeoutError, "2 (of 4) futures unfinished".
  iterator begin() {
    iterator i;
    if (current_.valid() || advance()) i.range_ = this;
    return i;
  }
  iterator end() { return {}; }

 private:
  bool advance() {
    current_ = {};
    if (completions_.unfinished() == 0) return false;
    detail::CellRef cell = completions_.next(deadline_);
    if (!cell) {
      throw TimeoutError(std::to_string(completions_.unfinished()) + " (of " + std::to_string(completions_.total()) +
                         ") futures unfinished");
    }
    current_ = FutureAccess::make<T>(std::move(cell));
    return true;
  }
  detail::Completions completions_;
  detail::Deadline deadline_;
  Future<T> current_;
};

/// `futures`: any range of Future<T>, or a map that has them as keys.
template <class R>
auto as_completed(const R& futures) {
  using T = typename detail::FutureOf<const R>::value_type;
  return AsCompleted<T>(detail::cells_of(futures), detail::Deadline::max());
}
template <class R>
auto as_completed(const R& futures, std::chrono::nanoseconds timeout) {
  using T = typename detail::FutureOf<const R>::value_type;
  return AsCompleted<T>(detail::cells_of(futures), detail::deadline_after(timeout));
}

/// Each future given stands in one of them, once, in the order given.
template <class T>
struct DoneAndNotDone {
  std::vector<Future<T>> done;
  std::vector<Future<T>> not_done;
};

namespace detail {
template <class R>
auto wait_until(const R& futures, Deadline deadline, ReturnWhen when) {
  using T = typename FutureOf<const R>::value_type;
  std::vector<CellRef> cells = cells_of(futures);
  drop_duplicates(cells);
  const WaitFor what = when == ReturnWhen::AllCompleted     ? WaitFor::all
                       : when == ReturnWhen::FirstCompleted ? WaitFor::first
                                                            : WaitFor::first_exception;
  const std::vector<bool> is_done = wait_cells(cells, what, deadline);
  DoneAndNotDone<T> out;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    (is_done[i] ? out.done : out.not_done).push_back(FutureAccess::make<T>(std::move(cells[i])));
  }
  return out;
}
}  // namespace detail

template <class R>
auto wait(const R& futures, ReturnWhen when = ReturnWhen::AllCompleted) {
  return detail::wait_until(futures, detail::Deadline::max(), when);
}
template <class R>
auto wait(const R& futures, std::chrono::nanoseconds timeout, ReturnWhen when = ReturnWhen::AllCompleted) {
  return detail::wait_until(futures, detail::deadline_after(timeout), when);
}

}  // namespace futured
