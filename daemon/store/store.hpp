// The seam between the daemon and what makes its tasks last.
//
// One thread, the daemon's loop, calls everything here; nothing blocks but open() and close(). An implementation may
// work on threads of its own; it then calls `wake` (given at open, from any thread) when there is something to take.
//
// The rule of the log: what follows from Records may be seen outside only after take_committed() has named their lsn.
// A commit may refuse conditional records: its verdicts say which. The first failure of the medium ends the store: no
// later records are committed, and take_committed() says why for ever.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/store/records.hpp"
#include "proto/status.hpp"

namespace futured::store {

/// What a store says of itself once it is open.
struct Opened {
  std::string id;           ///< 16 bytes, drawn when the store was made
  std::uint32_t epoch = 0;  ///< one higher than at any start before, and made to last
  TaskNumber next_number = 1;
  bool durable = false;  ///< what is committed outlives the process
  std::vector<SettingRow> settings;
  std::vector<WorkerRow> workers;  ///< that may still be alive
  std::uint64_t live = 0;          ///< tasks that have not ended, to be claimed
};

/// Why accepted tasks did not become part of the store.
struct Refusal {
  TaskNumber first = 0;  ///< of a batch; none of its tasks was stored
  std::uint32_t count = 0;
  std::string why;
};

struct Committed {
  Lsn lsn = 0;  ///< all up to here lasts, but for `refused`
  std::vector<Refusal> refused;
  Status failure;  ///< not ok: the store has ended
};

/// What a daemon takes over: tasks without an outcome, and outcomes that somebody waits for.
struct Claimed {
  struct Task {
    TaskRow row;
    std::string progress;  ///< ProgressRow::data; empty: none
  };
  std::vector<StreamRow> streams;    ///< all of them, with the first page
  std::vector<BatchRow> batches;     ///< of `tasks` and `outcomes`, ascending; one may come again with the next page
  std::vector<Task> tasks;           ///< ascending by number
  std::vector<OutcomeRow> outcomes;  ///< not taken; ascending by number
  bool last = false;                 ///< there is no more
};

/// Which ended tasks somebody wants to know of: those named, or a range of numbers, the newest first.
struct HistoryQuery {
  std::vector<TaskNumber> numbers;
  std::vector<TaskId> ids;
  TaskNumber from = 0;         ///< the newest to look at; 0: the newest of all
  TaskNumber down_to = 1;      ///< the oldest to look at
  std::uint32_t limit = 1000;  ///< tasks in a page of a range, at most
  std::optional<TaskState> state;
  bool with_results = false;
};
struct HistoryPage {
  std::uint64_t request = 0;
  std::vector<BatchRow> batches;     ///< of `outcomes`, descending
  std::vector<OutcomeRow> outcomes;  ///< descending by number, each once
  TaskNumber next = 0;               ///< of a range: go on from here; 0: that was all
  Status failure;
};

class Store {
 public:
  Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  virtual ~Store() = default;

  virtual const Opened& opened() const = 0;

  /// Order matters: each lsn is one more than the last.
  virtual void append(Records records) = 0;
  /// What has been committed since the last call; the same lsn and nothing refused if nothing has.
  virtual Committed take_committed() = 0;
  /// What was appended and is not committed: bytes.
  virtual std::uint64_t lag() const = 0;

  /// Asks for the next page of at most `tasks` tasks.
  virtual void claim(std::uint32_t tasks) = 0;
  virtual bool next_claimed(Claimed& page) = 0;

  /// Asks for ended tasks as they are committed; `request` comes back with the page.
  virtual void ask(std::uint64_t request, const HistoryQuery& query) = 0;
  virtual bool next_page(HistoryPage& page) = 0;

  /// Commits what was appended, and ends. `next_number` is exact: nothing above was given out.
  virtual Status close(TaskNumber next_number) = 0;
};

}  // namespace futured::store
