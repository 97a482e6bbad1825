// A worker inside a host program: functions of the program, and a pipe instead of a socket. Also built with TSan.
#include <doctest/doctest.h>

#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "futured/v1/worker.pb.h"
#include "proto/envelope.hpp"
#include "worker/worker.hpp"

namespace {

using namespace futured;
using namespace futured::worker;

AttemptToken token(std::uint64_t n) { return {1, 1, n}; }

// The daemon's side: the ends of the pipes, one after the other.
class Room {
 public:
  std::unique_ptr<wire::Pipe::End> connect() {
    auto [ours, theirs] = wire::Pipe::make();
    ours->on_readable([this] {
      const std::lock_guard lock(mutex_);
      readable_ = true;
      changed_.notify_all();
    });
    const std::lock_guard lock(mutex_);
    if (end_ != nullptr) old_.push_back(std::move(end_));
    end_ = std::move(ours);
    readable_ = true;
    inbox_.clear();
    return std::move(theirs);
  }
  // The next message of this kind; others are dropped. Empty after 10 s.
  wire::Frames next(v1::Kind kind) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    for (;;) {
      std::unique_lock lock(mutex_);
      while (!inbox_.empty()) {
        wire::Frames f = std::move(inbox_.front());
        inbox_.erase(inbox_.begin());
        const auto e = wire::open(f);
        if (e && e->kind == kind) {
          generation_ = e->generation;
          return f;
        }
      }
      if (!changed_.wait_until(lock, until, [this] { return readable_; })) return {};
      readable_ = false;
      if (end_ != nullptr) (void)end_->receive(inbox_);
    }
  }
  template <class M>
  bool next(v1::Kind kind, M& into) {
    const wire::Frames f = next(kind);
    const auto e = wire::open(f);
    return e && wire::parse(*e, into).ok();
  }
  void send(v1::Kind kind, const google::protobuf::MessageLite& m, wire::Frames frames = {}) {
    const std::lock_guard lock(mutex_);
    (void)end_->send(wire::encode(kind, generation_, m, std::move(frames)));
  }
  void run(const std::string& type, std::uint64_t number, const std::string& input) {
    v1::Run m;
    m.add_specs()->set_type(type);
    put_token(*m.mutable_tokens(), token(number));
    wire::PayloadWriter w;
    w.add(std::string_view(input));
    wire::Frames frames = w.finish(*m.mutable_payloads());
    send(v1::KIND_RUN, m, std::move(frames));
  }
  bool welcome(v1::Hello& hello) {
    if (!next(v1::KIND_HELLO, hello)) return false;
    send(v1::KIND_WELCOME, v1::Welcome());
    return true;
  }
  // Calls back into this object, so without the lock.
  void close() { end_->close(); }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::unique_ptr<wire::Pipe::End> end_;
  std::vector<std::unique_ptr<wire::Pipe::End>> old_;
  std::vector<wire::Frames> inbox_;
  std::uint16_t generation_ = 0;
  bool readable_ = false;
};

struct Setup {
  Setup() {
    REQUIRE(registry.add("double", [](std::string_view in) { return std::string(in) + std::string(in); }).ok());
    REQUIRE(registry.add("throw", [](std::string_view) -> std::string { throw std::runtime_error("thrown"); }).ok());
    WorkerConfig config;
    config.threads = 2;
    config.log = false;
    auto made = Worker::in_process(config, registry, [this] { return room.connect(); });
    REQUIRE(made.ok());
    worker = std::move(*made);
    loop = std::thread([this] { leaving = worker->run(); });
  }
  Setup(const Setup&) = delete;
  Setup& operator=(const Setup&) = delete;
  ~Setup() {
    worker->stop();
    join();
  }
  void join() {
    if (loop.joinable()) loop.join();
  }
  Room room;
  Registry registry;
  std::unique_ptr<Worker> worker;
  std::thread loop;
  Leaving leaving = Leaving::stopped;
};

TEST_CASE("functions of the host program run, and what they throw becomes the failure") {
  Setup s;
  v1::Hello hello;
  REQUIRE(s.room.welcome(hello));
  CHECK(hello.types_size() == 2);
  s.room.run("double", 1, "ab");
  v1::Ran ran;
  REQUIRE(s.room.next(v1::KIND_RAN, ran));
  CHECK(ran.payloads().blob() == "abab");
  v1::RanAck ack;
  ack.set_reports(1);
  s.room.send(v1::KIND_RAN_ACK, ack);
  s.room.run("throw", 2, "");
  REQUIRE(s.room.next(v1::KIND_RAN, ran));
  REQUIRE(ran.failures_size() == 1);
  CHECK(ran.failures(0).error().message() == "thrown");
}

TEST_CASE("a function added later is offered after refresh") {
  Setup s;
  v1::Hello hello;
  REQUIRE(s.room.welcome(hello));
  REQUIRE(s.registry.add("late", [](std::string_view) { return std::string("late"); }).ok());
  CHECK_FALSE(s.registry.add("late", [](std::string_view) { return std::string(); }).ok());
  CHECK_FALSE(s.registry.add("not a name", [](std::string_view) { return std::string(); }).ok());
  s.worker->refresh();
  REQUIRE(s.room.welcome(hello));
  CHECK(hello.types_size() == 3);
  s.room.run("late", 1, "");
  v1::Ran ran;
  REQUIRE(s.room.next(v1::KIND_RAN, ran));
  CHECK(ran.payloads().blob() == "late");
}

TEST_CASE("a closed pipe is a lost connection: the worker comes back") {
  Setup s;
  v1::Hello hello;
  REQUIRE(s.room.welcome(hello));
  s.room.close();
  REQUIRE(s.room.welcome(hello));
  v1::Announce announce;
  REQUIRE(s.room.next(v1::KIND_ANNOUNCE, announce));
  CHECK(announce.end());
}

TEST_CASE("drain from another thread ends the loop in good order") {
  Setup s;
  v1::Hello hello;
  REQUIRE(s.room.welcome(hello));
  s.worker->drain();
  s.join();
  CHECK(s.leaving == Leaving::drained);
  v1::Goodbye goodbye;
  CHECK(s.room.next(v1::KIND_GOODBYE, goodbye));
}

TEST_CASE("several workers live in one process") {
  Setup a;
  Setup b;
  v1::Hello hello;
  REQUIRE(a.room.welcome(hello));
  REQUIRE(b.room.welcome(hello));
  a.room.run("double", 1, "a");
  b.room.run("double", 1, "b");
  v1::Ran ran;
  REQUIRE(a.room.next(v1::KIND_RAN, ran));
  CHECK(ran.payloads().blob() == "aa");
  REQUIRE(b.room.next(v1::KIND_RAN, ran));
  CHECK(ran.payloads().blob() == "bb");
}

}  // namespace
