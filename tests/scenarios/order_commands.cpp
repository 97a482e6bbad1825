// What the operator and the daemon itself order in a story.
#include "tests/scenarios/options.hpp"
#include "tests/scenarios/runner.hpp"

namespace futured::scheduler::scenario {

void Runner::submit_own(const event::SubmitOwn& e, const std::optional<Value>& as) {
  const TaskNumber number = bench().s.tasks().next_number();
  if (as) tasks_.check_free(as->text());
  one_turn([&] {
    event(e);
    if (as && bench().s.tasks().issued(number)) tasks_.add(number, as->text());
  });
}

void Runner::own(Args& args) {
  Spec spec;
  spec.type = args.word("the type of the task");
  const auto as = args.option("as");
  apply(args, kSpecOptions, spec);
  const std::string input = args.text().value_or("");
  args.done();
  submit_own({&spec, Slice::copy(input), 0}, as);
}

/// As the daemon does it: what the task waited for has been.
void Runner::retry(Args& args) {
  const auto as = args.option("as");
  const std::vector<TaskWord> words = args.tasks();
  args.done();
  for (const TaskWord& t : words) {
    const TaskSlot slot = bench().slot(t.number);
    if (slot == kNoSlot) throw Error("nothing is known of " + tasks_.of(t.number));
    const SideRecord* side = bench().s.tasks().side_if(slot);
    Spec spec = bench().s.spec(slot);
    spec.after.clear();
    spec.input_from = UINT32_MAX;
    spec.delay_ns = 0;
    submit_own({&spec, side == nullptr ? Slice{} : side->input, t.number}, as);
  }
}

void Runner::forget(Args& args) {
  const std::vector<TaskWord> words = args.tasks();
  args.done();
  for (const TaskWord& t : words) event(event::Forget{t.number});
}

void Runner::set_paused(Args& args, bool paused) {
  event::SetPaused e;
  e.paused = paused;
  if (const auto type = args.option("type")) {
    e.type = type->text();
  } else {
    e.pool = args.word("a pool, or type=,");
  }
  args.done();
  event(e);
}

void Runner::pause(Args& args) { set_paused(args, true); }
void Runner::resume(Args& args) { set_paused(args, false); }

void Runner::limit(Args& args) {
  event::SetLimit e;
  apply(args, kNamedLimitOptions, e);
  e.name = args.word("the name of the limit");
  args.done();
  event(e);
}

void Runner::close(Args& args) {
  event::CloseGroup e{args.word("the name of the group")};
  args.done();
  event(e);
}

}  // namespace futured::scheduler::scenario
