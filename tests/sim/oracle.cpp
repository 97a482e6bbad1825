#include "tests/sim/oracle.hpp"

#include <algorithm>
#include <cstring>

namespace futured::sim {

void Oracle::violated(Key key, const std::string& what) const {
  const Task& t = tasks_[key];
  throw Violation("task key " + std::to_string(key) + " (client " + std::to_string(t.client) + ", number " +
                  std::to_string(t.number) + "): " + what);
}

std::string Oracle::input_of(Key key) {
  std::string raw(sizeof key, '\0');
  std::memcpy(raw.data(), &key, sizeof key);
  return raw + std::string(key % 29, 'i');
}

Oracle::Key Oracle::key_of(const Slice& input) {
  Key key = 0;
  if (input.size() < sizeof key) throw Violation("an input was cut");
  std::memcpy(&key, input.data(), sizeof key);
  const std::string own = input_of(key);
  if (input.view().substr(0, own.size()) != own) throw Violation("an input was changed");
  return key;
}

std::string Oracle::result_of(Key key, const AttemptToken& token) const {
  std::string out = "f(" + std::to_string(key) + ")";
  put_token(out, token);
  out.append(tasks_[key].does.result_bytes, 'r');
  return out;
}

Oracle::Key Oracle::submitted(std::uint32_t client, const scheduler::Spec& spec, const Behaviour& does) {
  Task t;
  t.spec = spec;
  t.does = does;
  t.client = client;
  tasks_.push_back(std::move(t));
  return static_cast<Key>(tasks_.size() - 1);
}

void Oracle::accepted(Key key, TaskNumber number, std::uint32_t epoch) {
  tasks_[key].number = number;
  tasks_[key].epoch = epoch;
}

void Oracle::told_existing(Key key, TaskNumber number, std::uint32_t epoch) {
  const Life* l = at(epoch, tasks_[key].number);
  if (epoch != epoch_ || tasks_[key].epoch != epoch) return;
  if (l == nullptr || l->same_as != number) {
    violated(key, "its client was told that it is task " + std::to_string(number) + ", and it is not");
  }
}

void Oracle::cancel_asked(Key key, bool running_too) {
  tasks_[key].cancel_asked = true;
  tasks_[key].stop_asked = tasks_[key].stop_asked || running_too;
}

void Oracle::verdict(Key key, scheduler::Verdict verdict, bool running_too) {
  Task& t = tasks_[key];
  switch (verdict) {
    case scheduler::Verdict::cancelled: {
      Life* l = body(t.epoch, t.number);
      if (l == nullptr) return;
      if (l->state != TaskState::unknown && l->state != TaskState::cancelled) {
        violated(key, "`cancelled` was said of a task that ended as " + std::string(name(l->state)));
      }
      bool stop = running_too || tasks_[l->key].stop_asked;
      if (l->executing && !given_up_[l->executing->process] && !stop && names_.count(l->number) == 0) {
        violated(key, "`cancelled` was said while it runs");
      }
      if (l->number != t.number) saw(Seen::alias_cancelled);
      l->cancel_granted = true;
      break;
    }
    case scheduler::Verdict::running:
    case scheduler::Verdict::finished:
      if (!running_too) saw(Seen::soft_cancel_lost_race);
      break;
    case scheduler::Verdict::none:
      violated(key, "a cancel was answered with no verdict");
    default:
      break;
  }
}

void Oracle::outcome(Key key, const msg::Outcomes::Item& item, bool owner) {
  Task& t = tasks_[key];
  if (owner) {
    if (t.resolved) violated(key, "its future was resolved twice");
    t.resolved = true;
  }
  const std::string result(item.payload.view());
  if (t.state != TaskState::unknown && (t.state != item.state || t.result != result)) {
    violated(key, "two observers saw different outcomes");
  }
  t.state = item.state;
  t.result = result;
  const Life* l = body(t.epoch, t.number);
  if (!owner || l == nullptr || t.epoch != epoch_) return;
  if (l->state != item.state || l->kind != item.kind || l->result != result) {
    violated(key, "its client has another outcome than its daemon told");
  }
}

void Oracle::lost(Key key, bool possible) {
  if (!possible) violated(key, "it was lost, and neither daemon nor session was");
  if (tasks_[key].resolved) violated(key, "it was lost after it was resolved");
  tasks_[key].lost = tasks_[key].resolved = true;
}

void Oracle::check_all_resolved() const {
  for (Key key = 0; key < tasks_.size(); ++key) {
    if (!tasks_[key].resolved) violated(key, "nothing ever came of it");
  }
}

}  // namespace futured::sim
