#include "client/cell.hpp"

#include <pthread.h>

#include <algorithm>
#include <cstdio>
#include <typeinfo>

#include "futured/errors.hpp"

namespace futured::detail {

// ---- Cell

Cell::~Cell() {
  for (Value* v = values_.load(std::memory_order_acquire); v != nullptr;) delete std::exchange(v, v->next);
  for (Link* l = links_; l != nullptr;) {
    Link* const next = l->next;
    if (l->waiter == nullptr) delete static_cast<CallbackLink*>(l);
    l = next;
  }
}

void Cell::take_links(bool notified, Callbacks& callbacks, WakeList& wakes) {
  Link* keep = nullptr;
  Link* const all = std::exchange(links_, nullptr);
  for (Link* l = all; l != nullptr;) {
    Link* const next = l->next;
    if (l->waiter == nullptr) {
      auto* c = static_cast<CallbackLink*>(l);
      callbacks.push_back(std::move(c->callback));
      delete c;
    } else if (auto* node = static_cast<WaitNode*>(l); notified || node->on_cancel) {
      node->linked = false;
      Waiter* const w = node->waiter;
      wakes.add(w);
      w->push(node);
    } else {
      l->next = std::exchange(keep, l);
    }
    l = next;
  }
  links_ = keep;
  std::reverse(callbacks.begin(), callbacks.end());
}

void Cell::run(Callbacks callbacks, WakeList& wakes) {
  if (callbacks.empty()) return;
  wakes.wake();  // nobody waits for a callback
  ref();
  home_->run_callbacks(CellRef(this), std::move(callbacks));
}

bool Cell::start() {
  const std::uint32_t w = lock();
  const bool can = w == static_cast<std::uint32_t>(CellState::pending);
  unlock(can ? static_cast<std::uint32_t>(CellState::running) : w);
  return can;
}

bool Cell::finish(Slice reply, std::unique_ptr<Value> value, std::exception_ptr error, WakeList& wakes) {
  const std::uint32_t w = lock();
  if (w > static_cast<std::uint32_t>(CellState::running)) {
    unlock(w);
    return false;
  }
  reply_ = std::move(reply);
  error_ = std::move(error);
  values_.store(value.release(), std::memory_order_relaxed);
  if (links_ == nullptr) {
    unlock(static_cast<std::uint32_t>(CellState::finished));
    return true;
  }
  Callbacks callbacks;
  // The state comes first: a waiter that is told may look at once, and must not find the cell unfinished.
  word_.store(static_cast<std::uint32_t>(CellState::finished) | kLocked, std::memory_order_release);
  take_links(true, callbacks, wakes);
  unlock(static_cast<std::uint32_t>(CellState::finished));
  run(std::move(callbacks), wakes);
  return true;
}

bool Cell::cancel(bool notify, bool running_too, std::exception_ptr error, WakeList& wakes) {
  const std::uint32_t w = lock();
  const auto before = static_cast<CellState>(w);
  if (before > CellState::running || (before == CellState::running && !running_too)) {
    unlock(w);
    return false;
  }
  error_ = std::move(error);
  const auto after = static_cast<std::uint32_t>(notify ? CellState::cancelled_and_notified : CellState::cancelled);
  Callbacks callbacks;
  word_.store(after | kLocked, std::memory_order_release);
  take_links(notify, callbacks, wakes);
  unlock(after);
  run(std::move(callbacks), wakes);
  return true;
}

bool Cell::set_running_or_notify_cancel(WakeList& wakes) {
  const std::uint32_t w = lock();
  switch (static_cast<CellState>(w)) {
    case CellState::pending:
      unlock(static_cast<std::uint32_t>(CellState::running));
      return true;
    case CellState::cancelled: {
      Callbacks none;  // they ran when it was cancelled
      const auto after = static_cast<std::uint32_t>(CellState::cancelled_and_notified);
      word_.store(after | kLocked, std::memory_order_release);
      take_links(true, none, wakes);
      unlock(after);
      return false;
    }
    default:
      unlock(w);
      throw InvalidStateError("the future is " +
                              std::string(w == static_cast<std::uint32_t>(CellState::running) ? "running" : "done") +
                              " already; a call can start once");
  }
}

bool Cell::link(WaitNode& node) {
  const std::uint32_t w = lock();
  const auto s = static_cast<CellState>(w);
  const bool done = s > CellState::cancelled || (s == CellState::cancelled && node.on_cancel);
  if (!done) {
    node.next = links_;
    node.linked = true;
    links_ = &node;
  }
  unlock(w);
  return !done;
}

void Cell::unlink(WaitNode& node) {
  const std::uint32_t w = lock();
  if (node.linked) {
    Link** at = &links_;
    while (*at != &node) at = &(*at)->next;
    *at = node.next;
    node.linked = false;
  }
  unlock(w);
}

void Cell::add_callback(std::unique_ptr<Callback> callback) {
  const std::uint32_t w = lock();
  if (w < static_cast<std::uint32_t>(CellState::cancelled)) {
    auto* l = new CallbackLink;
    l->callback = std::move(callback);
    l->next = links_;
    links_ = l;
    unlock(w);
    home_->about_to_wait();
    return;
  }
  unlock(w);
  ref();
  const CellRef self(this);
  try {
    callback->run(self);
  } catch (...) {
    log_exception("a callback of a future", std::current_exception());
  }
}

// ---- homes

void Home::cancel_all(std::span<const CellRef> cells) {
  for (const CellRef& c : cells) {
    if (c.get()->state() < CellState::cancelled) cancel(*c, std::nullopt);
  }
}

TaskId Home::id(const Cell&) const {
  throw InvalidStateError("this future is a call of this process; only tasks of a daemon have an id");
}

void Home::run_callbacks(const CellRef& cell, Callbacks callbacks) {
  for (auto& c : callbacks) {
    try {
      c->run(cell);
    } catch (...) {
      log_exception("a callback of a future", std::current_exception());
    }
    c.reset();
  }
}

namespace {

std::atomic<unsigned> forks{0};

class LocalHome final : public Home {
 public:
  explicit LocalHome(bool pool) : pool_(pool), born_(fork_generation()) {}
  void release(Cell* cell) noexcept override { delete cell; }
  bool cancel(Cell& cell, std::optional<std::chrono::nanoseconds>) override {
    WakeList wakes;
    return cell.cancel(false, false, nullptr, wakes);
  }
  void check_alive() const override {
    if (pool_ && born_ != fork_generation()) {
      throw BrokenExecutor(
          "this future belongs to a thread pool made before fork(); its threads are not in this process");
    }
  }

  unsigned born() const { return born_; }

 private:
  const bool pool_;
  const unsigned born_;
};

}  // namespace

unsigned fork_generation() {
  static const int registered = pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); });
  (void)registered;
  return forks.load(std::memory_order_relaxed);
}

Home* local_home() {
  static LocalHome* const home = new LocalHome(false);
  return home;
}

Home* pool_home() {
  static std::atomic<LocalHome*> current{nullptr};
  LocalHome* home = current.load(std::memory_order_acquire);
  while (home == nullptr || home->born() != fork_generation()) {
    // One per generation; an old one is never destroyed, because cells may name it.
    auto* fresh = new LocalHome(true);
    if (current.compare_exchange_strong(home, fresh, std::memory_order_acq_rel)) return fresh;
    delete fresh;
  }
  return home;
}

CellRef make_local_cell(Home* home) { return CellRef(new Cell(home, 1)); }

// ---- what the templates call

Deadline deadline_after(std::chrono::nanoseconds timeout) {
  const auto now = Clock::now();
  if (timeout > std::chrono::duration_cast<std::chrono::nanoseconds>(Deadline::max() - now)) return Deadline::max();
  return now + std::max(timeout, std::chrono::nanoseconds::zero());
}

void ref(Cell* cell) noexcept { cell->ref(); }
void unref(Cell* cell) noexcept { cell->unref(); }
CellState state_of(const Cell& cell) { return cell.state(); }

namespace {
/// A waiter for waits on single cells: most threads need one, many times.
struct ThreadWaiter {
  ThreadWaiter() : waiter(new Waiter) {}
  ThreadWaiter(const ThreadWaiter&) = delete;
  ThreadWaiter& operator=(const ThreadWaiter&) = delete;
  ~ThreadWaiter() { waiter->unref(); }
  Waiter* waiter;
};
}  // namespace

bool wait_done(Cell& cell, Deadline deadline) {
  if (cell.state() >= CellState::cancelled) return true;
  cell.home()->check_alive();
  static thread_local ThreadWaiter mine;
  Waiter* const w = mine.waiter;
  WaitNode node;
  node.waiter = w;
  node.cell = &cell;
  node.on_cancel = true;
  if (!cell.link(node)) return true;
  cell.home()->drive(*w, deadline);
  while (!w->has_ready() && Clock::now() < deadline) w->park(deadline);
  cell.unlink(node);  // after this nobody can reach the node
  w->take();
  return cell.state() >= CellState::cancelled;
}

void throw_if_not_succeeded(Cell& cell) {
  if (cell.state() != CellState::finished && !cell.error()) throw CancelledError();
  if (cell.error()) std::rethrow_exception(cell.error());
}

std::exception_ptr outcome_error(Cell& cell) {
  if (cell.state() != CellState::finished && !cell.error()) return std::make_exception_ptr(CancelledError());
  return cell.error();
}

std::exception_ptr error_of(Cell& cell) {
  if (cell.state() != CellState::finished) throw_if_not_succeeded(cell);
  return cell.error();
}

std::string_view bytes_of(Cell& cell) { return cell.reply().view(); }

Value* find_value(Cell& cell, const void* tag) {
  for (Value* v = cell.values().load(std::memory_order_acquire); v != nullptr; v = v->next) {
    if (v->tag == tag) return v;
  }
  return nullptr;
}

Value* keep_value(Cell& cell, std::unique_ptr<Value> value) {
  Value* head = cell.values().load(std::memory_order_acquire);
  for (;;) {
    for (Value* v = head; v != nullptr; v = v->next) {
      if (v->tag == value->tag) return v;
    }
    value->next = head;
    if (cell.values().compare_exchange_strong(head, value.get(), std::memory_order_acq_rel)) return value.release();
  }
}

void add_callback(const CellRef& cell, std::unique_ptr<Callback> callback) {
  cell.get()->add_callback(std::move(callback));
}

bool cancel(Cell& cell, std::optional<std::chrono::nanoseconds> grace) {
  switch (cell.state()) {
    case CellState::cancelled:
    case CellState::cancelled_and_notified:
      return true;
    case CellState::finished:
      return false;
    default:
      break;
  }
  if (cell.home()->cancel(cell, grace)) return true;
  const CellState s = cell.state();
  return s == CellState::cancelled || s == CellState::cancelled_and_notified;
}

void cancel_all(std::span<const CellRef> cells) {
  // Runs of cells with the same home: a connection cancels them with one message.
  for (std::size_t i = 0; i < cells.size();) {
    std::size_t end = i + 1;
    Home* const home = cells[i].get()->home();
    while (end < cells.size() && cells[end].get()->home() == home) ++end;
    home->cancel_all(cells.subspan(i, end - i));
    i = end;
  }
}

TaskId id_of(const Cell& cell) { return cell.home()->id(cell); }
TaskReference reference_of(const Cell& cell) { return cell.home()->reference(cell); }
bool existing(const Cell& cell) { return cell.home()->existing(cell); }

void throw_timeout() { throw TimeoutError("the future is not done within the given time; the call goes on"); }
void throw_no_future() { throw InvalidStateError("this Future refers to no call"); }
void throw_bad_reply(const Cell&, std::string_view type) {
  throw InvalidStateError("the reply cannot be read as " + std::string(type) +
                          "; Future<std::string> gives it as bytes");
}

std::string describe(const Cell* cell) {
  if (cell == nullptr) return "<Future of no call>";
  char at[32];
  std::snprintf(at, sizeof at, "%p", static_cast<const void*>(cell));
  const CellState s = cell->state();
  std::string out = std::string("<Future at ") + at + " state=";
  switch (s) {
    case CellState::pending:
      return out + "pending>";
    case CellState::running:
      return out + "running>";
    case CellState::cancelled:
    case CellState::cancelled_and_notified:
      return out + "cancelled>";
    case CellState::finished:
      break;
  }
  if (!cell->error()) return out + "finished returned>";
  try {
    std::rethrow_exception(cell->error());
  } catch (const std::exception& e) {
    return out + "finished raised " + e.what() + ">";
  } catch (...) {
    return out + "finished raised>";
  }
}

CellRef make_cell() { return make_local_cell(local_home()); }

bool set_running_or_notify_cancel(Cell& cell) {
  WakeList wakes;
  return cell.set_running_or_notify_cancel(wakes);
}

void set_value(Cell& cell, std::unique_ptr<Value> value) {
  WakeList wakes;
  if (!cell.succeed(std::move(value), wakes)) throw InvalidStateError("the future is done: " + describe(&cell));
}

void set_error(Cell& cell, std::exception_ptr error) {
  WakeList wakes;
  if (!cell.fail(std::move(error), wakes)) throw InvalidStateError("the future is done: " + describe(&cell));
}

void log_exception(const char* where, const std::exception_ptr& error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "futured: %s threw: %s\n", where, e.what());
  } catch (...) {
    std::fprintf(stderr, "futured: %s threw\n", where);
  }
}

}  // namespace futured::detail
