#include "tests/store/faulty_disk.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

namespace futured::test {

namespace {

FaultyDisk* current = nullptr;

sqlite3_vfs* real() {
  static sqlite3_vfs* const vfs = sqlite3_vfs_find("unix");
  return vfs;
}

/// What SQLite allocates for a file: this, and behind it the file of the real VFS.
struct CoveredFile {
  sqlite3_file base;
  std::string* path;
  sqlite3_file* file() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
CoveredFile* covered(sqlite3_file* f) { return reinterpret_cast<CoveredFile*>(f); }
sqlite3_file* inner(sqlite3_file* f) { return covered(f)->file(); }
const std::string& path_of(sqlite3_file* f) { return *covered(f)->path; }

int code(FaultyDisk::Verdict v, int error) {
  return v == FaultyDisk::Verdict::go ? SQLITE_OK : v == FaultyDisk::Verdict::full ? SQLITE_FULL : error;
}

int x_close(sqlite3_file* f) {
  const int result = inner(f)->pMethods == nullptr ? SQLITE_OK : inner(f)->pMethods->xClose(inner(f));
  delete covered(f)->path;
  return result;
}
int x_read(sqlite3_file* f, void* to, int n, sqlite3_int64 at) {
  return inner(f)->pMethods->xRead(inner(f), to, n, at);
}
int x_write(sqlite3_file* f, const void* from, int n, sqlite3_int64 at) {
  const auto size = static_cast<std::size_t>(n);
  const auto verdict = current->may_write(path_of(f), static_cast<std::uint64_t>(at) + size, from, size, at);
  if (verdict != FaultyDisk::Verdict::go) return code(verdict, SQLITE_IOERR_WRITE);
  return inner(f)->pMethods->xWrite(inner(f), from, n, at);
}
int x_truncate(sqlite3_file* f, sqlite3_int64 size) {
  const auto verdict = current->may_truncate(path_of(f), size);
  if (verdict != FaultyDisk::Verdict::go) return code(verdict, SQLITE_IOERR_TRUNCATE);
  return inner(f)->pMethods->xTruncate(inner(f), size);
}
int x_sync(sqlite3_file* f, int flags) {
  const auto verdict = current->may_sync(path_of(f));
  if (verdict != FaultyDisk::Verdict::go) return code(verdict, SQLITE_IOERR_FSYNC);
  return inner(f)->pMethods->xSync(inner(f), flags);
}
int x_size(sqlite3_file* f, sqlite3_int64* size) { return inner(f)->pMethods->xFileSize(inner(f), size); }
int x_lock(sqlite3_file* f, int how) { return inner(f)->pMethods->xLock(inner(f), how); }
int x_unlock(sqlite3_file* f, int how) { return inner(f)->pMethods->xUnlock(inner(f), how); }
int x_check_lock(sqlite3_file* f, int* out) { return inner(f)->pMethods->xCheckReservedLock(inner(f), out); }
int x_control(sqlite3_file* f, int op, void* arg) { return inner(f)->pMethods->xFileControl(inner(f), op, arg); }
int x_sector(sqlite3_file* f) { return inner(f)->pMethods->xSectorSize(inner(f)); }
// Nothing is promised, so that SQLite takes no short cuts.
int x_traits(sqlite3_file*) { return 0; }
int x_shm_map(sqlite3_file* f, int page, int size, int extend, void volatile** out) {
  return inner(f)->pMethods->xShmMap(inner(f), page, size, extend, out);
}
int x_shm_lock(sqlite3_file* f, int offset, int n, int flags) {
  return inner(f)->pMethods->xShmLock(inner(f), offset, n, flags);
}
void x_shm_barrier(sqlite3_file* f) { inner(f)->pMethods->xShmBarrier(inner(f)); }
int x_shm_unmap(sqlite3_file* f, int remove) { return inner(f)->pMethods->xShmUnmap(inner(f), remove); }

const sqlite3_io_methods kMethods = {
    2,         x_close,  x_read,   x_write,   x_truncate, x_sync,        x_size,      x_lock,  x_unlock, x_check_lock,
    x_control, x_sector, x_traits, x_shm_map, x_shm_lock, x_shm_barrier, x_shm_unmap, nullptr, nullptr};

int v_open(sqlite3_vfs*, const char* name, sqlite3_file* f, int flags, int* out) {
  covered(f)->base.pMethods = nullptr;
  std::memset(inner(f), 0, static_cast<std::size_t>(real()->szOsFile));
  const int result = real()->xOpen(real(), name, inner(f), flags, out);
  if (inner(f)->pMethods == nullptr) return result;
  covered(f)->path = new std::string(name == nullptr ? "" : name);
  covered(f)->base.pMethods = &kMethods;
  return result;
}
int v_delete(sqlite3_vfs*, const char* name, int sync) {
  current->removed(name);
  return real()->xDelete(real(), name, sync);
}
int v_access(sqlite3_vfs*, const char* name, int flags, int* out) { return real()->xAccess(real(), name, flags, out); }
int v_full_path(sqlite3_vfs*, const char* name, int n, char* out) {
  return real()->xFullPathname(real(), name, n, out);
}
int v_random(sqlite3_vfs*, int n, char* out) { return real()->xRandomness(real(), n, out); }
int v_sleep(sqlite3_vfs*, int us) { return real()->xSleep(real(), us); }
int v_time(sqlite3_vfs*, double* out) { return real()->xCurrentTime(real(), out); }
int v_error(sqlite3_vfs*, int n, char* out) { return real()->xGetLastError(real(), n, out); }
int v_time64(sqlite3_vfs*, sqlite3_int64* out) { return real()->xCurrentTimeInt64(real(), out); }

sqlite3_vfs* cover() {
  static sqlite3_vfs vfs = [] {
    sqlite3_vfs v{};
    v.iVersion = 2;
    v.szOsFile = static_cast<int>(sizeof(CoveredFile)) + real()->szOsFile;
    v.mxPathname = real()->mxPathname;
    v.zName = "faulty";
    v.xOpen = v_open;
    v.xDelete = v_delete;
    v.xAccess = v_access;
    v.xFullPathname = v_full_path;
    v.xRandomness = v_random;
    v.xSleep = v_sleep;
    v.xCurrentTime = v_time;
    v.xGetLastError = v_error;
    v.xCurrentTimeInt64 = v_time64;
    return v;
  }();
  return &vfs;
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

bool ends_with(const std::string& s, const std::string& end) {
  return s.size() >= end.size() && s.compare(s.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

FaultyDisk::FaultyDisk() {
  current = this;
  sqlite3_vfs_register(cover(), 1);
}

FaultyDisk::~FaultyDisk() {
  sqlite3_vfs_register(real(), 1);
  sqlite3_vfs_unregister(cover());
  current = nullptr;
}

void FaultyDisk::limit(std::uint64_t bytes, std::function<std::uint64_t()> besides) {
  const std::lock_guard hold(mutex_);
  limit_ = bytes;
  besides_ = std::move(besides);
}

void FaultyDisk::fail_at(std::uint64_t n) {
  const std::lock_guard hold(mutex_);
  fail_at_ = n == 0 ? 0 : operations_ + n;
}

void FaultyDisk::stall(bool on) {
  const std::lock_guard hold(mutex_);
  stalled_ = on;
}

void FaultyDisk::watch(const std::string& folder) {
  const std::lock_guard hold(mutex_);
  watching_ = true;
  cut_at_ = 0;
  files_.clear();
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!entry.is_regular_file() || ends_with(entry.path(), "-shm")) continue;
    files_[entry.path()] = {read_file(entry.path()), true, {}};
  }
}

void FaultyDisk::cut_at(std::uint64_t n) {
  const std::lock_guard hold(mutex_);
  cut_at_ = operations_ + n;
}

bool FaultyDisk::cut() const {
  const std::lock_guard hold(mutex_);
  return cut_at_ != 0 && operations_ >= cut_at_;
}

std::uint64_t FaultyDisk::operations() const {
  const std::lock_guard hold(mutex_);
  return operations_;
}

FaultyDisk::Verdict FaultyDisk::count(std::unique_lock<std::mutex>& hold) {
  while (stalled_) {
    hold.unlock();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    hold.lock();
  }
  if (cut_at_ != 0 && operations_ >= cut_at_) return Verdict::error;
  ++operations_;
  if (fail_at_ != 0 && operations_ >= fail_at_) return Verdict::error;
  return Verdict::go;
}

FaultyDisk::Verdict FaultyDisk::may_write(const std::string& path, std::uint64_t end, const void* data,
                                          std::size_t size, std::int64_t at) {
  std::unique_lock hold(mutex_);
  if (const Verdict v = count(hold); v != Verdict::go) return v;
  std::uint64_t& known = sizes_[path];
  if (known == 0) known = std::filesystem::exists(path) ? std::filesystem::file_size(path) : 0;
  if (end > known && limit_ != 0) {
    std::uint64_t used = besides_ ? besides_() : 0;
    for (const auto& [name, bytes] : sizes_) used += bytes;
    if (used + (end - known) > limit_) return Verdict::full;
  }
  known = std::max(known, end);
  if (watching_) {
    files_[path].since.push_back({at, false, std::string(static_cast<const char*>(data), size)});
  }
  return Verdict::go;
}

FaultyDisk::Verdict FaultyDisk::may_truncate(const std::string& path, std::int64_t size) {
  std::unique_lock hold(mutex_);
  if (const Verdict v = count(hold); v != Verdict::go) return v;
  sizes_[path] = static_cast<std::uint64_t>(size);
  if (watching_) files_[path].since.push_back({size, true, {}});
  return Verdict::go;
}

FaultyDisk::Verdict FaultyDisk::may_sync(const std::string& path) {
  std::unique_lock hold(mutex_);
  if (const Verdict v = count(hold); v != Verdict::go) return v;
  if (watching_) {
    File& file = files_[path];
    for (const Change& change : file.since) apply(file.synced, change);
    file.since.clear();
    file.exists = true;
  }
  return Verdict::go;
}

void FaultyDisk::removed(const std::string& path) {
  const std::lock_guard hold(mutex_);
  sizes_.erase(path);
  if (!(cut_at_ != 0 && operations_ >= cut_at_)) files_.erase(path);
}

void FaultyDisk::apply(std::string& content, const Change& change) {
  const auto at = static_cast<std::size_t>(change.at);
  if (change.truncate) {
    content.resize(at);
    return;
  }
  if (content.size() < at + change.bytes.size()) content.resize(at + change.bytes.size());
  content.replace(at, change.bytes.size(), change.bytes);
}

void FaultyDisk::power_on(std::mt19937& random) {
  const std::lock_guard hold(mutex_);
  for (auto& [path, file] : files_) {
    std::string content = file.synced;
    const std::size_t n = file.since.size();
    const bool subset = random() % 2 == 0;
    const std::size_t prefix = random() % (n + 1);
    for (std::size_t i = 0; i < n; ++i) {
      if (subset ? random() % 2 == 0 : i >= prefix) continue;
      Change change = file.since[i];
      // A sector of 512 bytes is written or not; a larger write may be torn between them.
      if (!change.truncate && change.bytes.size() > 512 && random() % 4 == 0) {
        change.bytes.resize(512 * (random() % (change.bytes.size() / 512)));
      }
      apply(content, change);
    }
    if (!file.exists && random() % 2 == 0) {
      std::filesystem::remove(path);
      continue;
    }
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  }
  for (const auto& [path, file] : files_) std::filesystem::remove(path + "-shm");
  cut_at_ = 0;
  sizes_.clear();
  files_.clear();
  watching_ = false;
}

}  // namespace futured::test
