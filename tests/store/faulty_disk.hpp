// A disk for SQLite that fails when it is told to: no space, an error, a power cut. It stands between SQLite and the
// real files (a VFS, sqlite.org/vfs.html), for all connections that are opened while it lives. One at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

namespace futured::test {

class FaultyDisk {
 public:
  FaultyDisk();
  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;
  ~FaultyDisk();

  /// The files of SQLite may take so many bytes in all, without what `besides` says of others. 0: no bound.
  void limit(std::uint64_t bytes, std::function<std::uint64_t()> besides = {});
  /// The n-th write or sync from now on, from 1, and all after it fail with an input/output error. 0: none.
  void fail_at(std::uint64_t n);
  /// The next so many writes and syncs wait until it is called with 0.
  void stall(bool on);

  /// From now on it knows what has been synced. All files under `folder` are, as they are now.
  void watch(const std::string& folder);
  /// The n-th write or sync from now on, from 1, is where the power goes: what comes after fails.
  void cut_at(std::uint64_t n);
  bool cut() const;
  /// After the cut, with all connections closed: makes the files what a disk may hold then. Of each file, what was
  /// synced, and of what was written since any part: a prefix, any subset, the last of it torn.
  void power_on(std::mt19937& random);
  /// Writes and syncs since it lives.
  std::uint64_t operations() const;

  // For the VFS.
  enum class Verdict : std::uint8_t { go, full, error };
  Verdict may_write(const std::string& path, std::uint64_t end, const void* data, std::size_t size, std::int64_t at);
  Verdict may_truncate(const std::string& path, std::int64_t size);
  Verdict may_sync(const std::string& path);
  void removed(const std::string& path);

 private:
  struct Change {
    std::int64_t at = 0;
    bool truncate = false;
    std::string bytes;
  };
  struct File {
    std::string synced;
    bool exists = false;  ///< its name is on the disk
    std::vector<Change> since;
  };
  Verdict count(std::unique_lock<std::mutex>& hold);
  static void apply(std::string& content, const Change& change);

  mutable std::mutex mutex_;
  std::uint64_t operations_ = 0, fail_at_ = 0, cut_at_ = 0, limit_ = 0;
  std::function<std::uint64_t()> besides_;
  std::map<std::string, std::uint64_t> sizes_;
  bool stalled_ = false;
  bool watching_ = false;
  std::map<std::string, File> files_;
};

}  // namespace futured::test
