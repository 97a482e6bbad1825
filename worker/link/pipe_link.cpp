#include <poll.h>

#include <algorithm>
#include <utility>

#include "worker/link/link.hpp"

namespace futured::worker {
namespace {

class PipeLink final : public Link {
 public:
  PipeLink(PipeConnector connect, Wakeup& wakeup) : connect_(std::move(connect)), wakeup_(wakeup) {}
  PipeLink(const PipeLink&) = delete;
  PipeLink& operator=(const PipeLink&) = delete;
  ~PipeLink() override { close(0); }

  Status connect() override {
    close(0);
    end_ = connect_();
    if (end_ == nullptr) return {Code::unavailable, "there is no daemon in this process any more"};
    end_->on_readable([w = &wakeup_] { w->wake_now(); });
    return {};
  }

  bool send(Frames message) override { return end_ != nullptr && end_->send(std::move(message)); }

  bool receive(std::vector<Frames>& into, std::size_t most) override {
    if (end_ == nullptr) return false;
    // Until there is nothing: a wake-up tells of all that came before it, also of the end.
    for (look_again_ = false; most > 0; --most) {
      if (next_ == received_.size()) {
        received_.clear();
        next_ = 0;
        const bool open = end_->receive(received_);
        if (received_.empty()) return open;
      }
      into.push_back(std::move(received_[next_++]));
    }
    look_again_ = true;
    return true;
  }

  void wait(Wakeup& wakeup, Time timeout) override {
    if (look_again_) timeout = 0;
    pollfd fd{wakeup.fd(), POLLIN, 0};
    timespec t{};
    if (timeout != kNever) t = {timeout / 1'000'000'000, timeout % 1'000'000'000};
    if (::ppoll(&fd, 1, timeout == kNever ? nullptr : &t, nullptr) > 0) wakeup.drain();
  }

  void close(Time) override {
    if (end_ != nullptr) end_->close();
    end_.reset();
    received_.clear();
    next_ = 0;
    look_again_ = false;
  }

 private:
  PipeConnector connect_;
  Wakeup& wakeup_;
  std::unique_ptr<wire::Pipe::End> end_;
  std::vector<Frames> received_;
  std::size_t next_ = 0;
  bool look_again_ = false;
};

}  // namespace

std::unique_ptr<Link> make_pipe_link(PipeConnector connect, Wakeup& wakeup) {
  return std::make_unique<PipeLink>(std::move(connect), wakeup);
}

}  // namespace futured::worker
