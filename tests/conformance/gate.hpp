// Calls that stand still until the test lets them go.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

namespace futured::conformance {

class Gate {
 public:
  /// In the call: stands at the gate while it is closed.
  void pass() {
    std::unique_lock lock(mutex_);
    ++standing_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
    --standing_;
    changed_.notify_all();
  }
  void wait_for(std::size_t standing) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(60), [&] { return standing_ == standing; })) {
      throw std::runtime_error("the workers are not all occupied");
    }
  }
  void close() {
    const std::lock_guard lock(mutex_);
    open_ = false;
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t standing_ = 0;
  bool open_ = false;
};

inline void sleep_for(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

inline std::string mixed(const std::string& word) {
  if (!word.empty() && word[0] == '!') throw std::runtime_error(word);
  return word;
}

}  // namespace futured::conformance
