#include <utility>

#include "client/link/link.hpp"

namespace futured::client {

namespace {

class PipeLink final : public Link {
 public:
  PipeLink(std::unique_ptr<wire::Pipe::End> end, std::function<void()> wake) : end_(std::move(end)) {
    end_->on_readable(std::move(wake));
  }
  ~PipeLink() override { end_->close(); }

  bool send(wire::Frames message) override { return end_->send(std::move(message)); }

  bool receive(std::vector<wire::Frames>& into, std::size_t max) override {
    for (std::size_t n = 0; n < max; ++n) {
      if (next_ == received_.size()) {
        received_.clear();
        next_ = 0;
        if (!end_->receive(received_)) lost_ = true;
        if (received_.empty()) return false;
      }
      into.push_back(std::move(received_[next_++]));
    }
    return true;
  }
  bool readable() override { return next_ < received_.size(); }
  State state() override { return lost_ ? State::lost : State::open; }
  void finish(int) override { end_->close(); }
  int data_fd() const override { return -1; }
  int state_fd() const override { return -1; }

 private:
  std::unique_ptr<wire::Pipe::End> end_;
  std::vector<wire::Frames> received_;
  std::size_t next_ = 0;
  bool lost_ = false;
};

}  // namespace

std::unique_ptr<Link> make_pipe_link(std::unique_ptr<wire::Pipe::End> end, std::function<void()> wake) {
  return std::make_unique<PipeLink>(std::move(end), std::move(wake));
}

}  // namespace futured::client
