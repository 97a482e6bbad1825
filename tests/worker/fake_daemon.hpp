// A daemon's side of the worker protocol for tests: a ROUTER in the test's own thread. Answers HELLO and nothing else
// by itself. Waits have a limit of 10 s, which fails the test.
#pragma once

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>
#include <zmq.hpp>

#include "futured/v1/worker.pb.h"
#include "proto/envelope.hpp"
#include "proto/ids.hpp"

namespace futured::test {

struct Received {
  std::string peer;
  wire::Frames frames;
  wire::Envelope envelope;  // into frames
  template <class M>
  M as() const {
    M m;
    if (!wire::parse(envelope, m).ok()) m.Clear();
    return m;
  }
};

class FakeDaemon {
 public:
  explicit FakeDaemon(const std::string& endpoint) {
    router_.set(zmq::sockopt::linger, 0);
    router_.set(zmq::sockopt::sndhwm, 0);
    router_.set(zmq::sockopt::rcvhwm, 0);
    router_.set(zmq::sockopt::router_mandatory, 1);
    router_.bind(endpoint);
  }

  /// The next message of any kind; nothing after `ms`.
  std::optional<Received> next(int ms = 10'000) {
    zmq::pollitem_t item{router_.handle(), 0, ZMQ_POLLIN, 0};
    if (zmq::poll(&item, 1, std::chrono::milliseconds(ms)) == 0) return std::nullopt;
    Received r;
    zmq::message_t m;
    (void)router_.recv(m);
    r.peer = m.to_string();
    while (m.more()) {
      (void)router_.recv(m);
      r.frames.push_back(Slice::copy(m.to_string_view()));
    }
    auto e = wire::open(r.frames);
    if (e) r.envelope = *e;
    return r;
  }
  /// Skips other kinds, keeping them in `skipped`.
  std::optional<Received> next_of(v1::Kind kind, int ms = 10'000) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
    for (;;) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
      auto r = next(static_cast<int>(std::max<long>(left.count(), 0)));
      if (!r) return std::nullopt;
      if (r->envelope.kind == kind) return r;
      skipped.push_back(r->envelope.kind);
    }
  }

  void send_raw(const std::string& to, const wire::Frames& frames) {
    router_.send(zmq::buffer(to), frames.empty() ? zmq::send_flags::none : zmq::send_flags::sndmore);
    for (std::size_t i = 0; i < frames.size(); ++i) {
      router_.send(zmq::buffer(frames[i].view()),
                   i + 1 < frames.size() ? zmq::send_flags::sndmore : zmq::send_flags::none);
    }
  }
  void send(v1::Kind kind, const google::protobuf::MessageLite& m, wire::Frames payloads = {}) {
    send_raw(peer, wire::encode(kind, generation, m, std::move(payloads)));
  }

  /// Waits for HELLO and answers it. The HELLO, or nothing.
  std::optional<v1::Hello> welcome(std::int64_t heartbeat_ns = 0) {
    auto r = next_of(v1::KIND_HELLO);
    if (!r) return std::nullopt;
    peer = r->peer;
    generation = r->envelope.generation;
    v1::Welcome w;
    w.set_version(1);
    w.set_software("fake 0");
    w.set_worker(1);
    w.set_heartbeat_ns(heartbeat_ns);
    send(v1::KIND_WELCOME, w);
    return r->as<v1::Hello>();
  }

  struct RunOptions {
    std::string type = "echo";
    bool live_output = false;
    std::int64_t timeout_ns = 0;
  };
  void run(const std::vector<std::pair<AttemptToken, std::string>>& calls, const RunOptions& options) {
    v1::Run m;
    v1::RunSpec* s = m.add_specs();
    s->set_type(options.type);
    s->set_live_output(options.live_output);
    s->set_timeout_ns(options.timeout_ns);
    wire::PayloadWriter inputs;
    for (const auto& [token, input] : calls) {
      put_token(*m.mutable_tokens(), token);
      inputs.add(input);
    }
    wire::Frames frames = inputs.finish(*m.mutable_payloads());
    send(v1::KIND_RUN, m, std::move(frames));
  }
  void run(const std::vector<std::pair<AttemptToken, std::string>>& calls) { run(calls, RunOptions()); }
  template <class M>
  void send_tokens(v1::Kind kind, const std::vector<AttemptToken>& tokens) {
    M m;
    for (const AttemptToken& t : tokens) put_token(*m.mutable_tokens(), t);
    send(kind, m);
  }
  void ack(std::uint64_t below) {
    v1::RanAck m;
    m.set_reports(below);
    send(v1::KIND_RAN_ACK, m);
  }

  std::string peer;
  std::uint16_t generation = 0;
  std::vector<v1::Kind> skipped;

 private:
  zmq::context_t context_{1};
  zmq::socket_t router_{context_, zmq::socket_type::router};
};

inline std::vector<AttemptToken> tokens_of(const std::string& raw) {
  std::vector<AttemptToken> tokens;
  for (std::size_t i = 0; i + kTokenBytes <= raw.size(); i += kTokenBytes) tokens.push_back(get_token(raw.data() + i));
  return tokens;
}

/// Tokens, replies and failures of a RAN, element by element.
struct Result1 {
  AttemptToken token;
  std::string reply;
  const v1::Ran::Failure* failure = nullptr;
};
inline std::vector<Result1> results_of(v1::Ran& ran, const Received& r) {
  std::vector<Slice> replies;
  std::vector<Result1> out;
  if (!wire::read_payloads(*ran.mutable_payloads(), r.envelope.payloads, replies).ok()) return out;
  const auto tokens = tokens_of(ran.tokens());
  for (std::size_t i = 0; i < replies.size() && i < tokens.size(); ++i) {
    out.push_back({tokens[i], std::string(replies[i].view()), nullptr});
  }
  for (const auto& f : ran.failures()) {
    if (f.index() < out.size()) out[f.index()].failure = &f;
  }
  return out;
}

}  // namespace futured::test
