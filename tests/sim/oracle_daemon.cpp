// The oracle's view of what the daemon takes, sends and tells.
#include <algorithm>

#include "tests/sim/oracle.hpp"

namespace futured::sim {

using scheduler::Condition;

namespace {
std::string raw(const StreamId& stream) { return {stream.bytes.begin(), stream.bytes.end()}; }
}  // namespace

Life* Oracle::at(std::uint32_t epoch, TaskNumber number) {
  const auto it = lives_.find({epoch, number});
  return it == lives_.end() ? nullptr : &it->second;
}

const Life* Oracle::life(std::uint32_t epoch, TaskNumber number) const {
  const auto it = lives_.find({epoch, number});
  return it == lives_.end() ? nullptr : &it->second;
}

Life* Oracle::body(std::uint32_t epoch, TaskNumber number) {
  Life* l = at(epoch, number);
  return l != nullptr && l->same_as != 0 ? at(epoch, l->same_as) : l;
}

void Oracle::new_daemon(std::uint32_t epoch) {
  epoch_ = epoch;
  abandoned_ = false;
  quotas.reset();
  numbers_.clear();
  groups_.clear();
  keyed_.clear();
  names_.clear();
  closed_groups_.clear();
  awaited_groups_.clear();
}

/// It may be gone by now: nobody is owed its outcome any more. A client whose session was given up before it heard of
/// an acknowledgement submits the same task in another.
bool Oracle::may_be_forgotten(const Life& l) const {
  const Task& t = tasks_[l.key];
  return t.resolved || l.forgettable || t.last_taken != l.number;
}

Wanted Oracle::wanted(const scheduler::Dependency& d, const Life& l) const {
  Wanted w;
  w.on = d.on;
  w.group = d.group;
  if (!d.group.empty()) {
    if (const auto group = groups_.find(d.group); group != groups_.end()) {
      for (const TaskNumber n : group->second) {
        const Life& member = lives_.at({epoch_, n});
        // Who tried to join a closed group may have been refused; if all had left it, it was open again.
        if (!may_be_forgotten(member) && closed_groups_.count(d.group) == 0) w.tasks.push_back(n);
      }
    }
    w.unknown = w.tasks.empty() || d.group == tasks_[l.key].spec.group;
    return w;
  }
  for (std::uint64_t i = 0; i < std::max<std::uint64_t>(d.count, 1); ++i) {
    TaskNumber n = d.number == 0 ? 0 : d.number + i;
    if (d.number == 0) {
      const auto id = numbers_.find({raw(d.id.stream), d.id.seq + i});
      if (id != numbers_.end()) n = id->second;
    }
    const auto it = lives_.find({epoch_, n});
    if (it != lives_.end() && it->second.same_as != 0) n = it->second.same_as;
    if (it == lives_.end() || n >= l.number) {
      w.unknown = true;
      return w;
    }
    w.tasks.push_back(n);
  }
  return w;
}

void Oracle::taken(Key key, TaskNumber number, const TaskId& id, Time now, std::uint64_t turn) {
  now_ = now;
  if (lives_.count({epoch_, number}) != 0) violated(key, "its number was given twice");
  Life& l = lives_[{epoch_, number}];
  l.key = key;
  l.number = number;
  l.taken = now;
  l.taken_turn = turn;
  tasks_[key].last_taken = number;
  numbers_[{raw(id.stream), id.seq}] = number;
  const scheduler::Spec& s = tasks_[key].spec;
  for (const scheduler::Dependency& d : s.after) l.after.push_back(wanted(d, l));
  for (const Wanted& w : l.after) {
    if (!w.group.empty()) awaited_groups_.insert(w.group);
    for (const TaskNumber n : w.tasks) {
      if (lives_.at({epoch_, n}).ended_turn == turn) saw(Seen::dependency_same_turn);
    }
  }
  if (s.type == "unknown") return;
  if (!s.group.empty()) groups_[s.group].push_back(number);
  if (s.key.empty() || closed_groups_.count(s.group) != 0) return;
  std::vector<TaskNumber>& before = keyed_[{s.owner, s.type, s.key}];
  for (const TaskNumber n : before) {
    Life& rival = lives_.at({epoch_, n});
    check_over(rival, l, "which has its key");
    rival.over_for = number;
    const bool kept = tasks_[rival.key].spec.keep_ns > now - rival.last_sent && mixture_.kept_tasks >= 1'000'000;
    // One that is submitted again is told so, or its session was given up, and what it left is forgotten.
    const bool again = rival.key == key;
    if (rival.success_reported && !rival.unsure && !again &&
        (!may_be_forgotten(rival) || (kept && !rival.forgettable))) {
      violated(key, "task " + std::to_string(n) + " has its key and has succeeded, and it was taken as another");
    }
    saw(Seen::key_free_again);
  }
  before.push_back(number);
}

void Oracle::taken_as(Key key, TaskNumber number, TaskNumber existing, const TaskId& id, Time now) {
  now_ = now;
  Life& l = lives_[{epoch_, number}];
  l.key = key;
  l.number = number;
  l.same_as = existing;
  l.taken = now;
  tasks_[key].last_taken = number;
  numbers_[{raw(id.stream), id.seq}] = number;
  const Life* other = at(epoch_, existing);
  const scheduler::Spec& mine = tasks_[key].spec;
  if (other == nullptr || other->same_as != 0) violated(key, "it was attached to a task that there is not");
  const scheduler::Spec& its = tasks_[other->key].spec;
  if (mine.key.empty() || mine.key != its.key || mine.type != its.type || mine.owner != its.owner) {
    violated(key, "it was attached to task " + std::to_string(existing) + ", which has another key");
  }
  const bool gone = other->state != TaskState::unknown && other->state != TaskState::succeeded;
  if (gone) violated(key, "it was attached to a task that has ended as " + std::string(name(other->state)));
  saw(other->success_reported ? Seen::key_ended : Seen::key_live);
  names_[existing].push_back(key);
}

/// `before` must be over, because `life` goes on.
void Oracle::check_over(const Life& before, const Life& l, const char* why) {
  if (!executes(before, now_) || abandoned_) return;
  violated(l.key, "it goes on while task " + std::to_string(before.number) + ", " + why + ", runs");
}

void Oracle::check_after(const Life& l) {
  for (const Wanted& w : l.after) {
    if (w.unknown && w.group.empty()) violated(l.key, "it was sent, and what it waits for is not there");
    for (const TaskNumber n : w.tasks) {
      Life& p = lives_.at({epoch_, n});
      check_over(p, l, "which it waits for");
      p.over_for = l.number;
      if (p.unsure) continue;
      if (w.on == Condition::success && !p.success_reported) {
        violated(l.key, "it was sent, and task " + std::to_string(n) + " has not succeeded");
      }
      if (w.on == Condition::failure && w.group.empty() && p.success_reported) {
        violated(l.key, "it was sent, and task " + std::to_string(n) + " has succeeded");
      }
    }
    if (!w.group.empty()) {
      saw(Seen::after_group);
    } else {
      saw(w.on == Condition::any       ? Seen::after_any
          : w.on == Condition::success ? Seen::after_success
                                       : Seen::after_failure);
      if (w.tasks.size() > 1) saw(Seen::after_many);
    }
  }
}

/// Nothing plain of the same type waits that has a higher priority.
void Oracle::check_priority(const Life& l, const std::string& pool) {
  if (mixture_.priorities <= 0 || mixture_.flood != 0 || mixture_.second_pool != 0) return;
  if (mixture_.owed_bytes < 1'000'000 || pool != "default") return;
  const scheduler::Spec& s = tasks_[l.key].spec;
  for (auto it = lives_.lower_bound({epoch_, 0}); it != lives_.end() && it->first.first == epoch_; ++it) {
    const Life& o = it->second;
    if (o.sent != 0 || o.same_as != 0 || o.state != TaskState::unknown) continue;
    const scheduler::Spec& other = tasks_[o.key].spec;
    if (other.type != s.type || other.priority <= s.priority || closed_groups_.count(other.group) != 0) continue;
    const bool plain = other.delay_ns + other.deadline_ns + other.expires_ns == 0 && other.after.empty() &&
                       other.limit.empty() && !asked_to_cancel(o);
    if (plain) violated(l.key, "it was sent before task " + std::to_string(o.number) + ", which has a higher priority");
  }
}

void Oracle::sent(TaskNumber number, std::uint32_t attempt, std::uint64_t worker, const std::string& pool, Time now) {
  now_ = now;
  Life* l = at(epoch_, number);
  if (l == nullptr) throw Violation("task " + std::to_string(number) + " was sent, and nobody submitted it");
  const scheduler::Spec& s = tasks_[l->key].spec;
  if (attempt != l->sent + 1) violated(l->key, "its attempts are not numbered one after the other");
  if (l->state != TaskState::unknown) violated(l->key, "it was sent after its client was told that it has ended");
  if (l->over_for != 0) {
    violated(l->key, "it was sent again after task " + std::to_string(l->over_for) + ", for which it had to be over");
  }
  if (l->success_reported && !l->unsure) violated(l->key, "it was sent again after it had succeeded");
  if (l->failed_for_good) violated(l->key, "it was sent again after it had failed for good");
  if (now < l->taken + s.delay_ns) violated(l->key, "it was sent before its delay was over");
  if (s.deadline_ns > 0 && now >= l->taken + s.deadline_ns) violated(l->key, "it was sent after its deadline");
  if (s.expires_ns > 0 && now >= l->taken + s.expires_ns && l->begun == 0) {
    violated(l->key, "it was sent after it had expired");
  }
  if (l->spent() > s.retries) violated(l->key, "it was sent again without retries left");
  if (l->failures.count(l->sent) != 0 && s.backoff_ns > 0) {
    Time wait = s.backoff_ns;
    for (std::size_t n = 1; n < l->spent(); ++n) wait *= 2;
    if (s.backoff_max_ns > 0) wait = std::min(wait, s.backoff_max_ns);
    if (now < l->failed_at + wait - wait / 4) violated(l->key, "it was sent again before its backoff was over");
    saw(Seen::backed_off);
  }
  if (l->failures.count(l->sent) != 0 && l->retry_after > 0) {
    if (now < l->failed_at + l->retry_after)
      violated(l->key, "it was sent again sooner than its attempt had asked for");
    saw(Seen::retry_after_kept);
  }
  if (l->stops.count(l->sent) != 0) saw(Seen::timeout_retried);
  if (s.delay_ns > 0 && attempt == 1) saw(Seen::delayed);
  if (attempt == 1) check_after(*l);
  check_priority(*l, pool);
  std::string wrong = quotas.sent(number, s, pool, now);
  if (wrong.empty() && mixture_.flood != 0 && attempt == 1) {
    quotas.waits(s, pool, -1);
    wrong = quotas.share_sent(s, pool);
  }
  if (!wrong.empty()) violated(l->key, wrong);
  l->sent = attempt;
  l->worker = worker;
  l->last_sent = now;
  l->returned = false;
}

void Oracle::returned(TaskNumber number, std::uint32_t attempt, std::uint64_t worker, bool yes) {
  Life* l = at(epoch_, number);
  if (l != nullptr && l->sent == attempt && l->worker == worker && yes) l->returned = true;
}

void Oracle::worker_lost(std::uint64_t worker) {
  for (auto& [id, l] : lives_) {
    if (id.first == epoch_ && l.worker == worker) l.worker = 0;
  }
}

void Oracle::running(const AttemptToken& token, std::uint64_t worker) {
  Life* l = at(token.epoch, token.task);
  if (l != nullptr && token.attempt == l->sent && worker == l->worker) l->began_for_sure = true;
}

void Oracle::stop_ordered(const AttemptToken& token, Time until) {
  Life* l = at(token.epoch, token.task);
  if (l == nullptr) return;
  const auto [stop, first] = l->stops.try_emplace(token.attempt, until);
  // Its time was over before the daemon knew of the crash: it ends as what it was told to stop for.
  if (first && l->charged == token.attempt) --tasks_[l->key].crashes[{token.epoch, token.task}];
  if (!first) stop->second = std::min(stop->second, until);
}

void Oracle::reported(const AttemptToken& token, std::uint64_t worker, const scheduler::event::RanFailure* failure,
                      Time now, std::uint64_t turn) {
  if (token.epoch != epoch_ || abandoned_) return;
  Life* l = at(epoch_, token.task);
  if (l == nullptr) throw Violation("task " + std::to_string(token.task) + " was executed, and nobody submitted it");
  if (token.attempt != l->sent || l->worker != worker || l->returned || l->state != TaskState::unknown) return;
  l->worker = 0;  // once
  const auto stop = l->stops.find(token.attempt);
  if (stop != l->stops.end() && now >= stop->second) {
    l->unsure = true;  // whether its call had been given up by then is known to nobody else
    return;
  }
  l->ended_turn = turn;
  l->began_for_sure = true;
  if (failure == nullptr) {
    l->success_reported = true;
    return;
  }
  if (failure->cancelled) return;
  l->failures.insert(token.attempt);
  l->failed_at = now;
  l->retry_after = failure->failure.retry_after_ns;
  l->failed_for_good = l->failed_for_good || failure->failure.permanent;
}

void Oracle::deadline_check(TaskNumber number, bool live) const {
  const Life* l = life(epoch_, number);
  if (live && l != nullptr) violated(l->key, "its deadline has passed for long, and it has not ended");
}

Time Oracle::may_run_until(TaskNumber number, std::uint32_t attempt) const {
  const Life* l = life(epoch_, number);
  if (l == nullptr || !l->executing || l->executing->token.attempt != attempt) return scheduler::kNever;
  if (abandoned_) return scheduler::kNever;  // its process goes with the daemon
  const auto stop = l->stops.find(attempt);
  return stop == l->stops.end() ? 0 : stop->second;
}

void Oracle::runs_too_long(TaskNumber number) const {
  violated(life(epoch_, number)->key, "an attempt runs on long after its timeout");
}

// ---- the end

void Oracle::ended(TaskNumber number, TaskState state, ErrorKind kind, const Slice& result, Time now) {
  now_ = now;
  Life* l = at(epoch_, number);
  if (l == nullptr) throw Violation("task " + std::to_string(number) + " ended, and nobody submitted it");
  const Key key = l->key;
  const std::string told(result.view());
  if (l->state != TaskState::unknown) {
    if (l->state != state || l->kind != kind || l->result != told)
      violated(key, "it was told to have ended in two ways");
    return;
  }
  l->state = state;
  l->kind = kind;
  l->result = told;
  const scheduler::Spec& s = tasks_[key].spec;
  if (l->cancel_granted && state != TaskState::cancelled) {
    violated(key, "it ended otherwise after its client was told that it is cancelled");
  }
  switch (state) {
    case TaskState::succeeded: {
      const auto& successes = tasks_[key].successes;
      const bool real = std::any_of(successes.begin(), successes.end(), [&](const AttemptToken& token) {
        return token.epoch == epoch_ && token.task == number && told == result_of(key, token);
      });
      if (!real) violated(key, "its result is not that of any of its executions");
      if (!l->success_reported && !l->unsure) violated(key, "it succeeded, and no worker said so in time");
      break;
    }
    case TaskState::failed:
      check_failed(*l, now);
      break;
    case TaskState::cancelled:
      if (!told.empty()) violated(key, "a cancelled task has a result");
      check_cancelled(*l);
      break;
    case TaskState::expired:
      if (s.expires_ns == 0 || now < l->taken + s.expires_ns) violated(key, "it expired before its time");
      if (l->began_for_sure) violated(key, "it expired, and had begun");
      break;
    default:
      violated(key, "an outcome that is none");
  }
  if (l->success_reported && !l->unsure && state != TaskState::succeeded) {
    violated(key, "it had succeeded, and ended as " + std::string(name(state)));
  }
  see_end(*l);
}

void Oracle::check_failed(const Life& l, Time now) {
  const Task& t = tasks_[l.key];
  const scheduler::Spec& s = t.spec;
  const bool spent = l.spent() > s.retries || l.unsure;
  const auto forgotten = [&](TaskNumber n) { return may_be_forgotten(lives_.at({epoch_, n})); };
  switch (l.kind) {
    case ErrorKind::error:
    case ErrorKind::exit:
      if (!l.failed_for_good && !spent) {
        violated(l.key, "it failed with retries left: " + std::to_string(l.spent()) + " failures of " +
                            std::to_string(s.retries + 1));
      }
      if (l.failures.empty() && !l.unsure) violated(l.key, "it failed, and no worker said so");
      if (t.does.exits != (l.kind == ErrorKind::exit)) violated(l.key, "it failed in another way than it did");
      break;
    case ErrorKind::timeout:
      if (s.timeout_ns == 0 || now < l.last_began + s.timeout_ns) violated(l.key, "it timed out before its time");
      if (!spent) violated(l.key, "it timed out with retries left");
      break;
    case ErrorKind::deadline:
      if (s.deadline_ns == 0 || now < l.taken + s.deadline_ns) violated(l.key, "its deadline passed before its time");
      break;
    case ErrorKind::crashed: {
      const auto crashes = t.crashes.find({epoch_, l.number});
      const auto budget = static_cast<std::uint32_t>(scheduler::crash_budget(s.crashes));
      if ((crashes == t.crashes.end() || crashes->second < budget) && !t.unsure) {
        violated(l.key, "it was given up before its crash budget was spent");
      }
      break;
    }
    case ErrorKind::rejected: {
      const bool after = std::any_of(l.after.begin(), l.after.end(), [&](const Wanted& w) {
        return w.unknown || std::any_of(w.tasks.begin(), w.tasks.end(), forgotten);
      });
      // Two groups could wait for each other.
      const bool joins = !s.group.empty() && !s.after.empty() && awaited_groups_.count(s.group) != 0;
      if (l.may_be_refused) break;
      if (s.type != "unknown" && !after && !joins && closed_groups_.count(s.group) == 0) {
        violated(l.key, "it was rejected for nothing");
      }
      break;
    }
    case ErrorKind::too_large:
      if ((l.failed_for_good || l.unsure) && mixture_.codec != 0) break;  // its reply was
      if (s.input_from == UINT32_MAX || mixture_.payload_bytes > 1'000'000) {
        violated(l.key, "it was called too large, and is not");
      }
      break;
    case ErrorKind::lost:
      if (!abandoned_) violated(l.key, "it was called lost, and the daemon is there");
      break;
    default:
      violated(l.key, "it failed with a kind that nobody gave it: " + std::string(name(l.kind)));
  }
}

bool Oracle::asked_to_cancel(const Life& l) const {
  if (tasks_[l.key].cancel_asked || tasks_[l.key].client_went) return true;
  const auto names = names_.find(l.number);
  return names != names_.end() &&
         std::any_of(names->second.begin(), names->second.end(), [&](Key k) { return tasks_[k].cancel_asked; });
}

void Oracle::check_cancelled(const Life& l) {
  if (l.kind != ErrorKind::dependency) {
    if (l.kind != ErrorKind::none) violated(l.key, "it was cancelled with a kind that is none of a cancel");
    if (!asked_to_cancel(l)) violated(l.key, "it was cancelled, and nobody asked for that");
    return;
  }
  if (l.sent != 0) violated(l.key, "it was cancelled because of another, and had been sent");
  bool reason = false;
  for (const Wanted& w : l.after) {
    if (w.on == Condition::any) continue;
    const auto succeeded = [&](TaskNumber n) {
      const Life& p = lives_.at({epoch_, n});
      return p.success_reported && !p.unsure;
    };
    const auto failed = [&](TaskNumber n) {
      const Life& p = lives_.at({epoch_, n});
      return !p.success_reported && !p.unsure;
    };
    if (w.group.empty()) {
      reason = reason || (w.on == Condition::success ? !std::all_of(w.tasks.begin(), w.tasks.end(), succeeded)
                                                     : !std::all_of(w.tasks.begin(), w.tasks.end(), failed));
      continue;
    }
    const std::vector<TaskNumber>& all = groups_[w.group];
    reason = reason || (w.on == Condition::success ? !std::all_of(all.begin(), all.end(), succeeded)
                                                   : std::all_of(w.tasks.begin(), w.tasks.end(), [&](TaskNumber n) {
                                                       return lives_.at({epoch_, n}).success_reported;
                                                     }));
  }
  if (!reason) violated(l.key, "it was cancelled because of another that ended as it wanted");
}

void Oracle::see_end(const Life& l) {
  const Task& t = tasks_[l.key];
  const bool stopped = l.stops.count(l.sent) != 0;
  if (t.client == kNobody) saw(Seen::own_task);
  switch (l.state) {
    case TaskState::succeeded:
      if (!l.failures.empty()) saw(Seen::retry_succeeded);
      if (t.stop_asked && stopped) saw(Seen::succeeded_though_stopped);
      if (t.spec.timeout_ns > 0 && stopped) saw(Seen::finished_in_grace);
      break;
    case TaskState::cancelled:
      if (l.kind == ErrorKind::dependency) {
        saw(Seen::dependency_unmet);
        break;
      }
      if (!t.cancel_asked) saw(Seen::cancelled_on_disconnect);
      saw(l.begun == 0 ? Seen::cancelled_before_start : Seen::stopped_while_running);
      if (l.sent == 0 && !l.after.empty()) saw(Seen::cancelled_blocked);
      if (l.sent == 0 && t.spec.delay_ns > now_ - l.taken) saw(Seen::cancelled_delayed);
      if (l.failures.count(l.sent) != 0 && t.spec.backoff_ns > 0) saw(Seen::cancelled_in_backoff);
      break;
    case TaskState::expired:
      saw(l.sent == 0 ? Seen::expired_in_queue : Seen::expired_sent_ahead);
      break;
    case TaskState::failed:
      switch (l.kind) {
        case ErrorKind::error:
        case ErrorKind::exit:
          saw(l.kind == ErrorKind::exit ? Seen::exited : Seen::failed_for_good);
          if (l.failed_for_good && l.spent() <= t.spec.retries) saw(Seen::permanent_with_retries);
          break;
        case ErrorKind::timeout:
          saw(Seen::timeout_for_good);
          break;
        case ErrorKind::deadline:
          saw(l.begun == 0                            ? Seen::deadline_before_start
              : l.failures.count(l.sent) != 0         ? Seen::deadline_in_backoff
              : l.begun == l.sent && l.last_began > 0 ? Seen::deadline_while_running
                                                      : Seen::deadline_before_start);
          break;
        case ErrorKind::crashed:
          saw(Seen::crash_budget_spent);
          break;
        case ErrorKind::rejected:
          saw(l.may_be_refused && t.client != kNobody   ? Seen::refused_leaving
              : l.may_be_refused                        ? Seen::own_refused
              : t.spec.type == "unknown"                ? Seen::rejected
              : closed_groups_.count(t.spec.group) != 0 ? Seen::group_closed
                                                        : Seen::dependency_forgotten);
          break;
        case ErrorKind::lost:
          saw(Seen::lost_with_the_daemon);
          break;
        case ErrorKind::too_large:
          saw(Seen::input_too_large);
          break;
        default:
          break;
      }
      break;
    default:
      break;
  }
}

}  // namespace futured::sim
