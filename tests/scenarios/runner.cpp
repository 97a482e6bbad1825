#include "tests/scenarios/runner.hpp"

#include <algorithm>

#include "tests/scenarios/options.hpp"
#include "tests/scenarios/words.hpp"

namespace futured::scheduler::scenario {

namespace {

constexpr const char* kNothing = "(nothing)";

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += "  " + line + "\n";
  return text;
}

template <class Commands>
auto find(const Commands& commands, const std::string& name, std::vector<std::string>& known) {
  for (const auto& command : commands) {
    if (command.name == name) return &command;
    known.emplace_back(command.name);
  }
  return static_cast<decltype(&commands[0])>(nullptr);
}

/// A deadline that never goes away is taken for an endless loop.
constexpr int kMostTurns = 100'000;

}  // namespace

const Runner::Command<> Runner::kCommands[] = {
    {"limits", &Runner::limits},   {"seed", &Runner::seed},
    {"pool", &Runner::pool},       {"scale", &Runner::scale},
    {"client", &Runner::client},   {"worker", &Runner::worker},
    {"submit", &Runner::submit},   {"own", &Runner::own},
    {"retry", &Runner::retry},     {"cancel", &Runner::cancel_by_number},
    {"forget", &Runner::forget},   {"pause", &Runner::pause},
    {"resume", &Runner::resume},   {"limit", &Runner::limit},
    {"close", &Runner::close},     {"drain", &Runner::drain},
    {"abandon", &Runner::abandon}, {"pass", &Runner::pass},
    {"late", &Runner::late},       {"show", &Runner::show},
    {"explain", &Runner::explain}, {"inputs", &Runner::inputs},
    {"counts", &Runner::counts},   {"queues", &Runner::queues},
    {"workers", &Runner::workers}, {"clients", &Runner::clients},
    {"groups", &Runner::groups},   {"named_limits", &Runner::named_limits},
};
const Runner::Command<ClientRole> Runner::kClientCommands[] = {
    {"disconnects", &Runner::client_disconnects},
    {"reconnects", &Runner::client_reconnects},
    {"leaves", &Runner::client_leaves},
    {"takes", &Runner::takes},
    {"cancels", &Runner::cancels},
    {"attaches", &Runner::attaches},
};
const Runner::Command<WorkerRole> Runner::kWorkerCommands[] = {
    {"runs", &Runner::runs},
    {"succeeds", &Runner::succeeds},
    {"fails", &Runner::fails},
    {"stops", &Runner::stops},
    {"returns", &Runner::returns},
    {"keeps", &Runner::keeps},
    {"credit", &Runner::credit},
    {"drains", &Runner::drains},
    {"disconnects", &Runner::worker_disconnects},
    {"reconnects", &Runner::worker_reconnects},
    {"announces", &Runner::announces},
    {"lost", &Runner::lost},
};

Report Runner::run(const std::string& text) {
  Report report;
  report.story = parse(text);
  for (Paragraph& p : report.story) {
    if (!p.has_commands()) continue;
    lines_.clear();
    at_once_ = turn_begun_ = false;
    int line = p.line - 1;
    std::string commands;
    try {
      for (const std::string& command : p.head) {
        ++line;
        if (is_comment(command)) continue;
        commands += "  " + command + "\n";
        INFO(file_ << ":" << line << ": " << command);
        carry_out(command);
      }
      INFO(file_ << ":" << line << ": end of the turn");
      if (turn_begun_) finish_turn();
    } catch (const Error& e) {
      report.error_line = line;
      report.error = e.what();
      return report;
    }
    if (lines_.empty()) lines_.emplace_back(kNothing);
    if (p.expected != lines_) {
      const int at = p.expected_line != 0 ? p.expected_line : line;
      report.differences.push_back({at, commands, joined(p.expected), joined(lines_)});
    }
    p.expected = lines_;
    p.expected_line = line + 2;
  }
  return report;
}

void Runner::carry_out(const std::string& line) {
  Args args(line, tasks_);
  const std::string first = args.word("a command");
  if (first == "at" && line == "at once") {
    if (!lines_.empty() || turn_begun_) throw Error("'at once' stands above the commands of a turn");
    at_once_ = true;
    return;
  }
  std::vector<std::string> known;
  if (const auto* command = find(kCommands, first, known)) {
    (this->*command->run)(args);
  } else if (ClientRole* c = cast_.client(first)) {
    const std::string verb = args.word("what " + first + " does");
    known.clear();
    const auto* does = find(kClientCommands, verb, known);
    if (does == nullptr) throw Error("a client does not know '" + verb + "'" + did_you_mean(verb, known));
    (this->*does->run)(*c, args);
  } else if (WorkerRole* w = cast_.worker(first)) {
    const std::string verb = args.word("what " + first + " does");
    known.clear();
    const auto* does = find(kWorkerCommands, verb, known);
    if (does == nullptr) throw Error("a worker does not know '" + verb + "'" + did_you_mean(verb, known));
    (this->*does->run)(*w, args);
  } else {
    throw Error("'" + first + "' is no command, client or worker" + did_you_mean(first, known));
  }
}

// ---- turns

test::Bench& Runner::bench() {
  if (!bench_) bench_.emplace(limits_, 7, seed_);
  return *bench_;
}

void Runner::event(const Event& e) {
  if (!turn_begun_) bench().actions.clear();
  turn_begun_ = true;
  bench().handle(e);
  // Names must be known to what comes later in the same turn.
  bench().runs.clear();
  bench().told.clear();
  cast_.learn(bench());
  if (!at_once_) finish_turn();
}

void Runner::finish_turn() {
  test::Bench& b = bench();
  turn_begun_ = false;
  b.advance();
  record();
  for (int turns = 0; b.s.next_deadline() <= b.now; ++turns) {
    if (turns > kMostTurns) throw Error("there is always something left to do now");
    b.turn();
    record();
  }
}

void Runner::record() {
  cast_.learn(bench());
  say(trace(scene()));
}

void Runner::pass(Args& args) {
  const Value by("pass", args.word("how long"), tasks_);
  args.done();
  if (at_once_) throw Error("time stands still within a turn");
  test::Bench& b = bench();
  const Time begin = b.now;
  const Time end = begin + by.duration();
  Time said = begin;
  for (int turns = 0;; ++turns) {
    if (turns > kMostTurns) throw Error("there is always something left to do now");
    const Time next = b.s.next_deadline();
    b.now = std::min(std::max(next, b.now), end);
    std::vector<std::string> before;
    before.swap(lines_);
    b.turn();
    record();
    before.swap(lines_);  // `before` has what this turn said
    if (!before.empty() && b.now != said) {
      lines_.push_back("(after " + duration(b.now - begin) + ")");
      said = b.now;
    }
    say(before);
    if (next > end) return;
  }
}

void Runner::late(Args& args) {
  const Value by("late", args.word("how long"), tasks_);
  args.done();
  if (turn_begun_) throw Error("time stands still within a turn");
  bench().now += by.duration();
}

// ---- the daemon

void Runner::limits(Args& args) {
  if (bench_) throw Error("limits stand before everything else");
  apply(args, kLimitOptions, limits_);
  args.done();
}

void Runner::seed(Args& args) {
  if (bench_) throw Error("the seed stands before everything else");
  seed_ = static_cast<std::uint64_t>(Value("seed", args.word("a number"), tasks_).number());
  args.done();
}

void Runner::pool(Args& args) {
  event::PoolDefined e;
  e.name = args.word("the name of the pool");
  if (const auto types = args.option("types")) e.types = type_offers(*types);
  if (const auto n = args.option("processes")) e.processes = static_cast<std::uint32_t>(n->number());
  args.done();
  event(e);
}

void Runner::scale(Args& args) {
  event::PoolScaled e;
  e.name = args.word("the name of the pool");
  e.processes = static_cast<std::uint32_t>(Value("scale", args.word("how many processes"), tasks_).number());
  args.done();
  event(e);
}

void Runner::drain(Args& args) {
  args.done();
  event(event::Drain{});
}

void Runner::abandon(Args& args) {
  args.done();
  event(event::Abandon{});
}

void Runner::cancel_by_number(Args& args) {
  const auto grace = args.option("grace");
  const std::vector<TaskWord> words = args.tasks();
  args.done();
  for (const TaskWord& t : words) event(event::CancelTask{t.number, grace ? grace->duration() : kGrace});
}

void Runner::show(Args& args) {
  const std::vector<TaskWord> words = args.tasks();
  args.done();
  for (const TaskWord& t : words) say(show_task(scene(), t.number));
}

void Runner::counts(Args& args) {
  args.done();
  say(show_counts(scene()));
}

void Runner::queues(Args& args) {
  args.done();
  say(show_queues(scene()));
}

void Runner::workers(Args& args) {
  args.done();
  say(show_workers(scene()));
}

void Runner::clients(Args& args) {
  args.done();
  say(show_clients(scene()));
}

void Runner::explain(Args& args) {
  const std::vector<TaskWord> words = args.tasks();
  args.done();
  for (const TaskWord& t : words) say(explain_task(scene(), t.number));
}

void Runner::inputs(Args& args) {
  const std::vector<TaskWord> words = args.tasks();
  args.done();
  for (const TaskWord& t : words) say(show_input(scene(), t.number));
}

void Runner::groups(Args& args) {
  args.done();
  say(show_groups(scene()));
}

void Runner::named_limits(Args& args) {
  args.done();
  say(show_limits(scene()));
}

}  // namespace futured::scheduler::scenario
