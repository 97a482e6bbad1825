#include <algorithm>
#include <cstring>

#include "tests/sim/oracle.hpp"

namespace futured::sim {

// ---- what workers execute

void Oracle::check_input(const Life& life, const Slice& input) {
  const scheduler::Spec& spec = tasks_[life.key].spec;
  const std::string own = input_of(life.key);
  const std::string_view rest = input.view().substr(own.size());
  if (spec.input_from == UINT32_MAX || life.after.empty()) {
    if (!rest.empty()) violated(life.key, "something was added to its input");
    return;
  }
  const Wanted& w = life.after[spec.input_from];
  if (w.tasks.empty()) return;
  const Life* from = at(epoch_, w.tasks.front());
  if (from == nullptr || from->unsure) return;
  const auto& successes = tasks_[from->key].successes;
  const bool real = std::any_of(successes.begin(), successes.end(),
                                [&](const AttemptToken& token) { return rest == result_of(from->key, token); });
  if (from->success_reported && !real) violated(life.key, "its input does not end with the reply that it takes");
  if (!from->success_reported && !rest.empty()) violated(life.key, "its input ends with a reply that there is not");
  if (real) saw(Seen::input_taken);
}

void Oracle::execution_began(const Slice& input, const AttemptToken& token, std::uint64_t process, bool certain,
                             Time now) {
  now_ = now;
  const Key key = key_of(input);
  Task& t = tasks_[key];
  ++t.executions;
  if (!certain) t.unsure = true;
  if (given_up_[process]) return;  // what it does is nobody's any more
  Life* l = at(token.epoch, token.task);
  if (l == nullptr || l->key != key) violated(key, "it runs under the number of another");
  if (l->executing && !given_up_[l->executing->process]) {
    violated(key, "attempt " + std::to_string(token.attempt) + " began while attempt " +
                      std::to_string(l->executing->token.attempt) + " was running");
  }
  if (token.attempt <= l->begun) {
    violated(key, "attempt " + std::to_string(token.attempt) + " began after attempt " + std::to_string(l->begun));
  }
  l->begun = token.attempt;
  l->executing = Life::Execution{token, process, now};
  l->last_began = now;
  if (l->cancel_granted) violated(key, "it began after its client was told that it is cancelled");
  // A call that has been told to stop may begin where the order has not arrived.
  if (l->stops.count(token.attempt) == 0 && !abandoned_) {
    if (l->state != TaskState::unknown) violated(key, "it began after its client was told that it has ended");
    if (l->over_for != 0) {
      violated(key, "it began after task " + std::to_string(l->over_for) + ", for which it had to be over");
    }
  }
  if (token.epoch != epoch_) return;
  check_input(*l, input);
  const std::string wrong = quotas.began(token.task, t.spec, now, [&](TaskNumber n) {
    const Life* other = at(epoch_, n);
    return other != nullptr && executes(*other, now);
  });
  if (!wrong.empty()) violated(key, wrong);
}

void Oracle::execution_ended(Key key, const AttemptToken& token, std::uint64_t process, End how) {
  Task& t = tasks_[key];
  Life* l = at(token.epoch, token.task);
  if (l != nullptr && l->executing && l->executing->token == token && l->executing->process == process) {
    l->executing.reset();
    if (token.epoch == epoch_) quotas.ended(token.task, t.spec);
  }
  switch (how) {
    case End::succeeded:
      t.successes.push_back(token);
      break;
    case End::failed_for_good:
      t.failed_for_good = true;
      ++t.failures;
      break;
    case End::failed:
      ++t.failures;
      break;
    case End::told_to_stop:
      break;
  }
}

void Oracle::execution_crashed(Key key, const AttemptToken& token, std::uint64_t process, bool charged) {
  Task& t = tasks_[key];
  Life* l = at(token.epoch, token.task);
  if (l != nullptr && l->executing && l->executing->token == token && l->executing->process == process) {
    l->executing.reset();
    if (token.epoch == epoch_) quotas.ended(token.task, t.spec);
  }
  if (!charged) return;
  if (l != nullptr) l->charged = token.attempt;
  if (l != nullptr) l->began_for_sure = true;
  if (l != nullptr && l->stops.count(token.attempt) != 0) return;  // it ends as what it was told to stop for
  const auto budget = static_cast<std::uint32_t>(scheduler::crash_budget(t.spec.crashes));
  if (++t.crashes[{token.epoch, token.task}] > budget && !t.unsure)
    violated(key, "it crashed more often than its budget allows");
}

bool Oracle::executes(const Life& life, Time now) const {
  if (!life.executing) return false;
  const auto given_up = given_up_.find(life.executing->process);
  if (given_up != given_up_.end() && given_up->second) return false;
  const auto stop = life.stops.find(life.executing->token.attempt);
  return stop == life.stops.end() || stop->second > now;
}

}  // namespace futured::sim
