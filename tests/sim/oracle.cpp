#include "tests/sim/oracle.hpp"

#include <algorithm>
#include <cstring>

namespace futured::sim {

const char* name_of(Seen what) {
  static constexpr const char* names[kSeen] = {"a report arrived after its worker was lost",
                                               "a cancel lost its race",
                                               "a recalled call was returned",
                                               "a recall came too late",
                                               "a call was recalled for an idle neighbour",
                                               "an announce named a running call",
                                               "an announce named a call of another daemon or attempt",
                                               "an announce did not name a call that was sent",
                                               "a crash budget was spent",
                                               "a task at a crashed worker was not charged",
                                               "a stale report was dropped",
                                               "a report was repeated after a reconnect",
                                               "a submit was repeated after a reconnect",
                                               "outcomes were repeated after a reconnect",
                                               "a client resumed",
                                               "a client was back before it was seen to go",
                                               "a worker was back before it was seen to go",
                                               "a session expired",
                                               "a client came back after its session was given up",
                                               "a client died",
                                               "a task was cancelled before it started",
                                               "a running task was stopped",
                                               "a task succeeded although it was told to stop",
                                               "a task was cancelled because its client went",
                                               "a task was cancelled by number",
                                               "a client attached to a live task",
                                               "a client attached to an ended task",
                                               "a client attached to a forgotten task",
                                               "a retry succeeded",
                                               "a task failed for good",
                                               "a task was rejected",
                                               "a result larger than the credit was delivered",
                                               "submit credit was withheld and came back",
                                               "a silent worker was given up and came back",
                                               "a worker was drained",
                                               "a worker was lost with a cancel waiting for it",
                                               "a kept task was forgotten in time",
                                               "the daemon was restarted and tasks were lost",
                                               "a message went through the codec",
                                               "both lanes ran",
                                               "a process with a deaf call was replaced"};
  return names[static_cast<std::size_t>(what)];
}

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
  if (input.view() != input_of(key)) throw Violation("an input was changed");
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
  Task& t = tasks_[key];
  if (t.epoch == epoch && t.number != number && t.number != 0) {
    // The stream was given up in between: the task was taken anew.
    t.cancel_granted = false;
  }
  t.number = number;
  t.epoch = epoch;
}

void Oracle::cancel_asked(Key key, bool running_too) {
  tasks_[key].cancel_asked = true;
  tasks_[key].stop_asked = tasks_[key].stop_asked || running_too;
}

void Oracle::execution_began(Key key, const AttemptToken& token, std::uint64_t process, bool certain) {
  Task& t = tasks_[key];
  ++t.executions;
  if (!certain) t.unsure = true;
  if (given_up_[process]) return;  // what it does is nobody's any more
  const auto id = std::make_pair(token.epoch, token.task);
  if (const auto at = executing_.find(id); at != executing_.end() && !given_up_[at->second.second]) {
    violated(key, "attempt " + std::to_string(token.attempt) + " began while attempt " +
                      std::to_string(at->second.first.attempt) + " was running");
  }
  if (std::uint32_t& last = last_attempt_[id]; token.attempt <= last) {
    violated(key, "attempt " + std::to_string(token.attempt) + " began after attempt " + std::to_string(last));
  } else {
    last = std::max(last, token.attempt);
  }
  executing_[id] = {token, process};
  if (t.cancel_granted && t.epoch == token.epoch && t.number == token.task) {
    violated(key, "it began after its client was told that it is cancelled");
  }
}

void Oracle::execution_ended(Key key, const AttemptToken& token, std::uint64_t process, End how) {
  Task& t = tasks_[key];
  const auto at = executing_.find({token.epoch, token.task});
  if (at != executing_.end() && at->second == std::make_pair(token, process)) executing_.erase(at);
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
  const auto at = executing_.find({token.epoch, token.task});
  if (at != executing_.end() && at->second == std::make_pair(token, process)) executing_.erase(at);
  if (!charged) return;
  const std::int32_t wanted = t.spec.crashes;
  const std::uint32_t budget = wanted == 0  ? scheduler::kDefaultCrashes
                               : wanted < 0 ? 1
                                            : static_cast<std::uint32_t>(wanted);
  if (++t.crashes[{token.epoch, token.task}] > budget && !t.unsure)
    violated(key, "it crashed more often than its budget allows");
}

void Oracle::verdict(Key key, scheduler::Verdict verdict, bool running_too) {
  Task& t = tasks_[key];
  switch (verdict) {
    case scheduler::Verdict::cancelled:
      if (t.resolved && !t.lost && t.state != TaskState::cancelled && t.state != TaskState::unknown) {
        violated(key, "`cancelled` was said of a task that ended as " + std::string(name(t.state)));
      }
      if (const auto at = executing_.find({t.epoch, t.number});
          at != executing_.end() && !given_up_[at->second.second] && !running_too && !t.stop_asked) {
        violated(key, "`cancelled` was said while it runs");
      }
      t.cancel_granted = true;
      break;
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
  switch (item.state) {
    case TaskState::succeeded: {
      const bool real = std::any_of(t.successes.begin(), t.successes.end(),
                                    [&](const AttemptToken& token) { return result == result_of(key, token); });
      if (!real) violated(key, "its result is not that of any of its executions");
      if (t.cancel_granted) violated(key, "it succeeded after its client was told that it is cancelled");
      if (t.failures > 0) saw(Seen::retry_succeeded);
      if (t.stop_asked && t.executions > 0) saw(Seen::succeeded_though_stopped);
      break;
    }
    case TaskState::cancelled:
      if (!t.cancel_asked && !t.client_went) violated(key, "it was cancelled, and nobody asked for that");
      if (!t.cancel_asked) saw(Seen::cancelled_on_disconnect);
      if (!result.empty()) violated(key, "a cancelled task has a result");
      saw(t.executions == 0 ? Seen::cancelled_before_start : Seen::stopped_while_running);
      break;
    case TaskState::failed:
      if (t.cancel_granted) violated(key, "it failed after its client was told that it is cancelled");
      switch (item.kind) {
        case ErrorKind::error:
          if (!t.failed_for_good && t.failures <= t.spec.retries) {
            violated(key, "it failed with retries left: " + std::to_string(t.failures) + " failures of " +
                              std::to_string(t.spec.retries + 1));
          }
          saw(Seen::failed_for_good);
          break;
        case ErrorKind::crashed: {
          const std::int32_t wanted = t.spec.crashes;
          const std::uint32_t budget = wanted == 0  ? scheduler::kDefaultCrashes
                                       : wanted < 0 ? 1
                                                    : static_cast<std::uint32_t>(wanted);
          const bool spent = std::any_of(t.crashes.begin(), t.crashes.end(),
                                         [&](const auto& entry) { return entry.second >= budget; });
          if (!spent && !t.unsure) violated(key, "it was given up before its crash budget was spent");
          saw(Seen::crash_budget_spent);
          break;
        }
        case ErrorKind::rejected:
          if (t.spec.type != "unknown") violated(key, "it was rejected, and is a known task");
          saw(Seen::rejected);
          break;
        default:
          violated(key, "it failed with a kind that nobody gave it: " + std::string(name(item.kind)));
      }
      break;
    default:
      violated(key, "an outcome that is none");
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
