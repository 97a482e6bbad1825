// Lines of a file descriptor, read ahead on a thread of its own into a bounded queue. next() and the counters are for
// one consumer thread.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace futured::cli {

class LineReader {
 public:
  struct Options {
    int fd = 0;
    char end = '\n';                  ///< what ends a line; it is not part of it
    std::size_t longest = 64U << 20;  ///< a longer line is an error
    std::size_t lines_ahead = 4096;
    std::size_t bytes_ahead = 4U << 20;  ///< beyond one line
  };
  /// `ready` is called on the reader's thread when there is a line again after there was none, or the end.
  LineReader(const Options& options, std::function<void()> ready);
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;
  /// Ends the thread even where the descriptor says nothing.
  ~LineReader();

  /// The next line, if there is one now.
  std::optional<std::string> next();
  /// There is a line, or there never will be.
  bool ready() const;
  /// All lines were taken.
  bool ended() const;
  /// Why the end came early; empty: it did not.
  std::string problem() const;
  /// The problem is a line that is too long, and not standard input itself.
  bool too_long() const;
  /// All lines are known: how many there were, taken or not.
  std::optional<std::uint64_t> total() const;
  /// Lines taken for each byte read so far, for guessing the total of a file.
  std::uint64_t bytes_read() const;
  std::uint64_t lines_read() const;

 private:
  void work();
  bool wait_readable() const;
  bool put(std::string line);

  Options options_;
  std::function<void()> ready_;
  std::array<int, 2> stop_pipe_{-1, -1};
  mutable std::mutex mutex_;
  std::condition_variable room_;
  std::deque<std::string> lines_;
  std::size_t bytes_ = 0;
  std::uint64_t lines_read_ = 0, bytes_read_ = 0;
  bool end_ = false, stop_ = false, too_long_ = false;
  std::string problem_;
  std::thread thread_;
};

}  // namespace futured::cli
