// The floor: what libzmq alone costs on the route client -> ROUTER -> worker -> ROUTER -> client between three
// processes, echoing 64-byte payloads. No protobuf, no scheduling, no state.
//
//   zmq-floor DIR rtt N             one message in flight: N round trips, one time in microseconds a line
//   zmq-floor DIR throughput N B    N tasks, B to a message, at most 4096 tasks in flight: prints tasks/s
//
// The sockets are made in DIR.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>
#include <zmq.hpp>

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kTaskBytes = 64;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

zmq::socket_t open_socket(zmq::context_t& context, zmq::socket_type type) {
  zmq::socket_t socket(context, type);
  socket.set(zmq::sockopt::sndhwm, 0);
  socket.set(zmq::sockopt::rcvhwm, 0);
  return socket;
}

/// Moves [client][payload] from the clients to the one worker as [worker][client][payload], and back.
[[noreturn]] void broker(const std::string& clients_endpoint, const std::string& workers_endpoint) {
  zmq::context_t context(1);
  auto clients = open_socket(context, zmq::socket_type::router);
  auto workers = open_socket(context, zmq::socket_type::router);
  clients.bind(clients_endpoint);
  workers.bind(workers_endpoint);
  constexpr int kTurn = 64;
  zmq::message_t worker;
  bool have_worker = false;
  zmq_pollitem_t items[] = {{workers.handle(), 0, ZMQ_POLLIN, 0}, {clients.handle(), 0, ZMQ_POLLIN, 0}};
  for (;;) {
    (void)zmq_poll(items, have_worker ? 2 : 1, -1);  // clients wait in their pipes until the worker is there
    for (int n = 0; items[0].revents != 0 && n < kTurn; ++n) {
      zmq::message_t from, client, payload;
      if (!workers.recv(from, zmq::recv_flags::dontwait)) break;
      (void)workers.recv(client);
      if (!client.more()) {
        worker.copy(from);
        have_worker = true;
        continue;
      }
      (void)workers.recv(payload);
      clients.send(client, zmq::send_flags::sndmore);
      clients.send(payload, zmq::send_flags::none);
    }
    for (int n = 0; have_worker && items[1].revents != 0 && n < kTurn; ++n) {
      zmq::message_t client, payload, to;
      if (!clients.recv(client, zmq::recv_flags::dontwait)) break;
      (void)clients.recv(payload);
      to.copy(worker);
      workers.send(to, zmq::send_flags::sndmore);
      workers.send(client, zmq::send_flags::sndmore);
      workers.send(payload, zmq::send_flags::none);
    }
    items[1].revents = 0;
  }
}

[[noreturn]] void worker(const std::string& endpoint) {
  zmq::context_t context(1);
  auto socket = open_socket(context, zmq::socket_type::dealer);
  socket.connect(endpoint);
  socket.send(zmq::str_buffer("hello"));
  for (;;) {
    zmq::message_t client, payload;
    (void)socket.recv(client);
    (void)socket.recv(payload);
    socket.send(client, zmq::send_flags::sndmore);
    socket.send(payload, zmq::send_flags::none);
  }
}

template <class Role>
pid_t start(Role role) {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  role();
  ::_exit(1);
}

zmq::message_t tasks(std::size_t count) {
  zmq::message_t message(kTaskBytes * count);
  std::memset(message.data(), 7, message.size());
  return message;
}

void round_trips(zmq::socket_t& socket, long count) {
  for (long i = 0; i < count; ++i) {
    const auto start = Clock::now();
    socket.send(tasks(1), zmq::send_flags::none);
    zmq::message_t reply;
    (void)socket.recv(reply);
    std::printf("%.1f\n", seconds_since(start) * 1e6);
  }
}

void throughput(zmq::socket_t& socket, long count, long batch) {
  const long messages = count / batch;
  const long window = std::max(4L, 4096 / batch);
  const auto start = Clock::now();
  for (long sent = 0, got = 0; got < messages;) {
    for (; sent < messages && sent - got < window; ++sent) {
      socket.send(tasks(static_cast<std::size_t>(batch)), zmq::send_flags::none);
    }
    zmq::message_t reply;
    (void)socket.recv(reply);
    ++got;
    while (socket.recv(reply, zmq::recv_flags::dontwait)) ++got;
  }
  std::printf("%.0f\n", static_cast<double>(messages * batch) / seconds_since(start));
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() < 3 || (args[1] != "rtt" && args.size() < 4)) {
    std::fputs("usage: zmq-floor DIR rtt N | zmq-floor DIR throughput N BATCH\n", stderr);
    return 2;
  }
  const std::string clients = "ipc://" + args[0] + "/floor-clients";
  const std::string workers = "ipc://" + args[0] + "/floor-workers";
  // Forked before this process has a context: threads do not survive a fork.
  const pid_t broker_pid = start([&] { broker(clients, workers); });
  const pid_t worker_pid = start([&] { worker(workers); });
  {
    zmq::context_t context(1);
    auto socket = open_socket(context, zmq::socket_type::dealer);
    socket.connect(clients);
    socket.send(tasks(1), zmq::send_flags::none);  // answered when all three are connected
    zmq::message_t reply;
    (void)socket.recv(reply);
    if (args[1] == "rtt") {
      round_trips(socket, std::atol(args[2].c_str()));
    } else {
      throughput(socket, std::atol(args[2].c_str()), std::max(1L, std::atol(args[3].c_str())));
    }
  }
  for (const pid_t pid : {broker_pid, worker_pid}) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  return 0;
}
