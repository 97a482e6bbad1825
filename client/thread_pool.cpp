#include "futured/thread_pool.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "client/cell.hpp"
#include "futured/errors.hpp"

namespace futured {

namespace detail {

/// Kept alive by its threads: an executor may go first.
class ThreadPool : public std::enable_shared_from_this<ThreadPool> {
 public:
  explicit ThreadPool(const ThreadPoolOptions& o)
      : max_workers_(o.max_workers() != 0 ? o.max_workers() : default_workers()),
        prefix_(o.thread_name_prefix()),
        initializer_(o.initializer()),
        home_(pool_home()),
        forks_(fork_generation()) {
    static std::atomic<unsigned> pools{0};
    if (prefix_.empty()) prefix_ = "ThreadPool-" + std::to_string(pools++);
  }

  CellRef enqueue(std::unique_ptr<Work> work) {
    if (forked()) throw BrokenExecutor("this thread pool was made before fork(); make one in this process");
    CellRef cell = work->cell = make_local_cell(home_);
    const std::lock_guard lock(mutex_);
    if (!broken_.empty()) throw BrokenExecutor(broken_);
    if (shut_) throw ShutdownError("cannot submit to a thread pool after shutdown()");
    queue_.push_back(std::move(work));
    if (idle_ >= queue_.size()) {
      wake_.notify_one();
    } else if (threads_.size() < max_workers_) {
      threads_.emplace_back([self = shared_from_this(), n = threads_.size()] { self->work(n); });
    }
    return cell;
  }

  void shutdown(bool wait, bool cancel_futures) {
    if (forked()) return;
    std::deque<std::unique_ptr<Work>> dropped;
    {
      const std::lock_guard lock(mutex_);
      shut_ = true;
      if (cancel_futures) dropped.swap(queue_);
      wake_.notify_all();
    }
    for (const auto& w : dropped) {
      WakeList wakes;
      w->cell.get()->cancel(false, false, nullptr, wakes);
      w->cell.get()->set_running_or_notify_cancel(wakes);
    }
    if (wait) join();
  }

  void join() {
    if (forked()) {
      // The threads are not in this process: their handles must not be joined or destroyed joinable.
      for (std::thread& t : threads_) t.detach();
      threads_.clear();
      return;
    }
    const std::lock_guard joining(join_mutex_);
    std::vector<std::thread> mine;
    {
      const std::lock_guard lock(mutex_);
      mine.swap(threads_);
      started_ += mine.size();
    }
    for (std::thread& t : mine) {
      if (t.get_id() == std::this_thread::get_id()) {
        t.detach();  // the last handle went inside a call of the pool
      } else {
        t.join();
      }
    }
  }

  std::size_t threads() const {
    const std::lock_guard lock(mutex_);
    return started_ + threads_.size();
  }
  std::size_t max_workers() const { return max_workers_; }

 private:
  static std::size_t default_workers() {
    cpu_set_t set;
    CPU_ZERO(&set);
    const int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return std::min<std::size_t>(32, static_cast<std::size_t>(std::max(n, 1)) + 4);
  }
  bool forked() const { return forks_ != fork_generation(); }

  void work(std::size_t n) {
    pthread_setname_np(pthread_self(), name_of(n).c_str());
    if (initializer_) {
      try {
        initializer_();
      } catch (...) {
        log_exception("the initializer of a thread pool", std::current_exception());
        give_up();
        return;
      }
    }
    std::unique_lock lock(mutex_);
    for (;;) {
      if (!queue_.empty()) {
        std::unique_ptr<Work> w = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        w->run();
        // Who learns of the result may submit at once: this thread is there for it and no other is started.
        lock.lock();
        ++idle_;
        lock.unlock();
        w->publish();
        w.reset();
        lock.lock();
        --idle_;
      } else if (shut_ || !broken_.empty()) {
        return;
      } else {
        ++idle_;
        wake_.wait(lock);
        --idle_;
      }
    }
  }

  /// Within the 15 bytes that the kernel keeps, the number is worth more than the end of the prefix.
  std::string name_of(std::size_t n) const {
    const std::string suffix = std::to_string(n).insert(0, 1, '_');
    return prefix_.substr(0, 15 - std::min<std::size_t>(suffix.size(), 15)) + suffix;
  }

  void give_up() {
    std::deque<std::unique_ptr<Work>> dropped;
    {
      const std::lock_guard lock(mutex_);
      broken_ = "the initializer of this thread pool failed: it takes no calls any more";
      dropped.swap(queue_);
      wake_.notify_all();
    }
    for (const auto& w : dropped) {
      WakeList wakes;
      w->cell.get()->fail(std::make_exception_ptr(BrokenExecutor(broken_)), wakes);
    }
  }

  const std::size_t max_workers_;
  std::string prefix_;
  const std::function<void()> initializer_;
  Home* const home_;
  const unsigned forks_;

  mutable std::mutex mutex_;
  std::mutex join_mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Work>> queue_;
  std::vector<std::thread> threads_;
  std::size_t started_ = 0;  // and joined since
  std::size_t idle_ = 0;
  bool shut_ = false;
  std::string broken_;
};

}  // namespace detail

ThreadPoolOptions& ThreadPoolOptions::max_workers(std::ptrdiff_t n) {
  if (n < 1)
    throw std::invalid_argument("ThreadPoolExecutor: max_workers is " + std::to_string(n) + "; it must be at least 1");
  max_workers_ = static_cast<std::size_t>(n);
  return *this;
}

ThreadPoolExecutor::ThreadPoolExecutor(std::ptrdiff_t max_workers, std::string thread_name_prefix,
                                       std::function<void()> initializer)
    : ThreadPoolExecutor(ThreadPoolOptions()
                             .max_workers(max_workers)
                             .thread_name_prefix(std::move(thread_name_prefix))
                             .initializer(std::move(initializer))) {}
ThreadPoolExecutor::ThreadPoolExecutor(const ThreadPoolOptions& options)
    : pool_(std::make_shared<detail::ThreadPool>(options)) {}
ThreadPoolExecutor::ThreadPoolExecutor(ThreadPoolExecutor&&) noexcept = default;
ThreadPoolExecutor& ThreadPoolExecutor::operator=(ThreadPoolExecutor&& o) noexcept {
  if (this != &o) {
    if (pool_) pool_->shutdown(true, false);
    pool_ = std::move(o.pool_);
  }
  return *this;
}
ThreadPoolExecutor::~ThreadPoolExecutor() {
  if (!pool_) return;
  pool_->shutdown(true, false);
  pool_->join();
}

detail::CellRef ThreadPoolExecutor::enqueue(std::unique_ptr<detail::Work> work) {
  if (!pool_) throw ShutdownError("this thread pool was moved from");
  return pool_->enqueue(std::move(work));
}
void ThreadPoolExecutor::shutdown(bool wait, bool cancel_futures) {
  if (pool_) pool_->shutdown(wait, cancel_futures);
}
std::size_t ThreadPoolExecutor::threads() const { return pool_ ? pool_->threads() : 0; }
std::size_t ThreadPoolExecutor::max_workers() const { return pool_ ? pool_->max_workers() : 0; }

}  // namespace futured
