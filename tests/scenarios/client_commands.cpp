// What clients do in a story.
#include "tests/scenarios/options.hpp"
#include "tests/scenarios/runner.hpp"

namespace futured::scheduler::scenario {

void Runner::hello(ClientRole& c, Args& args) {
  event::ClientHello e;
  e.first_unacked_seq = c.accepted;
  e.processed_delivery = c.taken;
  if (const auto seq = args.option("unacked")) e.first_unacked_seq = static_cast<Seq>(seq->number());
  if (const auto n = args.option("processed")) e.processed_delivery = c.taken = static_cast<std::uint64_t>(n->number());
  if (const auto n = args.option("credit")) c.credit_tasks = static_cast<std::uint64_t>(n->number());
  if (const auto n = args.option("credit_bytes")) c.credit_bytes = static_cast<std::uint64_t>(n->number());
  args.done();
  e.connection = c.connection = next_connection_++;
  e.stream = c.stream;
  e.credit_tasks = c.credit_tasks;
  e.credit_bytes = c.credit_bytes;
  event(e);
}

void Runner::client(Args& args) {
  const std::string name = args.word("the name of the client");
  const ClientRole* before = cast_.client(name);
  if (before != nullptr && before->connection != 0) throw Error(name + " is connected already");
  if (cast_.worker(name) != nullptr) throw Error("a worker is called " + name);
  hello(cast_.add_client(name), args);
}

void Runner::client_reconnects(ClientRole& c, Args& args) { hello(c, args); }

void Runner::gone(ClientRole& c, bool on_purpose) {
  c.connection = 0;
  event(event::ClientGone{c.session, on_purpose});
}

void Runner::client_disconnects(ClientRole& c, Args& args) {
  args.done();
  gone(c, false);
}

void Runner::client_leaves(ClientRole& c, Args& args) {
  args.done();
  gone(c, true);
}

void Runner::submit(Args& args) {
  const std::string who = args.word("the name of the client");
  ClientRole* c = cast_.client(who);
  if (c == nullptr) throw Error("no client is called '" + who + "'");
  Spec spec;
  spec.type = args.word("the type of the task");
  const auto n = args.option("n");
  const auto as = args.option("as");
  const auto size = args.option("size");
  const auto seq = args.option("seq");
  const bool by_id = args.flag("by_id");
  apply(args, kSpecOptions, spec);
  for (Dependency& d : spec.after) {
    if (!by_id || !d.group.empty()) continue;
    const auto [owner, first] = cast_.owner(d.number);
    if (owner == nullptr) throw Error("nobody has submitted " + tasks_.of(d.number));
    d.number = 0;
    d.id = {owner->stream, first};
  }
  std::string input = args.text().value_or("");
  args.done();
  if (size) input.assign(static_cast<std::size_t>(size->number()), 'x');
  const auto count = static_cast<std::size_t>(n ? n->number() : 1);
  std::vector<Slice> payloads;
  for (std::size_t i = 0; i < count; ++i) payloads.push_back(Slice::copy(input));
  const TaskNumber first = bench().s.tasks().next_number();
  const auto name = [&](std::uint64_t i) { return n ? as->text() + std::to_string(i + 1) : as->text(); };
  if (as) {
    for (std::size_t i = 0; i < count; ++i) tasks_.check_free(name(i));
  }
  const Seq at = seq ? static_cast<Seq>(seq->number()) : c->accepted;
  one_turn([&] {
    event(event::Submit{c->session, at, {&spec, 1}, {}, payloads});
    const TaskNumber end = bench().s.tasks().next_number();
    for (TaskNumber t = first; as && t < end; ++t) tasks_.add(t, name(t - first));
  });
}

void Runner::takes(ClientRole& c, Args& args) {
  if (const auto n = args.option("credit")) c.credit_tasks = static_cast<std::uint64_t>(n->number());
  if (const auto n = args.option("credit_bytes")) c.credit_bytes = static_cast<std::uint64_t>(n->number());
  const std::string how_many = args.word("how many, or all,");
  args.done();
  const std::uint64_t n = how_many == "all" ? c.next_delivery - c.taken
                                            : static_cast<std::uint64_t>(Value("takes", how_many, tasks_).number());
  if (c.taken + n > c.next_delivery) throw Error(c.name + " was not sent so many outcomes");
  c.taken += n;
  event(event::Delivered{c.session, c.taken, c.credit_tasks, c.credit_bytes});
}

void Runner::cancels(ClientRole& c, Args& args) {
  const bool hard = args.flag("hard");
  const auto grace = args.option("grace");
  const auto seqs = args.option("seq");
  std::vector<std::uint64_t> handles;
  std::vector<std::string>& asked = c.requests[next_request_];
  if (!seqs || args.has_word()) {
    for (const TaskWord& t : args.tasks()) {
      asked.push_back(tasks_.of(t.number));
      handles.push_back(c.handle(t.number, asked.back()));
    }
  }
  if (seqs) {
    handles.push_back(static_cast<std::uint64_t>(seqs->number()));
    asked.push_back("seq " + seqs->text());
  }
  args.done();
  event(event::Cancel{c.session, next_request_++, handles, hard, grace ? grace->duration() : kGrace});
}

void Runner::attaches(ClientRole& c, Args& args) {
  const bool by_id = args.flag("by_id");
  const bool output = args.flag("output");
  const std::vector<TaskWord> words = args.tasks();
  args.done();
  const std::uint64_t first_handle = test::Bench::kAttach + c.next_attach;
  std::vector<event::TaskRef> refs;
  for (const TaskWord& t : words) {
    c.handles[test::Bench::kAttach + c.next_attach++] = t.number;
    c.requests[next_request_].push_back(tasks_.of(t.number));
    event::TaskRef ref{t.number, {}};
    if (by_id) {
      const auto [owner, seq] = cast_.owner(t.number);
      if (owner == nullptr) throw Error("nobody has submitted " + tasks_.of(t.number));
      ref = {0, {owner->stream, seq}};
    }
    refs.push_back(ref);
  }
  event(event::Attach{c.session, next_request_++, first_handle, refs, output});
}

}  // namespace futured::scheduler::scenario
