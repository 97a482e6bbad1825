// Turns records into statements of one transaction. Used by one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "daemon/store/records.hpp"
#include "daemon/store/sqlite.hpp"

namespace futured::store {

/// Numbers first .. first + count - 1.
struct NumberRange {
  TaskNumber first = 0;
  std::uint64_t count = 0;
  bool contains(TaskNumber n) const { return n >= first && n - first < count; }
};

class SqliteWriter {
 public:
  static Result<std::unique_ptr<SqliteWriter>> make(Connection& connection);

  /// Writes and commits all of `group`, which is in order, as one transaction. What begins and ends within the group is
  /// never written. Tasks in `refused`, ascending, are left out. If it fails nothing is written and the connection
  /// tells why.
  bool commit(const std::vector<Records>& group, const std::vector<NumberRange>& refused);
  /// Deletes at most `limit` outcomes whose time has passed. True if some may be left.
  bool forget_until(WallTime now, std::uint32_t limit);

 private:
  explicit SqliteWriter(Connection& connection) : connection_(connection) {}
  bool write(const std::vector<Records>& group);
  void write_batches(const std::vector<Records>& group);
  void write_outcomes(const std::vector<Records>& group);
  void write_names(const Records& records);
  void drop_batches();

  Connection& connection_;
  Statement begin_, commit_, rollback_;
  Statement add_batch_, add_task_, add_progress_, add_outcome_, add_stream_, add_setting_, add_worker_;
  Statement drop_task_, drop_progress_, drop_outcome_, drop_stream_, drop_setting_, drop_worker_;
  Statement mark_taken_, set_next_, batch_of_, batch_used_, drop_batch_, due_;

  // Of the group that is being written, ascending.
  std::vector<NumberRange> refused_;
  std::vector<NumberRange> accepted_;
  std::vector<TaskNumber> ended_, forgotten_;
  std::vector<TaskNumber> dropped_;  ///< forgotten, of batches of earlier groups
};

}  // namespace futured::store
