// The thread of an executor that runs what users want to be called with: done callbacks and live output, in order.
// Started with the first job. Any thread may post.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace futured::client {

class CallbackThread {
 public:
  using Job = std::function<void()>;
  CallbackThread() : state_(std::make_shared<State>()) {}
  CallbackThread(const CallbackThread&) = delete;
  CallbackThread& operator=(const CallbackThread&) = delete;
  /// After finish(), or in a forked child.
  ~CallbackThread() {
    if (thread_.joinable()) thread_.detach();
  }

  /// After finish() the job runs in the caller.
  void post(Job job) {
    {
      const std::lock_guard lock(state_->mutex);
      if (!state_->closed) {
        state_->jobs.push_back(std::move(job));
        if (!thread_.joinable()) {
          thread_ = std::thread([s = state_] { run(*s); });
        } else {
          state_->wake.notify_one();
        }
        return;
      }
    }
    job();
  }
  /// No more jobs; waits a bounded time for those posted. A callback that takes longer goes on by itself, so that a
  /// destructor never hangs on what a user's callback waits for.
  void finish(std::chrono::milliseconds patience) {
    std::unique_lock lock(state_->mutex);
    state_->closed = true;
    state_->wake.notify_one();
    if (!thread_.joinable()) return;
    if (thread_.get_id() == std::this_thread::get_id()) return;
    if (!state_->ended.wait_for(lock, patience, [this] { return state_->done; })) return;
    lock.unlock();
    thread_.join();
  }
  bool is_this_thread() const { return thread_.joinable() && thread_.get_id() == std::this_thread::get_id(); }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable wake, ended;
    std::deque<Job> jobs;
    bool closed = false;
    bool done = false;
  };
  static void run(State& s) {
    std::unique_lock lock(s.mutex);
    for (;;) {
      s.wake.wait(lock, [&s] { return !s.jobs.empty() || s.closed; });
      if (s.jobs.empty()) break;
      Job job = std::move(s.jobs.front());
      s.jobs.pop_front();
      lock.unlock();
      job();
      job = nullptr;  // what it holds may be the last of something
      lock.lock();
    }
    s.done = true;
    s.ended.notify_all();
  }
  const std::shared_ptr<State> state_;  // the thread may outlive this
  std::thread thread_;
};

}  // namespace futured::client
