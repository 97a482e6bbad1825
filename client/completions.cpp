// as_completed() and wait(): one waiter for many cells.
#include <algorithm>
#include <bit>

#include "client/cell.hpp"

namespace futured::detail {

namespace {

/// f(i) for each cell that is the first of its kind.
template <class F>
void for_each_first(std::span<const CellRef> cells, F f) {
  bool ascending = true;
  for (std::size_t i = 1; i < cells.size() && ascending; ++i) ascending = cells[i - 1].get() < cells[i].get();
  if (ascending) {
    for (std::size_t i = 0; i < cells.size(); ++i) f(i);
    return;
  }
  std::vector<const Cell*> seen(std::bit_ceil(cells.size() * 2), nullptr);
  const std::size_t mask = seen.size() - 1;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const Cell* c = cells[i].get();
    std::size_t at = (reinterpret_cast<std::uintptr_t>(c) >> 6) * 0x9e3779b97f4a7c15ULL >> 20 & mask;
    while (seen[at] != nullptr && seen[at] != c) at = (at + 1) & mask;
    if (seen[at] == c) continue;
    seen[at] = c;
    f(i);
  }
}

}  // namespace

void drop_duplicates(std::vector<CellRef>& cells) {
  std::size_t kept = 0;
  for_each_first(cells, [&](std::size_t i) {
    if (kept != i) std::swap(cells[kept], cells[i]);
    ++kept;
  });
  cells.resize(kept);
}

class Completions::Impl {
 public:
  explicit Impl(std::vector<CellRef> cells) : waiter_(new Waiter) {
    drop_duplicates(cells);
    cells_ = std::move(cells);
    nodes_ = std::make_unique<WaitNode[]>(cells_.size());
    total_ = unfinished_ = cells_.size();
    WaitNode** tail = &ready_;
    Home* told = nullptr;
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      WaitNode& n = nodes_[i];
      n.cell = cells_[i].get();
      n.waiter = waiter_;
      if (n.cell->state() < CellState::cancelled) n.cell->home()->check_alive();
      if (!n.cell->link(n)) {
        *tail = &n;
        tail = &n.next_ready;
      } else if (n.cell->home() != told) {
        told = n.cell->home();
        told->about_to_wait();
      }
    }
    *tail = nullptr;
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    for (std::size_t i = 0; i < total_; ++i) {
      if (cells_[i]) cells_[i].get()->unlink(nodes_[i]);
    }
    waiter_->unref();
  }

  CellRef next(Deadline deadline) {
    if (unfinished_ == 0) return {};
    while (ready_ == nullptr) {
      ready_ = waiter_->take();
      if (ready_ != nullptr) break;
      if (Clock::now() >= deadline) return {};
      waiter_->park(deadline);
    }
    WaitNode* const n = std::exchange(ready_, ready_->next_ready);
    --unfinished_;
    return std::move(cells_[static_cast<std::size_t>(n - nodes_.get())]);
  }

  /// True when at least `n` of the linked ones are done; false at the deadline.
  bool wait_for(std::size_t n, Deadline deadline) {
    waiter_->set_threshold(n);
    while (waiter_->pushed() < n) {
      if (Clock::now() >= deadline) return false;
      waiter_->park(deadline);
    }
    return true;
  }
  std::size_t ready_at_start() const {
    std::size_t n = 0;
    for (const WaitNode* r = ready_; r != nullptr; r = r->next_ready) ++n;
    return n;
  }
  std::size_t total() const { return total_; }
  std::size_t unfinished() const { return unfinished_; }

 private:
  std::vector<CellRef> cells_;  // [i] belongs to nodes_[i]; empty once handed out
  std::unique_ptr<WaitNode[]> nodes_;
  WaitNode* ready_ = nullptr;
  Waiter* waiter_;
  std::size_t total_ = 0;
  std::size_t unfinished_ = 0;
};

Completions::Completions(std::vector<CellRef> cells) : impl_(std::make_unique<Impl>(std::move(cells))) {}
Completions::Completions(Completions&&) noexcept = default;
Completions& Completions::operator=(Completions&&) noexcept = default;
Completions::~Completions() = default;
CellRef Completions::next(Deadline deadline) { return impl_->next(deadline); }
std::size_t Completions::unfinished() const { return impl_->unfinished(); }
std::size_t Completions::total() const { return impl_->total(); }

std::vector<bool> wait_cells(std::span<const CellRef> cells, WaitFor what, Deadline deadline) {
  {
    Completions::Impl pass(std::vector<CellRef>(cells.begin(), cells.end()));
    const std::size_t done = pass.ready_at_start();
    switch (what) {
      case WaitFor::all:
        pass.wait_for(pass.total() - done, deadline);
        break;
      case WaitFor::first:
        if (done == 0 && pass.total() != 0) pass.wait_for(1, deadline);
        break;
      case WaitFor::first_exception:
        while (const CellRef c = pass.next(deadline)) {
          if (c.get()->state() == CellState::finished && c.get()->error()) break;
        }
        break;
    }
  }
  std::vector<bool> is_done;
  is_done.reserve(cells.size());
  for (const CellRef& c : cells) is_done.push_back(c.get()->state() > CellState::cancelled);
  return is_done;
}

}  // namespace futured::detail
