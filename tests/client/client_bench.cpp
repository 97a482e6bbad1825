// What the client costs: a daemon process that answers every batch at once, and a plain submit loop.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "futured/executor.hpp"
#include "tests/client/fake_daemon.hpp"

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

double cpu_seconds() {
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  const auto s = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return s(u.ru_utime) + s(u.ru_stime);
}

double since(Clock::time_point t) { return std::chrono::duration<double>(Clock::now() - t).count(); }

/// A ROUTER that sends everything back: the floor of a round trip.
void raw_echo(const std::string& endpoint) {
  zmq::context_t ctx;
  zmq::socket_t s(ctx, zmq::socket_type::router);
  s.bind(endpoint);
  for (;;) {
    zmq::message_t id, body;
    if (!s.recv(id) || !s.recv(body)) return;
    s.send(id, zmq::send_flags::sndmore);
    s.send(body, zmq::send_flags::none);
  }
}

void print_round_trips(const char* what, std::vector<double>& us) {
  std::sort(us.begin(), us.end());
  std::printf("%-28s p50 %7.1f us   p90 %7.1f us\n", what, us[us.size() / 2], us[us.size() * 9 / 10]);
}

template <class F>
pid_t spawn(F f) {
  const pid_t pid = fork();
  if (pid == 0) {
    f();
    _exit(0);
  }
  return pid;
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t n = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
  const fake::TempFolder folder;
  const std::string endpoint = folder.socket();
  const std::string raw = "ipc://" + (folder / "raw.sock");
  const pid_t daemon = spawn([&] {
    fake::EchoDaemon d(endpoint);
    pause();
  });
  const pid_t echo = spawn([&] { raw_echo(raw); });

  constexpr std::size_t kTrips = 3000;
  std::vector<double> raw_us, own_us;
  {
    zmq::context_t ctx;
    zmq::socket_t s(ctx, zmq::socket_type::dealer);
    s.connect(raw);
    for (std::size_t i = 0; i < kTrips; ++i) {
      const auto t = Clock::now();
      s.send(zmq::str_buffer("hello hello hello hello hello hello hello"), zmq::send_flags::none);
      zmq::message_t m;
      if (!s.recv(m)) return 1;
      raw_us.push_back(since(t) * 1e6);
    }
  }
  std::this_thread::sleep_for(200ms);  // the daemon process is up
  {
    auto ex = futured::Executor::connect(endpoint);
    for (std::size_t i = 0; i < kTrips; ++i) {
      const auto t = Clock::now();
      ex.submit("echo", "hello").result();
      own_us.push_back(since(t) * 1e6);
    }
    print_round_trips("raw zmq echo", raw_us);
    print_round_trips("submit().result()", own_us);
    std::printf("ratio p50 %.2f\n", own_us[kTrips / 2] / raw_us[kTrips / 2]);
  }
  for (int round = 0; round < 3; ++round) {
    auto ex = futured::Executor::connect(endpoint);
    const auto t = Clock::now();
    const double cpu = cpu_seconds();
    std::vector<futured::Future<>> futures;
    futures.reserve(n);
    for (std::size_t i = 0; i < n; ++i) futures.push_back(ex.submit("echo", "hello"));
    const double submitted = since(t);
    std::size_t bytes = 0;
    for (auto& f : futured::as_completed(futures)) bytes += f.result().size();
    const double total = since(t);
    const double used = cpu_seconds() - cpu;
    const auto freeing = Clock::now();
    futures.clear();
    std::printf(
        "%zu tasks: %.0f/s submitted, %.0f/s with results, %.2f us CPU per task in the client, %.3f s to free\n", n,
        static_cast<double>(n) / submitted, static_cast<double>(n) / total, used / static_cast<double>(n) * 1e6,
        since(freeing));
    if (bytes != n * 5) std::printf("WRONG: %zu bytes\n", bytes);
  }
  kill(daemon, SIGKILL);
  kill(echo, SIGKILL);
  waitpid(daemon, nullptr, 0);
  waitpid(echo, nullptr, 0);
}
