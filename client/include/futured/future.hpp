// Future: a handle to the outcome of a call, here or in a daemon. Copyable and thread-safe; the outcome lives as long
// as a handle to it. Semantics are those of Python's concurrent.futures.Future.
#pragma once

#include <chrono>
#include <compare>
#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "futured/detail/cell.hpp"
#include "futured/detail/codec.hpp"
#include "futured/errors.hpp"

namespace futured {

struct FutureAccess;
template <class T>
class Promise;

template <class T = std::string>
class Future {
 public:
  using value_type = T;
  /// Refers to nothing; everything but valid() and assignment throws InvalidStateError.
  Future() = default;

  bool valid() const { return static_cast<bool>(cell_); }
  bool done() const { return state() >= detail::CellState::cancelled; }  ///< finished, failed or cancelled
  bool running() const { return state() == detail::CellState::running; }
  bool cancelled() const {
    const auto s = state();
    return s == detail::CellState::cancelled || s == detail::CellState::cancelled_and_notified;
  }

  /// True if it is cancelled now; false if it has started or ended. With a daemon one round trip decides.
  bool cancel() const { return detail::cancel(cell(), std::nullopt); }
  /// A running call too: it is told to stop and has `grace` to do so. True if it is cancelled or was told; its outcome
  /// says how it ended. In a thread pool a running call cannot be told.
  bool cancel(std::chrono::nanoseconds grace) const { return detail::cancel(cell(), grace); }

  /// Waits; throws CancelledError, the error of the call, or TimeoutError. The reference is valid while this future (or
  /// a copy) lives.
  decltype(auto) result() const& { return get(detail::Deadline::max()); }
  decltype(auto) result(std::chrono::nanoseconds timeout) const& { return get(detail::deadline_after(timeout)); }
  /// Of a temporary: the value itself, moved only where it cannot be copied.
  T result() && { return take(detail::Deadline::max()); }
  T result(std::chrono::nanoseconds timeout) && { return take(detail::deadline_after(timeout)); }
  /// The reply as it came, without a copy; valid while this future (or a copy) lives. For calls of a daemon.
  std::string_view bytes() const {
    succeeded(detail::Deadline::max());
    return detail::bytes_of(*cell_);
  }

  /// Waits; null if the call succeeded. Throws CancelledError or TimeoutError.
  std::exception_ptr exception() const { return exception_by(detail::Deadline::max()); }
  std::exception_ptr exception(std::chrono::nanoseconds timeout) const {
    return exception_by(detail::deadline_after(timeout));
  }

  /// `f(Future<T>&)` is called once when this is done: on a thread of the executor, or here and now if it is done
  /// already. What it throws is logged.
  template <class F>
  requires std::invocable < F&, Future<T>
  & > void add_done_callback(F f) const {
    struct Call final : detail::Callback {
      explicit Call(F g) : fn(std::move(g)) {}
      void run(const detail::CellRef& c) override {
        Future<T> self{detail::CellRef(c)};
        fn(self);
      }
      F fn;
    };
    cell();
    detail::add_callback(cell_, std::make_unique<Call>(std::move(f)));
  }

  /// Of a call of a daemon: its id, for Executor::future(id). InvalidStateError for a call of this process.
  TaskId id() const { return detail::id_of(cell()); }
  /// Of a task with a key: whether it is attached to a task that had this key already, whose outcome is this future's.
  /// Waits until the daemon has accepted it; false for everything else.
  bool existing() const { return detail::existing(cell()); }

  /// Same call, not same outcome.
  friend bool operator==(const Future& a, const Future& b) { return a.cell_.get() == b.cell_.get(); }
  friend std::strong_ordering operator<=>(const Future& a, const Future& b) {
    return std::compare_three_way{}(a.cell_.get(), b.cell_.get());
  }
  /// "<Future at 0x... state=pending>"
  friend std::string to_string(const Future& f) { return detail::describe(f.cell_.get()); }

 private:
  friend struct FutureAccess;
  friend class Promise<T>;
  friend struct std::hash<Future<T>>;
  explicit Future(detail::CellRef cell) : cell_(std::move(cell)) {}

  detail::Cell& cell() const {
    if (!cell_) detail::throw_no_future();
    return *cell_;
  }
  detail::CellState state() const { return detail::state_of(cell()); }
  void await(detail::Deadline deadline) const {
    if (!done() && !detail::wait_done(*cell_, deadline)) detail::throw_timeout();
  }
  void succeeded(detail::Deadline deadline) const {
    await(deadline);
    detail::throw_if_not_succeeded(*cell_);
  }
  std::exception_ptr exception_by(detail::Deadline deadline) const {
    await(deadline);
    return detail::error_of(*cell_);
  }
  template <class U = T>
  U& value() const {
    detail::Value* v = detail::find_value(*cell_, &detail::value_tag<U>);
    if (v == nullptr) {
      if constexpr (detail::RemoteReply<U>) {
        auto made = std::make_unique<detail::TypedValue<U>>();
        if (!detail::read_reply(detail::bytes_of(*cell_), made->value)) {
          detail::throw_bad_reply(*cell_, typeid(U).name());
        }
        v = detail::keep_value(*cell_, std::move(made));
      } else {
        detail::throw_bad_reply(*cell_, typeid(U).name());
      }
    }
    return static_cast<detail::TypedValue<U>*>(v)->value;
  }
  std::conditional_t<std::is_void_v<T>, void, std::add_lvalue_reference_t<const T>> get(detail::Deadline d) const {
    succeeded(d);
    if constexpr (!std::is_void_v<T>) return value();
  }
  T take(detail::Deadline d) const {
    succeeded(d);
    if constexpr (std::is_void_v<T>) {
      return;
    } else if constexpr (std::copy_constructible<T>) {
      return std::as_const(value());
    } else {
      return std::move(value());
    }
  }

  detail::CellRef cell_;
};

/// The producing side of a future that belongs to no executor, for tests and for those who build executors.
template <class T = std::string>
class Promise {
 public:
  Promise() : cell_(detail::make_cell()) {}
  Future<T> future() const { return Future<T>(cell_); }
  /// False: the future was cancelled, and those who wait for it are told now.
  bool set_running_or_notify_cancel() const { return detail::set_running_or_notify_cancel(*cell_); }
  /// InvalidStateError if it is done already; the first outcome stays.
  template <class... A>
  void set_result(A&&... value) const {
    if constexpr (std::is_void_v<T>) {
      detail::set_value(*cell_, nullptr);
    } else {
      detail::set_value(*cell_, std::make_unique<detail::TypedValue<T>>(std::forward<A>(value)...));
    }
  }
  void set_exception(std::exception_ptr error) const { detail::set_error(*cell_, std::move(error)); }
  template <class E>
  requires(!std::same_as<E, std::exception_ptr>) void set_exception(E error) const {
    set_exception(std::make_exception_ptr(std::move(error)));
  }

 private:
  detail::CellRef cell_;
};

/// For those who build executors and ways of waiting.
struct FutureAccess {
  template <class T>
  static Future<T> make(detail::CellRef cell) {
    return Future<T>(std::move(cell));
  }
  template <class T>
  static const detail::CellRef& cell(const Future<T>& f) {
    return f.cell_;
  }
};

}  // namespace futured

template <class T>
struct std::hash<futured::Future<T>> {
  std::size_t operator()(const futured::Future<T>& f) const noexcept { return std::hash<const void*>{}(f.cell_.get()); }
};
