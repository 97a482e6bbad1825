#include "worker/plugins/common/loop.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace futured::plugins {
namespace {

std::uint64_t tag(int fd, std::uint32_t generation) {
  return (std::uint64_t{generation} << 32) | static_cast<std::uint32_t>(fd);
}

int control(int epoll, int operation, int fd, std::uint32_t events, std::uint64_t data) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = data;
  return epoll_ctl(epoll, operation, fd, &event);
}

void drain(int fd) {
  std::uint64_t count = 0;
  while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR) {
  }
}

}  // namespace

Status Loop::start(const std::string& thread_name) {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  alarm_ = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (epoll_ < 0 || wake_ < 0 || alarm_ < 0 || control(epoll_, EPOLL_CTL_ADD, wake_, EPOLLIN, tag(wake_, 0)) != 0 ||
      control(epoll_, EPOLL_CTL_ADD, alarm_, EPOLLIN, tag(alarm_, 0)) != 0) {
    const std::string reason = std::strerror(errno);
    stop();
    return {Code::internal, "the event loop of '" + thread_name + "' cannot be made (" + reason +
                                "): check the limit of open files of the worker"};
  }
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  Status status;
  try {
    thread_ = std::thread([this] { run(); });
    pthread_setname_np(thread_.native_handle(), thread_name.substr(0, 15).c_str());
  } catch (const std::system_error& e) {
    status = {Code::internal, "the thread of '" + thread_name + "' cannot be started (" + e.what() +
                                  "): check the limit of threads of the worker"};
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!status.ok()) stop();
  return status;
}

void Loop::stop() {
  if (thread_.joinable()) {
    stopping_ = true;
    const std::uint64_t one = 1;
    while (write(wake_, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
    thread_.join();
  }
  for (int* fd : {&epoll_, &wake_, &alarm_}) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
  }
}

void Loop::post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
    if (posted_.size() > 1) return;  // the wake-up for the first is on its way
  }
  const std::uint64_t one = 1;
  while (write(wake_, &one, sizeof(one)) < 0 && errno == EINTR) {
  }
}

bool Loop::watch(int fd, std::uint32_t events, Handler handler) {
  const std::uint32_t generation = ++generation_;
  if (control(epoll_, EPOLL_CTL_ADD, fd, events, tag(fd, generation)) != 0) return false;
  watches_[fd] = Watch{generation, std::make_shared<Handler>(std::move(handler))};
  return true;
}

void Loop::rewatch(int fd, std::uint32_t events) {
  const auto it = watches_.find(fd);
  if (it != watches_.end()) control(epoll_, EPOLL_CTL_MOD, fd, events, tag(fd, it->second.generation));
}

void Loop::unwatch(int fd) {
  if (watches_.erase(fd) > 0) epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
}

Loop::Timer Loop::at(Time when, Task task) {
  return timers_.emplace(Timer(when, ++timer_number_), std::move(task)).first->first;
}

void Loop::run() {
  std::array<epoll_event, 256> events;
  while (!stopping_) {
    arm();
    const int n = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < n && !stopping_; ++i) {
      const int fd = static_cast<int>(events[static_cast<std::size_t>(i)].data.u64 & 0xffffffffu);
      const auto generation = static_cast<std::uint32_t>(events[static_cast<std::size_t>(i)].data.u64 >> 32);
      if (fd == wake_) {
        drain(wake_);
        run_posted();
      } else if (fd == alarm_) {
        drain(alarm_);
        armed_ = {};
      } else if (const auto it = watches_.find(fd); it != watches_.end() && it->second.generation == generation) {
        const std::shared_ptr<Handler> handler = it->second.handler;
        (*handler)(events[static_cast<std::size_t>(i)].events);
      }
    }
    run_due();
  }
}

void Loop::run_posted() {
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(posted_);
  }
  for (Task& task : tasks) task();
}

void Loop::run_due() {
  if (timers_.empty()) return;
  // Timers set by the ones that run now wait for the next turn, so that a timer without delay cannot starve the rest.
  const Timer last(Clock::now(), timer_number_);
  while (!timers_.empty() && timers_.begin()->first <= last) {
    const Task task = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    task();
  }
}

void Loop::arm() {
  const Time next = timers_.empty() ? Time{} : timers_.begin()->first.first;
  if (next == armed_) return;
  armed_ = next;
  itimerspec when{};
  if (next != Time{}) {
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(next.time_since_epoch()).count();
    when.it_value.tv_sec = ns / 1'000'000'000;
    when.it_value.tv_nsec = ns % 1'000'000'000;
  }
  timerfd_settime(alarm_, TFD_TIMER_ABSTIME, &when, nullptr);
}

}  // namespace futured::plugins
