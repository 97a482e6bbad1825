#include "client/cli/line_reader.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace futured::cli {

LineReader::LineReader(const Options& options, std::function<void()> ready)
    : options_(options), ready_(std::move(ready)) {
  if (::pipe2(stop_pipe_.data(), O_CLOEXEC) != 0) {
    end_ = true;
    problem_ = std::string("cannot make a pipe: ") + std::strerror(errno);
    return;
  }
  thread_ = std::thread([this] { work(); });
}

LineReader::~LineReader() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    room_.notify_all();
  }
  ::close(stop_pipe_[1]);
  thread_.join();
  ::close(stop_pipe_[0]);
}

std::optional<std::string> LineReader::next() {
  const std::lock_guard lock(mutex_);
  if (lines_.empty()) return std::nullopt;
  std::string line = std::move(lines_.front());
  lines_.pop_front();
  bytes_ -= line.size();
  if (lines_.size() <= options_.lines_ahead / 2) room_.notify_one();
  return line;
}

bool LineReader::ready() const {
  const std::lock_guard lock(mutex_);
  return !lines_.empty() || end_;
}

bool LineReader::ended() const {
  const std::lock_guard lock(mutex_);
  return end_ && lines_.empty();
}

std::string LineReader::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

bool LineReader::too_long() const {
  const std::lock_guard lock(mutex_);
  return too_long_;
}

std::optional<std::uint64_t> LineReader::total() const {
  const std::lock_guard lock(mutex_);
  return end_ ? std::optional(lines_read_) : std::nullopt;
}

std::uint64_t LineReader::bytes_read() const {
  const std::lock_guard lock(mutex_);
  return bytes_read_;
}

std::uint64_t LineReader::lines_read() const {
  const std::lock_guard lock(mutex_);
  return lines_read_;
}

bool LineReader::wait_readable() const {
  std::array<pollfd, 2> both{{{options_.fd, POLLIN, 0}, {stop_pipe_[0], POLLIN, 0}}};
  while (::poll(both.data(), both.size(), -1) < 0 && errno == EINTR) {
  }
  return both[1].revents == 0;
}

/// False: the reader is to stop.
bool LineReader::put(std::string line) {
  bool first = false;
  {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] {
      return stop_ || lines_.empty() || (lines_.size() < options_.lines_ahead && bytes_ < options_.bytes_ahead);
    });
    if (stop_) return false;
    first = lines_.empty();
    bytes_ += line.size();
    ++lines_read_;
    lines_.push_back(std::move(line));
  }
  if (first) ready_();
  return true;
}

void LineReader::work() {
  std::string line;
  std::string chunk(64 * 1024, '\0');
  std::string problem;
  bool too_long = false;
  bool go_on = true;
  while (go_on && wait_readable()) {
    const ssize_t n = ::read(options_.fd, chunk.data(), chunk.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) problem = std::string("cannot read standard input: ") + std::strerror(errno);
    if (n <= 0) break;
    std::string_view rest(chunk.data(), static_cast<std::size_t>(n));
    {
      const std::lock_guard lock(mutex_);
      bytes_read_ += rest.size();
    }
    while (go_on && !rest.empty()) {
      const auto end = rest.find(options_.end);
      line += rest.substr(0, end);
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
      if (line.size() > options_.longest) {
        problem = "line " + std::to_string(lines_read() + 1) + " of standard input has more than " +
                  std::to_string(options_.longest) + " bytes, the most a task's input can have";
        too_long = true;
        line.clear();
        go_on = false;
      } else if (end != std::string_view::npos) {
        go_on = put(std::move(line));
        line.clear();
      }
    }
  }
  if (!line.empty()) put(std::move(line));  // the last one without its end
  {
    const std::lock_guard lock(mutex_);
    end_ = true;
    problem_ = std::move(problem);
    too_long_ = too_long;
  }
  ready_();
}

}  // namespace futured::cli
