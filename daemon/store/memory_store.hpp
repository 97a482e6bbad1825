// Keeps what it is given as long as its image lives: for a daemon that wants no file, and the model that other stores
// are held against. The image may be handed to the next store, as a disk is to the next daemon.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "daemon/store/store.hpp"

namespace futured::store {

class MemoryStore final : public Store {
 public:
  /// What a disk would hold.
  struct Image {
    std::string id;
    std::uint32_t epoch = 0;
    TaskNumber next_number = 1;
    std::map<TaskNumber, BatchRow> batches;
    std::map<TaskNumber, Claimed::Task> tasks;
    std::map<TaskNumber, OutcomeRow> outcomes;
    std::map<StreamId, Seq> streams;
    std::map<std::string, std::string> settings;
    std::map<std::string, std::string> workers;

    void apply(const Records& records);

   private:
    void drop_batch_of(TaskNumber number);
  };

  /// `id`: 16 bytes, for an image that has none yet. `epoch`: at least this.
  explicit MemoryStore(std::shared_ptr<Image> image, std::string id, std::uint32_t epoch = 1);

  /// From now on nothing is committed but by commit().
  void hold() { held_ = true; }
  /// Commits up to `lsn`, or what there is.
  void commit(Lsn lsn);
  Lsn appended() const { return appended_; }

  const Opened& opened() const override { return opened_; }
  void append(Records records) override;
  Committed take_committed() override;
  std::uint64_t lag() const override { return lag_; }
  void claim(std::uint32_t tasks) override;
  bool next_claimed(Claimed& page) override;
  void ask(std::uint64_t request, const HistoryQuery& query) override;
  bool next_page(HistoryPage& page) override;
  Status close(TaskNumber next_number) override;

 private:
  const std::shared_ptr<Image> image_;
  Opened opened_;
  bool held_ = false;
  std::deque<Records> waiting_;
  std::uint64_t lag_ = 0;
  Lsn appended_ = 0;
  Committed committed_;
  TaskNumber claim_next_ = 1;  ///< tasks from here on are still to be claimed
  TaskNumber claim_end_ = 1;   ///< those of this start are not claimed
  std::deque<Claimed> claimed_;
  std::deque<HistoryPage> pages_;
};

}  // namespace futured::store
