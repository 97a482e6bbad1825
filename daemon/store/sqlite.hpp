// A thin cover over SQLite: a connection and its prepared statements. Each is used by one thread at a time. Errors are
// values; the text of SQLite, and of the system call behind it, is in the message.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "proto/status.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace futured::store {

/// How a caller has to react; Status carries the words.
enum class Fault : std::uint8_t {
  none,
  full,    ///< no space (SQLITE_FULL): what was not committed is not there; it may work later
  broken,  ///< the medium or the file failed: go on no further
};

class Connection;

/// Compiled once, run often: bind, step until false, which resets it.
class Statement {
 public:
  Statement() = default;
  Statement& bind(int index, std::int64_t value);
  Statement& bind(int index, std::uint64_t value) { return bind(index, static_cast<std::int64_t>(value)); }
  Statement& bind(int index, std::uint32_t value) { return bind(index, static_cast<std::int64_t>(value)); }
  Statement& bind(int index, bool value) { return bind(index, static_cast<std::int64_t>(value)); }
  Statement& bind_null(int index);
  /// The bytes must stay until the statement has run.
  Statement& bind_blob(int index, std::string_view bytes);
  Statement& bind_text(int index, std::string_view text);

  /// True: there is a row. False: it is done, or has failed (Connection::fault()).
  bool step();
  /// For those that give no rows: true if it succeeded.
  bool run();
  /// Before it is used again, if not all its rows were read.
  void reset();

  std::int64_t integer(int column) const;
  std::uint64_t unsigned_integer(int column) const { return static_cast<std::uint64_t>(integer(column)); }
  bool is_null(int column) const;
  /// Valid until the next step.
  std::string_view bytes(int column) const;

 private:
  friend class Connection;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  Connection* connection_ = nullptr;
};

class Connection {
 public:
  enum class Mode : std::uint8_t { read_only, read_write, create };
  /// `path` is a file name, never an URI.
  static Result<std::unique_ptr<Connection>> open(const std::string& path, Mode mode);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  /// Statements without parameters and rows.
  Status exec(const char* sql);
  /// A statement for often; it must go before the connection does.
  Result<Statement> prepare(const char* sql);
  /// The one number that a statement gives.
  Result<std::int64_t> number(const char* sql);

  /// The first failure since clear_fault().
  Fault fault() const { return fault_; }
  const std::string& fault_text() const { return fault_text_; }
  Status fault_status() const;
  void clear_fault();

  /// Pages in the write-ahead log after the last commit.
  int log_pages() const { return log_pages_; }
  /// Moves what it can from the log into the file. `truncate`: all, and empties the log.
  void checkpoint(bool truncate);
  /// Rows changed by the last statement.
  std::int64_t changes() const;

 private:
  friend class Statement;
  Connection() = default;
  /// Remembers a failure, if `code` is one. True if it is none.
  bool check(int code);
  static int on_commit(void* self, sqlite3* db, const char* name, int pages);

  struct Close {
    void operator()(sqlite3* db) const;
  };
  std::unique_ptr<sqlite3, Close> db_;
  std::string path_;
  Fault fault_ = Fault::none;
  std::string fault_text_;
  int log_pages_ = 0;
};

}  // namespace futured::store
