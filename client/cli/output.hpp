// What fut prints, and how: chosen once from the global options. Standard output carries results, standard error what
// is about them. Writes are complete or end the command: a reader that has gone ends it as other filters end, by
// SIGPIPE. Any thread may write; a call is not torn apart by another.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "proto/schema/json.hpp"

namespace futured::cli {

enum class Mode : unsigned char {
  human,
  json,   ///< -j
  quiet,  ///< -q: only what was asked for, one a line, for scripts
};

enum class Colour : unsigned char { none, red, green, yellow, blue, grey, bold };

std::string painted(Colour colour, std::string_view text, bool really);

/// Rows under headings, fitted to a width: the widest columns that may shrink give way.
class Table {
 public:
  struct Column {
    std::string name;
    bool right = false;    ///< numbers
    bool shrinks = false;  ///< may be cut to fit
  };
  struct Cell {
    // NOLINTBEGIN(google-explicit-constructor): a row is written as a list of texts
    Cell(std::string t, Colour c = Colour::none) : text(std::move(t)), colour(c) {}
    Cell(const char* t) : text(t) {}
    // NOLINTEND(google-explicit-constructor)
    std::string text;
    Colour colour = Colour::none;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// As many cells as there are columns.
  void row(std::vector<Cell> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }
  std::size_t size() const { return rows_.size(); }
  /// Lines with their ends. `width` 0: as wide as it needs to be.
  std::string text(std::size_t width, bool colours = false, bool heading = true) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

class Output {
 public:
  struct Options {
    Mode mode = Mode::human;
    std::string color = "auto";  ///< auto, always or never
  };
  /// Reads NO_COLOR and whether the streams are terminals.
  explicit Output(const Options& options);
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  Mode mode() const { return mode_; }
  bool json() const { return mode_ == Mode::json; }
  bool quiet() const { return mode_ == Mode::quiet; }
  bool out_is_terminal() const { return out_terminal_; }
  bool err_is_terminal() const { return err_terminal_; }
  std::size_t width() const;  ///< of standard output if it is a terminal, else 0: no limit

  /// Standard output, at once. False: the reader has gone (see closed()).
  bool write(std::string_view bytes);
  bool line(std::string_view text);
  bool print(const schema::Json& value) { return line(value.dump()); }
  bool table(const Table& table, bool heading = true);
  /// Standard error, at once.
  void error_bytes(std::string_view bytes);
  /// A line for people: not printed with -q.
  void note(std::string_view text);
  void warn(std::string_view text);

  /// Replaces the one line at the bottom of standard error; an empty text removes it. Nothing unless it is a terminal.
  void progress(std::string_view text);

  /// The reader of standard output has gone, or it cannot be written.
  bool closed() const;
  /// Ends this process as the failed write demands: by SIGPIPE, or with a message. Only if closed().
  [[noreturn]] void leave_closed() const;

  bool colours() const { return out_color_; }
  std::string paint(Colour colour, std::string_view text) const { return painted(colour, text, out_color_); }
  std::string paint_error(Colour colour, std::string_view text) const { return painted(colour, text, err_color_); }

 private:
  void clear_progress();
  void show_progress();
  void put_error(std::string_view bytes);

  Mode mode_;
  bool out_terminal_, err_terminal_;
  bool out_color_, err_color_;
  mutable std::mutex mutex_;
  std::string progress_;
  int failure_ = 0;  ///< errno of the write that failed
};

}  // namespace futured::cli
