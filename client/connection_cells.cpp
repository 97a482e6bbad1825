// Connection and the cells it makes: how they are found, resolved, and what they ask of it.
#include "client/connection.hpp"
#include "futured/errors.hpp"

namespace futured::detail {

using client::kAttachBit;

/// Under state_.
Cell* Connection::take_cell(Handle handle) {
  if (handle < kAttachBit) {
    Cell* const c = slab_.find(handle);
    slab_.resolved(handle);
    return c;
  }
  const auto at = attached_.find(handle);
  if (at == attached_.end()) return nullptr;
  Cell* const c = &at->second->cell;
  attached_.erase(at);
  return c;
}

/// Under state_.
std::vector<Cell*> Connection::take_cells(const std::vector<Handle>& handles) {
  std::vector<Cell*> cells;
  for (const Handle h : handles) {
    if (Cell* c = take_cell(h); c != nullptr) cells.push_back(c);
    sinks_.erase(h);
  }
  if (!cells.empty()) ++resolving_;
  return cells;
}

/// Under no mutex or io_: batches that counted in resolving_ are resolved now.
void Connection::resolved(std::size_t batches) {
  const Lock lock(state_);
  resolving_ -= static_cast<int>(batches);
  event();
}

void Connection::resolve_detached() {
  std::vector<Cell*> cells;
  {
    const Lock lock(state_);
    while (!detached_.empty() && detached_.front() < session_.first_unaccepted()) {
      if (Cell* c = take_cell(detached_.front()); c != nullptr) cells.push_back(c);
      sinks_.erase(detached_.front());
      detached_.pop_front();
    }
    ++resolving_;
  }
  for (Cell* c : cells) {
    WakeList wakes;
    c->fail(std::make_exception_ptr(InvalidStateError("this task was submitted detached: its outcome is not delivered; "
                                                      "Executor::future(id) asks for it")),
            wakes);
    c->unref();
  }
  resolved();
}

/// Under state_: takes every cell that waits.
void Connection::collect_ended(std::vector<Cell*>& cells) {
  std::vector<Handle> handles;
  session_.unresolved().for_each_below(kMaxSeq + 1, [&handles](Seq s) { handles.push_back(s); });
  for (const auto& [h, c] : attached_) handles.push_back(h);
  for (const Handle h : handles) session_.resolve(h);
  for (const Seq s : std::exchange(detached_, {})) handles.push_back(s);
  for (const Handle h : handles) {
    if (Cell* c = take_cell(h); c != nullptr) cells.push_back(c);
  }
  sinks_.clear();
  cancels_.clear();
  attaches_.clear();
  if (!cells.empty()) ++resolving_;
}

/// What collect_ended() took, each with an exception of its own.
void Connection::resolve_all(const std::vector<Cell*>& cells, const std::exception_ptr& error) {
  std::string message;
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    message = e.what();
  }
  for (Cell* c : cells) {
    WakeList wakes;
    c->fail(std::make_exception_ptr(BrokenExecutor(message)), wakes);
    c->unref();
  }
  if (!cells.empty()) resolved();
}

// ---- homes of cells

TaskId Chunk::id(const Cell& c) const {
  const std::lock_guard lock(connection().state_);
  return {stream, seq_of(c)};
}

TaskReference Chunk::reference(const Cell& c) const {
  const std::lock_guard lock(connection().state_);
  const Seq seq = seq_of(c);
  const auto other = existing_of.find(seq);
  return other == existing_of.end() ? TaskReference{0, {stream, seq}} : TaskReference{other->second.number, {}};
}

bool Chunk::existing(const Cell& c) const {
  const auto found = connection().existing(*this, c, Deadline::max());
  return found.ok() && found->has_value();
}

TaskId AttachedCell::id(const Cell&) const {
  const std::lock_guard lock(connection().state_);
  return known_id;
}

TaskReference AttachedCell::reference(const Cell&) const {
  const std::lock_guard lock(connection().state_);
  return number != 0 ? TaskReference{number, {}} : TaskReference{0, known_id};
}

bool RemoteHome::cancel(Cell& cell, std::optional<std::chrono::nanoseconds> grace) {
  return connection_->cancel(cell, handle(cell), grace);
}

void RemoteHome::cancel_all(std::span<const CellRef> cells) {
  std::vector<client::Handle> handles;
  handles.reserve(cells.size());
  for (const CellRef& c : cells) handles.push_back(handle(*c));
  connection_->cancel_quietly(std::move(handles));
}

void RemoteHome::run_callbacks(const CellRef& cell, Callbacks callbacks) {
  // A std::function must be copyable: the callbacks are shared with it.
  auto shared = std::make_shared<Callbacks>(std::move(callbacks));
  connection_->post([this, cell, shared] { Home::run_callbacks(cell, std::move(*shared)); });
}

void RemoteHome::check_alive() const { connection_->check_usable(); }
void RemoteHome::about_to_wait() { connection_->about_to_wait(); }
void RemoteHome::drive(Waiter& waiter, Deadline deadline) { connection_->drive(waiter, deadline); }

}  // namespace futured::detail
