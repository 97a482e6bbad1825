// Who moves the messages of a connection, over a pipe whose other end and whose timing are the test's.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "client/control.hpp"
#include "client/kick_fds.hpp"
#include "client/remote_executor.hpp"
#include "futured/executor.hpp"
#include "proto/pipe.hpp"

using namespace futured;
using namespace std::chrono_literals;

namespace {

/// Calls `last_look` when a thread looks at the link a second time without having sent: that is the end of its turn.
struct Hook {
  std::mutex mutex;
  std::function<void()> last_look;
  std::thread::id whose;  // none: any thread's
  int looks = 0;

  void arm(std::thread::id id, std::function<void()> f) {
    const std::lock_guard lock(mutex);
    last_look = std::move(f);
    whose = id;
    looks = 0;
  }
  void looked() {
    std::function<void()> f;
    {
      const std::lock_guard lock(mutex);
      if (!last_look || (whose != std::thread::id() && whose != std::this_thread::get_id())) return;
      if (whose != std::thread::id() && ++looks < 2) return;
      f = std::exchange(last_look, nullptr);
    }
    f();
  }
  void sent() {
    const std::lock_guard lock(mutex);
    looks = 0;
  }
};

class HookedLink final : public client::Link {
 public:
  HookedLink(std::unique_ptr<Link> inner, Hook& hook) : inner_(std::move(inner)), hook_(hook) {}
  bool send(wire::Frames message) override {
    hook_.sent();
    return inner_->send(std::move(message));
  }
  bool receive(std::vector<wire::Frames>& into, std::size_t max) override { return inner_->receive(into, max); }
  bool readable() override {
    hook_.looked();
    return inner_->readable();
  }
  State state() override { return inner_->state(); }
  void finish(int patience_ms) override { inner_->finish(patience_ms); }
  int data_fd() const override { return inner_->data_fd(); }
  int state_fd() const override { return inner_->state_fd(); }

 private:
  std::unique_ptr<Link> inner_;
  Hook& hook_;
};

struct Heard {
  wire::Frames frames;
  wire::Envelope envelope;  // points into frames
  template <class M>
  M as() const {
    M m;
    REQUIRE(wire::parse(envelope, m).ok());
    return m;
  }
};

/// A daemon at the other end of a pipe. It answers HELLO by itself.
class PipeDaemon {
 public:
  std::unique_ptr<wire::Pipe::End> connect() {
    auto [theirs, ours] = wire::Pipe::make();
    const std::lock_guard lock(mutex_);
    end_ = std::shared_ptr<wire::Pipe::End>(std::move(ours));
    end_->on_readable([this] {
      const std::lock_guard inner(mutex_);
      told_.notify_all();
    });
    ++connections_;
    told_.notify_all();
    return std::move(theirs);
  }
  /// The next message of this kind; others are dropped, HELLO is answered. Null: none came in time.
  std::unique_ptr<Heard> expect(v1::Kind kind, std::chrono::milliseconds patience = 10s) {
    const auto until = std::chrono::steady_clock::now() + patience;
    std::unique_lock lock(mutex_);
    for (;;) {
      if (end_ && queue_.empty()) {
        std::vector<wire::Frames> batch;
        end_->receive(batch);
        for (auto& f : batch) queue_.push_back(std::move(f));
      }
      if (queue_.empty()) {
        if (told_.wait_until(lock, until) == std::cv_status::timeout) return nullptr;
        continue;
      }
      auto heard = std::make_unique<Heard>();
      heard->frames = std::move(queue_.front());
      queue_.pop_front();
      auto opened = wire::open(heard->frames);
      REQUIRE(opened.ok());
      heard->envelope = *opened;
      generation_ = opened->generation;
      if (opened->kind == v1::KIND_HELLO) welcome(lock);
      if (opened->kind == kind) return heard;
    }
  }
  void send(v1::Kind kind, const google::protobuf::MessageLite& body, wire::Frames payloads = {}) {
    end_->send(wire::encode(kind, generation_, body, std::move(payloads)));
  }
  void succeed(Seq seq) {
    v1::Outcomes m;
    m.set_first_delivery(delivered_++);
    m.add_handle_delta(static_cast<std::int64_t>(seq));
    auto* a = m.add_accepted();
    a->set_first_seq(seq);
    a->set_count(1);
    a->set_first_number(seq + 1);
    a->set_submit_credit_tasks(1000);
    a->set_submit_credit_bytes(1 << 30);
    wire::PayloadWriter writer;
    writer.add(std::string_view("done"));
    auto frames = writer.finish(*m.mutable_payloads());
    send(v1::KIND_OUTCOMES, m, std::move(frames));
  }
  void hang_up() { end_->close(); }
  int connections() {
    const std::lock_guard lock(mutex_);
    return connections_;
  }

 private:
  void welcome(std::unique_lock<std::mutex>& lock) {
    v1::Welcome m;
    m.set_version(1);
    m.set_daemon_instance(std::string(16, 'a'));
    m.set_heartbeat_ns(60'000'000'000);  // nothing but what is tested may wake anybody
    m.set_submit_credit_tasks(1000);
    m.set_submit_credit_bytes(1 << 30);
    lock.unlock();
    send(v1::KIND_WELCOME, m);
    lock.lock();
  }
  std::mutex mutex_;
  std::condition_variable told_;
  std::shared_ptr<wire::Pipe::End> end_;
  std::deque<wire::Frames> queue_;
  int connections_ = 0;
  std::uint16_t generation_ = 0;
  std::uint64_t delivered_ = 0;
};

struct Pair {
  explicit Pair(std::chrono::nanoseconds give_up_after = -1ns)
      : ex([this, give_up_after] {
          auto greeting =
              std::async(std::launch::async, [this] { return daemon.expect(v1::KIND_HELLO, 10s) != nullptr; });
          detail::Connection::Options o;
          o.endpoint = "the test";
          o.session.give_up_after = give_up_after.count();
          auto opened =
              detail::Connection::open(o, [this](std::function<void()> wake) -> Result<std::unique_ptr<client::Link>> {
                if (gone) return Status(Code::unavailable, "there is no daemon");
                return std::unique_ptr<client::Link>(
                    std::make_unique<HookedLink>(client::make_pipe_link(daemon.connect(), std::move(wake)), hook));
              });
          REQUIRE(greeting.get());
          REQUIRE(opened.ok());
          connection = opened.value();
          return Executor(std::make_unique<detail::RemoteExecutor>(connection));
        }()) {}
  ~Pair() { connection->close(0ns); }
  std::atomic<bool> gone{false};  // it cannot be connected to any more
  Hook hook;
  PipeDaemon daemon;
  std::shared_ptr<detail::Connection> connection;
  Executor ex;
};

/// Adds a task while the caller holds the link: the thread that adds it finds the link taken.
auto submit_elsewhere(Executor& ex) {
  return [&ex] { std::thread([&ex] { (void)ex.submit("t", "late"); }).join(); };
}

}  // namespace

TEST_CASE("a task added at the very end of the I/O thread's turn is sent at once") {
  Pair p;
  p.hook.arm({}, submit_elsewhere(p.ex));
  v1::Ping ping;
  ping.set_id(7);
  p.daemon.send(v1::KIND_PING, ping);
  REQUIRE(p.daemon.expect(v1::KIND_PONG));
  CHECK(p.daemon.expect(v1::KIND_SUBMIT));
}

TEST_CASE("a task added at the very end of a waiting thread's turn is sent at once") {
  Pair p;
  auto awaited = p.ex.submit("t", "awaited");
  REQUIRE(p.daemon.expect(v1::KIND_SUBMIT));
  std::promise<std::thread::id> who;
  auto waiting = std::async(std::launch::async, [&] {
    p.hook.arm(std::this_thread::get_id(), submit_elsewhere(p.ex));
    return awaited.result(10s);
  });
  CHECK(p.daemon.expect(v1::KIND_SUBMIT));
  p.daemon.succeed(0);
  CHECK(waiting.get() == "done");
}

TEST_CASE("a thread that waits takes its result from a pipe itself, however long the I/O thread sleeps") {
  Pair p;
  for (Seq i = 0; i < 5; ++i) {
    auto f = p.ex.submit("t", "x");
    REQUIRE(p.daemon.expect(v1::KIND_SUBMIT));
    std::promise<void> looked;
    auto waiting = std::async(std::launch::async, [&] {
      p.hook.arm(std::this_thread::get_id(), [&] { looked.set_value(); });
      return f.result(10s);
    });
    looked.get_future().wait();  // it has found nothing, and sleeps next
    const auto began = std::chrono::steady_clock::now();
    p.daemon.succeed(i);
    CHECK(waiting.get() == "done");
    CHECK(std::chrono::steady_clock::now() - began < 2s);
  }
}

TEST_CASE("what arrives while a wait with a short patience ends is not left lying") {
  Pair p;
  auto never = p.ex.submit("t", "never");
  REQUIRE(p.daemon.expect(v1::KIND_SUBMIT));
  for (int i = 0; i < 200; ++i) {
    auto short_wait = std::async(
        std::launch::async, [&] { CHECK_THROWS_AS((void)never.result(std::chrono::microseconds(i)), TimeoutError); });
    v1::Ping ping;
    ping.set_id(static_cast<std::uint64_t>(i));
    p.daemon.send(v1::KIND_PING, ping);
    REQUIRE(p.daemon.expect(v1::KIND_PONG));
    short_wait.get();
  }
}

TEST_CASE("a pipe that closes while a thread waits is made again") {
  Pair p;
  auto f = p.ex.submit("t", "x");
  REQUIRE(p.daemon.expect(v1::KIND_SUBMIT));
  std::promise<void> looked;
  auto waiting = std::async(std::launch::async, [&] {
    p.hook.arm(std::this_thread::get_id(), [&] { looked.set_value(); });
    return f.result(20s);
  });
  looked.get_future().wait();  // it has found nothing, and sleeps next
  p.daemon.hang_up();
  REQUIRE(p.daemon.expect(v1::KIND_HELLO, 10s));
  REQUIRE(p.daemon.expect(v1::KIND_SUBMIT, 10s));
  CHECK(p.daemon.connections() == 2);
  p.daemon.succeed(0);
  CHECK(waiting.get() == "done");
}

TEST_CASE("what a thread sleeps on while it drives is handed on and never closed") {
  const int first = detail::KickFds::take();
  REQUIRE(first >= 0);
  detail::KickFds::give_back(first);
  CHECK(::fcntl(first, F_GETFD) != -1);
  CHECK(detail::KickFds::take() == first);
  detail::KickFds::give_back(first);
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t drained = ::read(first, &count, sizeof count);  // a late kick of another test
  const pid_t pid = ::fork();
  if (pid == 0) {
    const int own = detail::KickFds::take();  // not shared with the parent
    detail::Waiter::kick(own);
    _exit(own >= 0 ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  CHECK(status == 0);
  CHECK(::read(first, &count, sizeof count) < 0);
}

TEST_CASE("when the client gives up, everything that waits for an answer returns, and no future is left pending") {
  Pair p(300ms);
  auto f = p.ex.submit("t", "x");
  REQUIRE(p.daemon.expect(v1::KIND_SUBMIT));
  const auto returns = [&p](auto& answer) {
    const bool in_time = answer.wait_for(10s) == std::future_status::ready;
    CHECK(in_time);
    if (!in_time) p.connection->close(0ns);  // or this test would hang, too
  };
  auto one = std::async(std::launch::async, [&] { return f.cancel(); });
  REQUIRE(p.daemon.expect(v1::KIND_CANCEL));
  auto shutdown = std::async(std::launch::async, [&] { p.ex.shutdown(true, true); });
  REQUIRE(p.daemon.expect(v1::KIND_CANCEL));
  auto number = std::async(std::launch::async, [&] { return Control(p.ex).number(f, 60s); });
  auto attached = std::async(std::launch::async, [&] { return Control(p.ex).attach(TaskNumber{9}, 60s); });
  REQUIRE(p.daemon.expect(v1::KIND_ATTACH));
  p.gone = true;
  p.daemon.hang_up();
  returns(one);
  returns(shutdown);
  returns(number);
  returns(attached);
  CHECK_FALSE(one.get());
  CHECK(f.done());
  CHECK_THROWS_AS((void)f.result(), BrokenExecutor);
  CHECK_FALSE(number.get().ok());
  CHECK_FALSE(attached.get().ok());
  auto again = std::async(std::launch::async, [&] { p.ex.shutdown(true, true); });
  returns(again);
}
