#include "client/cli/interrupts.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>

namespace futured::cli {
namespace {

constexpr std::array<int, 3> kSignals{SIGINT, SIGTERM, SIGHUP};
std::atomic<int> g_write_end{-1};  // a signal handler reaches nothing but globals

void on_signal(int signal) {
  const int saved = errno;
  const auto byte = static_cast<unsigned char>(signal);
  [[maybe_unused]] const ssize_t n = ::write(g_write_end.load(), &byte, 1);
  errno = saved;
}

}  // namespace

class Interrupts::Impl {
 public:
  explicit Impl(std::function<void(int, int)> told) : told_(std::move(told)) {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) return;
    g_write_end = ends_[1];
    thread_ = std::thread([this] { watch(); });
    for (std::size_t i = 0; i < kSignals.size(); ++i) {
      struct sigaction action {};
      action.sa_handler = on_signal;
      action.sa_flags = SA_RESTART;
      sigemptyset(&action.sa_mask);
      ::sigaction(kSignals[i], nullptr, &before_[i]);
      if (before_[i].sa_handler != SIG_IGN) ::sigaction(kSignals[i], &action, nullptr);  // nohup stays nohup
    }
  }
  ~Impl() {
    if (!thread_.joinable()) return;
    for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
    const unsigned char end = 0;
    while (::write(ends_[1], &end, 1) < 0 && errno == EINTR) {
    }
    thread_.join();
    g_write_end = -1;
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

 private:
  void watch() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    for (int count = 0;;) {
      unsigned char byte = 0;
      const ssize_t n = ::read(ends_[0], &byte, 1);
      if (n < 0 && errno == EINTR) continue;
      if (n != 1 || byte == 0) return;
      told_(byte, ++count);
    }
  }

  std::function<void(int, int)> told_;
  std::array<int, 2> ends_{-1, -1};
  std::array<struct sigaction, kSignals.size()> before_{};
  std::thread thread_;
};

Interrupts::Interrupts(std::function<void(int, int)> told) : impl_(std::make_unique<Impl>(std::move(told))) {}
Interrupts::~Interrupts() = default;

}  // namespace futured::cli
