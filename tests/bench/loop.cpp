#include "tests/bench/loop.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <semaphore>
#include <utility>

#include "daemon/log.hpp"
#include "tests/bench/bench.hpp"

namespace futured::bench {

/// The server sleeps in wait(): there it hands over to the caller, and gets control back for one turn.
class Loop::Wires final : public daemon::Transport {
 public:
  const std::vector<std::string>& endpoints() const override { return endpoints_; }
  Result<std::string> worker_endpoint() override { return Status(Code::internal, "there are no sockets here"); }
  void wait(std::int64_t timeout_ns, std::span<struct pollfd>) override {
    took_ = thread_seconds() - began_;
    would_sleep_ = timeout_ns > 0 && inbox.empty() && gone.empty();
    if (free_running) {
      if (would_sleep_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    } else {
      done_.release();
      go_.acquire();
    }
    began_ = thread_seconds();
  }
  bool receive(daemon::ConnectionId& from, daemon::Frames& message) override {
    if (inbox.empty()) return false;
    from = inbox.front().first;
    message = std::move(inbox.front().second);
    inbox.pop_front();
    return true;
  }
  Sent send(daemon::ConnectionId to, daemon::Frames&& message) override {
    const auto box = outboxes.find(to);
    if (box == outboxes.end()) return Sent::gone;
    box->second.push_back(std::move(message));
    return Sent::ok;
  }
  bool next_gone(daemon::ConnectionId& which) override {
    if (gone.empty()) return false;
    which = gone.front();
    gone.pop_front();
    return true;
  }
  void close(daemon::ConnectionId which) override { outboxes.erase(which); }
  daemon::Peer peer(daemon::ConnectionId) const override {
    daemon::Peer peer;
    peer.uid = 0;
    peer.local_process = true;  // its silence means nothing
    peer.address = "the benchmark";
    return peer;
  }
  std::unique_ptr<wire::Pipe::End> connect() override { return nullptr; }
  void wake() override {}
  Counters counters() const override { return {}; }

  // ---- the caller's side, while the server sleeps
  /// Until the server sleeps for the first time.
  void wait_for_start() { done_.acquire(); }
  double turn() {
    go_.release();
    done_.acquire();
    return took_;
  }
  void let_go() {
    free_running = true;
    go_.release();
  }
  bool would_sleep() const { return would_sleep_ && inbox.empty() && gone.empty(); }

  std::deque<std::pair<daemon::ConnectionId, daemon::Frames>> inbox;
  std::map<daemon::ConnectionId, std::vector<daemon::Frames>> outboxes;
  std::deque<daemon::ConnectionId> gone;
  daemon::ConnectionId last_connection = 0;

 private:
  std::vector<std::string> endpoints_;
  std::binary_semaphore go_{0}, done_{0};
  bool free_running = false;
  bool would_sleep_ = false;
  double began_ = 0, took_ = 0;
};

Loop::Loop() {
  daemon::log_level("error");
  auto wires = std::make_unique<Wires>();
  wires_ = wires.get();
  daemon::Parts parts;
  parts.transport = std::move(wires);
  server_ = std::make_unique<daemon::Server>(DaemonConfig(), DaemonConfig(), std::move(parts));
  thread_ = std::thread([this] { (void)server_->run(); });
  wires_->wait_for_start();
}

Loop::~Loop() {
  // Nobody is left to take anything, so that the end waits for nobody.
  for (const auto& [connection, box] : wires_->outboxes) wires_->gone.push_back(connection);
  stop();
  wires_->let_go();
  thread_.join();
}

void Loop::stop() { server_->stop(Daemon::Stop::now); }

void Loop::turn() { turns_.push_back(1e3 * wires_->turn()); }

bool Loop::would_sleep() const { return wires_->would_sleep(); }

void Loop::settle() {
  do turn();
  while (!would_sleep());
}

std::vector<double> Loop::take_turns() { return std::exchange(turns_, {}); }

daemon::ConnectionId Loop::connect() {
  const daemon::ConnectionId id = ++wires_->last_connection;
  wires_->outboxes[id];
  return id;
}

void Loop::disconnect(daemon::ConnectionId which) {
  wires_->outboxes.erase(which);
  wires_->gone.push_back(which);
}

void Loop::say(daemon::ConnectionId from, v1::Kind kind, const google::protobuf::MessageLite& m, wire::Frames frames) {
  wires_->inbox.emplace_back(from, wire::encode(kind, 1, m, std::move(frames)));
}

std::vector<wire::Frames> Loop::hear(daemon::ConnectionId by) {
  const auto box = wires_->outboxes.find(by);
  if (box == wires_->outboxes.end()) return {};
  return std::exchange(box->second, {});
}

namespace {

constexpr std::size_t kMessagesAtOnce = 2;  // of the largest: as many as the loop takes in one turn
constexpr std::size_t kPayload = 100;
constexpr std::uint64_t kManyBytes = std::uint64_t{1} << 50;

v1::Hello hello(v1::Hello::Role role) {
  v1::Hello m;
  m.set_role(role);
  m.set_version_min(wire::kVersion);
  m.set_version_max(wire::kVersion);
  return m;
}

template <class M>
M parsed(const wire::Envelope& e) {
  M m;
  if (!wire::parse(e, m).ok()) throw Failure("the daemon's loop sends a message that does not parse");
  return m;
}

}  // namespace

LoopClient::LoopClient(Loop& loop, char name, std::uint64_t window)
    : loop_(loop), connection_(loop.connect()), window_(window) {
  v1::Hello m = hello(v1::Hello::CLIENT);
  m.set_stream(std::string(11, name));
  m.set_result_credit_tasks(window_);
  m.set_result_credit_bytes(kManyBytes);
  loop_.say(connection_, v1::KIND_HELLO, m);
  loop_.settle();
  take();
}

void LoopClient::send(v1::Submit& m, std::size_t count) {
  const std::string input(kPayload, 'x');
  // What has a spec each goes together; the rest as far as the credit reaches, as session/session.cpp does.
  const std::size_t least = m.spec_of().empty() ? 1 : count;
  for (std::size_t sent = 0; sent < count;) {
    for (int turns = 0; credit_ < next_seq_ + least; ++turns) {
      if (turns == 1'000'000) throw Failure("the daemon's loop gives no credit");
      turn();
    }
    const std::size_t n = std::min<std::size_t>(count - sent, credit_ - next_seq_);
    m.set_first_seq(next_seq_);
    wire::PayloadWriter inputs;
    for (std::size_t i = 0; i < n; ++i) inputs.add(std::string_view(input));
    wire::Frames frames = inputs.finish(*m.mutable_payloads());
    loop_.say(connection_, v1::KIND_SUBMIT, m, std::move(frames));
    next_seq_ += n;
    sent += n;
  }
}

void LoopClient::credit(const v1::Accepted& a) { credit_ = std::max(credit_, a.submit_credit_tasks()); }

void LoopClient::submit(std::size_t count, const SpecOf& spec, std::size_t batch) {
  std::size_t sent = 0;
  for (std::size_t i = 0; sent < count; ++i) {
    const std::size_t n = std::min(batch, count - sent);
    v1::Submit m;
    v1::Spec& s = *m.add_specs();
    s.set_type("t");
    if (spec) spec(i, s);
    send(m, n);
    sent += n;
    if (i % kMessagesAtOnce == kMessagesAtOnce - 1 || sent == count) turn();
  }
  settle();
}

void LoopClient::submit_each(std::size_t count, const SpecOf& spec) {
  constexpr std::size_t kAtOnce = 256;
  for (std::size_t sent = 0; sent < count;) {
    v1::Submit m;
    const std::size_t n = std::min(kAtOnce, count - sent);
    for (std::size_t i = 0; i < n; ++i) {
      v1::Spec& s = *m.add_specs();
      s.set_type("t");
      spec(sent + i, s);
      m.add_spec_of(static_cast<std::uint32_t>(i));
    }
    send(m, n);
    sent += n;
    turn();
  }
  settle();
}

v1::Reply LoopClient::ask(v1::Request request) {
  request.set_request(next_request_++);
  loop_.say(connection_, v1::KIND_REQUEST, request);
  for (int turns = 0; replies_.empty(); ++turns) {
    if (turns == 10'000) throw Failure("the daemon's loop does not answer");
    turn();
  }
  v1::Reply reply = std::move(replies_.front());
  replies_.clear();
  if (reply.has_problem()) throw Failure("the daemon's loop answers: " + reply.problem().message());
  return reply;
}

std::uint64_t LoopClient::ask_all(const With& with, std::size_t pages) {
  std::uint64_t count = 0;
  std::string cursor;
  for (std::size_t page = 0; page < pages; ++page) {
    v1::Request request;
    with(request, cursor);
    const v1::Reply reply = ask(std::move(request));
    count += reply.count() + static_cast<std::uint64_t>(reply.tasks_size());
    if (!reply.more()) break;
    cursor = reply.cursor();
  }
  settle();
  return count;
}

void LoopClient::cancel(std::uint64_t first_handle, std::size_t count) {
  for (std::size_t sent = 0; sent < count;) {
    v1::Cancel m;
    m.set_request(next_request_++);
    m.set_running_too(true);
    for (; sent < count && static_cast<std::size_t>(m.handles_size()) < wire::kMaxBatchTasks; ++sent) {
      m.add_handles(first_handle + sent);
    }
    loop_.say(connection_, v1::KIND_CANCEL, m);
  }
  settle();
}

void LoopClient::turn() {
  loop_.turn();
  take();
}

void LoopClient::settle() {
  do turn();
  while (!loop_.would_sleep());
  tell_taken();
  while (!loop_.would_sleep()) turn();
}

void LoopClient::take() {
  for (const wire::Frames& frames : loop_.hear(connection_)) {
    const auto e = wire::open(frames);
    if (!e) throw Failure("the daemon's loop sends no envelope");
    switch (e->kind) {
      case v1::KIND_REPLY:
        replies_.push_back(parsed<v1::Reply>(*e));
        break;
      case v1::KIND_WELCOME:
        credit_ = parsed<v1::Welcome>(*e).submit_credit_tasks();
        break;
      case v1::KIND_ACCEPTED:
        credit(parsed<v1::Accepted>(*e));
        break;
      case v1::KIND_OUTCOMES: {
        const auto m = parsed<v1::Outcomes>(*e);
        processed_ += static_cast<std::uint64_t>(m.handle_delta_size());
        for (const v1::Accepted& a : m.accepted()) credit(a);
        break;
      }
      case v1::KIND_GOAWAY:
        dismissed_ = true;
        break;
      case v1::KIND_REFUSED:
        throw Failure("the daemon's loop refuses: " + parsed<v1::Refused>(*e).problem().message());
      default:
        break;
    }
  }
  if (processed_ - told_ >= std::max<std::uint64_t>(window_ / 2, 1)) tell_taken();
}

void LoopClient::tell_taken() {
  if (told_ == processed_) return;
  told_ = processed_;
  v1::Delivered m;
  m.set_processed_delivery(processed_);
  m.set_result_credit_tasks(processed_ + window_);
  m.set_result_credit_bytes(kManyBytes);
  loop_.say(connection_, v1::KIND_DELIVERED, m);
}

void LoopClient::leave() { loop_.say(connection_, v1::KIND_GOODBYE, v1::Goodbye()); }

LoopWorker::LoopWorker(Loop& loop, std::uint32_t slots) : loop_(loop), connection_(loop.connect()), slots_(slots) {
  say_hello();
  loop_.settle();
}

void LoopWorker::say_hello() {
  v1::Hello m = hello(v1::Hello::WORKER);
  m.set_instance("a worker of this");
  m.set_async_slots(slots_);
  m.set_async_credit(slots_);
  v1::TaskType* type = m.add_types();
  type->set_name("t");
  type->set_lane(v1::LANE_ASYNC);
  loop_.say(connection_, v1::KIND_HELLO, m);
}

void LoopWorker::come_back() {
  loop_.disconnect(connection_);
  connection_ = loop_.connect();
  say_hello();
  loop_.turn();
  for (std::size_t told = 0; told < calls();) {
    const std::size_t n = std::min(wire::kMaxBatchTasks, calls() - told);
    v1::Announce m;
    m.set_waiting(tokens_.substr(told * kTokenBytes, n * kTokenBytes));
    told += n;
    m.set_end(told == calls());
    loop_.say(connection_, v1::KIND_ANNOUNCE, m);
  }
}

void LoopWorker::take() {
  for (const wire::Frames& frames : loop_.hear(connection_)) {
    const auto e = wire::open(frames);
    if (e && e->kind == v1::KIND_RUN) tokens_ += parsed<v1::Run>(*e).tokens();
  }
}

void LoopWorker::finish() {
  const std::string output(kPayload, 'y');
  const std::size_t count = calls();
  for (std::size_t done = 0; done < count;) {
    const std::size_t n = std::min(wire::kMaxBatchTasks, count - done);
    v1::Ran m;
    m.set_first_report(reports_);
    m.set_tokens(tokens_.substr(done * kTokenBytes, n * kTokenBytes));
    m.set_async_credit(reports_ + n + slots_);
    wire::PayloadWriter replies;
    for (std::size_t i = 0; i < n; ++i) replies.add(std::string_view(output));
    wire::Frames frames = replies.finish(*m.mutable_payloads());
    loop_.say(connection_, v1::KIND_RAN, m, std::move(frames));
    reports_ += n;
    done += n;
  }
  tokens_.clear();
}

void LoopWorker::leave() { loop_.say(connection_, v1::KIND_GOODBYE, v1::Goodbye()); }

}  // namespace futured::bench
