// The slots file: what a worker process runs at this moment, readable after its death.
//
// A worker maps the file and keeps the token of the call in each slot: written before the plugin is entered, zeroed
// after the call has ended. Whoever started the worker reads the file when the process is gone: only calls named here
// had started, so only they are suspects of a crash. Both sides run on the same host; the file never travels.
//
//   byte  0  "fdslots1"                       magic with version
//   byte  8  u32 thread slots, u32 async slots
//   byte 16  16 bytes reserved, 0
//   byte 32  one 16-byte token per thread slot, then one per async slot; all 0: idle
//
// Numbers are in the byte order of the host. The file has its full length from the moment the magic is there.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "proto/ids.hpp"
#include "proto/status.hpp"

namespace futured {

inline constexpr char kSlotsMagic[] = "fdslots1";
inline constexpr std::size_t kSlotsHeaderBytes = 32;
inline constexpr std::uint32_t kMaxSlots = 1U << 20;  ///< of one lane; a file that claims more is refused

/// The writer's side. Each slot is written by one thread at a time; different slots by any threads.
class SlotsFile {
 public:
  SlotsFile() = default;
  SlotsFile(const SlotsFile&) = delete;
  SlotsFile& operator=(const SlotsFile&) = delete;
  ~SlotsFile() {
    if (base_ != nullptr) ::munmap(base_, bytes_);
  }
  /// Creates or empties `path` (mode 0600) and maps it. The mapping lives as long as this object.
  Status open(const std::string& path, std::uint32_t thread_slots, std::uint32_t async_slots) {
    const auto failed = [&path](const char* what) {
      return Status(Code::internal, "slots file " + path + ": " + what + ": " + std::strerror(errno));
    };
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return failed("cannot open");
    const std::size_t bytes = kSlotsHeaderBytes + kTokenBytes * (std::size_t{thread_slots} + async_slots);
    void* base = MAP_FAILED;
    const bool sized = ::ftruncate(fd, 0) == 0 && ::ftruncate(fd, static_cast<off_t>(bytes)) == 0;
    // Reserve the blocks now: a full disk must be an error here, not SIGBUS in the middle of a call.
    const int no_room = sized ? ::posix_fallocate(fd, 0, static_cast<off_t>(bytes)) : 0;
    if (sized && no_room == 0) base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    const int saved = no_room != 0 ? no_room : errno;
    ::close(fd);
    errno = saved;
    if (base == MAP_FAILED) return failed("cannot map");
    base_ = static_cast<char*>(base);
    bytes_ = bytes;
    std::memcpy(base_ + 8, &thread_slots, 4);
    std::memcpy(base_ + 12, &async_slots, 4);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    std::memcpy(base_, kSlotsMagic, 8);
    return {};
  }
  bool is_open() const { return base_ != nullptr; }
  /// `slot`: thread slots first, then async slots. Does nothing if the file is not open.
  void begin(std::size_t slot, const AttemptToken& token) {
    if (base_ == nullptr) return;
    static_assert(sizeof(AttemptToken) == kTokenBytes);
    std::memcpy(at(slot), &token, kTokenBytes);
    std::atomic_signal_fence(std::memory_order_seq_cst);  // in memory before the plugin may crash
  }
  void end(std::size_t slot) {
    if (base_ == nullptr) return;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    std::memset(at(slot), 0, kTokenBytes);
  }

 private:
  char* at(std::size_t slot) const { return base_ + kSlotsHeaderBytes + slot * kTokenBytes; }
  char* base_ = nullptr;
  std::size_t bytes_ = 0;
};

/// The tokens of the calls that were running when the process that wrote `path` ended. Invalid if the file is not a
/// slots file (a process that died before it wrote the header leaves such a file: nothing had run); internal if it
/// cannot be read.
inline Result<std::vector<AttemptToken>> read_slots_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Status(Code::internal, "slots file " + path + ": cannot open: " + std::strerror(errno));
  const auto read_all = [fd](char* into, std::size_t bytes) {
    std::size_t got = 0;
    while (got < bytes) {
      const ssize_t n = ::pread(fd, into + got, bytes - got, static_cast<off_t>(got));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      got += static_cast<std::size_t>(n);
    }
    return got == bytes;
  };
  char header[kSlotsHeaderBytes] = {};
  std::uint32_t threads = 0;
  std::uint32_t async = 0;
  bool good = read_all(header, sizeof header) && std::memcmp(header, kSlotsMagic, 8) == 0;
  std::memcpy(&threads, header + 8, 4);
  std::memcpy(&async, header + 12, 4);
  good = good && threads <= kMaxSlots && async <= kMaxSlots;
  std::vector<AttemptToken> running;
  if (good) {
    std::string raw(kSlotsHeaderBytes + kTokenBytes * (std::size_t{threads} + async), '\0');
    good = read_all(raw.data(), raw.size());
    for (std::size_t i = kSlotsHeaderBytes; good && i < raw.size(); i += kTokenBytes) {
      AttemptToken token;
      std::memcpy(&token, raw.data() + i, kTokenBytes);
      if (token != AttemptToken{}) running.push_back(token);
    }
  }
  ::close(fd);
  if (!good) return Status(Code::invalid, "slots file " + path + ": not a complete slots file");
  return running;
}

}  // namespace futured
