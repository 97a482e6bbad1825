// A two-way pipe of encoded messages inside one process: what a socket is between processes.
// Each end is used by one thread at a time for receiving; any thread may send. Either end may close; the other then
// receives what is left and after that learns of the end. Bounded by the credits of the protocol, not by the pipe.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "proto/bytes.hpp"

namespace futured::wire {

class Pipe {
 public:
  using Frames = std::vector<Slice>;
  /// Called (from the sender's thread, without locks held) when the receiver's empty queue got something, or closed.
  using Wake = std::function<void()>;

  class End {
   public:
    /// `wake` belongs to this end: it is called when there is something to receive. Set once, before use.
    void on_readable(Wake wake) { in_->wake = std::move(wake); }
    /// False if the pipe is closed; the message is dropped then.
    bool send(Frames message) {
      bool was_empty = false;
      {
        const std::lock_guard lock(out_->mutex);
        if (out_->closed) return false;
        was_empty = out_->queue.empty();
        out_->queue.push_back(std::move(message));
      }
      if (was_empty && out_->wake) out_->wake();
      return true;
    }
    /// Swaps everything received so far into `into` (which must be empty). False at the end of the pipe: closed and
    /// nothing left.
    bool receive(std::vector<Frames>& into) {
      const std::lock_guard lock(in_->mutex);
      into.swap(in_->queue);
      return !into.empty() || !in_->closed;
    }
    void close() {
      for (Direction* d : {in_.get(), out_.get()}) {
        bool tell = false;
        {
          const std::lock_guard lock(d->mutex);
          tell = !std::exchange(d->closed, true);
        }
        if (tell && d->wake) d->wake();
      }
    }

   private:
    friend class Pipe;
    struct Direction {
      std::mutex mutex;
      std::vector<Frames> queue;
      bool closed = false;
      Wake wake;
    };
    std::shared_ptr<Direction> in_, out_;
  };

  /// Two ends that receive what the other sends.
  static std::pair<std::unique_ptr<End>, std::unique_ptr<End>> make() {
    auto a = std::make_unique<End>();
    auto b = std::make_unique<End>();
    a->in_ = b->out_ = std::make_shared<End::Direction>();
    b->in_ = a->out_ = std::make_shared<End::Direction>();
    return {std::move(a), std::move(b)};
  }
};

}  // namespace futured::wire
