#include "client/cli/output.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "client/cli/failure.hpp"
#include "client/cli/terminal.hpp"

namespace futured::cli {
namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kNarrowest = 6;

/// 0, or the errno of the write that failed.
int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {  // somebody made the shared stream non-blocking
      pollfd ready{fd, POLLOUT, 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

bool color_for(const std::string& choice, bool terminal) {
  if (choice == "always") return true;
  if (choice == "never") return false;
  const char* no = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return terminal && (no == nullptr || *no == '\0') && (term == nullptr || std::strcmp(term, "dumb") != 0);
}

}  // namespace

std::string Table::text(std::size_t width, bool colours, bool heading) const {
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    std::size_t widest = heading ? text_width(columns_[c].name) : 0;
    for (const auto& cells : rows_) widest = std::max(widest, text_width(cells[c].text));
    widths.push_back(widest);
  }
  const auto total = [&] {
    std::size_t sum = 0;
    for (const std::size_t w : widths) sum += w + kGap;
    return sum - std::min(sum, kGap);
  };
  while (width > 0 && total() > width) {
    std::size_t* widest = nullptr;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      if (columns_[c].shrinks && widths[c] > kNarrowest && (widest == nullptr || widths[c] > *widest))
        widest = &widths[c];
    }
    if (widest == nullptr) break;
    --*widest;
  }
  std::string out;
  const auto put = [&](const std::vector<Cell>& cells) {
    std::string line;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const std::string cell = cut(cells[c].text, widths[c]);
      const std::string space(widths[c] - text_width(cell), ' ');
      const std::string shown = painted(cells[c].colour, cell, colours);
      line += columns_[c].right ? space + shown : shown + space;
      line.append(kGap, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  if (heading) {
    std::vector<Cell> names;
    for (const Column& column : columns_) names.emplace_back(column.name, Colour::bold);
    put(names);
  }
  for (const auto& cells : rows_) put(cells);
  return out;
}

Output::Output(const Options& options)
    : mode_(options.mode),
      out_terminal_(is_terminal(STDOUT_FILENO)),
      err_terminal_(is_terminal(STDERR_FILENO)),
      out_color_(color_for(options.color, out_terminal_)),
      err_color_(color_for(options.color, err_terminal_)) {}

std::size_t Output::width() const { return out_terminal_ ? terminal_width(STDOUT_FILENO) : 0; }

bool Output::write(std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  if (failure_ != 0) return false;
  clear_progress();
  failure_ = write_all(STDOUT_FILENO, bytes);
  if (bytes.ends_with('\n')) show_progress();
  return failure_ == 0;
}

bool Output::line(std::string_view text) {
  std::string whole(text);
  whole.push_back('\n');
  return write(whole);
}

bool Output::table(const Table& table, bool heading) { return write(table.text(width(), out_color_, heading)); }

void Output::error_bytes(std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  clear_progress();
  put_error(bytes);
  if (bytes.ends_with('\n')) show_progress();
}

void Output::note(std::string_view text) {
  if (mode_ != Mode::quiet) error_bytes("fut: " + std::string(text) + "\n");
}

void Output::warn(std::string_view text) {
  error_bytes("fut: " + paint_error(Colour::yellow, "warning:") + " " + std::string(text) + "\n");
}

void Output::progress(std::string_view text) {
  if (!err_terminal_) return;
  const std::lock_guard lock(mutex_);
  const std::string next = cut(text, terminal_width(STDERR_FILENO) - 1);
  if (next == progress_) return;
  clear_progress();
  progress_ = next;
  show_progress();
}

bool Output::closed() const {
  const std::lock_guard lock(mutex_);
  return failure_ != 0;
}

void Output::leave_closed() const {
  if (failure_ == EPIPE) {
    std::signal(SIGPIPE, SIG_DFL);
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_UNBLOCK, &pipe, nullptr);
    std::raise(SIGPIPE);
    std::_Exit(128 + SIGPIPE);
  }
  const std::string text = std::string("fut: cannot write standard output: ") + std::strerror(failure_) + "\n";
  write_all(STDERR_FILENO, text);
  std::_Exit(static_cast<int>(Exit::io));
}

std::string painted(Colour colour, std::string_view text, bool really) {
  static constexpr std::string_view codes[] = {"",         "\033[31m", "\033[32m", "\033[33m",
                                               "\033[34m", "\033[90m", "\033[1m"};
  if (!really || colour == Colour::none) return std::string(text);
  return std::string(codes[static_cast<std::size_t>(colour)]) + std::string(text) + "\033[0m";
}

void Output::clear_progress() {
  if (!progress_.empty()) put_error("\r\033[K");
}

void Output::show_progress() {
  if (!progress_.empty()) put_error(progress_);
}

void Output::put_error(std::string_view bytes) { write_all(STDERR_FILENO, bytes); }

}  // namespace futured::cli
