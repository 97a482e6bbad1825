// An event loop on a thread of its own: descriptors, timers, and work posted by other threads.
// Threads: start, stop and post from any thread; everything else only from the loop thread, that is from handlers.
// Failure: start says why the kernel refused; later nothing fails but watch.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "proto/status.hpp"

namespace futured::plugins {

class Loop {
 public:
  using Clock = std::chrono::steady_clock;
  using Time = Clock::time_point;
  using Task = std::function<void()>;
  /// Gets the epoll events. May unwatch its own descriptor.
  using Handler = std::function<void(std::uint32_t)>;
  /// Names one timer; a value of {} names none.
  using Timer = std::pair<Time, std::uint64_t>;

  Loop() = default;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop() { stop(); }

  /// The thread blocks all signals: they belong to the process's main thread.
  Status start(const std::string& thread_name);
  /// Ends the thread after the handlers in hand; what is posted or due later does not run.
  void stop();

  /// In the order of posting.
  void post(Task task);

  /// False if the kernel refuses to watch `fd`. One handler for each descriptor.
  bool watch(int fd, std::uint32_t events, Handler handler);
  void rewatch(int fd, std::uint32_t events);
  /// Before the descriptor is closed.
  void unwatch(int fd);

  Timer at(Time when, Task task);
  Timer after(Clock::duration delay, Task task) { return at(Clock::now() + delay, std::move(task)); }
  /// Does nothing if the timer has fired.
  void cancel(const Timer& timer) { timers_.erase(timer); }

 private:
  struct Watch {
    std::uint32_t generation;  // tells events of this watch from those of an earlier one of the same number
    std::shared_ptr<Handler> handler;
  };

  void run();
  void run_posted();
  void run_due();
  void arm();

  int epoll_ = -1;
  int wake_ = -1;
  int alarm_ = -1;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
  std::mutex mutex_;
  std::vector<Task> posted_;  // guarded by mutex_
  std::unordered_map<int, Watch> watches_;
  std::uint32_t generation_ = 0;
  std::map<Timer, Task> timers_;
  std::uint64_t timer_number_ = 0;
  Time armed_{};  // what alarm_ is set to; {}: not set
};

}  // namespace futured::plugins
