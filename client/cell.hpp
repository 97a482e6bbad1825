// Cell: the shared state of a future, 64 bytes. Cells live in slabs of a connection or alone on the heap; their Home
// knows.
//
// `word` holds the state and a lock bit. Whoever waits hangs a Link into the cell under the lock; whoever resolves the
// cell takes the links out under the lock, hands the nodes to their waiters, and wakes each waiter once per batch
// (WakeList).
#pragma once

#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "client/parker.hpp"
#include "futured/detail/cell.hpp"
#include "proto/bytes.hpp"

namespace futured::detail {

class Home;
class Waiter;

/// A place in a cell's list: of a waiter, or of a callback (waiter null).
struct Link {
  Link* next = nullptr;
  Waiter* waiter = nullptr;
};

/// Where a waiter hears of one cell. Owned by the waiter's user; linked into at most one cell.
struct WaitNode : Link {
  Cell* cell = nullptr;
  WaitNode* next_ready = nullptr;
  bool on_cancel = false;  ///< hears of a plain cancel(), not only of set_running_or_notify_cancel()
  bool linked = false;     ///< under the cell's lock
};

struct CallbackLink : Link {
  std::unique_ptr<Callback> callback;
};

/// Counted; a stack of nodes whose cells are done, and a thread that may sleep until there are enough.
class Waiter {
 public:
  void ref() { refs_.fetch_add(1, std::memory_order_relaxed); }
  void unref() {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
  /// Any thread.
  void push(WaitNode* node) {
    node->next_ready = ready_.load(std::memory_order_relaxed);
    while (
        !ready_.compare_exchange_weak(node->next_ready, node, std::memory_order_seq_cst, std::memory_order_relaxed)) {
    }
    pushed_.fetch_add(1, std::memory_order_acq_rel);
  }
  void wake() {
    if (pushed_.load(std::memory_order_acquire) < threshold_.load(std::memory_order_acquire)) return;
    if (this == awake_) return;  // it is this very thread
    // seq_cst here, in push() and has_ready(): either the waiting thread sees what was pushed, or we see where it
    // sleeps.
    if (const int fd = kick_fd_.load(std::memory_order_seq_cst); fd >= 0) {
      kick(fd);
    } else {
      parker_.unpark();
    }
  }
  // The waiting thread:
  /// All that came since the last call, in order of completion.
  WaitNode* take() {
    WaitNode* reversed = ready_.exchange(nullptr, std::memory_order_acquire);
    WaitNode* list = nullptr;
    while (reversed != nullptr) list = std::exchange(reversed, std::exchange(reversed->next_ready, list));
    return list;
  }
  bool has_ready() const { return ready_.load(std::memory_order_seq_cst) != nullptr; }
  std::size_t pushed() const { return pushed_.load(std::memory_order_acquire); }
  void set_threshold(std::size_t n) { threshold_.store(n, std::memory_order_release); }
  void park(Deadline deadline) { parker_.park(deadline); }
  /// From now on this thread sleeps in poll() on an eventfd, and is to be woken through it.
  void sleep_on(int fd) {
    awake_ = this;
    kick_fd_.store(fd, std::memory_order_seq_cst);
  }
  void sleep_on_futex() {
    awake_ = nullptr;
    kick_fd_.store(-1, std::memory_order_seq_cst);
  }
  static void kick(int fd) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(fd, &one, sizeof one);  // full is as good as written
  }

 private:
  inline static thread_local Waiter* awake_ = nullptr;  // this thread moves messages while it waits
  std::atomic<std::uint32_t> refs_{1};
  std::atomic<WaitNode*> ready_{nullptr};
  std::atomic<std::size_t> pushed_{0};
  std::atomic<std::size_t> threshold_{1};
  std::atomic<int> kick_fd_{-1};
  Parker parker_;
};

/// Waiters to be woken at the end of a batch.
class WakeList {
 public:
  WakeList() = default;
  WakeList(const WakeList&) = delete;
  WakeList& operator=(const WakeList&) = delete;
  ~WakeList() { wake(); }
  void add(Waiter* w) {
    if (!waiters_.empty() && waiters_.back() == w) return;
    w->ref();
    waiters_.push_back(w);
  }
  void wake() {
    for (Waiter* w : waiters_) {
      w->wake();
      w->unref();
    }
    waiters_.clear();
  }

 private:
  std::vector<Waiter*> waiters_;
};

using Callbacks = std::vector<std::unique_ptr<Callback>>;

/// Who made a cell: owns its memory and answers for its task. Outlives its cells.
class Home {
 public:
  Home() = default;
  Home(const Home&) = delete;
  Home& operator=(const Home&) = delete;
  /// The last reference is gone: destroy the cell.
  virtual void release(Cell* cell) noexcept = 0;
  /// The cell was not done a moment ago.
  virtual bool cancel(Cell& cell, std::optional<std::chrono::nanoseconds> grace) = 0;
  virtual void cancel_all(std::span<const CellRef> cells);
  virtual TaskId id(const Cell& cell) const;
  virtual TaskReference reference(const Cell& cell) const { return {0, id(cell)}; }
  virtual bool existing(const Cell& cell) const {
    (void)cell;
    return false;
  }
  virtual void run_callbacks(const CellRef& cell, Callbacks callbacks);
  /// Throws BrokenExecutor if nobody can resolve its cells any more although they are pending (after fork()).
  virtual void check_alive() const {}
  /// Somebody wants to hear of a cell of this home, by a callback or asleep.
  virtual void about_to_wait() {}
  /// A thread wants to sleep until `waiter` has something: it may move messages itself meanwhile. Returns when there is
  /// something, at the deadline, or at once.
  virtual void drive(Waiter& waiter, Deadline deadline) {
    (void)waiter;
    (void)deadline;
  }

 protected:
  ~Home() = default;
};

class Cell {
 public:
  static constexpr std::uint32_t kStateMask = 7, kLocked = 8;

  Cell(Home* home, std::uint32_t refs) : refs_(refs), home_(home) {}
  Cell(const Cell&) = delete;
  Cell& operator=(const Cell&) = delete;
  ~Cell();

  CellState state() const { return static_cast<CellState>(word_.load(std::memory_order_acquire) & kStateMask); }
  Home* home() const { return home_; }
  void ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
  void unref() noexcept {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) home_->release(this);
  }

  // ---- the producing side; each is a no-op with result false if the cell is done
  bool start();  ///< pending -> running
  bool succeed(Slice reply, WakeList& wakes) { return finish(std::move(reply), nullptr, nullptr, wakes); }
  bool succeed(std::unique_ptr<Value> value, WakeList& wakes) { return finish({}, std::move(value), nullptr, wakes); }
  bool fail(std::exception_ptr error, WakeList& wakes) { return finish({}, nullptr, std::move(error), wakes); }
  /// `notify`: in one step to cancelled_and_notified. `error`: the CancelledError to throw; null: the plain one.
  /// `running_too`: also from running.
  bool cancel(bool notify, bool running_too, std::exception_ptr error, WakeList& wakes);
  /// False: it was cancelled; its waiters know now.
  bool set_running_or_notify_cancel(WakeList& wakes);

  // ---- the waiting side
  /// False: the cell is done in the sense of `node.on_cancel`; the node was not linked.
  bool link(WaitNode& node);
  void unlink(WaitNode& node);
  void add_callback(std::unique_ptr<Callback> callback);

  // ---- when done
  const Slice& reply() const { return reply_; }
  const std::exception_ptr& error() const { return error_; }
  std::atomic<Value*>& values() { return values_; }

 private:
  std::uint32_t lock();
  void unlock(std::uint32_t state) { word_.store(state, std::memory_order_release); }
  bool finish(Slice reply, std::unique_ptr<Value> value, std::exception_ptr error, WakeList& wakes);
  /// Under the lock: hands over the waiters, moves the callbacks out.
  void take_links(bool notified, Callbacks& callbacks, WakeList& wakes);
  void run(Callbacks callbacks, WakeList& wakes);

  std::atomic<std::uint32_t> word_{0};
  std::atomic<std::uint32_t> refs_;
  Home* const home_;
  Link* links_ = nullptr;  // newest first
  std::atomic<Value*> values_{nullptr};
  std::exception_ptr error_;
  Slice reply_;
};
static_assert(sizeof(Cell) <= 64);

inline std::uint32_t Cell::lock() {
  for (unsigned spins = 0;; ++spins) {
    std::uint32_t w = word_.load(std::memory_order_relaxed);
    if ((w & kLocked) == 0 && word_.compare_exchange_weak(w, w | kLocked, std::memory_order_acquire)) return w;
    if (spins > 20) sched_yield();
  }
}

/// Counts the forks this process went through; executors of another count are broken.
unsigned fork_generation();

/// The home of cells that no connection knows: promises and thread pools. One for each fork generation, never
/// destroyed.
Home* local_home();
/// Like it, for cells that a thread of this process resolves: they are lost after a fork.
Home* pool_home();
CellRef make_local_cell(Home* home);

}  // namespace futured::detail
