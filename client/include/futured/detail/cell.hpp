// The shared state behind a Future, as its templates see it. Everything here may be called from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/ids.hpp"

namespace futured::detail {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;  ///< max(): never

/// now + timeout without overflow.
Deadline deadline_after(std::chrono::nanoseconds timeout);

enum class CellState : std::uint8_t { pending, running, cancelled, cancelled_and_notified, finished };

/// A result as an object; a cell may hold it in several types.
struct Value {
  explicit Value(const void* type) : tag(type) {}
  Value(const Value&) = delete;
  Value& operator=(const Value&) = delete;
  virtual ~Value() = default;
  const void* tag;
  Value* next = nullptr;  // of the cell's list
};
template <class T>
inline constexpr char value_tag = 0;
template <class T>
struct TypedValue final : Value {
  template <class... A>
  explicit TypedValue(A&&... args) : Value(&value_tag<T>), value(std::forward<A>(args)...) {}
  T value;
};

/// A task of a daemon, by number or (if that is 0) by id.
struct TaskReference {
  TaskNumber number = 0;
  TaskId id;
  bool operator==(const TaskReference&) const = default;
};

class Cell;
void ref(Cell* cell) noexcept;
void unref(Cell* cell) noexcept;

/// Owning pointer to a cell.
class CellRef {
 public:
  CellRef() = default;
  /// Takes over one reference.
  explicit CellRef(Cell* adopted) noexcept : cell_(adopted) {}
  CellRef(const CellRef& o) noexcept : cell_(o.cell_) {
    if (cell_ != nullptr) ref(cell_);
  }
  CellRef(CellRef&& o) noexcept : cell_(std::exchange(o.cell_, nullptr)) {}
  CellRef& operator=(CellRef o) noexcept {
    std::swap(cell_, o.cell_);
    return *this;
  }
  ~CellRef() {
    if (cell_ != nullptr) unref(cell_);
  }
  Cell* get() const { return cell_; }
  Cell& operator*() const { return *cell_; }
  explicit operator bool() const { return cell_ != nullptr; }

 private:
  Cell* cell_ = nullptr;
};

struct Callback {
  Callback() = default;
  Callback(const Callback&) = delete;
  Callback& operator=(const Callback&) = delete;
  virtual ~Callback() = default;
  virtual void run(const CellRef& cell) = 0;
};

CellState state_of(const Cell& cell);
/// False at the deadline. Cancelled counts as done.
bool wait_done(Cell& cell, Deadline deadline);
/// Throws what a done cell holds instead of a result: CancelledError or its exception.
void throw_if_not_succeeded(Cell& cell);
/// The exception of a done cell, null if it succeeded; throws CancelledError.
std::exception_ptr error_of(Cell& cell);
/// The exception of a done cell, a CancelledError included; null if it succeeded.
std::exception_ptr outcome_error(Cell& cell);
/// The reply of a cell that succeeded; valid while the cell is referenced.
std::string_view bytes_of(Cell& cell);
Value* find_value(Cell& cell, const void* tag);
/// Keeps `value` unless the type is there already; returns the one kept.
Value* keep_value(Cell& cell, std::unique_ptr<Value> value);
/// Runs later, once; in the caller if the cell is done. What it throws is logged.
void add_callback(const CellRef& cell, std::unique_ptr<Callback> callback);
bool cancel(Cell& cell, std::optional<std::chrono::nanoseconds> grace);
/// Asks for all that have not started to be cancelled, without waiting for the answers.
void cancel_all(std::span<const CellRef> cells);
TaskId id_of(const Cell& cell);
/// How another task names this one: InvalidStateError for a call of this process.
TaskReference reference_of(const Cell& cell);
/// Waits until the daemon has accepted it.
bool existing(const Cell& cell);
[[noreturn]] void throw_timeout();
[[noreturn]] void throw_no_future();
[[noreturn]] void throw_bad_reply(const Cell& cell, std::string_view type);
std::string describe(const Cell* cell);

// The producing side.
CellRef make_cell();
/// False: it was cancelled, and those who wait for it are told so.
bool set_running_or_notify_cancel(Cell& cell);
/// Throw InvalidStateError if the cell is done.
void set_value(Cell& cell, std::unique_ptr<Value> value);
void set_error(Cell& cell, std::exception_ptr error);
/// Prints a callback's or an initializer's exception to standard error.
void log_exception(const char* where, const std::exception_ptr& error) noexcept;

/// Hands out cells in the order in which they finish. One consumer thread at a time.
class Completions {
 public:
  /// Watches `cells`, duplicates once.
  explicit Completions(std::vector<CellRef> cells);
  Completions(Completions&&) noexcept;
  Completions& operator=(Completions&&) noexcept;
  ~Completions();
  /// The next finished cell; an empty one at the deadline or when all have been handed out.
  CellRef next(Deadline deadline);
  std::size_t unfinished() const;  ///< not handed out yet
  std::size_t total() const;

  class Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

/// Keeps the first of each cell, in order.
void drop_duplicates(std::vector<CellRef>& cells);

enum class WaitFor : std::uint8_t { all, first, first_exception };
/// Blocks until the condition holds or the deadline; then says for each cell whether it is done.
std::vector<bool> wait_cells(std::span<const CellRef> cells, WaitFor what, Deadline deadline);

}  // namespace futured::detail
