#include "client/session/session.hpp"

#include <algorithm>
#include <utility>

namespace futured::client {

Session::Session(const StreamId& stream, const SessionOptions& options, Time now)
    : options_(options),
      stream_(stream),
      retry_at_(now),
      last_heard_(now),
      down_since_(now),
      backoff_(options.backoff_first),
      jitter_(options.seed) {}

// ---- connections

void Session::go_down(Time now, bool at_once) {
  if (phase_ == Phase::ended) return;
  if (phase_ == Phase::up) down_since_ = now;
  phase_ = Phase::down;
  hello_due_ = false;
  greeting_until_ = kNever;
  if (at_once) {
    retry_at_ = now;
    return;
  }
  // Full jitter over the upper half, so that clients of one daemon do not come back in step.
  jitter_ += 0x9e3779b97f4a7c15ULL;
  std::uint64_t z = jitter_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  z ^= z >> 31;
  const Time half = std::max<Time>(backoff_ / 2, 1);
  retry_at_ = now + half + static_cast<Time>(z % static_cast<std::uint64_t>(half));
  backoff_ = std::min(backoff_ * 2, options_.backoff_max);
}

void Session::end(Status why) {
  if (phase_ == Phase::ended) return;
  phase_ = Phase::ended;
  end_reason_ = std::move(why);
}

Status Session::broken(std::string what, Time now) {
  go_down(now, false);
  return {Code::invalid, std::move(what)};
}

void Session::connected(Time now) {
  if (phase_ != Phase::opening) return;
  phase_ = Phase::greeting;
  hello_due_ = true;
  greeting_until_ = now + options_.hello_timeout;
  last_heard_ = now;
}

void Session::on_lost(Time now) {
  // At once if it held for a while; a daemon that takes us and drops us must not be hammered.
  go_down(now, phase_ == Phase::up && now - up_since_ > options_.backoff_max);
}

void Session::lose_acknowledged(std::vector<Handle>& lost) {
  unresolved_.for_each_below(submits_.first_unaccepted(), [&lost](Seq seq) { lost.push_back(seq); });
  for (const Handle h : lost) unresolved_.resolve(h);
  for (const Handle h : lost) output_.erase(h);
}

Status Session::on_welcome(const WelcomeFacts& facts, Time now, std::vector<Handle>& lost) {
  if (phase_ != Phase::greeting || hello_due_) return {};
  const Seq known = submits_.first_unaccepted();
  if (facts.resumed) {
    // Acknowledged by a daemon that has forgotten it since: nothing will ever come of these.
    if (facts.accepted_seq < known) lose_acknowledged(lost);
    if (!submits_.rewind(facts.accepted_seq, facts.daemon_instance != daemon_instance_)) {
      return broken("the daemon claims tasks that were never submitted", now);
    }
  } else {
    lose_acknowledged(lost);
    submits_.rewind(known, true);
    any_first_delivery_ = true;
    processed_bytes_ = 0;
    output_.clear();
    output_to_tell_.clear();
    // What was attached to may still be there: ask again.
    for (const auto& [handle, a] : attached_) {
      const bool asked = std::any_of(attaches_.begin(), attaches_.end(), [h = handle](const auto& entry) {
        return h >= entry.second.first_handle && h - entry.second.first_handle < entry.second.tasks.size();
      });
      if (asked) continue;
      const std::uint64_t request = next_request_++;
      attaches_.emplace(request, order::Attach{request, handle, {a.task}, a.live_output});
    }
  }
  daemon_instance_ = facts.daemon_instance;
  submits_.credit(facts.credit_tasks, facts.credit_bytes);
  full_ = false;
  constexpr Time kSlowest = 3'600'000 * kMillisecond;
  silence_limit_ = 3 * (facts.heartbeat > 0 ? std::min(facts.heartbeat, kSlowest) : options_.default_heartbeat);
  phase_ = Phase::up;
  greeting_until_ = kNever;
  backoff_ = options_.backoff_first;
  up_since_ = now;
  last_heard_ = now;
  cancels_sent_ = attaches_sent_ = 0;
  pongs_.clear();
  return {};
}

void Session::on_refused(const Status& why, const StreamId& fresh, Time now, std::vector<Handle>& lost) {
  switch (why.code()) {
    case Code::version:
    case Code::not_allowed:
    case Code::invalid:
      end(why);
      return;
    case Code::forgotten:
      lose_acknowledged(lost);
      stream_ = fresh;
      go_down(now, false);
      return;
    default:
      go_down(now, false);
  }
}

// ---- tasks

std::uint64_t Session::cancel(order::Cancel cancel) {
  PendingCancel pending;
  for (const Handle h : cancel.handles) {
    if (h < kAttachBit) pending.after = std::max(pending.after, h + 1);
  }
  const std::uint64_t request = cancel.request = next_request_++;
  pending.cancel = std::move(cancel);
  cancels_.emplace(request, std::move(pending));
  return request;
}

order::Attach Session::attach(order::Attach attach) {
  attach.request = next_request_++;
  attach.first_handle = next_attach_;
  next_attach_ += attach.tasks.size();
  for (std::size_t i = 0; i < attach.tasks.size(); ++i) {
    attached_.emplace(attach.first_handle + i, Attachment{attach.tasks[i], attach.live_output});
  }
  attaches_.emplace(attach.request, attach);
  return attach;
}

bool Session::resolve(Handle handle) {
  output_.erase(handle);
  return handle < kAttachBit ? unresolved_.resolve(handle) : attached_.erase(handle) != 0;
}

bool Session::awaits(Handle handle) const {
  return handle < kAttachBit ? unresolved_.contains(handle) : attached_.contains(handle);
}

Status Session::on_accepted(Seq first_seq, std::uint64_t count, std::uint64_t credit_tasks, std::uint64_t credit_bytes,
                            Time now, bool full) {
  if (phase_ != Phase::up) return {};
  if (first_seq > kMaxSeq || count > kMaxSeq || !submits_.accepted(first_seq + count)) {
    return broken("the daemon accepts tasks that were not sent", now);
  }
  submits_.credit(credit_tasks, credit_bytes);
  full_ = full;
  return {};
}

Status Session::on_outcomes(std::uint64_t first_delivery, std::span<const Handle> handles,
                            std::span<const std::uint64_t> sizes, Time now, std::vector<std::uint32_t>& fresh) {
  if (phase_ != Phase::up) return {};
  if (std::exchange(any_first_delivery_, false)) processed_ = told_processed_ = first_delivery;
  if (first_delivery > processed_) {
    return broken("outcomes " + std::to_string(processed_) + ".." + std::to_string(first_delivery - 1) + " are missing",
                  now);
  }
  const std::uint64_t skip = processed_ - first_delivery;
  for (std::uint64_t i = skip; i < handles.size(); ++i) {
    processed_bytes_ += sizes[i];
    if (resolve(handles[i])) fresh.push_back(static_cast<std::uint32_t>(i));
  }
  if (skip < handles.size()) {
    processed_ = first_delivery + handles.size();
    if (untold_since_ == kNever) untold_since_ = now;
  }
  return {};
}

std::uint64_t Session::on_output(Handle handle, std::uint32_t attempt, std::uint64_t offset, std::uint64_t size) {
  if (phase_ != Phase::up || !awaits(handle)) return size;
  OutputState& o = output_[handle];
  if (attempt != o.attempt) {
    if (attempt < o.attempt) return size;
    o.attempt = attempt;
    o.offset = o.taken = o.told = 0;
  }
  // A gap is the daemon's loss (it kept no more): go on behind it.
  const std::uint64_t seen = offset < o.offset ? std::min(size, o.offset - offset) : 0;
  if (offset + size > o.offset) o.offset = offset + size;
  return seen;
}

void Session::output_taken(Handle handle, std::uint32_t attempt, std::uint64_t end, Time now) {
  const auto at = output_.find(handle);
  if (at == output_.end() || at->second.attempt != attempt) return;
  OutputState& o = at->second;
  o.taken = std::max(o.taken, end);
  if (o.taken - o.told >= options_.output_window_bytes / 2) output_urgent_ = true;
  if (!std::exchange(o.queued, true)) output_to_tell_.push_back(handle);
  if (untold_since_ == kNever) untold_since_ = now;
}

bool Session::on_cancelled(std::uint64_t request) { return cancels_.erase(request) != 0; }

bool Session::on_attached(std::uint64_t request, std::span<const std::uint32_t> unknown,
                          std::vector<Handle>& resolved) {
  const auto at = attaches_.find(request);
  if (at == attaches_.end()) return false;
  for (const std::uint32_t i : unknown) {
    if (i < at->second.tasks.size() && resolve(at->second.first_handle + i)) {
      resolved.push_back(at->second.first_handle + i);
    }
  }
  attaches_.erase(at);
  return true;
}

void Session::attached_is(Handle handle, std::string id) {
  if (const auto at = attached_.find(handle); at != attached_.end()) at->second.task = {0, std::move(id)};
}

// ---- time

Time Session::next_deadline() const {
  Time t = kNever;
  switch (phase_) {
    case Phase::ended:
      return kNever;
    case Phase::down:
      t = retry_at_;
      break;
    case Phase::opening:
      break;
    case Phase::greeting:
      t = greeting_until_;
      break;
    case Phase::up:
      t = last_heard_ + silence_limit_;
      if (untold_since_ != kNever) t = std::min(t, untold_since_ + options_.delivered_lag);
      return t;
  }
  if (options_.give_up_after >= 0) t = std::min(t, down_since_ + options_.give_up_after);
  return t;
}

void Session::on_time(Time now) {
  if (phase_ == Phase::ended) return;
  if (phase_ != Phase::up && options_.give_up_after >= 0 && now - down_since_ >= options_.give_up_after) {
    end({Code::unavailable, "the daemon has been out of reach for too long"});
    return;
  }
  if (phase_ == Phase::greeting && now >= greeting_until_) go_down(now, false);
  if (phase_ == Phase::up && now - last_heard_ >= silence_limit_) go_down(now, true);
}

bool Session::delivered_due(Time now) const {
  if (untold_since_ == kNever) return false;
  return output_urgent_ || processed_ - told_processed_ >= options_.result_window_tasks / 2 ||
         processed_bytes_ - told_bytes_ >= options_.result_window_bytes / 2 ||
         now - untold_since_ >= options_.delivered_lag;
}

bool Session::has_orders(Time now) const {
  switch (phase_) {
    case Phase::ended:
    case Phase::opening:
      return false;
    case Phase::down:
      return now >= retry_at_;
    case Phase::greeting:
      return hello_due_;
    case Phase::up:
      break;
  }
  if (!pongs_.empty() || submits_.may_send() || delivered_due(now)) return true;
  if (!attaches_.empty() && attaches_.rbegin()->first > attaches_sent_) return true;
  if (const auto c = cancels_.upper_bound(cancels_sent_); c != cancels_.end()) {
    return c->second.after <= submits_.next_to_send();
  }
  return false;
}

std::optional<Order> Session::next(Time now) {
  switch (phase_) {
    case Phase::ended:
    case Phase::opening:
      return std::nullopt;
    case Phase::down:
      if (now < retry_at_) return std::nullopt;
      phase_ = Phase::opening;
      ++generation_;
      return order::Connect{};
    case Phase::greeting: {
      if (!hello_due_) return std::nullopt;
      hello_due_ = false;
      told_processed_ = processed_;
      told_bytes_ = processed_bytes_;
      untold_since_ = kNever;
      return order::Hello{stream_,
                          submits_.first_unaccepted(),
                          processed_,
                          daemon_instance_,
                          processed_ + options_.result_window_tasks,
                          processed_bytes_ + options_.result_window_bytes};
    }
    case Phase::up:
      break;
  }
  if (!pongs_.empty()) {
    const std::uint64_t id = pongs_.back();
    pongs_.pop_back();
    return order::Pong{id};
  }
  if (auto range = submits_.next()) return order::Submit{std::move(*range)};
  if (const auto a = attaches_.upper_bound(attaches_sent_); a != attaches_.end()) {
    attaches_sent_ = a->first;
    return a->second;
  }
  // In order: one that waits for its tasks to be sent holds up those behind it.
  if (const auto c = cancels_.upper_bound(cancels_sent_);
      c != cancels_.end() && c->second.after <= submits_.next_to_send()) {
    cancels_sent_ = c->first;
    return c->second.cancel;
  }
  if (delivered_due(now)) {
    order::Delivered d{
        processed_, processed_ + options_.result_window_tasks, processed_bytes_ + options_.result_window_bytes, {}};
    for (const Handle h : std::exchange(output_to_tell_, {})) {
      const auto at = output_.find(h);
      if (at == output_.end()) continue;
      at->second.queued = false;
      at->second.told = at->second.taken;
      d.output.push_back({h, at->second.attempt, at->second.taken});
    }
    output_urgent_ = false;
    told_processed_ = processed_;
    told_bytes_ = processed_bytes_;
    untold_since_ = kNever;
    return d;
  }
  return std::nullopt;
}

}  // namespace futured::client
