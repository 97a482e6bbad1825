// Tasks in a file of SQLite. Two threads of its own: one commits what was appended, all that waits in one transaction,
// as soon as it can; the other reads pages. Whoever opens it calls it; see store.hpp.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "daemon/store/sqlite_file.hpp"
#include "daemon/store/sqlite_reader.hpp"
#include "daemon/store/sqlite_writer.hpp"
#include "daemon/store/store.hpp"

namespace futured::store {

struct SqliteConfig {
  std::string path;
  bool must_exist = false;                 ///< else a missing file is made
  std::uint64_t reserve_bytes = 16 << 20;  ///< held back for the outcomes of accepted tasks
  std::uint64_t group_bytes = 16 << 20;    ///< of one transaction, about
  int checkpoint_pages = 4000;             ///< of the log, before what is in it moves to the file
};

class SqliteStore final : public Store {
 public:
  /// Locks it, raises its epoch, and syncs that. `wake` is called from threads of the store until close() or the end.
  static Result<std::unique_ptr<SqliteStore>> open(SqliteConfig config, std::function<void()> wake);
  ~SqliteStore() override;

  const Opened& opened() const override { return opened_; }
  void append(Records records) override;
  Committed take_committed() override;
  std::uint64_t lag() const override;
  void claim(std::uint32_t tasks) override;
  bool next_claimed(Claimed& page) override;
  void ask(std::uint64_t request, const HistoryQuery& query) override;
  bool next_page(HistoryPage& page) override;
  Status close(TaskNumber next_number) override;

 private:
  struct Claim {
    std::uint32_t tasks = 0;
  };
  struct Question {
    std::uint64_t request = 0;
    HistoryQuery query;
  };
  /// Tasks that were not accepted. What the loop says of them until it knows is left out.
  struct Refused {
    NumberRange range;
    Lsn until = 0;  ///< the last that may still name them; 0: not known yet
  };

  SqliteStore(SqliteConfig config, std::function<void()> wake, StoreLock lock);
  void write_loop();
  void write_group(std::vector<Records>& group);
  bool write_or_shed(std::vector<Records>& group);
  void refuse_batches(const std::vector<Records>& group);
  std::vector<NumberRange> refused_ranges();
  void read_loop();
  void stop_threads();

  const SqliteConfig config_;
  const std::function<void()> wake_;
  const StoreLock lock_;
  Opened opened_;
  Reserve reserve_;

  // Of the writing thread.
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<SqliteWriter> writer_;
  bool disk_full_ = false;
  WallTime next_look_ = 0;  ///< for outcomes whose time has passed, and for space on the disk

  // Of the reading thread.
  std::unique_ptr<SqliteReader> reader_;
  TaskNumber claim_next_ = 1;

  mutable std::mutex mutex_;
  std::condition_variable to_write_, to_read_;
  bool stopping_ = false;
  std::deque<Records> waiting_;
  std::uint64_t lag_ = 0;
  Lsn appended_ = 0;
  Committed committed_;
  std::vector<Refused> refused_;
  std::deque<std::variant<Claim, Question>> questions_;
  std::deque<Claimed> claimed_;
  std::deque<HistoryPage> pages_;

  std::thread write_thread_, read_thread_;
};

}  // namespace futured::store
