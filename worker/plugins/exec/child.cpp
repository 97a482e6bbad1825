#include "worker/plugins/exec/child.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "worker/plugins/exec/command.hpp"

namespace futured::plugins::exec {
namespace {

using plugin::Emit;
using plugin::Failure;

constexpr std::size_t chunk_size = 64 << 10;
// How long children that the command left behind may keep its output open.
constexpr auto linger = std::chrono::milliseconds(250);
// The most that is read after that: more than a pipe holds by default.
constexpr std::size_t last_bytes = 1 << 20;

void close_fd(int& fd) {
  if (fd >= 0) close(fd);
  fd = -1;
}

/// Standard descriptors of this process may be closed: a pipe must not take their numbers.
bool make_pipe(int (&ends)[2]) {
  if (pipe2(ends, O_CLOEXEC) != 0) {
    ends[0] = ends[1] = -1;
    return false;
  }
  for (int& end : ends) {
    if (end > 2) continue;
    const int moved = fcntl(end, F_DUPFD_CLOEXEC, 3);
    close(end);
    end = moved;
  }
  return ends[0] >= 0 && ends[1] >= 0;
}

void make_nonblocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

std::string_view last_line(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  const std::size_t newline = text.rfind('\n');
  if (newline != std::string_view::npos) text.remove_prefix(newline + 1);
  return text.substr(0, 200);
}

}  // namespace

Child::Child(Loop& loop, const Limits& limits, ExecRequest request, ExecCall call, std::function<void()> on_done)
    : loop_(loop), limits_(limits), request_(std::move(request)), call_(call), on_done_(std::move(on_done)) {
  out_.stream = 1;
  err_.stream = 2;
}

Child::~Child() {
  for (int* fd : {&pidfd_, &in_, &out_.fd, &err_.fd}) close_fd(*fd);
}

bool Child::make_pipes(int (&child_ends)[3]) {
  int ends[2];
  if (request_.has_stdin()) {
    if (!make_pipe(ends)) return false;
    child_ends[0] = ends[0];
    in_ = ends[1];
    make_nonblocking(in_);
  }
  for (Output* output : {&out_, &err_}) {
    if (!make_pipe(ends)) return false;
    output->fd = ends[0];
    child_ends[output->stream] = ends[1];
    make_nonblocking(output->fd);
  }
  return true;
}

void Child::start() {
  const auto give_up = [this](const Failure& failure) {
    call_.fail(failure);
    on_done_();
  };
  if (call_.cancelled()) return give_up(plugin::Cancelled());
  int child_ends[3] = {-1, -1, -1};
  const bool piped = make_pipes(child_ends);
  plugin::Outcome<pid_t> spawned =
      Failure("command '" + request_.argv(0) + "' cannot be started now: " + std::strerror(errno) +
              "; lower the number of commands at once");
  if (piped) spawned = spawn(request_, environment(request_, call_), {child_ends[0], child_ends[1], child_ends[2]});
  for (int& fd : child_ends) close_fd(fd);
  if (const auto* failure = std::get_if<Failure>(&spawned)) return give_up(*failure);
  pid_ = std::get<pid_t>(spawned);
  pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  if (pidfd_ < 0 || !loop_.watch(pidfd_, EPOLLIN, [this](std::uint32_t) { on_exit(); })) {
    const Failure failure("command '" + request_.argv(0) + "' cannot be watched (" + std::strerror(errno) +
                          ") and was ended; lower the number of commands at once");
    signal_group(SIGKILL);
    waitpid(pid_, nullptr, 0);
    return give_up(failure);
  }
  for (Output* output : {&out_, &err_}) {
    if (!loop_.watch(output->fd, EPOLLIN, [this, output](std::uint32_t) { read(*output); })) end(*output);
  }
  if (in_ >= 0 && !loop_.watch(in_, EPOLLOUT, [this](std::uint32_t) { write_in(); })) close_in();
}

void Child::write_in() {
  const std::string& bytes = request_.stdin();
  while (written_ < bytes.size()) {
    // SIGPIPE is blocked on this thread.
    const ssize_t n = write(in_, bytes.data() + written_, bytes.size() - written_);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) break;  // the command does not want more
    written_ += static_cast<std::size_t>(n);
  }
  close_in();
}

void Child::close_in() {
  if (in_ < 0) return;
  loop_.unwatch(in_);
  close_fd(in_);
}

bool Child::pass_on(Output& output, std::string_view chunk) {
  if (follower_gone_ || cancelled_) return true;
  switch (call_.emit(output.stream, chunk)) {
    case Emit::ok:
      return true;
    case Emit::again:
      return false;
    case Emit::gone:
      break;
  }
  follower_gone_ = true;
  return true;
}

void Child::read(Output& output) {
  static thread_local std::array<char, chunk_size> buffer;
  std::size_t budget = last_ ? last_bytes : 1;  // one chunk a turn, so that no command keeps the loop to itself
  while (output.fd >= 0 && output.pending.empty() && budget > 0) {
    const ssize_t n = ::read(output.fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN && !last_) return;
    if (n <= 0) break;
    const std::string_view chunk(buffer.data(), static_cast<std::size_t>(n));
    budget -= std::min(budget, chunk.size());
    const std::size_t room = request_.max_output() - output.kept.size();
    output.kept.append(chunk.substr(0, room));
    truncated_ |= chunk.size() > room;
    if (!pass_on(output, chunk)) {
      output.pending = chunk;
      loop_.unwatch(output.fd);
      return;
    }
    if (!last_) return;
  }
  if (output.pending.empty()) end(output);
  finish_if_ended();
}

void Child::resume() {
  for (Output* output : {&out_, &err_}) {
    if (output->pending.empty() || !pass_on(*output, output->pending)) continue;
    output->pending.clear();
    if (last_) {
      read(*output);
      if (pid_ < 0) return;
    } else if (!loop_.watch(output->fd, EPOLLIN, [this, output](std::uint32_t) { read(*output); })) {
      end(*output);
    }
  }
  finish_if_ended();
}

void Child::end(Output& output) {
  if (output.fd >= 0) {
    loop_.unwatch(output.fd);
    close_fd(output.fd);
  }
  output.ended = true;
}

void Child::on_exit() {
  siginfo_t info{};
  // The zombie stays: see finish.
  if (waitid(P_PIDFD, static_cast<id_t>(pidfd_), &info, WEXITED | WNOWAIT) == 0) {
    if (info.si_code == CLD_EXITED) {
      status_ = info.si_status;
    } else {
      signal_ = info.si_status;
      status_ = 128 + info.si_status;
    }
  } else if (errno == EINTR) {
    return;
  } else {
    plugin::log_error("exec: the status of a command is lost: " + std::string(std::strerror(errno)));
    status_ = 255;
  }
  exited_ = true;
  loop_.unwatch(pidfd_);
  close_in();
  finish_if_ended();
  if (pid_ < 0) return;
  // After a cancel the children of the command have the rest of the grace.
  if (killed_) return close_pipes();
  if (!cancelled_) timer_ = loop_.after(linger, [this] { close_pipes(); });
}

void Child::close_pipes() {
  signal_group(SIGKILL);
  killed_ = true;
  if (!exited_) return;  // its end comes through the pidfd, and then the pipes'
  last_ = true;
  for (Output* output : {&out_, &err_}) {
    if (pid_ >= 0 && !output->ended && output->pending.empty()) read(*output);
  }
}

void Child::cancel() {
  if (cancelled_ || pid_ < 0) return;
  cancelled_ = true;  // also ends live output
  loop_.cancel(std::exchange(timer_, {}));
  for (Output* output : {&out_, &err_}) {
    if (output->pending.empty()) continue;
    output->pending.clear();
    if (!loop_.watch(output->fd, EPOLLIN, [this, output](std::uint32_t) { read(*output); })) end(*output);
  }
  if (exited_) return close_pipes();
  signal_group(SIGTERM);
  signal_group(SIGCONT);
  const auto grace = std::chrono::duration_cast<Loop::Clock::duration>(std::chrono::duration<double>(limits_.grace));
  timer_ = loop_.after(grace, [this] { close_pipes(); });
}

void Child::kill_now() { signal_group(SIGKILL); }

void Child::signal_group(int signal) const {
  if (pid_ > 0) kill(-pid_, signal);
}

void Child::finish_if_ended() {
  if (exited_ && out_.ended && err_.ended && pid_ >= 0) finish();
}

void Child::finish() {
  // Whatever the command left behind in its group goes with it; only then may the group's number be used again.
  signal_group(SIGKILL);
  siginfo_t info{};
  while (waitid(P_PIDFD, static_cast<id_t>(pidfd_), &info, WEXITED) != 0 && errno == EINTR) {
  }
  pid_ = -1;
  loop_.cancel(timer_);

  ExecReply reply;
  reply.set_status(status_);
  reply.set_signal(signal_);
  reply.set_stdout(std::move(out_.kept));
  reply.set_stderr(std::move(err_.kept));
  reply.set_truncated(truncated_);
  if (status_ == 0 && signal_ == 0 && !cancelled_) {
    call_.complete(reply);
  } else {
    call_.fail(failure(reply));
  }
  on_done_();
}

Failure Child::failure(const ExecReply& reply) const {
  std::string text = "command '" + request_.argv(0) + "' ";
  if (cancelled_) text += "was cancelled and ";
  if (signal_ != 0) {
    const char* name = sigabbrev_np(signal_);
    text +=
        "was ended by signal " + std::to_string(signal_) + (name == nullptr ? "" : " (SIG" + std::string(name) + ")");
  } else {
    text += "ended with status " + std::to_string(status_);
  }
  const std::string_view line = last_line(reply.stderr());
  if (!line.empty()) text += ": " + std::string(line);
  return Failure(text).exited(status_, signal_).reply(reply);
}

}  // namespace futured::plugins::exec
