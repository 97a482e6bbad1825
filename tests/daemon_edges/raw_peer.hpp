// A peer of an embedded daemon that says exactly what a test wants: the protocol by hand over an in-process pipe.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "futured/daemon.hpp"
#include "futured/v1/client.pb.h"
#include "futured/v1/worker.pb.h"
#include "proto/envelope.hpp"
#include "proto/ids.hpp"

namespace futured::test {

/// A daemon without sockets and workers, running on a thread of its own.
class RunningDaemon {
 public:
  explicit RunningDaemon(DaemonConfig config = DaemonConfig()) {
    auto daemon = Daemon::create(std::move(config));
    if (!daemon) throw std::runtime_error(daemon.status().message());
    daemon_ = std::move(*daemon);
    loop_ = std::thread([this] { (void)daemon_->run(); });
  }
  ~RunningDaemon() {
    daemon_->stop(Daemon::Stop::now);
    loop_.join();
  }
  RunningDaemon(const RunningDaemon&) = delete;
  RunningDaemon& operator=(const RunningDaemon&) = delete;
  Daemon& operator*() { return *daemon_; }
  Daemon* operator->() { return daemon_.get(); }

 private:
  std::unique_ptr<Daemon> daemon_;
  std::thread loop_;
};

class RawPeer {
 public:
  explicit RawPeer(Daemon& daemon, std::uint16_t generation = 1) : generation_(generation), end_(daemon.connect()) {
    end_->on_readable([this] {
      const std::lock_guard lock(mutex_);
      news_ = true;
      ready_.notify_one();
    });
  }
  ~RawPeer() { end_->close(); }
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;

  void say(v1::Kind kind, const google::protobuf::MessageLite& m, wire::Frames payloads = {}) {
    end_->send(wire::encode(kind, generation_, m, std::move(payloads)));
  }
  /// The next message of this kind, others are skipped; nothing if none comes in time or the connection ends.
  template <class M>
  std::optional<M> hear(v1::Kind kind, std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    const auto until = std::chrono::steady_clock::now() + limit;
    while (true) {
      while (!heard_.empty()) {
        const wire::Frames frames = std::move(heard_.front());
        heard_.pop_front();
        const auto e = wire::open(frames);
        if (!e || e->kind != kind) continue;
        M m;
        if (!wire::parse(*e, m).ok()) return std::nullopt;
        return m;
      }
      std::vector<wire::Frames> got;
      const bool open = end_->receive(got);
      for (wire::Frames& f : got) heard_.push_back(std::move(f));
      if (!heard_.empty()) continue;
      if (!open) return std::nullopt;
      std::unique_lock lock(mutex_);
      if (!ready_.wait_until(lock, until, [this] { return news_; })) return std::nullopt;
      news_ = false;
    }
  }

  std::optional<v1::Welcome> hello_worker(const std::string& instance, const std::string& type, std::uint32_t slots) {
    v1::Hello m;
    m.set_role(v1::Hello::WORKER);
    m.set_version_min(1);
    m.set_version_max(1);
    m.set_instance(instance);
    m.set_threads(1);
    m.set_async_slots(slots);
    m.set_async_credit(slots);
    v1::TaskType* t = m.add_types();
    t->set_name(type);
    t->set_lane(v1::LANE_ASYNC);
    say(v1::KIND_HELLO, m);
    return hear<v1::Welcome>(v1::KIND_WELCOME);
  }
  std::optional<v1::Welcome> hello_client(const std::string& stream = "0123456789a") {
    v1::Hello m;
    m.set_role(v1::Hello::CLIENT);
    m.set_version_min(1);
    m.set_version_max(1);
    m.set_stream(stream);
    m.set_result_credit_tasks(1 << 20);
    m.set_result_credit_bytes(1 << 30);
    say(v1::KIND_HELLO, m);
    return hear<v1::Welcome>(v1::KIND_WELCOME);
  }
  void submit(std::uint64_t first_seq, std::size_t count, const v1::Spec& spec) {
    v1::Submit m;
    m.set_first_seq(first_seq);
    *m.add_specs() = spec;
    wire::PayloadWriter inputs;
    for (std::size_t i = 0; i < count; ++i) inputs.add(std::string_view());
    wire::Frames frames = inputs.finish(*m.mutable_payloads());
    say(v1::KIND_SUBMIT, m, std::move(frames));
  }
  /// The tokens of RUNs, until there are `count`.
  std::string take_calls(std::size_t count) {
    std::string tokens;
    while (tokens.size() < count * kTokenBytes) {
      const auto run = hear<v1::Run>(v1::KIND_RUN);
      if (!run) break;
      tokens += run->tokens();
    }
    return tokens;
  }

 private:
  const std::uint16_t generation_;
  std::mutex mutex_;
  std::condition_variable ready_;
  bool news_ = false;
  std::deque<wire::Frames> heard_;
  std::unique_ptr<wire::Pipe::End> end_;
};

}  // namespace futured::test
