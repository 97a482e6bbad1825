// The file of a store: making one, knowing one, refusing what is none. Also the lock that keeps a second daemon away,
// and the space held back for what must be written when the disk is full.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "daemon/store/sqlite.hpp"

namespace futured::store {

inline constexpr std::int64_t kApplicationId = 0x66757464;  // "futd", in the header of the file
inline constexpr std::int64_t kSchemaVersion = 1;

/// Makes a store that is whole or not there: under another name first, then renamed.
Status create_store(const std::string& path);
/// Ok if `path` is a store that this program can use; not_found if there is no such file.
Status inspect_store(const std::string& path);
/// The connection that commits and checkpoints.
Result<std::unique_ptr<Connection>> open_store(const std::string& path);

/// Held for as long as this lives, by this open file and no other, be it in this process or another.
class StoreLock {
 public:
  static Result<StoreLock> take(const std::string& store_path);
  StoreLock(StoreLock&& other) noexcept;
  StoreLock& operator=(StoreLock&&) = delete;
  ~StoreLock();

 private:
  explicit StoreLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

/// Space on the disk of the store that nobody else gets.
class Reserve {
 public:
  /// Takes up nothing yet.
  Reserve(std::string store_path, std::uint64_t bytes);
  Reserve(const Reserve&) = delete;
  Reserve& operator=(const Reserve&) = delete;
  ~Reserve();

  /// True if it holds all of its space, now or already.
  bool fill();
  /// Gives the space back to the disk.
  void release();

 private:
  const std::string path_;
  const std::uint64_t bytes_;
  int fd_ = -1;
  bool full_ = false;
};

}  // namespace futured::store
