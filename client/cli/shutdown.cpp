#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "client/cli/context.hpp"

namespace futured::cli {
namespace {

constexpr int kPatienceMs = 60'000;  ///< a drain takes 30 s at most unless the daemon was told otherwise

/// A descriptor that becomes readable when the process has ended; -1 if it cannot be watched from here.
int watch_process(std::uint32_t pid) {
#ifdef SYS_pidfd_open
  return pid == 0 ? -1 : static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0U));
#else
  return pid == 0 ? -1 : -1;
#endif
}

}  // namespace

int shutdown_verb(Context& context) {
  context.at_most(0);
  const bool now = context.args.has("now");
  v1::Request question;
  question.mutable_status();
  const std::uint32_t pid = context.daemon.ask(question).status().pid();
  const bool here = context.daemon.control().endpoint().starts_with("ipc://");
  const int process = here ? watch_process(pid) : -1;
  v1::Request request;
  request.mutable_shutdown()->set_now(now);
  const auto answer = context.daemon.control().request(request, std::chrono::seconds(10));
  // A daemon that leaves at once may be gone before its answer arrives.
  if (!answer && !(now && answer.status().code() == Code::unavailable)) {
    throw Failure(exit_of(answer.status().code()), answer.status().message());
  }
  if (process < 0) {
    context.out.note(now ? "the daemon was told to end" : "the daemon was told to finish what runs and end");
    return 0;
  }
  pollfd ended{process, POLLIN, 0};
  int ready = 0;
  while ((ready = ::poll(&ended, 1, kPatienceMs)) < 0 && errno == EINTR) {
  }
  ::close(process);
  if (ready == 0) {
    throw Failure(Exit::waited_too_long, "the daemon (pid " + std::to_string(pid) +
                                             ") still finishes what runs; 'fut shutdown --now' does not wait for that");
  }
  context.out.note("the daemon has ended");
  return 0;
}

}  // namespace futured::cli
