#include "daemon/store/sqlite_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <random>
#include <utility>

namespace futured::store {

namespace {

// One row each, but for the many tasks of a batch. `task` and `outcome` are all that grows.
constexpr const char* kSchema = R"sql(
CREATE TABLE meta(
  one INTEGER PRIMARY KEY CHECK(one = 1),
  id BLOB NOT NULL,
  epoch INTEGER NOT NULL,
  next_number INTEGER NOT NULL
);
CREATE TABLE stream(
  stream BLOB PRIMARY KEY,
  accepted INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE batch(
  first INTEGER PRIMARY KEY,
  count INTEGER NOT NULL,
  stream BLOB NOT NULL,
  first_seq INTEGER NOT NULL,
  submitted INTEGER NOT NULL,
  specs BLOB NOT NULL
);
CREATE INDEX batch_by_seq ON batch(stream, first_seq);
CREATE TABLE task(
  number INTEGER PRIMARY KEY,
  spec INTEGER NOT NULL,
  input BLOB NOT NULL
);
CREATE TABLE progress(
  number INTEGER PRIMARY KEY,
  data BLOB NOT NULL
);
CREATE TABLE outcome(
  number INTEGER PRIMARY KEY,
  spec INTEGER NOT NULL,
  state INTEGER NOT NULL,
  ended INTEGER NOT NULL,
  until INTEGER NOT NULL,
  taken INTEGER NOT NULL,
  data BLOB NOT NULL,
  result BLOB NOT NULL,
  input BLOB NOT NULL
);
CREATE INDEX outcome_until ON outcome(until) WHERE until > 0;
CREATE TABLE setting(
  name TEXT PRIMARY KEY,
  data BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE worker(
  instance BLOB PRIMARY KEY,
  data BLOB NOT NULL
) WITHOUT ROWID;
)sql";

Status failed(const std::string& what, const std::string& path) {
  return {Code::internal, "store " + path + ": " + what + ": " + std::strerror(errno)};
}

std::string random_id() {
  std::random_device device;
  std::string id;
  for (int i = 0; i < 16; ++i) id.push_back(static_cast<char>(device() & 0xff));
  return id;
}

/// Makes the names in the folder of `path` last.
Status sync_folder(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return failed("cannot open its folder", path);
  const int synced = ::fsync(fd);
  const int error = errno;
  ::close(fd);
  errno = error;
  return synced == 0 ? Status{} : failed("cannot sync its folder", path);
}

Status configure(Connection& c) {
  // FULL: the log is synced at each commit, so that a commit outlives a power cut
  // (sqlite.org/pragma.html#pragma_synchronous).
  for (const char* pragma :
       {"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA wal_autocheckpoint = 0",
        "PRAGMA secure_delete = OFF", "PRAGMA temp_store = MEMORY", "PRAGMA cache_size = -32768"}) {
    if (Status s = c.exec(pragma); !s.ok()) return s;
  }
  return {};
}

std::uint32_t big_endian(const unsigned char* at) {
  return std::uint32_t{at[0]} << 24 | std::uint32_t{at[1]} << 16 | std::uint32_t{at[2]} << 8 | at[3];
}

}  // namespace

Status create_store(const std::string& path) {
  const std::string fresh = path + ".new";
  for (const char* suffix : {"", "-wal", "-shm"}) {
    if (::unlink((fresh + suffix).c_str()) != 0 && errno != ENOENT) return failed("cannot remove " + fresh, path);
  }
  // Made by hand for its mode: inputs and results are nobody else's.
  const int fd = ::open(fresh.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return failed("cannot create " + fresh, path);
  ::close(fd);
  {
    auto connection = Connection::open(fresh, Connection::Mode::read_write);
    if (!connection) return connection.status();
    Connection& c = **connection;
    if (Status s = c.exec("BEGIN"); !s.ok()) return s;
    if (Status s = c.exec(kSchema); !s.ok()) return s;
    auto meta = c.prepare("INSERT INTO meta VALUES(1, ?, 0, 1)");
    if (!meta) return meta.status();
    const std::string id = random_id();
    if (!meta->bind_blob(1, id).run()) return c.fault_status();
    const std::string header = "PRAGMA application_id = " + std::to_string(kApplicationId) +
                               "; PRAGMA user_version = " + std::to_string(kSchemaVersion) + "; COMMIT;";
    if (Status s = c.exec(header.c_str()); !s.ok()) return s;
    if (Status s = configure(c); !s.ok()) return s;
    c.checkpoint(true);
    if (c.fault() != Fault::none) return c.fault_status();
  }
  for (const char* suffix : {"-wal", "-shm"}) ::unlink((fresh + suffix).c_str());
  if (::rename(fresh.c_str(), path.c_str()) != 0) return failed("cannot rename " + fresh, path);
  return sync_folder(path);
}

Status inspect_store(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT) return {Code::not_found, "store " + path + ": no such file"};
    return failed("cannot open it", path);
  }
  std::array<unsigned char, 100> header{};
  const ssize_t size = ::read(fd, header.data(), header.size());
  const int error = errno;
  ::close(fd);
  errno = error;
  if (size < 0) return failed("cannot read it", path);
  static constexpr char kMagic[] = "SQLite format 3";  // with its end, 16 bytes: sqlite.org/fileformat2.html
  const bool ours = static_cast<std::size_t>(size) == header.size() &&
                    std::memcmp(header.data(), kMagic, sizeof kMagic) == 0 &&
                    big_endian(header.data() + 68) == kApplicationId;
  if (!ours) {
    return {Code::invalid, "store " + path + ": this file is not a store of futured and is left alone; name another"};
  }
  const std::uint32_t version = big_endian(header.data() + 60);
  if (version > kSchemaVersion) {
    return {Code::version, "store " + path + ": written by a newer futured (schema " + std::to_string(version) +
                               ", this one knows " + std::to_string(kSchemaVersion) + "); use that one"};
  }
  return {};
}

Result<std::unique_ptr<Connection>> open_store(const std::string& path) {
  auto connection = Connection::open(path, Connection::Mode::read_write);
  if (!connection) return connection;
  if (Status s = configure(**connection); !s.ok()) return s;
  return connection;
}

Result<StoreLock> StoreLock::take(const std::string& store_path) {
  const std::string path = store_path + ".lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return failed("cannot open " + path, store_path);
  StoreLock lock(fd);
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (::fcntl(fd, F_OFD_SETLK, &whole) != 0) {
    if (errno != EAGAIN && errno != EACCES) return failed("cannot lock " + path, store_path);
    std::array<char, 32> who{};
    const ssize_t size = ::pread(fd, who.data(), who.size() - 1, 0);
    std::string message = "store " + store_path + ": another daemon uses it";
    if (size > 0) message += " (process " + std::string(who.data()) + ")";
    return Status(Code::refused, message + "; stop that one or name another store");
  }
  const std::string pid = std::to_string(::getpid());
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, pid.data(), pid.size(), 0) < 0) {
    // Only for the words of the refusal above.
  }
  return lock;
}

StoreLock::StoreLock(StoreLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

StoreLock::~StoreLock() {
  if (fd_ >= 0) ::close(fd_);
}

Reserve::Reserve(std::string store_path, std::uint64_t bytes)
    : path_(std::move(store_path) + ".reserve"), bytes_(bytes) {}

Reserve::~Reserve() {
  if (fd_ >= 0) ::close(fd_);
}

bool Reserve::fill() {
  if (full_ || bytes_ == 0) return true;
  if (fd_ < 0) fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd_ < 0) return false;
  full_ = ::posix_fallocate(fd_, 0, static_cast<off_t>(bytes_)) == 0;
  if (!full_) release();
  return full_;
}

void Reserve::release() {
  full_ = false;
  if (fd_ < 0) return;
  if (::ftruncate(fd_, 0) != 0) ::unlink(path_.c_str());
}

}  // namespace futured::store
