// A scheduler with clients and workers at the level of events: each step is one turn, its actions are kept for looking
// at, and the invariants are checked after each event and each turn.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "daemon/scheduler/invariants.hpp"

namespace futured::scheduler::test {

struct Sent {
  WorkerId worker = 0;
  AttemptToken token;
};
struct Told {
  SessionId session = 0;
  std::uint64_t delivery = 0;
  std::uint64_t handle = 0;
  Phase phase = Phase::free;
  std::string result;
  Failure failure;
  std::uint32_t attempts = 0;
};

class Bench {
 public:
  explicit Bench(Limits limits = whole_window(), std::uint32_t epoch = 7, std::uint64_t seed = 1)
      : s(limits, epoch, seed) {}

  /// Clients may submit a whole window at once.
  static Limits whole_window() {
    Limits l;
    l.first_window_tasks = l.window_tasks;
    return l;
  }

  // ---- turns
  void handle(const Event& e) {
    s.handle(e, now, actions);
    check();
  }
  void advance() {
    s.advance(now, actions);
    collect();
    check();
  }
  /// One turn with one event. What it orders is in `actions`, `runs`, `told`.
  void step(const Event& e) {
    actions.clear();
    handle(e);
    advance();
  }
  void turn() {
    actions.clear();
    advance();
  }
  /// Turns until nothing is left to do now; returns how many.
  int settle() {
    int turns = 0;
    do {
      turn();
      ++turns;
      REQUIRE(turns < 10'000);
    } while (s.next_deadline() <= now);
    return turns;
  }
  void pass(Time t) {
    now += t;
    settle();
  }

  // ---- clients
  struct HelloOptions {
    Seq first_unacked = 0;
    std::uint64_t processed = 0;
    std::uint64_t credit_tasks = 1'000'000;
    std::uint64_t credit_bytes = 1 << 30;
  };
  static StreamId stream(std::uint8_t n) {
    StreamId id;
    id.bytes.fill(n);
    return id;
  }
  SessionId hello(std::uint8_t n, const HelloOptions& o) {
    step(event::ClientHello{next_connection_++, stream(n), o.first_unacked, o.processed, o.credit_tasks,
                            o.credit_bytes});
    return actions.client_welcomes.empty() ? kNoSession : actions.client_welcomes[0].session;
  }
  SessionId hello(std::uint8_t n = 1) { return hello(n, HelloOptions{}); }
  void gone(SessionId c, bool on_purpose = false) { step(event::ClientGone{c, on_purpose}); }
  static Spec spec(std::string type = "t", std::int32_t priority = 0) {
    Spec sp;
    sp.type = std::move(type);
    sp.priority = priority;
    return sp;
  }
  void submit_at(SessionId c, Seq first, std::size_t n, const Spec& sp, const std::string& input = "in") {
    std::vector<Slice> payloads;
    for (std::size_t i = 0; i < n; ++i) payloads.push_back(Slice::copy(input));
    actions.clear();
    handle(event::Submit{c, first, {&sp, 1}, {}, payloads});
    advance();
  }
  /// The next tasks of the stream; returns the number of the first.
  TaskNumber submit(SessionId c, std::size_t n = 1, const Spec& sp = spec(), const std::string& input = "in") {
    const TaskNumber first = s.tasks().next_number();
    submit_at(c, s.session(c)->accepted_seq, n, sp, input);
    return first;
  }
  void delivered(SessionId c, std::uint64_t processed, std::uint64_t credit_tasks = 1'000'000,
                 std::uint64_t credit_bytes = 1 << 30) {
    step(event::Delivered{c, processed, credit_tasks, credit_bytes});
  }
  void cancel(SessionId c, const std::vector<std::uint64_t>& handles, bool running_too = false,
              std::uint64_t request = 1) {
    step(event::Cancel{c, request, handles, running_too, 5});
  }
  /// The verdicts of the answers of the last step, one after the other.
  std::vector<Verdict> verdicts() const {
    std::vector<Verdict> all;
    for (const CancelReply& r : actions.cancelled) all.insert(all.end(), r.verdicts.begin(), r.verdicts.end());
    return all;
  }
  void attach(SessionId c, const std::vector<event::TaskRef>& tasks, std::uint64_t first_handle = kAttach) {
    step(event::Attach{c, 9, first_handle, tasks, false});
  }
  static constexpr std::uint64_t kAttach = std::uint64_t{1} << 40;

  // ---- workers
  struct WorkerOptions {
    std::uint32_t slots = 1;
    std::uint64_t credit = 1;
    std::string pool = "default";
    std::vector<TypeOffer> types = {{"t", Lane::thread}};
    std::uint64_t spawn = 1;
    std::string instance;
  };
  WorkerId worker(const WorkerOptions& o) {
    event::WorkerHello e;
    e.connection = next_connection_++;
    e.instance = o.instance;
    e.pool = o.pool;
    e.spawn = o.spawn;
    for (const TypeOffer& t : o.types) {
      e.slots[static_cast<std::size_t>(t.lane)] = o.slots;
      e.credit[static_cast<std::size_t>(t.lane)] = o.credit;
    }
    e.types = o.types;
    step(e);
    REQUIRE(actions.worker_welcomes.size() == 1);
    return actions.worker_welcomes[0].worker;
  }
  WorkerId worker(std::uint32_t slots = 1, std::uint64_t credit = 1) {
    WorkerOptions o;
    o.slots = slots;
    o.credit = credit;
    return worker(o);
  }
  void credit(WorkerId w, std::uint64_t absolute, Lane lane = Lane::thread) {
    event::WorkerCredit e{w, {0, 0}};
    e.credit[static_cast<std::size_t>(lane)] = absolute;
    step(e);
  }
  void running(WorkerId w, const std::vector<AttemptToken>& tokens) { step(event::Running{w, tokens}); }
  void ran(WorkerId w, const std::vector<AttemptToken>& tokens, const std::string& result = "out") {
    std::vector<Slice> replies;
    for (std::size_t i = 0; i < tokens.size(); ++i) replies.push_back(Slice::copy(result));
    actions.clear();
    handle(event::Ran{w, tokens, replies, {}});
    advance();
  }
  void ran_badly(WorkerId w, const AttemptToken& token, bool permanent = false, bool cancelled = false) {
    std::vector<Slice> replies(1);
    event::RanFailure f;
    f.failure.message = "it broke";
    f.failure.permanent = permanent;
    f.cancelled = cancelled;
    actions.clear();
    handle(event::Ran{w, {&token, 1}, replies, {&f, 1}});
    advance();
  }
  void recalled(WorkerId w, const std::vector<AttemptToken>& tokens, bool returned) {
    bool answers[64];
    std::fill_n(answers, 64, returned);
    step(event::Recalled{w, tokens, {answers, tokens.size()}});
  }
  void lost(WorkerId w, bool knows, const std::vector<AttemptToken>& in_progress = {}, int signal = 9) {
    step(event::WorkerLost{w, knows, in_progress, signal, 0});
  }
  void announced(WorkerId w, const std::vector<AttemptToken>& in_progress,
                 const std::vector<AttemptToken>& other = {}) {
    step(event::Announced{w, in_progress, other});
  }

  // ---- looking
  TaskSlot slot(TaskNumber n) const { return s.tasks().find(n); }
  bool known(TaskNumber n) const { return slot(n) != kNoSlot; }
  Phase phase(TaskNumber n) const { return known(n) ? s.tasks()[slot(n)].phase : Phase::free; }
  AttemptToken token(TaskNumber n) const { return s.token(slot(n)); }
  std::vector<TaskNumber> run_numbers() const {
    std::vector<TaskNumber> out;
    for (const Sent& r : runs) out.push_back(r.token.task);
    return out;
  }
  /// The tasks sent to a worker in the last step.
  std::vector<AttemptToken> runs_of(WorkerId w) const {
    std::vector<AttemptToken> out;
    for (const Sent& r : runs) {
      if (r.worker == w) out.push_back(r.token);
    }
    return out;
  }
  void check() const {
    const auto wrong = Invariants::check(s);
    for (const std::string& line : wrong) FAIL_CHECK(line);
    REQUIRE(wrong.empty());
  }

  Scheduler s;
  Time now = 1'000'000'000;
  Actions actions;
  std::vector<Sent> runs;  // of the last step
  std::vector<Told> told;  // likewise

 private:
  void collect() {
    runs.clear();
    told.clear();
    for (const Run& r : actions.runs) runs.push_back({r.worker, s.token(r.task)});
    for (const Outcome& o : actions.outcomes) {
      const TaskRecord& t = s.tasks()[o.task];
      Told x{o.session, o.delivery, o.handle, t.phase, std::string(t.payload.view()), {}, t.attempt};
      const SideRecord* side = s.tasks().side_if(o.task);
      if (side != nullptr && side->failure != nullptr) x.failure = *side->failure;
      told.push_back(x);
    }
  }

  ConnectionId next_connection_ = 1;
};

}  // namespace futured::scheduler::test
