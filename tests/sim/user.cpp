#include <algorithm>

#include "tests/sim/client.hpp"
#include "tests/sim/daemon.hpp"

namespace futured::sim {

// ---- the user

scheduler::Spec Client::draw_spec() {
  Random& r = world_.random();
  const Mixture& m = world_.mixture();
  scheduler::Spec s;
  const bool aux = m.second_pool && r.chance(0.2);
  const bool unknown = r.chance(m.unknown);
  const bool async = r.chance(m.async);
  s.type = std::string(unknown ? "unknown" : aux ? "u" : async ? "a" : "t");
  if (m.second_pool && s.type == "t" && r.chance(0.3)) s.pool = std::string("aux");
  if (r.chance(m.priorities)) s.priority = static_cast<std::int32_t>(r.between(-2, 2));
  s.retries = static_cast<std::uint32_t>(r.skewed(0, 3));
  if (r.chance(0.3)) s.crashes = static_cast<std::int32_t>(r.between(-1, 4));
  s.detached = r.chance(m.detached);
  if (r.chance(m.kept)) s.keep_ns = r.between(1, 3'000'000'000);
  if (r.chance(m.cancel_on_disconnect)) {
    s.cancel_on_disconnect = true;
    s.disconnect_grace_ns = r.chance(0.5) ? 0 : r.between(0, 50 * kMs);
  }
  s.owner = m.flood != 0 ? (number_ == 1 ? 1 : 0) : number_ % 2;  // a share of one client against one of many
  if (r.chance(m.delays)) s.delay_ns = r.skewed(kMs / 10, 60 * kMs);
  if (r.chance(m.timeouts)) s.timeout_ns = r.skewed(kMs / 2, 60 * kMs);
  if (r.chance(m.deadlines)) s.deadline_ns = r.skewed(kMs, 200 * kMs);
  if (r.chance(m.expiries)) s.expires_ns = r.skewed(kMs, 100 * kMs);
  if (r.chance(m.backoffs)) {
    s.backoff_ns = r.skewed(kMs / 10, 20 * kMs);
    if (r.chance(0.5)) s.backoff_max_ns = r.between(s.backoff_ns / 2, 4 * s.backoff_ns);
  }
  if (r.chance(m.limits)) s.limit = "l" + std::to_string(m.flood != 0 ? 0 : r.below(kLimits));
  if (r.chance(m.fair)) s.fair = "f" + std::to_string(m.flood != 0 ? number_ : r.below(2));
  if (r.chance(m.groups)) s.group = "g" + std::to_string(r.below(kGroups));
  if (r.chance(m.keys)) s.key = "k" + std::to_string(r.below(6));
  if (r.chance(m.after)) draw_after(s);
  return s;
}

/// Of what was submitted before, by anybody; now and then of what was not.
void Client::draw_after(scheduler::Spec& s) {
  Random& r = world_.random();
  const std::size_t n = static_cast<std::size_t>(r.skewed(1, 3));
  for (std::size_t i = 0; i < n; ++i) {
    scheduler::Dependency d;
    d.on = r.chance(0.55)  ? scheduler::Condition::success
           : r.chance(0.5) ? scheduler::Condition::failure
                           : scheduler::Condition::any;
    if (r.chance(world_.mixture().groups)) {
      d.group = "g" + std::to_string(r.below(kGroups));
    } else if (r.chance(0.6) && !keys_.empty()) {
      d.id.stream = session_.stream();
      Seq back = std::min<Seq>(keys_.size() - 1, r.below(6));
      // What has ended is mostly forgotten, which is less interesting.
      for (int tries = 0; tries < 3 && world_.oracle().task(keys_[keys_.size() - 1 - back]).resolved; ++tries) {
        back = std::min<Seq>(keys_.size() - 1, r.below(6));
      }
      d.id.seq = keys_.size() - 1 - back;
      if (r.chance(0.25)) d.count = 1 + r.below(back + 1);
      if (r.chance(0.02)) d.id.seq += 5;
    } else if (world_.mixture().restart == 0 && world_.oracle().size() != 0) {
      d.number = world_.oracle()
                     .task(static_cast<Key>(world_.oracle().size() - 1 -
                                            r.below(std::min<std::size_t>(world_.oracle().size(), 12))))
                     .number;
      if (d.number == 0) continue;
    } else {
      continue;
    }
    const bool again = std::any_of(s.after.begin(), s.after.end(), [&](const scheduler::Dependency& o) {
      return d.group.empty() && o.group.empty() && o.number == d.number && (d.number != 0 || o.id == d.id);
    });
    if (again) continue;
    s.after.push_back(d);
    if (d.group.empty() && r.chance(0.4)) s.input_from = static_cast<std::uint32_t>(s.after.size() - 1);
  }
}

Behaviour Client::draw_behaviour() {
  Random& r = world_.random();
  const Mixture& m = world_.mixture();
  Behaviour b;
  if (r.chance(m.fails)) b.fails = static_cast<std::uint32_t>(r.between(1, 4));
  b.permanent = r.chance(0.2);
  if (r.chance(m.crashes)) b.crashes = static_cast<std::uint32_t>(r.between(1, 5));
  b.stops = !r.chance(m.deaf);
  b.exits = r.chance(0.15);
  if (r.chance(m.retry_afters)) b.retry_after = r.skewed(kMs / 10, 30 * kMs);
  b.duration = r.chance(m.long_calls) ? r.between(20 * kMs, 400 * kMs) : r.skewed(kMs / 100, 5 * kMs);
  if (r.chance(m.large_results)) b.result_bytes = static_cast<std::uint32_t>(r.between(500, 10'000));
  return b;
}

void Client::want(std::uint32_t tasks) {
  if (!alive_) return;
  wanted_ += tasks;
  act();
}

void Client::submit_wanted() {
  while (wanted_ > 0) {
    if (!next_) {
      if (spec_ == nullptr || world_.random().chance(0.3)) spec_ = std::make_shared<scheduler::Spec>(draw_spec());
      next_ = world_.oracle().submitted(number_, *spec_, draw_behaviour());
    }
    const std::string input = Oracle::input_of(*next_);
    if (!session_.has_room(input.size())) return;
    session_.submit(spec_, input, !spec_->detached);
    if (spec_->detached) world_.oracle().unresolvable(*next_);
    keys_.push_back(*next_);
    if (going_) went_away();
    next_.reset();
    --wanted_;
  }
}

void Client::cancel_some() {
  if (!alive_) return;
  Random& r = world_.random();
  client::order::Cancel c;
  c.running_too = r.chance(0.4);
  if (c.running_too && r.chance(0.6)) c.grace_ns = r.skewed(0, 150 * kMs);
  Asked asked;
  asked.running_too = c.running_too;
  if (!attached_.empty() && r.chance(0.3)) {
    for (const auto& [handle, key] : attached_) {
      if (!r.chance(0.5)) continue;
      c.handles.push_back(handle);
      asked.keys.push_back(key);
    }
  } else {
    asked.own = true;
    const std::size_t n = static_cast<std::size_t>(r.between(1, 4));
    for (std::size_t i = 0; i < n && !keys_.empty(); ++i) {
      const std::size_t back = std::min(keys_.size() - 1, r.below(8));
      const Seq seq = r.chance(0.5) ? keys_.size() - 1 - back : r.below(keys_.size());
      c.handles.push_back(seq);
      asked.keys.push_back(keys_[seq]);
    }
  }
  if (c.handles.empty()) return;
  for (const Oracle::Key k : asked.keys) world_.oracle().cancel_asked(k, c.running_too);
  const std::uint64_t request = session_.cancel(std::move(c));
  cancels_.emplace(request, std::move(asked));
  act();
}

void Client::attach_some() {
  if (!alive_ || world_.oracle().size() == 0) return;
  Random& r = world_.random();
  client::order::Attach a;
  std::vector<Oracle::Key> keys;
  const std::size_t n = static_cast<std::size_t>(r.between(1, 4));
  for (std::size_t i = 0; i < n; ++i) {
    const auto key = static_cast<Oracle::Key>(r.below(world_.oracle().size()));
    const Oracle::Task& t = world_.oracle().task(key);
    if (t.number == 0 || t.epoch != world_.daemon().epoch()) continue;
    client::order::AttachItem item;
    const scheduler::TaskSlot slot = world_.daemon().core().tasks().find(t.number);
    if (slot != scheduler::kNoSlot && (r.chance(0.5) || world_.mixture().restart != 0)) {
      item.id = daemon::raw_id(world_.daemon().core().id(slot));
    } else if (world_.mixture().restart == 0) {
      item.number = t.number;  // the next daemon would take it for another task
    } else {
      continue;
    }
    a.tasks.push_back(item);
    keys.push_back(key);
  }
  if (keys.empty()) return;
  const client::order::Attach made = session_.attach(std::move(a));
  for (std::size_t i = 0; i < keys.size(); ++i) attached_.emplace(made.first_handle + i, keys[i]);
  act();
}

void Client::went_away() {
  going_ = true;
  for (const Oracle::Key k : keys_) {
    Oracle::Task& t = world_.oracle().task(k);
    if (t.spec.cancel_on_disconnect) t.client_went = true;
  }
}

void Client::over() {
  alive_ = false;
  went_away();
  if (next_) world_.oracle().unresolvable(*next_);
  for (const Oracle::Key k : keys_) world_.oracle().unresolvable(k);
}

void Client::die() {
  if (!alive_) return;
  over();
  if (connection_ != 0) world_.close_by_peer(connection_, false);
}

void Client::leave() {
  if (!alive_) return;
  over();
  if (connection_ == 0) return;
  if (session_.phase() == client::Session::Phase::up) world_.to_daemon(connection_, msg::Goodbye{});
  world_.close_by_peer(connection_, true);
}

}  // namespace futured::sim
