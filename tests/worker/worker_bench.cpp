// What a worker costs: no-op calls in batches over ipc, and the round trip of one call at a time beside a raw ZeroMQ
// echo on the same path. Prints figures; fails only if calls get lost.
//   worker_bench [calls] [round trips]
#include <algorithm>
#include <cstdio>
#include <thread>

#include "tests/worker/fake_daemon.hpp"
#include "tests/worker/process.hpp"

namespace {

using namespace futured;
using namespace futured::test;
using Clock = std::chrono::steady_clock;

double seconds(Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); }

void print(const char* name, std::vector<double>& us) {
  std::sort(us.begin(), us.end());
  std::printf("%-28s p50 %7.1f us   p99 %7.1f us\n", name, us[us.size() / 2], us[us.size() * 99 / 100]);
}

// `before`: calls sent on this connection already; credits count from its start.
int throughput(FakeDaemon& daemon, const Process& worker, std::uint64_t total, std::uint64_t credit,
               std::uint64_t before) {
  wire::Frames batch;
  std::uint64_t sent = 0;
  std::uint64_t done = 0;
  std::uint64_t rans = 0;
  std::uint64_t others = 0;
  const auto start = Clock::now();
  const double cpu = worker.cpu();
  v1::Run m;
  v1::Ran ran;
  while (done < total) {
    while (sent < total && sent + before < credit) {
      const std::uint64_t n = std::min<std::uint64_t>({256, total - sent, credit - before - sent});
      if (n < 256 && n < total - sent && sent - done > 256) break;  // wait for a whole batch
      m.Clear();
      m.add_specs()->set_type("echo");
      for (std::uint64_t i = 0; i < n; ++i) put_token(*m.mutable_tokens(), {1, 1, sent + i + 1});
      m.mutable_payloads()->mutable_size()->Resize(static_cast<int>(n), 0);
      daemon.send(v1::KIND_RUN, m);
      sent += n;
    }
    const auto r = daemon.next();
    if (!r) break;
    if (r->envelope.kind == v1::KIND_CREDIT) {
      credit = std::max<std::uint64_t>(credit, r->as<v1::Credit>().thread_credit());
    }
    if (r->envelope.kind != v1::KIND_RAN) {
      ++others;
      continue;
    }
    (void)wire::parse(r->envelope, ran);
    done += ran.tokens().size() / kTokenBytes;
    ++rans;
    if (ran.thread_credit() != 0) credit = ran.thread_credit();
    daemon.ack(ran.first_report() + ran.tokens().size() / kTokenBytes);
  }
  const double took = seconds(start);
  const double used = worker.cpu() - cpu;
  std::printf(
      "%llu no-op calls in %.2f s: %.0f calls/s; worker %.3f us of CPU per call; %.0f calls per RAN, %llu other "
      "messages\n",
      static_cast<unsigned long long>(done), took, static_cast<double>(done) / took,
      used * 1e6 / static_cast<double>(done),
      static_cast<double>(done) / static_cast<double>(std::max<std::uint64_t>(rans, 1)),
      static_cast<unsigned long long>(others));
  return done == total ? 0 : 1;
}

// The same path without anything of ours: DEALER in another process, echoing.
int raw_echo(const std::string& endpoint) {
  zmq::context_t context(1);
  zmq::socket_t socket(context, zmq::socket_type::dealer);
  socket.set(zmq::sockopt::linger, 0);
  socket.connect(endpoint);
  socket.send(zmq::str_buffer("hello"), zmq::send_flags::none);
  for (zmq::message_t m;;) {
    if (!socket.recv(m) || m.empty()) return 0;
    socket.send(m, zmq::send_flags::none);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "--echo") return raw_echo(argv[2]);
  const std::uint64_t total = argc > 1 ? std::stoull(argv[1]) : 1'000'000;
  const int trips = argc > 2 ? std::stoi(argv[2]) : 5000;
  const std::string dir = "/tmp/futured-bench-" + std::to_string(::getpid());
  int bad = 0;
  {
    FakeDaemon daemon("ipc://" + dir + ".sock");
    const Process worker({in_bin("futured-worker"), "--connect", "ipc://" + dir + ".sock", "--plugin", plugin("echo")});
    const auto hello = daemon.welcome();
    if (!hello) return 1;
    std::uint64_t reports = 0;
    std::uint64_t credit = hello->thread_credit();
    std::vector<double> us;
    for (int i = 0; i < trips; ++i) {
      const auto begin = Clock::now();
      daemon.run({{{2, 1, static_cast<std::uint64_t>(i + 1)}, "x"}});
      const auto r = daemon.next_of(v1::KIND_RAN);
      if (!r) return 1;
      us.push_back(seconds(begin) * 1e6);
      credit = std::max<std::uint64_t>(credit, r->as<v1::Ran>().thread_credit());
      daemon.ack(++reports);
    }
    print("one call at a time", us);
    bad = throughput(daemon, worker, total, credit, static_cast<std::uint64_t>(trips));
  }
  {
    FakeDaemon daemon("ipc://" + dir + ".raw");
    Process echo({argv[0], "--echo", "ipc://" + dir + ".raw"});
    const auto first = daemon.next();
    if (!first) return 1;
    std::vector<double> us;
    for (int i = 0; i < trips; ++i) {
      const auto begin = Clock::now();
      daemon.send_raw(first->peer, {Slice::copy("0123456789012345678901234567890123456789")});
      if (!daemon.next()) return 1;
      us.push_back(seconds(begin) * 1e6);
    }
    print("raw ZeroMQ echo", us);
    daemon.send_raw(first->peer, {Slice()});
    (void)echo.wait();
  }
  ::unlink((dir + ".sock").c_str());
  ::unlink((dir + ".raw").c_str());
  return bad;
}
