// map(): one call per element of a range, results in the order of the input.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include "futured/future.hpp"

namespace futured {

class MapOptions {
 public:
  MapOptions() {}  // NOLINT(modernize-use-equals-default): option types are not aggregates
  /// At most this many calls submitted whose results have not been taken; the input is read only that far. >= 1
  MapOptions& buffersize(std::ptrdiff_t n) {
    if (n < 1) throw std::invalid_argument("map: buffersize is " + std::to_string(n) + "; it must be at least 1");
    buffersize_ = static_cast<std::size_t>(n);
    return *this;
  }
  /// For the whole map, counted from the call: after that ++ and * throw TimeoutError and the rest is cancelled.
  MapOptions& timeout(std::chrono::nanoseconds d) {
    timeout_ = d;
    return *this;
  }
  /// A hint how many calls travel together. >= 1
  MapOptions& chunksize(std::ptrdiff_t n) {
    if (n < 1) throw std::invalid_argument("map: chunksize is " + std::to_string(n) + "; it must be at least 1");
    chunksize_ = static_cast<std::size_t>(n);
    return *this;
  }
  std::size_t buffersize() const { return buffersize_; }  ///< 0: no bound
  std::size_t chunksize() const { return chunksize_; }
  std::optional<std::chrono::nanoseconds> timeout() const { return timeout_; }

 private:
  std::size_t buffersize_ = 0;
  std::size_t chunksize_ = 1;
  std::optional<std::chrono::nanoseconds> timeout_;
};

/// A value or the error that came instead.
template <class T>
class Outcome {
 public:
  explicit Outcome(Future<T> done) : future_(std::move(done)) {}
  bool ok() const { return error() == nullptr; }
  explicit operator bool() const { return ok(); }
  /// Throws the error if there is no value.
  decltype(auto) value() const { return std::as_const(future_).result(); }
  /// Null if there is a value; a CancelledError too.
  std::exception_ptr error() const { return detail::outcome_error(*FutureAccess::cell(future_)); }
  const Future<T>& future() const { return future_; }

 private:
  Future<T> future_;
};

/// Single pass over the results, in input order, on one thread. Closing or destroying it cancels what has not started.
/// operator* waits, and throws that element's error; ++ goes on with the next all the same.
template <class T>
class MapResults {
 public:
  using Source = std::function<bool(std::vector<Future<T>>&, std::size_t)>;
  /// `source` submits up to n more calls and appends their futures; false at the end of the input.
  MapResults(Source source, const MapOptions& options) : state_(std::make_unique<State>(std::move(source), options)) {
    state_->fill();
  }
  MapResults(MapResults&&) noexcept = default;
  MapResults& operator=(MapResults&& o) noexcept {
    if (this != &o) {
      close();
      state_ = std::move(o.state_);
    }
    return *this;
  }
  ~MapResults() { close(); }

 private:
  struct State {
    State(Source s, const MapOptions& o)
        : source(std::move(s)),
          buffersize(o.buffersize()),
          chunksize(o.chunksize()),
          deadline(o.timeout() ? detail::deadline_after(*o.timeout()) : detail::Deadline::max()) {}

    void fill() {
      std::vector<Future<T>> more;
      while (source && (buffersize == 0 || pending.size() < buffersize)) {
        more.clear();
        const std::size_t want = buffersize == 0 ? static_cast<std::size_t>(-1) : buffersize - pending.size();
        if (!source(more, want)) source = nullptr;
        for (Future<T>& f : more) pending.push_back(std::move(f));
      }
    }
    void drop_front() {
      pending.pop_front();
      fill();
    }
    /// The front future, done; throws TimeoutError after cancelling the rest.
    const Future<T>& front() {
      const detail::CellRef& cell = FutureAccess::cell(pending.front());
      if (!detail::wait_done(*cell, deadline)) {
        close();
        detail::throw_timeout();
      }
      return pending.front();
    }
    void close() {
      source = nullptr;
      std::vector<detail::CellRef> cells;
      for (const Future<T>& f : pending) cells.push_back(FutureAccess::cell(f));
      timed_out_or_closed = true;
      pending.clear();
      detail::cancel_all(cells);
    }

    Source source;
    std::deque<Future<T>> pending;
    std::size_t buffersize;
    std::size_t chunksize;
    detail::Deadline deadline;
    bool timed_out_or_closed = false;
  };

  template <bool kOutcomes>
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = std::conditional_t<kOutcomes, Outcome<T>, T>;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference =
        std::conditional_t<kOutcomes, Outcome<T>&,
                           std::conditional_t<std::is_void_v<T>, void, std::add_lvalue_reference_t<const T>>>;
    reference operator*() const {
      current_ = state_->front();
      if constexpr (kOutcomes) {
        outcome_.emplace(current_);
        return *outcome_;
      } else {
        return std::as_const(current_).result();
      }
    }
    Iterator& operator++() {
      current_ = {};
      outcome_.reset();
      if (!state_->pending.empty()) state_->drop_front();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& a, const Iterator& b) { return a.at_end() == b.at_end(); }

   private:
    friend class MapResults;
    bool at_end() const { return state_ == nullptr || state_->pending.empty(); }
    State* state_ = nullptr;
    mutable Future<T> current_;  // keeps the value that a reference was given to
    mutable std::optional<Outcome<T>> outcome_;
  };

 public:
  using iterator = Iterator<false>;
  iterator begin() {
    iterator i;
    i.state_ = state_.get();
    return i;
  }
  iterator end() { return {}; }

  /// The same pass as values or errors.
  class Outcomes {
   public:
    Iterator<true> begin() {
      Iterator<true> i;
      i.state_ = state_;
      return i;
    }
    Iterator<true> end() { return {}; }

   private:
    friend class MapResults;
    explicit Outcomes(State* s) : state_(s) {}
    State* state_;
  };
  Outcomes outcomes() & { return Outcomes(state_.get()); }

  /// Cancels what has not started and ends the pass.
  void close() {
    if (state_) state_->close();
  }

 private:
  std::unique_ptr<State> state_;
};

namespace detail {

/// A range kept for later: by reference if it is an lvalue (the caller keeps it), by value otherwise.
template <class R>
class HeldRange {
 public:
  explicit HeldRange(R&& range) : held_(std::make_unique<Held>(std::forward<R>(range))) {}
  bool at_end() { return held_->at == held_->end; }
  decltype(auto) operator*() { return *held_->at; }
  void next() { ++held_->at; }

 private:
  struct Held {
    explicit Held(R&& r) : range(std::forward<R>(r)), at(std::begin(range)), end(std::end(range)) {}
    R range;  // a reference type for an lvalue
    decltype(std::begin(std::declval<std::remove_reference_t<R>&>())) at;
    decltype(std::end(std::declval<std::remove_reference_t<R>&>())) end;
  };
  std::unique_ptr<Held> held_;
};

}  // namespace detail
}  // namespace futured
