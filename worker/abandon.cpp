#include "worker/abandon.hpp"

#include <unistd.h>

#include <chrono>
#include <future>
#include <thread>

#include "proto/process_session.hpp"
#include "worker/log.hpp"

namespace futured::worker {
namespace {

constexpr auto kPatience = std::chrono::seconds(2);
constexpr int kSweeps = 100;  // a process dies within a scheduler tick; what forks meanwhile is found by the next one

}  // namespace

void abandon_calls(Registry& registry, int code) {
  // A plugin may wait for its calls for ever, and they for the daemon.
  std::promise<void> ended;
  std::future<void> over = ended.get_future();
  std::thread([&registry, &ended] {
    registry.fini();
    ended.set_value();
  }).detach();
  if (over.wait_for(kPatience) != std::future_status::ready) {
    log_line("a plugin did not end within 2 s; what it has started is killed");
  }
  if (const pid_t self = ::getpid(); ::getsid(0) == self) {
    for (int i = 0; i < kSweeps && kill_session(self) > 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  // The calls themselves: an orderly end would wait for them.
  ::_exit(code);
}

}  // namespace futured::worker
