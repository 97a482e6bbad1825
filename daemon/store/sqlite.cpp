#include "daemon/store/sqlite.hpp"

#include <sqlite3.h>

#include <cstring>

namespace futured::store {

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Statement& Statement::bind(int index, std::int64_t value) {
  connection_->check(sqlite3_bind_int64(statement_.get(), index, value));
  return *this;
}

Statement& Statement::bind_null(int index) {
  connection_->check(sqlite3_bind_null(statement_.get(), index));
  return *this;
}

Statement& Statement::bind_blob(int index, std::string_view bytes) {
  // A null pointer would bind NULL instead of no bytes.
  const char* data = bytes.empty() ? "" : bytes.data();
  connection_->check(sqlite3_bind_blob64(statement_.get(), index, data, bytes.size(), SQLITE_STATIC));
  return *this;
}

Statement& Statement::bind_text(int index, std::string_view text) {
  const char* data = text.empty() ? "" : text.data();
  connection_->check(sqlite3_bind_text64(statement_.get(), index, data, text.size(), SQLITE_STATIC, SQLITE_UTF8));
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) connection_->check(code);
  sqlite3_reset(statement_.get());
  return false;
}

bool Statement::run() {
  const int code = sqlite3_step(statement_.get());
  const bool good = code == SQLITE_DONE || code == SQLITE_ROW || connection_->check(code);
  sqlite3_reset(statement_.get());
  return good;
}

void Statement::reset() { sqlite3_reset(statement_.get()); }

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }

bool Statement::is_null(int column) const { return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL; }

std::string_view Statement::bytes(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return data == nullptr ? std::string_view{}
                         : std::string_view{static_cast<const char*>(data), static_cast<std::size_t>(size)};
}

void Connection::Close::operator()(sqlite3* db) const { sqlite3_close(db); }

Connection::~Connection() = default;

Result<std::unique_ptr<Connection>> Connection::open(const std::string& path, Mode mode) {
  std::unique_ptr<Connection> connection(new Connection);
  connection->path_ = path;
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  flags |= mode == Mode::read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  if (mode == Mode::create) flags |= SQLITE_OPEN_CREATE;
  sqlite3* db = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &db, flags, nullptr);
  connection->db_.reset(db);
  if (db == nullptr) return Status(Code::internal, "store " + path + ": out of memory");
  if (!connection->check(code)) return connection->fault_status();
  // What closes last must not checkpoint: only the connection that commits does, see checkpoint(). (A checkpoint beside
  // a commit of another connection can lose pages before SQLite 3.51.3: sqlite.org/wal.html#walresetbug)
  sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  // Files of strangers are opened to be checked: their schema must not be able to run anything.
  sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_busy_timeout(db, 5000);
  sqlite3_wal_hook(db, &Connection::on_commit, connection.get());
  return connection;
}

int Connection::on_commit(void* self, sqlite3* /*db*/, const char* /*name*/, int pages) {
  static_cast<Connection*>(self)->log_pages_ = pages;
  return SQLITE_OK;
}

bool Connection::check(int code) {
  if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) return true;
  if (fault_ != Fault::none) return false;
  const int system = sqlite3_system_errno(db_.get());
  const bool full = (code & 0xff) == SQLITE_FULL || system == ENOSPC || system == EDQUOT;
  fault_ = full ? Fault::full : Fault::broken;
  fault_text_ = sqlite3_errmsg(db_.get());
  if (system != 0) fault_text_ += std::string(" (") + std::strerror(system) + ")";
  return false;
}

Status Connection::fault_status() const {
  if (fault_ == Fault::none) return {};
  return {fault_ == Fault::full ? Code::refused : Code::internal, "store " + path_ + ": " + fault_text_};
}

void Connection::clear_fault() {
  fault_ = Fault::none;
  fault_text_.clear();
}

Status Connection::exec(const char* sql) {
  if (!check(sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr))) return fault_status();
  return {};
}

Result<Statement> Connection::prepare(const char* sql) {
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v3(db_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  Statement statement;
  statement.statement_.reset(raw);
  statement.connection_ = this;
  if (!check(code)) return fault_status();
  return statement;
}

Result<std::int64_t> Connection::number(const char* sql) {
  auto statement = prepare(sql);
  if (!statement) return statement.status();
  if (!statement->step()) {
    if (fault_ != Fault::none) return fault_status();
    return Status(Code::not_found, "store " + path_ + ": no row for " + sql);
  }
  return statement->integer(0);
}

void Connection::checkpoint(bool truncate) {
  int in_log = 0;
  int moved = 0;
  const int code = sqlite3_wal_checkpoint_v2(
      db_.get(), nullptr, truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, &in_log, &moved);
  // A reader in the way is no failure: the next checkpoint gets further.
  if (code != SQLITE_BUSY && code != SQLITE_LOCKED) check(code);
  log_pages_ = in_log > moved ? in_log - moved : 0;
}

std::int64_t Connection::changes() const { return sqlite3_changes64(db_.get()); }

}  // namespace futured::store
