// A folder of its own for the files of a store, and what tests do with stores again and again.
#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/store/sqlite_store.hpp"

namespace futured::test {

class Folder {
 public:
  /// In memory if there is such a place: for disks that are played.
  enum class On : std::uint8_t { disk, memory };
  explicit Folder(On on = On::disk) {
    const bool memory = on == On::memory && ::access("/dev/shm", W_OK) == 0;
    const std::filesystem::path above = memory ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::string name = (above / "futured-store-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

/// What a store calls when there is something to take; waits for it.
class Bell {
 public:
  std::function<void()> ring() {
    return [this] {
      const std::lock_guard hold(mutex_);
      rung_ = true;
      changed_.notify_all();
    };
  }
  /// Until `done` says so; looked at again whenever it rings.
  template <class Done>
  bool wait(Done done) {
    std::unique_lock hold(mutex_);
    for (;;) {
      rung_ = false;
      hold.unlock();
      if (done()) return true;
      hold.lock();
      if (!changed_.wait_for(hold, std::chrono::seconds(30), [this] { return rung_; })) return false;
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool rung_ = false;
};

/// For what a store does of itself, without a sign: looked at until it is so.
template <class Done>
bool eventually(Done done) {
  for (const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
       std::chrono::steady_clock::now() < until; std::this_thread::sleep_for(std::chrono::milliseconds(5))) {
    if (done()) return true;
  }
  return false;
}

inline StreamId stream(std::uint8_t n) {
  StreamId id;
  id.bytes.fill(n);
  return id;
}

/// A batch of tasks with inputs "in-N", seqs from `first_seq` on.
inline void accept(store::Records& r, TaskNumber first, std::uint32_t count, Seq first_seq = 0, std::uint8_t of = 1) {
  r.batches.push_back({first, count, stream(of), first_seq, 1'000 + static_cast<store::WallTime>(first), "specs"});
  for (TaskNumber n = first; n < first + count; ++n) {
    r.tasks.push_back({n, 0, Slice::copy("in-" + std::to_string(n))});
  }
  r.streams.push_back({stream(of), first_seq + count, false});
  r.numbers_until = first + count;
}

inline store::OutcomeRow outcome(TaskNumber number, TaskState state = TaskState::succeeded) {
  store::OutcomeRow row;
  row.number = number;
  row.state = state;
  row.ended = 5'000;
  row.data = "data-" + std::to_string(number);
  row.result = Slice::copy("out-" + std::to_string(number));
  return row;
}

inline store::Committed commit(store::Store& s, Bell& bell, store::Records r, store::Lsn lsn) {
  r.lsn = lsn;
  s.append(std::move(r));
  store::Committed all;
  REQUIRE(bell.wait([&] {
    store::Committed c = s.take_committed();
    all.lsn = c.lsn;
    all.failure = c.failure;
    for (store::Refusal& x : c.refused) all.refused.push_back(std::move(x));
    return c.lsn >= lsn || !c.failure.ok();
  }));
  return all;
}

/// All pages together.
inline store::Claimed claim_all(store::Store& s, Bell& bell, std::uint32_t portion = 3) {
  store::Claimed all;
  while (!all.last) {
    s.claim(portion);
    store::Claimed page;
    REQUIRE(bell.wait([&] { return s.next_claimed(page); }));
    CHECK(page.tasks.size() <= portion);
    for (auto& x : page.streams) all.streams.push_back(x);
    for (auto& x : page.batches) {
      if (all.batches.empty() || all.batches.back().first != x.first) all.batches.push_back(x);
    }
    for (auto& x : page.tasks) all.tasks.push_back(x);
    for (auto& x : page.outcomes) all.outcomes.push_back(x);
    all.last = page.last;
  }
  return all;
}

inline store::HistoryPage ask(store::Store& s, Bell& bell, const store::HistoryQuery& query) {
  s.ask(7, query);
  store::HistoryPage page;
  REQUIRE(bell.wait([&] { return s.next_page(page); }));
  CHECK(page.request == 7);
  CHECK(page.failure.ok());
  return page;
}

inline std::vector<TaskNumber> numbers(const std::vector<store::OutcomeRow>& rows) {
  std::vector<TaskNumber> all;
  for (const auto& row : rows) all.push_back(row.number);
  return all;
}
inline std::vector<TaskNumber> numbers(const std::vector<store::Claimed::Task>& tasks) {
  std::vector<TaskNumber> all;
  for (const auto& t : tasks) all.push_back(t.row.number);
  return all;
}

}  // namespace futured::test
