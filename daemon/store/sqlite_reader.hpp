// Reads pages of a store: what is to be claimed, and the history. Used by one thread, on a connection of its own that
// cannot write.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "daemon/store/sqlite.hpp"
#include "daemon/store/store.hpp"

namespace futured::store {

class SqliteReader {
 public:
  static Result<std::unique_ptr<SqliteReader>> open(const std::string& path);

  /// The page of tasks and owed outcomes from `from` on, of those below `end`; `from` is moved behind it.
  Result<Claimed> claim(TaskNumber& from, TaskNumber end, std::uint32_t limit, bool with_streams);
  HistoryPage history(std::uint64_t request, const HistoryQuery& query);
  /// What a store says of itself; `epoch` and `next_number` as they are written.
  Result<Opened> describe();

 private:
  SqliteReader() = default;
  void read_batch(TaskNumber number, std::vector<BatchRow>& batches);
  OutcomeRow outcome(const Statement& row, bool with_results) const;

  std::unique_ptr<Connection> connection_;
  Statement begin_, end_;
  Statement tasks_, owed_, streams_, batch_of_, batch_by_seq_, outcome_, history_, settings_, workers_, meta_, live_;
};

}  // namespace futured::store
