// A daemon in the hand of a test: a ROUTER that the test reads and answers, step by step or by a rule.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>
#include <zmq.hpp>

#include "futured/v1/client.pb.h"
#include "proto/envelope.hpp"

namespace fake {

using namespace std::chrono_literals;

/// A folder of its own, gone with the object.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "futured-client-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a folder");
    path_ = name;
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string socket() const { return "ipc://" + (path_ / "d.sock").string(); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

struct Message {
  std::string peer;
  std::vector<futured::Slice> frames;
  futured::wire::Envelope envelope;  // points into frames
  futured::v1::Kind kind() const { return envelope.kind; }
  std::uint16_t generation() const { return envelope.generation; }
  template <class M>
  M as() const {
    M m;
    if (!futured::wire::parse(envelope, m).ok()) throw std::runtime_error("not a " + m.GetTypeName());
    return m;
  }
  std::vector<std::string> payloads() const {
    auto m = as<futured::v1::Submit>();
    std::vector<futured::Slice> slices;
    if (!futured::wire::read_payloads(*m.mutable_payloads(), envelope.payloads, slices).ok()) {
      throw std::runtime_error("bad payloads");
    }
    std::vector<std::string> out;
    for (const auto& s : slices) out.emplace_back(s.view());
    return out;
  }
};

/// One context for the process, never destroyed: a test that fails must not hang in its destructor.
inline zmq::context_t& context() {
  static auto* const c = new zmq::context_t(1);
  return *c;
}

class Daemon {
 public:
  explicit Daemon(const std::string& endpoint, std::string instance = std::string(16, 'a'))
      : instance_(std::move(instance)) {
    socket_.set(zmq::sockopt::router_mandatory, true);
    socket_.set(zmq::sockopt::linger, 0);
    socket_.set(zmq::sockopt::sndhwm, 0);
    socket_.set(zmq::sockopt::rcvhwm, 0);
    socket_.bind(endpoint);
  }

  /// The next message of any peer; nothing within the time.
  std::optional<Message> receive(std::chrono::milliseconds patience = 5s) {
    zmq::pollitem_t item{socket_.handle(), 0, ZMQ_POLLIN, 0};
    if (zmq::poll(&item, 1, patience) == 0) return std::nullopt;
    Message m;
    zmq::message_t part;
    if (!socket_.recv(part)) return std::nullopt;
    m.peer = part.to_string();
    while (part.more()) {
      if (!socket_.recv(part)) break;
      m.frames.push_back(futured::Slice::copy(part.to_string_view()));
    }
    auto opened = futured::wire::open(m.frames);
    if (!opened.ok()) throw std::runtime_error(opened.status().message());
    m.envelope = *opened;
    peer_ = m.peer;
    generation_ = m.generation();
    return m;
  }
  /// The next message of this kind; others are answered if they are pings and dropped otherwise.
  Message expect(futured::v1::Kind kind, std::chrono::milliseconds patience = 60s) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < until) {
      auto m = receive(100ms);
      if (m && m->kind() == kind) return std::move(*m);
    }
    throw std::runtime_error("no message of kind " + std::to_string(kind));
  }

  void send_raw(const std::vector<std::string>& frames) {
    socket_.send(zmq::buffer(peer_), zmq::send_flags::sndmore);
    for (std::size_t i = 0; i < frames.size(); ++i) {
      socket_.send(zmq::buffer(frames[i]), i + 1 < frames.size() ? zmq::send_flags::sndmore : zmq::send_flags::none);
    }
  }
  void send(const futured::wire::Frames& frames) {
    try {
      socket_.send(zmq::buffer(peer_), zmq::send_flags::sndmore);
      for (std::size_t i = 0; i < frames.size(); ++i) {
        socket_.send(zmq::buffer(frames[i].view()),
                     i + 1 < frames.size() ? zmq::send_flags::sndmore : zmq::send_flags::none);
      }
    } catch (const zmq::error_t&) {
      // the peer has gone
    }
  }
  void send(futured::v1::Kind kind, const google::protobuf::MessageLite& body, futured::wire::Frames payloads = {}) {
    send(futured::wire::encode(kind, generation_, body, std::move(payloads)));
  }

  void welcome(bool resumed = false, std::uint64_t accepted = 0, std::uint64_t window = 1 << 20,
               std::int64_t heartbeat_ns = 5'000'000'000) {
    futured::v1::Welcome m;
    m.set_version(1);
    m.set_daemon_instance(instance_);
    m.set_heartbeat_ns(heartbeat_ns);
    m.set_accepted_seq(accepted);
    m.set_submit_credit_tasks(accepted + window);
    m.set_submit_credit_bytes(std::uint64_t{1} << 40);
    m.set_resumed(resumed);
    m.mutable_limits()->set_payload_bytes(64 << 20);
    window_ = window;
    send(futured::v1::KIND_WELCOME, m);
  }
  /// HELLO, WELCOME.
  futured::v1::Hello greet(bool resumed = false, std::uint64_t accepted = 0, std::uint64_t window = 1 << 20) {
    auto hello = expect(futured::v1::KIND_HELLO).as<futured::v1::Hello>();
    welcome(resumed, accepted, window);
    return hello;
  }
  void accept(std::uint64_t first_seq, std::uint64_t count) {
    futured::v1::Accepted m;
    m.set_first_seq(first_seq);
    m.set_count(count);
    m.set_first_number(first_seq + 1);
    m.set_submit_credit_tasks(first_seq + count + window_);
    m.set_submit_credit_bytes(std::uint64_t{1} << 40);
    send(futured::v1::KIND_ACCEPTED, m);
  }
  /// All succeeded, with these replies.
  void outcomes(const std::vector<std::uint64_t>& handles, const std::vector<std::string>& replies) {
    futured::v1::Outcomes m;
    m.set_first_delivery(next_delivery_);
    futured::wire::PayloadWriter writer;
    std::uint64_t last = 0;
    for (std::size_t i = 0; i < handles.size(); ++i) {
      m.add_handle_delta(static_cast<std::int64_t>(handles[i] - last));
      last = handles[i];
      writer.add(replies[i]);
    }
    next_delivery_ += handles.size();
    auto frames = writer.finish(*m.mutable_payloads());
    send(futured::v1::KIND_OUTCOMES, m, std::move(frames));
  }
  void outcome(std::uint64_t handle, const std::string& reply = {}) { outcomes({handle}, {reply}); }
  void failure(std::uint64_t handle, futured::v1::State state, futured::v1::ErrorKind kind, const std::string& message,
               const std::string& reply = {}) {
    futured::v1::Outcomes m;
    m.set_first_delivery(next_delivery_++);
    m.add_handle_delta(static_cast<std::int64_t>(handle));
    m.add_state(state);
    futured::wire::PayloadWriter writer;
    writer.add(reply);
    auto frames = writer.finish(*m.mutable_payloads());
    auto* f = m.add_failures();
    f->set_attempts(2);
    f->mutable_error()->set_kind(kind);
    f->mutable_error()->set_message(message);
    send(futured::v1::KIND_OUTCOMES, m, std::move(frames));
  }

  void set_next_delivery(std::uint64_t n) { next_delivery_ = n; }
  std::uint16_t generation() const { return generation_; }
  void set_generation(std::uint16_t g) { generation_ = g; }

 private:
  std::string instance_;
  zmq::socket_t socket_{context(), zmq::socket_type::router};
  std::string peer_;
  std::uint16_t generation_ = 0;
  std::uint64_t window_ = 0;
  std::uint64_t next_delivery_ = 0;
};

/// Answers every SUBMIT at once with ACCEPTED and OUTCOMES that repeat the input, until it is destroyed.
class EchoDaemon {
 public:
  explicit EchoDaemon(const std::string& endpoint, std::uint64_t window = 1 << 17) {
    thread_ = std::thread([this, endpoint, window] { run(endpoint, window); });
    while (!ready_) std::this_thread::yield();
  }
  ~EchoDaemon() {
    stop_ = true;
    thread_.join();
  }
  std::uint64_t batches() const { return batches_; }

 private:
  void run(const std::string& endpoint, std::uint64_t window) {
    Daemon d(endpoint);
    ready_ = true;
    while (!stop_) {
      auto m = d.receive(20ms);
      if (!m) continue;
      if (m->kind() == futured::v1::KIND_HELLO) d.welcome(false, 0, window);
      if (m->kind() == futured::v1::KIND_PING) d.send(futured::v1::KIND_PONG, m->as<futured::v1::Ping>());
      if (m->kind() == futured::v1::KIND_CANCEL) {
        const auto c = m->as<futured::v1::Cancel>();
        futured::v1::Cancelled answer;
        answer.set_request(c.request());
        for (int i = 0; i < c.handles_size(); ++i) answer.add_verdicts(futured::v1::Cancelled::FINISHED);
        d.send(futured::v1::KIND_CANCELLED, answer);
      }
      if (m->kind() != futured::v1::KIND_SUBMIT) continue;
      ++batches_;
      auto submit = m->as<futured::v1::Submit>();
      const auto n = static_cast<std::uint64_t>(submit.payloads().size_size());
      d.accept(submit.first_seq(), n);
      futured::v1::Outcomes out;
      out.set_first_delivery(delivery_);
      delivery_ += n;
      out.mutable_handle_delta()->Reserve(static_cast<int>(n));
      for (std::uint64_t i = 0; i < n; ++i) {
        out.add_handle_delta(i == 0 ? static_cast<std::int64_t>(submit.first_seq()) : 1);
      }
      out.mutable_payloads()->Swap(submit.mutable_payloads());
      futured::wire::Frames payloads(m->envelope.payloads.begin(), m->envelope.payloads.end());
      d.send(futured::v1::KIND_OUTCOMES, out, std::move(payloads));
    }
  }
  std::atomic<bool> ready_{false}, stop_{false};
  std::atomic<std::uint64_t> batches_{0};
  std::uint64_t delivery_ = 0;
  std::thread thread_;
};

}  // namespace fake
