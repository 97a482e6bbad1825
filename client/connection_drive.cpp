// Who moves the messages of a Connection: its I/O thread, a thread that submits, or a thread that waits for a result.
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>

#include "client/connection.hpp"
#include "futured/errors.hpp"

namespace futured::detail {

using client::kNever;
using client::Time;
using Phase = client::Session::Phase;

namespace {
constexpr int kFinishPatienceMs = 500;
// The I/O thread leaves the link to those who drive for this long after the last drive: the next tends to come at once,
// and two threads woken by one message would cost more than a drive saves.
constexpr Time kStandDown = 5 * client::kMillisecond;
constexpr Time kLongDrive = 50 * client::kMillisecond;
}  // namespace

/// Under state_, by whoever has just released io_: something may have been added after his last look by a thread that
/// found io_ taken and relies on him.
bool Connection::more_to_send() const {
  return !stop_ && (session_.has_orders(now_ns()) || (!extra_.empty() && session_.phase() == Phase::up));
}

/// Without any mutex: sends what is due if nobody else is at it; who is at it will look again.
void Connection::pump() {
  for (;;) {
    {
      const std::unique_lock io(io_, std::try_to_lock);
      if (!io.owns_lock()) return;
      if (service(false, false)) wake_io();
    }
    const Lock lock(state_);
    if (session_.next_deadline() < io_until_.load(std::memory_order_relaxed)) wake_io();
    if (!more_to_send()) return;
  }
}

/// Any thread, any mutex.
void Connection::wake_io() {
  if (wake_pending_.exchange(true, std::memory_order_acq_rel)) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof one);  // full is as good as written
}

/// The other end of a pipe: there is something to receive.
void Connection::wake_reader() {
  // Before looking who watches: a thread that stops driving looks at it afterwards.
  arrived_.store(true, std::memory_order_seq_cst);
  if (driven_.load(std::memory_order_seq_cst)) {
    Waiter::kick(drive_fd_);
  } else {
    wake_io();
  }
}

/// The I/O thread.
void Connection::run_io() {
  pthread_setname_np(pthread_self(), "futured-client");
  std::vector<pollfd> fds;
  std::uint64_t drives_seen = 0;
  Time drive_began = 0;  // or a little later
  for (;;) {
    bool again = false;
    fds.assign(1, {wake_fd_, POLLIN, 0});
    const std::uint64_t drives = drives_.load(std::memory_order_seq_cst);
    const bool recently = std::exchange(drives_seen, drives) != drives;
    const bool driven = driven_.load(std::memory_order_seq_cst);
    if (recently) drive_began = now_ns();
    bool awaited = false;
    {
      const Lock lock(state_);
      awaited = session_.awaited() != 0;
    }
    const bool stand_down = driven || (recently && !awaited);
    // Announced before the last look at the link: who wants something after that sees it and wakes us.
    stands_down_.store(stand_down, std::memory_order_seq_cst);
    {
      const std::lock_guard io(io_);
      again = service(true, true);
      if (link_ != nullptr) {
        fds.push_back({link_->state_fd(), POLLIN, 0});
        if (!stand_down) fds.push_back({link_->data_fd(), POLLIN, 0});
      }
    }
    Time until = kNever;
    {
      const Lock lock(state_);
      if (stop_) break;
      until = session_.next_deadline();
      io_until_.store(until, std::memory_order_relaxed);
      again = again || more_to_send();
    }
    if (again) continue;
    if (stand_down) {
      // A drive that lasts wakes us at its end; after a short one we look for ourselves.
      const Time now = now_ns();
      until = std::min(until, now + (driven && now - drive_began >= kStandDown ? kLongDrive : kStandDown));
    }
    timespec ts{};
    if (until != kNever) {
      const Time left = std::max<Time>(until - now_ns(), 0);
      ts.tv_sec = left / 1'000'000'000;
      ts.tv_nsec = left % 1'000'000'000;
    }
    ppoll(fds.data(), fds.size(), until == kNever ? nullptr : &ts, nullptr);
    if (fds[0].revents != 0) {
      std::uint64_t count = 0;
      [[maybe_unused]] const ssize_t got = read(wake_fd_, &count, sizeof count);
      // Before looking at anything, so that a later wake-up is not taken for this one.
      wake_pending_.exchange(false, std::memory_order_acq_rel);
    }
  }
  const std::lock_guard io(io_);
  say_goodbye();
}

/// A thread of the user, without any mutex.
void Connection::drive(Waiter& waiter, Deadline deadline) {
  const std::unique_lock role(drive_, std::try_to_lock);
  if (!role.owns_lock()) {
    about_to_wait();
    return;
  }
  const Time began = now_ns();
  drives_.fetch_add(1, std::memory_order_seq_cst);
  driven_.store(true, std::memory_order_seq_cst);
  waiter.sleep_on(drive_fd_);
  bool again = false;
  bool arrived = false;
  while (!waiter.has_ready()) {
    pollfd fds[2] = {{drive_fd_, POLLIN, 0}, {-1, POLLIN, 0}};
    {
      const std::lock_guard io(io_);
      if (left_) break;
      again = service(false, arrived);
      if (link_ != nullptr) fds[1].fd = link_->data_fd();
    }
    {
      const Lock lock(state_);
      if (session_.next_deadline() < io_until_.load(std::memory_order_relaxed)) wake_io();
      again = again || more_to_send();
    }
    timespec ts{};
    if (deadline != Deadline::max()) {
      const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(deadline - Clock::now()).count();
      if (left <= 0) break;
      ts.tv_sec = static_cast<time_t>(left / 1'000'000'000);
      ts.tv_nsec = static_cast<long>(left % 1'000'000'000);
    }
    if (again || waiter.has_ready()) continue;
    ppoll(fds, 2, deadline == Deadline::max() ? nullptr : &ts, nullptr);
    arrived = fds[1].revents != 0;
    if (fds[0].revents != 0) {
      std::uint64_t count = 0;
      [[maybe_unused]] const ssize_t got = read(drive_fd_, &count, sizeof count);
    }
  }
  waiter.sleep_on_futex();
  driven_.store(false, std::memory_order_seq_cst);
  bool awaited = false;
  {
    const Lock lock(state_);
    awaited = session_.awaited() != 0;
  }
  // Something is left that only we were told of, others wait too, or the I/O thread sleeps long because of us.
  const bool untold = again || arrived_.load(std::memory_order_seq_cst);
  if (untold || awaited || now_ns() - began >= kStandDown) wake_io();
}

void Connection::say_goodbye() {
  left_ = true;
  if (link_ == nullptr) return;
  bool up = false;
  {
    const Lock lock(state_);
    up = session_.phase() == Phase::up;
  }
  if (up) {
    carry_out_orders();
    v1::Goodbye bye;
    bye.set_reason("the client is done");
    if (link_ != nullptr) link_->send(wire::encode(v1::KIND_GOODBYE, generation_, bye));
    if (link_ != nullptr) link_->finish(kFinishPatienceMs);
  }
  link_.reset();
}

bool Connection::service(bool io_thread, bool look) {
  if (left_) return false;
  constexpr int kRounds = 16;
  for (int round = 0; round < kRounds; ++round) {
    bool did = false;
    if (arrived_.exchange(false, std::memory_order_seq_cst)) look = true;
    if (link_ != nullptr && (look || link_->readable())) did = receive_some();
    look = io_thread;
    if (io_thread && link_ != nullptr && !did) {
      switch (link_->state()) {
        case client::Link::State::open:
          break;
        case client::Link::State::refused:
          link_lost("no daemon at " + endpoint() + ": start one with `futured`", true);
          break;
        case client::Link::State::lost:
          link_lost("the connection to " + endpoint() + " was lost");
          break;
      }
    }
    if (io_thread && !did) {
      // Everything that has arrived was handed in: now silence may be judged.
      bool down = false;
      {
        const Lock lock(state_);
        const Phase before = session_.phase();
        const Time now = now_ns();
        if (now >= session_.next_deadline()) session_.on_time(now);
        down = session_.phase() != before && before != Phase::down;
        if (session_.phase() == Phase::ended) event();
      }
      if (down) link_lost("no answer from " + endpoint() + " in time: is that a futured daemon?");
      Status ended;
      std::vector<Cell*> cells;
      {
        const Lock lock(state_);
        if (session_.phase() == Phase::ended) {
          ended = session_.end_reason();
          collect_ended(cells);
        }
      }
      if (!cells.empty()) resolve_all(cells, std::make_exception_ptr(BrokenExecutor(ended.message())));
    }
    if (carry_out_orders()) {
      did = true;
      if (!io_thread && link_ == nullptr) wake_io();
    }
    if (!did) {
      if (link_ == nullptr) return false;
      // A link without a descriptor for its state tells of its end as if it were a message: the I/O thread sees to it.
      if (!io_thread && link_->state_fd() < 0 && link_->state() != client::Link::State::open) wake_io();
      return link_->readable();
    }
  }
  return true;
}

}  // namespace futured::detail
