// The cells of a stream, in chunks by seq: no allocation and no hash per task. A chunk goes when all its cells are
// released.
#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <new>
#include <vector>

#include "client/cell.hpp"
#include "client/session/session.hpp"

namespace futured::detail {

class Connection;

/// Home of cells that a connection resolves.
class RemoteHome : public Home {
 public:
  explicit RemoteHome(std::shared_ptr<Connection> c) : connection_(std::move(c)) {}
  virtual client::Handle handle(const Cell& cell) const = 0;
  Connection& connection() const { return *connection_; }
  const std::shared_ptr<Connection>& shared_connection() const { return connection_; }

  bool cancel(Cell& cell, std::optional<std::chrono::nanoseconds> grace) override;
  void cancel_all(std::span<const CellRef> cells) override;
  void run_callbacks(const CellRef& cell, Callbacks callbacks) override;
  void check_alive() const override;
  void about_to_wait() override;
  void drive(Waiter& waiter, Deadline deadline) override;

 protected:
  ~RemoteHome() = default;

 private:
  std::shared_ptr<Connection> connection_;
};

class Chunk final : public RemoteHome {
 public:
  static constexpr std::size_t kCells = 1024;
  /// Tasks first .. first + count - 1 have the numbers number, number + 1, ...
  struct Extent {
    Seq first;
    std::uint64_t count;
    TaskNumber number;
  };

  /// A task with a key that another has is that other.
  struct Existing {
    TaskNumber number = 0;
    bool input_differs = false;
  };

  Chunk(std::shared_ptr<Connection> c, const StreamId& s, Seq base)
      : RemoteHome(std::move(c)), stream(s), base_(base) {}

  /// The next seq's cell, with `refs` references.
  Cell* add(std::uint32_t refs) { return new (at(used_++)) Cell(this, refs); }
  bool full() const { return used_ == kCells; }
  /// No more cells will be added: those never used count as released.
  void close() { drop(kCells - used_); }
  Cell* cell(Seq seq) { return std::launder(static_cast<Cell*>(at(seq - base_))); }
  Seq base() const { return base_; }
  Seq end() const { return base_ + used_; }
  Seq seq_of(const Cell& c) const { return base_ + static_cast<Seq>(&c - reinterpret_cast<const Cell*>(cells_)); }

  client::Handle handle(const Cell& c) const override { return seq_of(c); }
  TaskId id(const Cell& c) const override;
  TaskReference reference(const Cell& c) const override;
  bool existing(const Cell& c) const override;
  void release(Cell* c) noexcept override {
    c->~Cell();
    drop(1);
  }

  // Under the connection's mutex.
  StreamId stream;
  std::vector<Extent> extents;  // ascending
  std::map<Seq, Existing> existing_of;

 private:
  ~Chunk() = default;
  void* at(std::size_t i) { return cells_ + i * sizeof(Cell); }
  void drop(std::size_t n) {
    if (n != 0 && live_.fetch_sub(n, std::memory_order_acq_rel) == n) delete this;
  }
  const Seq base_;
  std::size_t used_ = 0;
  std::atomic<std::size_t> live_{kCells};
  alignas(Cell) std::byte cells_[kCells * sizeof(Cell)];
};

/// The chunks that have cells to be resolved. Under the connection's mutex.
class Slab {
 public:
  Cell* add(Seq seq, std::uint32_t refs, const std::shared_ptr<Connection>& connection, const StreamId& stream) {
    if (entries_.empty() || entries_.back().chunk == nullptr || entries_.back().chunk->full()) {
      if (entries_.empty()) first_ = seq / Chunk::kCells;
      entries_.push_back({new Chunk(connection, stream, seq), 0});
    }
    Entry& e = entries_.back();
    ++e.unresolved;
    return e.chunk->add(refs);
  }
  /// Null if it is resolved and its neighbours too.
  Cell* find(Seq seq) {
    Chunk* const c = chunk(seq);
    return c == nullptr || seq >= c->end() ? nullptr : c->cell(seq);
  }
  Chunk* chunk(Seq seq) {
    const Seq i = seq / Chunk::kCells - first_;
    return seq / Chunk::kCells < first_ || i >= entries_.size() ? nullptr : entries_[i].chunk;
  }
  /// After this the connection does not look the cell up any more.
  void resolved(Seq seq) {
    Entry& e = entries_[seq / Chunk::kCells - first_];
    // The chunk may be freed by the last handle as soon as all is resolved; one that takes more is held by its unused
    // cells.
    if (--e.unresolved == 0 && e.chunk->full()) e.chunk = nullptr;
    while (!entries_.empty() && entries_.front().chunk == nullptr) {
      entries_.pop_front();
      ++first_;
    }
  }
  void close() {
    if (!entries_.empty() && entries_.back().chunk != nullptr && !entries_.back().chunk->full()) {
      entries_.back().chunk->close();
    }
    entries_.clear();
  }
  template <class F>
  void for_each_chunk(F f) {
    for (Entry& e : entries_) {
      if (e.chunk != nullptr) f(*e.chunk);
    }
  }

 private:
  struct Entry {
    Chunk* chunk = nullptr;
    std::size_t unresolved = 0;
  };
  std::deque<Entry> entries_;  // [i] has the seqs of chunk first_ + i
  Seq first_ = 0;
};

/// A task attached to: one cell, on its own.
class AttachedCell final : public RemoteHome {
 public:
  AttachedCell(std::shared_ptr<Connection> c, std::uint32_t refs) : RemoteHome(std::move(c)), cell(this, refs) {}
  client::Handle handle(const Cell&) const override { return task; }
  TaskId id(const Cell&) const override;
  TaskReference reference(const Cell&) const override;
  void release(Cell*) noexcept override { delete this; }

  Cell cell;
  client::Handle task = 0;
  // Under the connection's mutex.
  TaskId known_id;
  TaskNumber number = 0;

 private:
  ~AttachedCell() = default;
};

}  // namespace futured::detail
