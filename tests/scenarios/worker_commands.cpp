// What workers do in a story.
#include <algorithm>
#include <memory>

#include "tests/scenarios/options.hpp"
#include "tests/scenarios/runner.hpp"

namespace futured::scheduler::scenario {

void Runner::worker_hello(WorkerRole& w) {
  event::WorkerHello e;
  e.connection = w.connection = next_connection_++;
  e.instance = w.instance;
  e.pool = w.pool;
  e.host = "host";
  e.pid = static_cast<std::uint32_t>(1000 + cast_.workers().size());
  e.spawn = w.by_hand ? 0 : cast_.workers().size();
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    if (w.own_credit) {
      const auto held = static_cast<std::uint64_t>(std::count_if(w.calls.begin(), w.calls.end(), [&](const auto& c) {
        return c.second.open && index(c.second.lane) == lane;
      }));
      w.credit[lane] = w.window(lane) - std::min(held, w.window(lane));
    }
    e.slots[lane] = w.slots[lane];
    e.credit[lane] = w.credit[lane];
  }
  e.types = w.types;
  event(e);
}

void Runner::worker(Args& args) {
  const std::string name = args.word("the name of the worker");
  const WorkerRole* before = cast_.worker(name);
  if (before != nullptr && bench().s.worker(before->id()) != nullptr) throw Error(name + " is there already");
  if (cast_.client(name) != nullptr) throw Error("a client is called " + name);
  WorkerRole& w = cast_.add_worker(name);
  apply(args, kWorkerOptions, w);
  if (const auto n = args.option("credit")) {
    w.own_credit = false;
    std::fill_n(w.credit, kLanes, static_cast<std::uint64_t>(n->number()));
  }
  args.done();
  worker_hello(w);
}

std::vector<AttemptToken> Runner::tokens(const WorkerRole& w, const std::vector<TaskWord>& words) const {
  std::vector<AttemptToken> out;
  for (const TaskWord& t : words) {
    const auto call = w.calls.find(t.number);
    if (t.attempt == 0 && call == w.calls.end()) {
      throw Error(w.name + " was never sent " + tasks_.of(t.number) + "; name the attempt: " + tasks_.of(t.number) +
                  "@1");
    }
    out.push_back({bench_->s.epoch(), t.attempt != 0 ? t.attempt : call->second.attempt, t.number});
  }
  return out;
}

void Runner::end_calls(WorkerRole& w, const std::vector<AttemptToken>& tokens) {
  bool raised = false;
  for (const AttemptToken& token : tokens) {
    const auto call = w.calls.find(token.task);
    if (call == w.calls.end() || call->second.attempt != token.attempt || !call->second.open) continue;
    call->second.open = false;
    if (!w.own_credit) continue;
    ++w.credit[index(call->second.lane)];
    raised = true;
  }
  if (raised) event(event::WorkerCredit{w.id(), {w.credit[0], w.credit[1]}});
}

void Runner::runs(WorkerRole& w, Args& args) {
  const std::vector<AttemptToken> calls = tokens(w, args.tasks());
  args.done();
  event(event::Running{w.id(), calls});
}

void Runner::ran(WorkerRole& w, const std::vector<AttemptToken>& tokens, const std::string& reply,
                 const event::RanFailure* failure) {
  std::vector<Slice> replies;
  std::vector<event::RanFailure> failures;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    replies.push_back(Slice::copy(reply));
    if (failure == nullptr) continue;
    failures.push_back(*failure);
    failures.back().index = static_cast<std::uint32_t>(i);
  }
  // A report brings the credit for the next calls with it: one turn.
  one_turn([&] {
    event(event::Ran{w.id(), tokens, replies, failures});
    end_calls(w, tokens);
  });
}

void Runner::succeeds(WorkerRole& w, Args& args) {
  const std::string reply = args.text().value_or("");
  const auto size = args.option("size");
  const std::vector<AttemptToken> calls = tokens(w, args.tasks());
  args.done();
  ran(w, calls, size ? std::string(static_cast<std::size_t>(size->number()), 'x') : reply, nullptr);
}

void Runner::fails(WorkerRole& w, Args& args) {
  event::RanFailure f;
  apply(args, kFailureOptions, f.failure);
  const auto reply = args.option("reply");
  f.failure.message = args.text().value_or("");
  const std::vector<AttemptToken> calls = tokens(w, args.tasks());
  args.done();
  ran(w, calls, reply ? reply->text() : "", &f);
}

void Runner::stops(WorkerRole& w, Args& args) {
  event::RanFailure f;
  f.cancelled = true;
  f.failure.message = args.text().value_or("");
  const std::vector<AttemptToken> calls = tokens(w, args.tasks());
  args.done();
  ran(w, calls, {}, &f);
}

void Runner::recalled(WorkerRole& w, Args& args, bool returned) {
  const std::vector<AttemptToken> calls = tokens(w, args.tasks());
  args.done();
  const auto answers = std::make_unique<bool[]>(calls.size());
  std::fill_n(answers.get(), calls.size(), returned);
  one_turn([&] {
    event(event::Recalled{w.id(), calls, {answers.get(), calls.size()}});
    if (returned) end_calls(w, calls);
  });
}

void Runner::returns(WorkerRole& w, Args& args) { recalled(w, args, true); }
void Runner::keeps(WorkerRole& w, Args& args) { recalled(w, args, false); }

void Runner::credit(WorkerRole& w, Args& args) {
  w.own_credit = false;
  for (const auto& [lane, option] : {std::pair{Lane::thread, "threads"}, std::pair{Lane::async, "async"}}) {
    if (const auto n = args.option(option)) w.credit[index(lane)] = static_cast<std::uint64_t>(n->number());
  }
  args.done();
  event(event::WorkerCredit{w.id(), {w.credit[0], w.credit[1]}});
}

void Runner::drains(WorkerRole& w, Args& args) {
  args.done();
  event(event::WorkerDraining{w.id()});
}

void Runner::worker_disconnects(WorkerRole& w, Args& args) {
  args.done();
  event(event::WorkerDisconnected{w.id()});
}

void Runner::announce(WorkerRole& w, Args& args) {
  std::vector<AttemptToken> running, other;
  if (const auto t = args.option("running")) running = tokens(w, t->tasks());
  if (const auto t = args.option("other")) other = tokens(w, t->tasks());
  args.done();
  event(event::Announced{w.id(), running, other});
}

void Runner::announces(WorkerRole& w, Args& args) { announce(w, args); }

void Runner::worker_reconnects(WorkerRole& w, Args& args) {
  if (const auto missed = args.option("missed")) {
    for (const TaskWord& t : missed->tasks()) w.calls.erase(t.number);
  }
  args.done();
  worker_hello(w);
}

void Runner::lost(WorkerRole& w, Args& args) {
  event::WorkerLost e;
  e.worker = w.id();
  std::vector<AttemptToken> running;
  if (const auto t = args.option("running")) {
    e.knows_running = true;
    if (t->text() != "none") running = tokens(w, t->tasks());
  }
  const auto status = args.option("status");
  const auto signal = args.option("signal");
  args.done();
  e.running = running;
  e.status = status ? static_cast<std::int32_t>(status->number()) : 0;
  e.signal = signal ? static_cast<std::int32_t>(signal->number()) : status ? 0 : 9;
  for (auto& [number, call] : w.calls) call.open = false;
  event(e);
}

}  // namespace futured::scheduler::scenario
