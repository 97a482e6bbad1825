#include "daemon/process.hpp"

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "daemon/log.hpp"

namespace futured::daemon {
namespace {

constexpr std::string_view kSocketName = "futured.sock";

std::string error_text(int error) { return std::generic_category().message(error); }

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::string home() {
  std::string dir = environment("HOME");
  if (!dir.empty()) return dir;
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> room{};
  if (getpwuid_r(geteuid(), &entry, room.data(), room.size(), &found) == 0 && found != nullptr) return found->pw_dir;
  return {};
}

// Ours, and to be written to.
bool fits(const std::string& folder) {
  struct stat s {};
  return stat(folder.c_str(), &s) == 0 && S_ISDIR(s.st_mode) && s.st_uid == geteuid() &&
         access(folder.c_str(), W_OK | X_OK) == 0;
}

// Whoever can write to the folder can put his own socket in the place of ours, and clients trust what they find there.
Status make_private(const std::string& folder) {
  struct stat s {};
  if (lstat(folder.c_str(), &s) != 0) return {Code::internal, "cannot look at " + folder + ": " + error_text(errno)};
  if (!S_ISDIR(s.st_mode) || s.st_uid != geteuid()) {
    return {Code::internal, folder + ", where clients of this user look for its daemon, " +
                                (S_ISLNK(s.st_mode)   ? std::string("is a symbolic link")
                                 : S_ISDIR(s.st_mode) ? "belongs to the user " + std::to_string(s.st_uid)
                                                      : std::string("is not a folder")) +
                                "; remove it, or name another socket: --listen ipc:///PATH"};
  }
  if ((s.st_mode & 077) == 0) return {};
  if (chmod(folder.c_str(), 0700) != 0) {
    return {Code::internal, "cannot make " + folder + " private: " + error_text(errno)};
  }
  log_warning("made " + folder + " private (mode 0700): others could have put a socket of theirs there");
  return {};
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

std::string read_all(int fd) {
  std::string out;
  std::array<char, 4096> room{};
  for (;;) {
    const ssize_t n = ::read(fd, room.data(), room.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return out;
    out.append(room.data(), static_cast<std::size_t>(n));
  }
}

}  // namespace

std::string ipc_path(const std::string& endpoint) {
  constexpr std::string_view scheme = "ipc://";
  return endpoint.rfind(scheme, 0) == 0 ? endpoint.substr(scheme.size()) : std::string();
}

Status make_folder(const std::string& path) {
  for (std::size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    const std::string part = path.substr(0, at);
    if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
      const int error = errno;
      struct stat s {};
      if (stat(part.c_str(), &s) != 0)
        return {Code::internal, "cannot make the folder " + part + ": " + error_text(error)};
    }
    if (at == std::string::npos) break;
  }
  struct stat s {};
  if (stat(path.c_str(), &s) != 0 || !S_ISDIR(s.st_mode)) return {Code::internal, path + " is not a folder"};
  return {};
}

Result<std::string> default_endpoint() {
  // The order in which clients look. A user's own place comes first, the place of the system's service last; for root
  // without a session they are the same thing, and the known one wins.
  std::vector<std::string> places;
  const std::string system = "/run/futured";
  if (const std::string xdg = environment("XDG_RUNTIME_DIR"); !xdg.empty()) {
    // Not made here: whoever named it provides it.
    if (struct stat s{}; stat(xdg.c_str(), &s) == 0) places.push_back(xdg + "/futured");
  }
  if (geteuid() == 0) places.push_back(system);
  if (const std::string dir = home(); !dir.empty()) places.push_back(dir + "/.local/state/futured/run");
  if (geteuid() != 0) places.push_back(system);
  std::string why;
  for (const std::string& place : places) {
    const Status made = make_folder(place);
    // The folder of the system's service may be open to its group.
    if (made.ok() && place != system) {
      if (Status s = make_private(place); !s.ok()) return s;
    }
    if (made.ok() && fits(place)) return "ipc://" + place + "/" + std::string(kSocketName);
    why += (why.empty() ? "" : "; ") + (made.ok() ? place + " is not a folder of this user" : made.message());
  }
  return Status(Code::internal, "found no place for the socket (" + why + "); name one: --listen ipc:///PATH");
}

// --- Claim ---

Result<std::unique_ptr<Claim>> Claim::take(const std::string& path, const std::string& what) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Status(Code::internal, "cannot open the lock file " + path + ": " + error_text(errno));
  auto claim = std::unique_ptr<Claim>(new Claim(fd));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Status(Code::internal, "cannot lock " + path + ": " + error_text(errno));
    std::string owner = read_all(fd);
    owner.erase(owner.find_last_not_of(" \n") + 1);
    return Status(Code::refused, "another daemon (pid " + (owner.empty() ? "unknown" : owner) + ") is listening on " +
                                     what + "; stop it, or give this one another endpoint");
  }
  if (ftruncate(fd, 0) != 0 || !write_all(fd, std::to_string(getpid()) + "\n")) {
    return Status(Code::internal, "cannot write the lock file " + path + ": " + error_text(errno));
  }
  return claim;
}

// The file stays: removing it would let two later daemons lock two different files of one name.
Claim::~Claim() { ::close(fd_); }

// --- RuntimeDir ---

namespace {

constexpr std::string_view kRuntimePrefix = "futured-daemon-";
constexpr std::size_t kRuntimeRandom = 6;  // letters that mkdtemp() fills in
constexpr std::string_view kRuntimeLock = "/daemon.lock";
constexpr std::size_t kLongestRuntimeBase = 60;  // leaves room for a socket's name below the limit of 107 bytes
constexpr std::int64_t kSweepAfterSeconds = 10;  // one that is just being made has no lock yet

void sweep_runtime_dirs(const std::string& base) {
  std::error_code error;
  for (std::filesystem::directory_iterator it(base, error), end; !error && it != end; it.increment(error)) {
    const std::string path = it->path().string();
    // What is removed with everything in it must be unmistakable: name, owner, age and lock file.
    const std::string name = it->path().filename().string();
    if (name.rfind(kRuntimePrefix, 0) != 0 || name.size() != kRuntimePrefix.size() + kRuntimeRandom) continue;
    struct stat s {};
    if (lstat(path.c_str(), &s) != 0 || !S_ISDIR(s.st_mode) || s.st_uid != geteuid()) continue;
    if (std::time(nullptr) - s.st_mtime < kSweepAfterSeconds) continue;
    const int fd = ::open((path + std::string(kRuntimeLock)).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) continue;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
    ::close(fd);
  }
}

}  // namespace

Result<std::unique_ptr<RuntimeDir>> RuntimeDir::make() {
  std::vector<std::string> bases;
  if (const std::string xdg = environment("XDG_RUNTIME_DIR"); !xdg.empty()) {
    if (struct stat s{}; stat(xdg.c_str(), &s) == 0) bases.push_back(xdg + "/futured");
  }
  if (geteuid() == 0) bases.emplace_back("/run/futured");
  const std::string temp = environment("TMPDIR");
  if (!temp.empty()) bases.push_back(temp);
  bases.emplace_back("/tmp");
  std::string why;
  for (const std::string& base : bases) {
    if (base.size() > kLongestRuntimeBase) continue;
    if (const Status made = make_folder(base); !made.ok()) {
      why = made.message();
      continue;
    }
    sweep_runtime_dirs(base);
    std::string path = base + "/" + std::string(kRuntimePrefix) + std::string(kRuntimeRandom, 'X');
    if (mkdtemp(path.data()) == nullptr) {
      why = "cannot make " + path + ": " + error_text(errno);
      continue;
    }
    auto dir = std::unique_ptr<RuntimeDir>(new RuntimeDir);
    dir->path_ = path;
    auto claim = Claim::take(path + std::string(kRuntimeLock), path);
    if (!claim) return claim.status();
    dir->claim_ = std::move(*claim);
    return dir;
  }
  return Status(Code::internal, "found no place for a private folder: " + why);
}

RuntimeDir::~RuntimeDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

// --- Signals ---

namespace {

sigset_t our_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, s);
  return set;
}

}  // namespace

Signals::Signals() {
  const sigset_t set = our_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

Signals::~Signals() {
  if (fd_ >= 0) ::close(fd_);
  const sigset_t set = our_signals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

int Signals::next() {
  signalfd_siginfo info{};
  return ::read(fd_, &info, sizeof info) == static_cast<ssize_t>(sizeof info) ? static_cast<int>(info.ssi_signo) : 0;
}

void prepare_process() {
  signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
}

// --- Background ---

namespace {

// Waits for the background process to be ready or to fail; does not return.
[[noreturn]] void stand_by(int from) {
  const std::string said = read_all(from);
  if (said.empty()) {
    write_all(STDERR_FILENO, "futured: the daemon ended before it was ready\n");
    _exit(1);
  }
  if (said.size() > 1) write_all(STDERR_FILENO, "futured: " + said.substr(1) + "\n");
  _exit(static_cast<unsigned char>(said[0]));
}

}  // namespace

Result<std::unique_ptr<Background>> Background::enter(const Options& options) {
  auto self = std::unique_ptr<Background>(new Background);
  self->options_ = options;
  int log = -1;
  if (!options.log_file.empty()) {
    log = ::open(options.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (log < 0) {
      return Status(Code::internal, "cannot open the log file " + options.log_file + ": " + error_text(errno));
    }
  }
  if (options.daemonize) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return Status(Code::internal, "cannot make a pipe: " + error_text(errno));
    const pid_t child = fork();
    if (child < 0) return Status(Code::internal, "cannot fork: " + error_text(errno));
    if (child > 0) {
      ::close(ends[1]);
      stand_by(ends[0]);
    }
    ::close(ends[0]);
    self->foreground_ = ends[1];
    // A session without a terminal, led by nobody, so that no terminal can be acquired.
    setsid();
    if (const pid_t second = fork(); second != 0) _exit(second < 0 ? 1 : 0);
    if (chdir("/") != 0) return Status(Code::internal, "cannot enter /: " + error_text(errno));
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) return Status(Code::internal, "cannot open /dev/null: " + error_text(errno));
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(log >= 0 ? log : null, STDERR_FILENO);
    ::close(null);
  } else if (log >= 0) {
    self->terminal_ = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    dup2(log, STDERR_FILENO);
  }
  if (log >= 0) ::close(log);
  return self;
}

namespace {

bool same_file(int fd, const std::string& path) {
  struct stat held {};
  struct stat named {};
  return fstat(fd, &held) == 0 && lstat(path.c_str(), &named) == 0 && held.st_dev == named.st_dev &&
         held.st_ino == named.st_ino;
}

// Puts `fresh` (which is locked by us) in the place of `path`. Refused: a living process holds what is there.
Status replace_pidfile(const std::string& fresh, const std::string& path) {
  for (;;) {
    const int old = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (old < 0 && errno == ENOENT) {
      if (link(fresh.c_str(), path.c_str()) == 0) {
        unlink(fresh.c_str());
        return {};
      }
      if (errno == EEXIST) continue;  // somebody was faster
    }
    if (old < 0) return {Code::internal, "cannot write the pidfile " + path + ": " + error_text(errno)};
    // Held until ours is in its place, so that of two who find a stale one only one replaces it.
    const bool ours = flock(old, LOCK_EX | LOCK_NB) == 0;
    std::string owner = read_all(old);
    owner.erase(owner.find_last_not_of(" \n") + 1);
    Status status;
    if (!ours) {
      status = {Code::refused, "the pidfile " + path + " is held by a running process (pid " +
                                   (owner.empty() ? "unknown" : owner) + "); stop it, or name another --pidfile"};
    } else if (owner.find_first_not_of("0123456789") != std::string::npos) {
      status = {Code::refused, path + " is not a pidfile: it does not hold a process id alone; name another --pidfile"};
    } else if (!same_file(old, path)) {
      ::close(old);
      continue;
    } else if (rename(fresh.c_str(), path.c_str()) != 0) {
      status = {Code::internal, "cannot write the pidfile " + path + ": " + error_text(errno)};
    }
    ::close(old);
    return status;
  }
}

}  // namespace

Background::~Background() {
  if (pidfile_ >= 0) {
    if (same_file(pidfile_, options_.pidfile)) unlink(options_.pidfile.c_str());
    ::close(pidfile_);
  }
  if (foreground_ >= 0) ::close(foreground_);
  if (terminal_ >= 0) ::close(terminal_);
}

Status Background::ready() {
  if (!options_.pidfile.empty()) {
    // In one step, so that nobody ever reads half a number; locked, so that it tells a living process from a dead one.
    const std::string fresh = options_.pidfile + "." + std::to_string(getpid());
    unlink(fresh.c_str());
    const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    const bool written = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && write_all(fd, std::to_string(getpid()) + "\n");
    Status status;
    if (!written) status = {Code::internal, "cannot write the pidfile " + fresh + ": " + error_text(errno)};
    if (written) status = replace_pidfile(fresh, options_.pidfile);
    if (!status.ok()) {
      if (fd >= 0) {
        unlink(fresh.c_str());
        ::close(fd);
      }
      return status;
    }
    pidfile_ = fd;
  }
  if (foreground_ >= 0) {
    write_all(foreground_, std::string_view("\0", 1));
    ::close(std::exchange(foreground_, -1));
  }
  notify_service_manager("READY=1\nMAINPID=" + std::to_string(getpid()));
  return {};
}

int Background::failed(const std::string& message, int code) {
  const std::string line = "futured: " + message + "\n";
  if (!options_.log_file.empty()) log_error(message);
  if (foreground_ >= 0) {
    write_all(foreground_, std::string(1, static_cast<char>(code)) + message);
    ::close(std::exchange(foreground_, -1));
  } else {
    write_all(terminal_ >= 0 ? terminal_ : STDERR_FILENO, line);
  }
  return code;
}

void notify_service_manager(const std::string& state) {
  const std::string path = environment("NOTIFY_SOCKET");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() < 2 || path.size() >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  sendto(fd, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), size);
  ::close(fd);
}

}  // namespace futured::daemon
