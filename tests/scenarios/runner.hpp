// Plays a story against a scheduler: carries out its commands one turn each and compares the trace with what is
// expected. The grammar is in README.md.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/scenarios/cast.hpp"
#include "tests/scenarios/script.hpp"
#include "tests/scenarios/trace.hpp"

namespace futured::scheduler::scenario {

struct Difference {
  int line = 0;  ///< where the expected text begins
  std::string commands, expected, actual;
};
struct Report {
  std::vector<Paragraph> story;  ///< with what happened in place of what was expected
  std::vector<Difference> differences;
  int error_line = 0;  ///< 0: none
  std::string error;
};

class Runner {
 public:
  /// `file` is for messages.
  explicit Runner(std::string file) : file_(std::move(file)) {}
  Report run(const std::string& text);

 private:
  // What a command does. Each takes its words and leaves what it saw in `lines_`.
  template <class... Who>
  struct Command {
    const char* name;
    void (Runner::*run)(Who&..., Args&);
  };
  static const Command<> kCommands[];
  static const Command<ClientRole> kClientCommands[];
  static const Command<WorkerRole> kWorkerCommands[];
  void carry_out(const std::string& line);

  void limits(Args&);
  void pool(Args&);
  void scale(Args&);
  void client(Args&);
  void worker(Args&);
  void submit(Args&);
  void seed(Args&);
  void cancel_by_number(Args&);
  void own(Args&);
  void retry(Args&);
  void forget(Args&);
  void pause(Args&);
  void resume(Args&);
  void limit(Args&);
  void close(Args&);
  void drain(Args&);
  void abandon(Args&);
  void pass(Args&);
  void late(Args&);
  void show(Args&);
  void counts(Args&);
  void queues(Args&);
  void workers(Args&);
  void clients(Args&);
  void explain(Args&);
  void inputs(Args&);
  void groups(Args&);
  void named_limits(Args&);

  void client_disconnects(ClientRole&, Args&);
  void client_leaves(ClientRole&, Args&);
  void client_reconnects(ClientRole&, Args&);
  void takes(ClientRole&, Args&);
  void cancels(ClientRole&, Args&);
  void attaches(ClientRole&, Args&);

  void runs(WorkerRole&, Args&);
  void succeeds(WorkerRole&, Args&);
  void fails(WorkerRole&, Args&);
  void stops(WorkerRole&, Args&);
  void returns(WorkerRole&, Args&);
  void keeps(WorkerRole&, Args&);
  void credit(WorkerRole&, Args&);
  void drains(WorkerRole&, Args&);
  void worker_disconnects(WorkerRole&, Args&);
  void worker_reconnects(WorkerRole&, Args&);
  void announces(WorkerRole&, Args&);
  void lost(WorkerRole&, Args&);

  // What commands have in common.
  test::Bench& bench();
  void event(const Event& e);
  void finish_turn();
  /// The events of `command` are one turn.
  template <class F>
  void one_turn(F command) {
    const bool alone = !std::exchange(at_once_, true);
    command();
    at_once_ = !alone;
    if (alone) finish_turn();
  }
  void record();
  void hello(ClientRole& c, Args& args);
  void worker_hello(WorkerRole& w);
  void gone(ClientRole& c, bool on_purpose);
  void submit_own(const event::SubmitOwn& e, const std::optional<Value>& as);
  void set_paused(Args& args, bool paused);
  std::vector<AttemptToken> tokens(const WorkerRole& w, const std::vector<TaskWord>& words) const;
  void end_calls(WorkerRole& w, const std::vector<AttemptToken>& tokens);
  void ran(WorkerRole& w, const std::vector<AttemptToken>& tokens, const std::string& reply,
           const event::RanFailure* failure);
  void recalled(WorkerRole& w, Args& args, bool returned);
  void announce(WorkerRole& w, Args& args);
  Scene scene() { return {bench(), cast_, tasks_}; }
  void say(const std::vector<std::string>& lines) { lines_.insert(lines_.end(), lines.begin(), lines.end()); }

  static constexpr Time kGrace = 5'000'000'000;  // where a cancel names none

  const std::string file_;
  Limits limits_;
  std::uint64_t seed_ = 1;
  std::optional<test::Bench> bench_;  // from the first event on
  Cast cast_;
  TaskNames tasks_;
  ConnectionId next_connection_ = 1;
  std::uint64_t next_request_ = 1;
  bool at_once_ = false;  // the commands of this paragraph are one turn
  bool turn_begun_ = false;
  std::vector<std::string> lines_;  // of this paragraph
};

}  // namespace futured::scheduler::scenario
