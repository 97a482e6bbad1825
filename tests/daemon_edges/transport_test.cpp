#include "daemon/transport/transport.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <zmq.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <thread>

#include "daemon/log.hpp"
#include "proto/envelope.hpp"
#include "tests/daemon_edges/transport_support.hpp"

using namespace futured;
using namespace futured::daemon;
using namespace futured::test;

namespace {

// A client as the protocol describes it: a DEALER that does not reconnect.
class Dealer {
 public:
  explicit Dealer(const std::string& endpoint, int receive_hwm = 1000, const char* name = nullptr) {
    context_ = zmq_ctx_new();
    socket_ = zmq_socket(context_, ZMQ_DEALER);
    set(ZMQ_LINGER, 0);
    set(ZMQ_RECONNECT_IVL, -1);
    set(ZMQ_RCVHWM, receive_hwm);
    set(ZMQ_RCVTIMEO, 10000);
    if (name != nullptr) zmq_setsockopt(socket_, ZMQ_ROUTING_ID, name, 5);
    REQUIRE(zmq_connect(socket_, endpoint.c_str()) == 0);
  }
  ~Dealer() { close(); }
  Dealer(const Dealer&) = delete;
  Dealer& operator=(const Dealer&) = delete;
  void close() {
    if (socket_ == nullptr) return;
    zmq_close(socket_);
    zmq_ctx_term(context_);
    socket_ = nullptr;
  }
  void send(const std::vector<std::string>& frames) {
    for (std::size_t i = 0; i < frames.size(); ++i) {
      zmq_send(socket_, frames[i].data(), frames[i].size(), i + 1 < frames.size() ? ZMQ_SNDMORE : 0);
    }
  }
  std::vector<std::string> receive() {
    std::vector<std::string> out;
    int more = 1;
    while (more != 0) {
      zmq_msg_t m;
      zmq_msg_init(&m);
      if (zmq_msg_recv(&m, socket_, 0) < 0) return {};
      out.emplace_back(static_cast<const char*>(zmq_msg_data(&m)), zmq_msg_size(&m));
      more = zmq_msg_more(&m);
      zmq_msg_close(&m);
    }
    return out;
  }

 private:
  void set(int option, int value) { zmq_setsockopt(socket_, option, &value, sizeof value); }
  void* context_ = nullptr;
  void* socket_ = nullptr;
};

// A child process that connects, sends "hi" and waits for its end. It is started before this process has any thread of
// libzmq that fork() could hurt, or execs nothing that needs one: the child makes a context of its own.
pid_t start_peer(const std::string& endpoint) {
  const pid_t pid = fork();
  if (pid == 0) {
    Dealer d(endpoint);
    d.send({"hi"});
    for (;;) pause();
  }
  return pid;
}

}  // namespace

TEST_CASE("messages go both ways over ipc and tcp, with their frames") {
  const TempFolder folder;
  for (const std::string& endpoint : {"ipc://" + (folder / "s"), std::string("tcp://127.0.0.1:0")}) {
    CAPTURE(endpoint);
    auto t = open_at({endpoint});
    REQUIRE(t->endpoints().size() == 1);
    CHECK(t->endpoints()[0].find(":0") == std::string::npos);
    Dealer d(t->endpoints()[0]);
    const std::string large(100'000, 'x');
    d.send({"head", large, "", "tail"});
    auto got = receive(*t);
    REQUIRE(got);
    CHECK(got->frames == std::vector<std::string>{"head", large, "", "tail"});
    daemon::Frames answer = frames_of({"one", large, ""});
    CHECK(t->send(got->from, std::move(answer)) == Transport::Sent::ok);
    CHECK(answer.empty());  // NOLINT(bugprone-use-after-move): what is sent is consumed
    CHECK(d.receive() == std::vector<std::string>{"one", large, ""});
  }
}

TEST_CASE("a ready descriptor ends the sleep and is marked") {
  auto t = open_at({"ipc://*"});
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  REQUIRE(write(ends[1], "x", 1) == 1);
  std::vector<struct pollfd> fds{{ends[0], POLLIN, 0}};
  t->wait(20 * kSecond, fds);
  CHECK(fds[0].revents == POLLIN);
  close(ends[0]);
  close(ends[1]);
}

TEST_CASE("the kernel tells who an ipc peer is") {
  const TempFolder folder;
  auto t = open_at({"ipc://" + (folder / "s")});
  Dealer d(t->endpoints()[0]);
  d.send({"hi"});
  auto got = receive(*t);
  REQUIRE(got);
  const Peer peer = t->peer(got->from);
  CHECK(peer.uid == getuid());
  CHECK(peer.pid == static_cast<std::uint32_t>(getpid()));
  CHECK_FALSE(peer.local_process);
  CHECK(t->peer(4711).uid == Peer::kUnknown);
}

TEST_CASE("a killed peer is told within 100 ms, once, and cannot be sent to") {
  const TempFolder folder;
  auto t = open_at({"ipc://" + (folder / "s"), "tcp://127.0.0.1:0"});
  for (const std::string& endpoint : t->endpoints()) {
    CAPTURE(endpoint);
    std::int64_t worst = 0;
    for (int round = 0; round < 5; ++round) {
      const pid_t pid = start_peer(endpoint);
      auto got = receive(*t);
      REQUIRE(got);
      kill(pid, SIGKILL);
      const std::int64_t killed = now_ns();
      CHECK(gone(*t) == got->from);
      worst = std::max(worst, now_ns() - killed);
      CHECK(t->send(got->from, frames_of({"x"})) == Transport::Sent::gone);
      ConnectionId again = 0;
      CHECK_FALSE(t->next_gone(again));
      waitpid(pid, nullptr, 0);
    }
    MESSAGE("worst of 5 on ", endpoint, ": ", worst / 1000, " us");
    CHECK(worst < 100'000'000);
  }
}

TEST_CASE("connections that come and go on reused descriptors are each told") {
  const TempFolder folder;
  auto t = open_at({"ipc://" + (folder / "s")});
  std::set<ConnectionId> met;
  std::set<ConnectionId> told;
  for (int round = 0; round < 200; ++round) {
    Dealer d(t->endpoints()[0]);
    d.send({"hi"});
    auto got = receive(*t);
    REQUIRE(got);
    CHECK(met.insert(got->from).second);
    d.close();  // the next connection gets its descriptor
    if (round % 7 == 0) t->wait(0, {});
  }
  REQUIRE(eventually([&] {
    ConnectionId which = 0;
    while (t->next_gone(which)) CHECK(told.insert(which).second);
    ConnectionId from = 0;
    daemon::Frames frames;
    t->wait(0, {});
    while (t->receive(from, frames)) {
    }
    return told.size() == met.size();
  }));
  CHECK(told == met);
}

TEST_CASE("what a peer sent before it ended comes before its end is told") {
  const TempFolder folder;
  auto t = open_at({"ipc://" + (folder / "s")});
  const pid_t pid = fork();
  if (pid == 0) {
    {
      void* context = zmq_ctx_new();
      void* socket = zmq_socket(context, ZMQ_DEALER);
      zmq_connect(socket, t->endpoints()[0].c_str());
      for (int i = 0; i < 100; ++i) zmq_send(socket, &i, sizeof i, 0);
      zmq_close(socket);
      zmq_ctx_term(context);  // everything has left
    }
    _exit(0);
  }
  waitpid(pid, nullptr, 0);
  for (int i = 0; i < 100; ++i) {
    ConnectionId which = 0;
    REQUIRE_FALSE(t->next_gone(which));
    REQUIRE(receive(*t));
  }
  CHECK(gone(*t) != 0);
}

TEST_CASE("a peer that does not read fills up alone; the message stays with the caller") {
  const TempFolder folder;
  auto t = open_at({"ipc://" + (folder / "s")});
  Dealer deaf(t->endpoints()[0], 1);
  Dealer good(t->endpoints()[0]);
  deaf.send({"deaf"});
  auto from_deaf = receive(*t);
  good.send({"good"});
  auto from_good = receive(*t);
  REQUIRE(from_deaf);
  REQUIRE(from_good);
  const std::string lump(4000, 'x');
  Transport::Sent sent = Transport::Sent::ok;
  int count = 0;
  for (; count < 100'000 && sent == Transport::Sent::ok; ++count) {
    daemon::Frames message = frames_of({lump, "second"});
    sent = t->send(from_deaf->from, std::move(message));
    // NOLINTNEXTLINE(bugprone-use-after-move): a transport that is full leaves the message as it was
    if (sent == Transport::Sent::full) CHECK(text(message) == std::vector<std::string>{lump, "second"});
  }
  CHECK(sent == Transport::Sent::full);
  CHECK(t->counters().full == 1);
  CHECK(t->send(from_good->from, frames_of({"still here"})) == Transport::Sent::ok);
  CHECK(good.receive() == std::vector<std::string>{"still here"});
  // It reads again: there is room again.
  for (int i = 0; i < count - 1; ++i) REQUIRE(deaf.receive().size() == 2);
  CHECK(eventually([&] { return t->send(from_deaf->from, frames_of({"end"})) == Transport::Sent::ok; }));
  CHECK(deaf.receive() == std::vector<std::string>{"end"});
}

TEST_CASE("a frame beyond the limit ends its connection and nothing else") {
  const TempFolder folder;
  auto t = open_at({"ipc://" + (folder / "s")}, 100'000);
  Dealer bad(t->endpoints()[0]);
  Dealer good(t->endpoints()[0]);
  bad.send({"hi"});
  auto from_bad = receive(*t);
  REQUIRE(from_bad);
  good.send({"hi"});
  REQUIRE(receive(*t));
  bad.send({std::string(100'001, 'x')});
  CHECK(gone(*t) == from_bad->from);
  good.send({std::string(100'000, 'x')});
  auto got = receive(*t);
  REQUIRE(got);
  CHECK(got->frames[0].size() == 100'000);
}

TEST_CASE("a message of too many frames is dropped and counted; the next one comes") {
  const TempFolder folder;
  auto t = open_at({"ipc://" + (folder / "s")});
  Dealer d(t->endpoints()[0]);
  d.send(std::vector<std::string>(65, "full"));
  auto most = receive(*t);
  REQUIRE(most);
  CHECK(most->frames.size() == 65);
  d.send(std::vector<std::string>(66, "too many"));
  d.send(std::vector<std::string>(1000, "far too many"));
  d.send({"next"});
  auto got = receive(*t);
  REQUIRE(got);
  CHECK(got->frames == std::vector<std::string>{"next"});
  CHECK(got->from == most->from);
  CHECK(t->counters().malformed_multipart == 2);
}

TEST_CASE("a peer with a name of its own choosing is not heard") {
  const TempFolder folder;
  auto t = open_at({"ipc://" + (folder / "s")});
  Dealer named(t->endpoints()[0], 1000, "admin");
  named.send({"I am the admin"});
  Dealer plain(t->endpoints()[0]);
  CHECK(eventually([&] {
    t->wait(0, {});
    ConnectionId from = 0;
    daemon::Frames frames;
    CHECK_FALSE(t->receive(from, frames));
    return t->counters().malformed_multipart == 1;
  }));
  plain.send({"hi"});
  CHECK(receive(*t));
}

TEST_CASE("bytes that are not ZeroMQ harm nobody") {
  const TempFolder folder;
  auto t = open_at({"ipc://" + (folder / "s")});
  for (int i = 0; i < 20; ++i) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (folder / "s").copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    const std::string garbage = "GET / HTTP/1.1\r\n\r\n" + std::string(static_cast<std::size_t>(i) * 100, '\xff');
    CHECK(send(fd, garbage.data(), garbage.size(), MSG_NOSIGNAL) > 0);
    t->wait(0, {});
    close(fd);
  }
  Dealer d(t->endpoints()[0]);
  d.send({"hi"});
  auto got = receive(*t);
  REQUIRE(got);
  CHECK(got->frames == std::vector<std::string>{"hi"});
}

TEST_CASE("a closed connection gets what was sent to it, is not heard again and is cut") {
  const TempFolder folder;
  auto t = open_at({"ipc://" + (folder / "s")});
  Dealer d(t->endpoints()[0]);
  d.send({"hi"});
  auto got = receive(*t);
  REQUIRE(got);
  CHECK(t->send(got->from, frames_of({"refused"})) == Transport::Sent::ok);
  t->close(got->from);
  CHECK(t->send(got->from, frames_of({"x"})) == Transport::Sent::gone);
  CHECK(d.receive() == std::vector<std::string>{"refused"});
  d.send({"but"});
  CHECK_FALSE(receive(*t, kSecond));
  // Nothing is told of it, and the next one is somebody else.
  ConnectionId which = 0;
  CHECK_FALSE(t->next_gone(which));
  Dealer next(t->endpoints()[0]);
  next.send({"hi"});
  auto other = receive(*t);
  REQUIRE(other);
  CHECK(other->from != got->from);
}

TEST_CASE("no source starves another") {
  const TempFolder folder;
  auto t = open_at({"ipc://" + (folder / "s")});
  Dealer d(t->endpoints()[0]);
  auto end = t->connect();
  for (int i = 0; i < 10'000; ++i) end->send(frames_of({"pipe"}));
  d.send({"socket"});
  // Without a single wait() after the socket's message has arrived.
  int pipe_messages = 0;
  bool socket_heard = false;
  REQUIRE(eventually([&] {
    ConnectionId from = 0;
    daemon::Frames frames;
    if (!t->receive(from, frames)) t->wait(0, {});
    if (frames.empty()) return socket_heard;
    if (frames[0].view() == "socket") return socket_heard = true;
    ++pipe_messages;
    return false;
  }));
  CHECK(socket_heard);
  CHECK(pipe_messages < 10'000);
}

TEST_CASE("a second daemon is kept off the socket of the first, by name") {
  const TempFolder folder;
  const std::string endpoint = "ipc://" + (folder / "run/futured.sock");
  auto first = open_at({endpoint});
  auto second = Transport::open({endpoint}, wire::kFrameLimit);
  REQUIRE_FALSE(second);
  CHECK(second.status().code() == Code::refused);
  CHECK(second.status().message().find("pid " + std::to_string(getpid())) != std::string::npos);
  CHECK(second.status().message().find(endpoint) != std::string::npos);

  // The first is unharmed, and when it has gone its place is free.
  Dealer d(endpoint);
  d.send({"hi"});
  CHECK(receive(*first));
  d.close();
  first.reset();
  CHECK(Transport::open({endpoint}, wire::kFrameLimit));
}

TEST_CASE("two daemons in one process, each with its own socket and workers' endpoint") {
  const TempFolder folder;
  auto a = open_at({"ipc://" + (folder / "a")});
  auto b = open_at({"tcp://127.0.0.1:0"});
  CHECK(*a->worker_endpoint() == "ipc://" + (folder / "a"));
  auto own = b->worker_endpoint();
  REQUIRE(own);
  CHECK(own->rfind("ipc://", 0) == 0);
  CHECK(*b->worker_endpoint() == *own);
  CHECK(b->endpoints().size() == 1);
  Dealer da(a->endpoints()[0]);
  Dealer db(*own);
  da.send({"a"});
  db.send({"b"});
  CHECK(receive(*a)->frames[0] == "a");
  CHECK(receive(*b)->frames[0] == "b");
  const std::string private_folder = std::filesystem::path(own->substr(6)).parent_path();
  struct stat s {};
  REQUIRE(stat(private_folder.c_str(), &s) == 0);
  CHECK((s.st_mode & 0777) == 0700);
  b.reset();
  CHECK(stat(private_folder.c_str(), &s) != 0);
}

TEST_CASE("the socket is the user's own, in a folder of its own, and what a dead daemon left is replaced") {
  const TempFolder folder;
  const std::string path = folder / "deep/er/futured.sock";
  std::filesystem::create_directories(folder / "stale");
  const int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (folder / "stale/s").copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(bind(stale, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  close(stale);

  const mode_t before = umask(0);
  auto t = open_at({"ipc://" + path, "ipc://" + (folder / "stale/s")});
  CHECK(umask(before) == 0);
  struct stat s {};
  REQUIRE(stat(path.c_str(), &s) == 0);
  CHECK((s.st_mode & 077) == 0);
  REQUIRE(stat((folder / "deep").c_str(), &s) == 0);
  CHECK((s.st_mode & 0777) == 0700);
  Dealer d(t->endpoints()[1]);
  d.send({"hi"});
  CHECK(receive(*t));
}

TEST_CASE("endpoints that cannot work are refused with the reason") {
  const TempFolder folder;
  const auto refused = [](const std::string& endpoint) {
    auto t = Transport::open({endpoint}, wire::kFrameLimit);
    return t ? std::string("accepted") : t.status().message();
  };
  CHECK(refused("ipc://" + (folder / std::string(120, 'x'))).find("107") != std::string::npos);
  CHECK(refused("ipc://@name").find("permissions") != std::string::npos);
  CHECK(refused("ipc://").find("path") != std::string::npos);
  CHECK(refused("udp://127.0.0.1:1").find("ipc:// or tcp://") != std::string::npos);
  CHECK(refused("tcp://nonsense").find("cannot listen on tcp://nonsense") != std::string::npos);
  write_file(folder / "file", "");
  CHECK(refused("ipc://" + (folder / "file") + "/s").find("not a folder") != std::string::npos);
  // Nothing that is not a socket is replaced by one.
  write_file(folder / "file", "precious");
  CHECK(refused("ipc://" + (folder / "file")).find("a file, not a socket") != std::string::npos);
  CHECK(read_file(folder / "file") == "precious");
  CHECK_FALSE(std::filesystem::exists(folder / "file.lock"));
  std::filesystem::create_symlink("elsewhere", folder / "link");
  CHECK(refused("ipc://" + (folder / "link")).find("a symbolic link") != std::string::npos);
  CHECK(std::filesystem::is_symlink(folder / "link"));
  CHECK(refused("ipc://" + folder.path()).find("a folder") != std::string::npos);
}
