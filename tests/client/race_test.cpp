// Everything threaded of a connection, over a pipe to a daemon model in this process: the sanitizers see all of it.
#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <random>
#include <thread>

#include "client/connection.hpp"
#include "client/remote_executor.hpp"
#include "futured/executor.hpp"

using namespace futured;
using namespace std::chrono_literals;

namespace {

/// Echoes what it gets; cancels half of what it is asked to; drops its connection now and then. One thread serves all
/// connections that are made.
class PipeDaemon {
 public:
  explicit PipeDaemon(unsigned drop_one_in = 0) : drop_one_in_(drop_one_in), thread_([this] { run(); }) {}
  ~PipeDaemon() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
      wake_.notify_one();
    }
    thread_.join();
  }
  std::unique_ptr<wire::Pipe::End> connect() {
    auto [mine, theirs] = wire::Pipe::make();
    mine->on_readable([this] { poke(); });
    const std::lock_guard lock(mutex_);
    fresh_.push_back(std::move(mine));
    poked_ = true;
    wake_.notify_one();
    return std::move(theirs);
  }

 private:
  void poke() {
    const std::lock_guard lock(mutex_);
    poked_ = true;
    wake_.notify_one();
  }
  void run() {
    std::mt19937 random(1);
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return stop_ || poked_; });
        if (stop_) return;
        poked_ = false;
        for (auto& f : fresh_) end_ = std::move(f);  // only the newest is alive
        fresh_.clear();
      }
      if (!end_) continue;
      std::vector<wire::Frames> messages;
      if (!end_->receive(messages)) end_.reset();
      for (const wire::Frames& frames : messages) {
        if (!end_) break;
        serve(frames);
        if (drop_one_in_ != 0 && random() % drop_one_in_ == 0) {
          end_->close();
          end_.reset();
        }
      }
    }
  }
  template <class M>
  void send(v1::Kind kind, const M& m, wire::Frames payloads = {}) {
    (void)end_->send(wire::encode(kind, generation_, m, std::move(payloads)));
  }
  void accept(std::uint64_t from, std::uint64_t to) {
    v1::Accepted m;
    m.set_first_seq(from);
    m.set_count(to - from);
    m.set_first_number(from + 1);
    m.set_submit_credit_tasks(accepted_ + 2000);
    m.set_submit_credit_bytes(std::uint64_t{1} << 40);
    send(v1::KIND_ACCEPTED, m);
  }
  void deliver(std::uint64_t from) {
    if (from >= results_.size()) return;
    v1::Outcomes m;
    m.set_first_delivery(from);
    wire::PayloadWriter writer;
    std::uint64_t last = 0;
    for (std::uint64_t i = from; i < results_.size(); ++i) {
      if (writer.full_for(results_[i].second.size())) break;
      m.add_handle_delta(static_cast<std::int64_t>(results_[i].first - last));
      m.add_state(results_[i].second.empty() ? v1::STATE_CANCELLED : v1::STATE_SUCCEEDED);
      last = results_[i].first;
      writer.add(results_[i].second);
    }
    auto frames = writer.finish(*m.mutable_payloads());
    sent_ = from + static_cast<std::uint64_t>(m.handle_delta_size());
    send(v1::KIND_OUTCOMES, m, std::move(frames));
    deliver(sent_);
  }
  void serve(const wire::Frames& frames) {
    const auto e = wire::open(frames);
    if (!e.ok()) return;
    generation_ = e->generation;
    switch (e->kind) {
      case v1::KIND_HELLO: {
        v1::Hello hello;
        (void)wire::parse(*e, hello).ok();
        v1::Welcome m;
        m.set_version(1);
        m.set_daemon_instance("one");
        m.set_accepted_seq(accepted_);
        m.set_resumed(known_);
        known_ = true;
        m.set_submit_credit_tasks(accepted_ + 2000);
        m.set_submit_credit_bytes(std::uint64_t{1} << 40);
        send(v1::KIND_WELCOME, m);
        deliver(hello.processed_delivery());
        break;
      }
      case v1::KIND_SUBMIT: {
        v1::Submit m;
        (void)wire::parse(*e, m).ok();
        std::vector<Slice> in;
        (void)wire::read_payloads(*m.mutable_payloads(), e->payloads, in).ok();
        if (m.first_seq() != accepted_) std::abort();
        for (const Slice& s : in) results_.emplace_back(accepted_++, std::string(s.view()));
        accept(m.first_seq(), accepted_);
        deliver(sent_);
        break;
      }
      case v1::KIND_CANCEL: {
        v1::Cancel m;
        (void)wire::parse(*e, m).ok();
        v1::Cancelled answer;
        answer.set_request(m.request());
        for (int i = 0; i < m.handles_size(); ++i) {
          answer.add_verdicts(m.handles(i) % 2 == 0 ? v1::Cancelled::CANCELLED : v1::Cancelled::FINISHED);
        }
        send(v1::KIND_CANCELLED, answer);
        break;
      }
      default:
        break;
    }
  }

  const unsigned drop_one_in_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::unique_ptr<wire::Pipe::End>> fresh_;
  bool poked_ = false, stop_ = false;
  // of the thread
  std::unique_ptr<wire::Pipe::End> end_;
  std::uint16_t generation_ = 0;
  bool known_ = false;
  std::uint64_t accepted_ = 0, sent_ = 0;
  std::vector<std::pair<std::uint64_t, std::string>> results_;
  std::thread thread_;
};

Executor connect(PipeDaemon& daemon) {
  detail::Connection::Options o;
  o.endpoint = "the daemon of the test";
  o.one_try = false;
  o.session.backoff_first = client::kMillisecond;
  o.session.backoff_max = client::kMillisecond;
  auto opened =
      detail::Connection::open(o, [&daemon](std::function<void()> wake) -> Result<std::unique_ptr<client::Link>> {
        return client::make_pipe_link(daemon.connect(), std::move(wake));
      });
  REQUIRE(opened.ok());
  return Executor(std::make_unique<detail::RemoteExecutor>(std::move(opened.value())));
}

void storm(unsigned drop_one_in, std::size_t each) {
  PipeDaemon daemon(drop_one_in);
  Executor ex = connect(daemon);
  std::atomic<std::size_t> wrong{0}, callbacks{0}, wanted_callbacks{0};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<std::uint32_t>(t));
      std::vector<std::pair<Future<>, std::string>> mine;
      for (std::size_t i = 0; i < each; ++i) {
        std::string word = std::to_string(t) + "-" + std::to_string(i);
        if (i % 500 == 7) word.append(20'000, 'x');
        auto f = ex.submit("echo", word);
        switch (random() % 8) {
          case 0:
            continue;  // dropped at once
          case 1:
            ++wanted_callbacks;
            f.add_done_callback([&](Future<>& g) { callbacks += g.done() ? 1 : 0; });
            break;
          case 2:
            if (i % 16 == 0 && f.cancel() && !f.cancelled()) ++wrong;
            break;
          case 3:
            if (i % 16 == 0) {
              try {
                if (f.result(60s) != word) ++wrong;
              } catch (const CancelledError&) {
              }
            }
            break;
          default:
            break;
        }
        mine.emplace_back(std::move(f), std::move(word));
      }
      std::vector<Future<>> futures;
      for (const auto& m : mine) futures.push_back(m.first);
      std::size_t seen = 0;
      for (auto& f : as_completed(futures, 120s)) seen += f.done() ? 1 : 0;
      if (seen != mine.size()) ++wrong;
      for (const auto& [f, word] : mine) {
        if (!f.cancelled() && f.result(0s) != word) ++wrong;
      }
    });
  }
  for (auto& t : threads) t.join();
  ex.shutdown(true);
  CHECK(wrong == 0);
  { const Executor gone = std::move(ex); }
  CHECK(callbacks == wanted_callbacks);
}

}  // namespace

TEST_CASE("threads submit, wait, cancel, drop and are called back, all at once") { storm(0, 3000); }

TEST_CASE("the same while the connection is lost again and again: each task once, with its own result") {
  storm(40, 1500);
}

TEST_CASE("an executor that goes while others wait for its futures breaks them") {
  for (int round = 0; round < 30; ++round) {
    PipeDaemon daemon;
    auto ex = std::make_unique<Executor>(connect(daemon));
    std::vector<Future<>> futures;
    for (int i = 0; i < 50; ++i) futures.push_back(ex->submit("echo", "x"));
    std::vector<std::thread> waiters;
    for (int t = 0; t < 3; ++t) {
      waiters.emplace_back([&futures] {
        for (auto& f : as_completed(futures, 60s)) CHECK(f.done());
      });
    }
    ex.reset();
    for (auto& w : waiters) w.join();
  }
}

TEST_CASE("round trips from several threads: no wake-up is lost") {
  PipeDaemon daemon;
  Executor ex = connect(daemon);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1500; ++i) {
        if (ex.submit("echo", "abc").result(60s) != "abc") ++wrong;
      }
    });
  }
  for (auto& t : threads) t.join();
  CHECK(wrong == 0);
}
