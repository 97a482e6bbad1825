// test.*: well-behaved tasks for tests of everything around plugins. All of the thread lane but those that say so.
//
//   test.noop        replies nothing                    test.async_noop  the same on the async lane
//   test.sleep_ms    sleeps MS (the input), stops when cancelled, replies its input
//   test.sidelog     "PATH MS VALUE": see sidelog
//   test.fail        fails with its input as message    test.reject      the same, permanent
//   test.flaky       "N": fails before attempt N, then replies the attempt
//   test.retry_after "N MS": fails before attempt N and asks for MS until the next, then replies the attempt
//   test.crash_until "N": aborts the process before attempt N, then replies the attempt
//   test.until       "PATH": see until
//   test.big         "N": replies N bytes of 'b'
//   test.emit        "N": N lines on stdout and N on stderr, as output; replies nothing
//   test.pid         replies the process id             test.header      replies the header named by the input
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <futured/plugin.hpp>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace {

using namespace std::chrono_literals;
using futured::plugin::AsyncCall;
using futured::plugin::Call;
using futured::plugin::Cancelled;
using futured::plugin::Emit;
using futured::plugin::Failure;

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw Failure("no number: " + std::string(text)).permanent();
  }
  return value;
}

/// What a call sleeps on: ends the sleep when the call should stop, and when it may emit again.
class Bell {
 public:
  explicit Bell(Call call) : call_(call), fd_(std::make_shared<Descriptor>(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))) {
    if (fd_->number < 0) throw Failure("there is no descriptor to be had");
    call.on_cancel([fd = fd_] { fd->ring(); });
    call.on_writable([fd = fd_] { fd->ring(); });
  }
  /// Until it is rung, `other` can be read, or the time is over; throws if the call should stop.
  void wait(std::optional<std::chrono::nanoseconds> time = std::nullopt, int other = -1) {
    pollfd fds[2] = {{fd_->number, POLLIN, 0}, {other, POLLIN, 0}};
    timespec left{};
    if (time) {
      left.tv_sec = static_cast<time_t>(*time / 1s);
      left.tv_nsec = static_cast<long>((*time % 1s).count());
    }
    ppoll(fds, 2, time ? &left : nullptr, nullptr);
    if (fds[0].revents != 0) fd_->hush();
    if (call_.cancelled()) throw Cancelled();
  }

 private:
  struct Descriptor {
    explicit Descriptor(int n) : number(n) {}
    ~Descriptor() { close(number); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    void ring() const {
      const std::uint64_t one = 1;
      [[maybe_unused]] const ssize_t written = write(number, &one, sizeof one);
    }
    void hush() const {
      std::uint64_t count = 0;
      [[maybe_unused]] const ssize_t got = read(number, &count, sizeof count);
    }
    const int number;
  };
  Call call_;
  std::shared_ptr<Descriptor> fd_;
};

void rest(std::chrono::milliseconds time, Call call) {
  Bell bell(call);
  const auto until = std::chrono::steady_clock::now() + time;
  if (call.cancelled()) throw Cancelled();
  for (auto left = until - std::chrono::steady_clock::now(); left > 0ns;
       left = until - std::chrono::steady_clock::now()) {
    bell.wait(left);
  }
}

void noop(std::string_view) {}
void async_noop(std::string_view, AsyncCall<void> call) { call.complete(); }

std::string sleep_ms(std::string_view input, Call call) {
  rest(std::chrono::milliseconds(number(input)), call);
  return std::string(input);
}

void append(const std::string& path, const std::string& line) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  const bool written = file >= 0 && write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  if (file >= 0) close(file);
  if (!written) throw Failure("the side log '" + path + "' cannot be written");
}

/// What an observer needs to judge executions: a line "start NUMBER.ATTEMPT PID MONOTONIC_NS" and, unless the task was
/// cancelled or killed, a line "end ..." of the same form, each by one write. Replies VALUE.
std::string sidelog(std::string_view input, Call call) {
  const std::size_t first = input.find(' ');
  const std::size_t second = first == std::string_view::npos ? first : input.find(' ', first + 1);
  if (second == std::string_view::npos) throw Failure("the input must be: PATH MS VALUE").permanent();
  const std::string path(input.substr(0, first));
  const auto time = std::chrono::milliseconds(number(input.substr(first + 1, second - first - 1)));
  const auto line = [&call](const char* what) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::string(what) + " " + std::to_string(call.task_number()) + "." + std::to_string(call.attempt()) + " " +
           std::to_string(getpid()) + " " + std::to_string(std::chrono::nanoseconds(now).count()) + "\n";
  };
  append(path, line("start"));
  rest(time, call);
  append(path, line("end"));
  return std::string(input.substr(second + 1));
}

void fail(std::string_view input) { throw Failure(std::string(input)); }
void reject(std::string_view input) { throw Failure(std::string(input)).permanent(); }

std::string flaky(std::string_view input, Call call) {
  std::string attempt = std::to_string(call.attempt());
  if (call.attempt() < static_cast<std::int64_t>(number(input))) throw Failure("attempt " + attempt + " fails");
  return attempt;
}

std::string retry_after(std::string_view input, Call call) {
  const std::size_t space = std::min(input.find(' '), input.size());
  const std::uint64_t time = number(input.substr(std::min(space + 1, input.size())));
  if (call.attempt() < static_cast<std::int64_t>(number(input.substr(0, space)))) {
    throw Failure("not now").retry_after(std::chrono::milliseconds(time));
  }
  return std::to_string(call.attempt());
}

/// What an observer needs to hold a call and to let it go: says "attempt N" on stdout and that it is half done, and
/// waits for the file PATH.N, N being its attempt. Fails if "fail" is in it, else replies what is.
std::string until(std::string_view input, Call call) {
  const std::string attempt = std::to_string(call.attempt());
  (void)call.emit(1, "attempt " + attempt + "\n");
  call.progress(0.5, "half of attempt " + attempt);
  const std::string path = std::string(input) + "." + attempt;
  Bell bell(call);
  const int changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  const std::string folder = path.substr(0, path.rfind('/') + 1);
  const bool told =
      changes >= 0 && inotify_add_watch(changes, folder.empty() ? "." : folder.c_str(), IN_CREATE | IN_MOVED_TO) >= 0;
  std::ifstream file(path);
  try {
    for (char events[4096]; !file; file.open(path)) {
      // Watches are few, and shared by all processes of a user: without one it is looked for again and again.
      told ? bell.wait(std::nullopt, changes) : bell.wait(2ms);
      while (told && read(changes, events, sizeof events) > 0) {
      }
    }
  } catch (const Cancelled&) {
    close(changes);
    throw;
  }
  close(changes);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  if (text == "fail") throw Failure("attempt " + attempt + " was told to fail");
  return text;
}

std::string crash_until(std::string_view input, Call call) {
  if (call.attempt() < static_cast<std::int64_t>(number(input))) std::abort();
  return std::to_string(call.attempt());
}

std::string big(std::string_view input) { return std::string(number(input), 'b'); }

void emit(std::string_view input, Call call) {
  const std::uint64_t lines = number(input);
  Bell bell(call);
  for (std::uint64_t i = 1; i <= lines; ++i) {
    for (std::uint32_t stream = 1; stream <= 2; ++stream) {
      const std::string line = (stream == 1 ? "out " : "err ") + std::to_string(i) + "\n";
      Emit answer = call.emit(stream, line);
      while (answer == Emit::again) {
        bell.wait();
        answer = call.emit(stream, line);
      }
    }
    call.progress(static_cast<double>(i) / static_cast<double>(lines), "line " + std::to_string(i));
  }
}

std::string pid(std::string_view) { return std::to_string(getpid()); }

std::string header(std::string_view input, Call call) {
  return call.header(input).value_or("no header " + std::string(input));
}

}  // namespace

FUTURED_PLUGIN("test", "0.1.0", blocking<noop>("test.noop", "replies nothing").idempotent(),
               async<async_noop>("test.async_noop", "replies nothing, on the async lane").idempotent(),
               blocking<sleep_ms>("test.sleep_ms", "sleeps, cooperatively").idempotent(),
               blocking<sidelog>("test.sidelog", "writes down when it ran"), blocking<fail>("test.fail", "fails"),
               blocking<reject>("test.reject", "fails for good"), blocking<flaky>("test.flaky", "fails at first"),
               blocking<retry_after>("test.retry_after", "fails at first, and says when to try again"),
               blocking<until>("test.until", "waits for a file"),
               blocking<crash_until>("test.crash_until", "crashes at first"),
               blocking<big>("test.big", "replies many bytes"), blocking<emit>("test.emit", "emits lines"),
               blocking<pid>("test.pid", "replies the process id"),
               blocking<header>("test.header", "replies a header of the call"))
