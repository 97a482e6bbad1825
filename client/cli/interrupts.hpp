// Ctrl-C and its kin while a command waits. One at a time per process: signals belong to the process.
#pragma once

#include <functional>
#include <memory>

namespace futured::cli {

class Interrupts {
 public:
  /// `told(signal, count)` is called on a thread of its own for each SIGINT, SIGTERM or SIGHUP from now on; count 1, 2,
  /// ... Children started meanwhile are not affected: nothing is blocked.
  explicit Interrupts(std::function<void(int signal, int count)> told);
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  /// Restores what was there and waits for a call that goes on.
  ~Interrupts();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace futured::cli
