#include "worker/session/session.hpp"

#include <algorithm>
#include <utility>

namespace futured::worker {
namespace {

constexpr Time kMs = 1'000'000;
constexpr Time kSecond = 1000 * kMs;
constexpr Time kGreeting = kSecond;     // from HELLO to WELCOME
constexpr Time kRetryFirst = 50 * kMs;  // doubling
constexpr Time kRetryMost = kSecond;
constexpr Time kNameRunning = 5 * kMs;        // a call that runs this long is named
constexpr Time kNameBeside = kMs / 2;         // ... this long, when a RAN goes anyway: a shorter one is as good as done
constexpr Time kDrainPatience = 5 * kSecond;  // for a daemon to come back and take the last reports
constexpr std::size_t kPage = 4096;           // tokens in one message

}  // namespace

Session::Session(const SessionConfig& config)
    : config_(config),
      calls_(config.tag, config.first_generation),
      lanes_{LaneState(Lane::thread, config.threads), LaneState(Lane::async, config.async_slots)},
      random_(config.seed | 1),
      payload_limit_(config.payload_limit) {}

std::uint32_t Session::most_calls(const SessionConfig& config) {
  const std::uint64_t most = std::uint64_t{config.threads} + config.async_slots + 2 * std::uint64_t{Prefetch::kMost};
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(most, kMaxCalls));
}

void Session::set_types(std::span<const CallType> types) {
  calls_.set_types(types);
  for (const CallType& t : types) lane(t.lane).offered = true;
}

const AttemptToken* Session::token(CallId call) const {
  const CallEntry* c = calls_.find(call);
  return c == nullptr ? nullptr : &c->token;
}

// ---- the connection

void Session::start(Time now) {
  alone_since_ = now;
  connect(now);
}

void Session::connect(Time now) {
  ++generation_;
  ++hellos_;
  phase_ = Phase::greeting;
  greeting_until_ = now + kGreeting;
  heard_ = now;
  for (LaneState& l : lanes_) l.received = l.credit = 0;
  actions_.connect = true;
  actions_.say.emplace_back(SayHello{say_credits()});
}

void Session::disconnect(Time now) {
  if (phase_ == Phase::ready) alone_since_ = now;
  phase_ = Phase::idle;
  const Time base = std::min(kRetryMost, kRetryFirst << std::min(tries_, 8U));
  ++tries_;
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  retry_at_ = now + base / 2 + static_cast<Time>(random_ % static_cast<std::uint64_t>(base / 2 + 1));
}

void Session::lost(Time now) {
  if (phase_ == Phase::greeting || phase_ == Phase::ready) disconnect(now);
}

void Session::reconnect_later(std::string why, Time now) {
  if (phase_ != Phase::greeting && phase_ != Phase::ready) return;
  actions_.note = std::move(why);
  actions_.disconnect = true;
  disconnect(now);
}

void Session::reconnect(Time now) {
  if (phase_ != Phase::greeting && phase_ != Phase::ready) return;
  actions_.disconnect = true;
  disconnect(now);
  connect(now);
}

void Session::rehello(Time now) { reconnect_later("the daemon does not know this connection", now); }

void Session::misbehaved(const std::string& what, Time now) {
  reconnect_later("connects anew, because the daemon broke the protocol: " + what, now);
}

void Session::over(Ending ending, std::string text) {
  phase_ = Phase::over;
  ending_ = ending;
  ending_text_ = std::move(text);
}

void Session::welcome(const Welcome& welcome, Time now) {
  if (phase_ != Phase::greeting) return;
  phase_ = Phase::ready;
  tries_ = 0;
  heartbeat_ = std::max<Time>(welcome.heartbeat, 0);
  next_ping_ = now;
  if (welcome.payload_limit != 0) payload_limit_ = welcome.payload_limit;
  if (hellos_ > 1) announce();  // an earlier HELLO may have been heard although its WELCOME was not
  reports_.rewind();
}

void Session::announce() {
  SayAnnounce page;
  std::size_t n = 0;
  const auto add = [&](std::vector<AttemptToken> SayAnnounce::*column, const AttemptToken& token) {
    if (n == kPage) {
      actions_.say.emplace_back(std::exchange(page, {}));
      n = 0;
    }
    (page.*column).push_back(token);
    ++n;
  };
  calls_.for_each([&](CallEntry& c) { add(c.started ? &SayAnnounce::running : &SayAnnounce::waiting, c.token); });
  for (std::uint64_t i = reports_.first_unacked(); i != reports_.end(); ++i)
    add(&SayAnnounce::ended, reports_.at(i).token);
  page.end = true;
  actions_.say.emplace_back(std::move(page));
  seen_.clear();
  seen_first_ = 0;
}

void Session::refused(Code code, std::string message, Time now) {
  if (phase_ != Phase::greeting && phase_ != Phase::ready) return;
  if (code == Code::version || code == Code::not_allowed || code == Code::invalid) {
    actions_.disconnect = true;
    over(Ending::refused, std::move(message));
    return;
  }
  tries_ = 8;
  reconnect_later({}, now);
}

void Session::ping(std::uint64_t id) {
  if (phase_ == Phase::ready) actions_.say.emplace_back(SayPong{id});
}

void Session::tick(Time now) {
  switch (phase_) {
    case Phase::over:
      return;
    case Phase::idle:
      if (now >= retry_at_) connect(now);
      break;
    case Phase::greeting:
      if (now >= greeting_until_) reconnect_later({}, now);
      break;
    case Phase::ready: {
      if (heartbeat_ == 0) break;
      // If this process was stopped or starved, that time says nothing about the daemon.
      if (const Time late = now - std::max(heard_, next_ping_); late > heartbeat_) heard_ += late;
      if (now - heard_ >= 3 * heartbeat_) {
        reconnect_later("the daemon is silent; connects anew", now);
      } else if (now - heard_ >= heartbeat_ && now >= next_ping_) {
        actions_.say.emplace_back(SayPing{static_cast<std::uint64_t>(now)});
        next_ping_ = now + heartbeat_;
      } else if (now >= next_ping_) {
        next_ping_ = heard_ + heartbeat_;
      }
      break;
    }
  }
  if (phase_ != Phase::ready && config_.orphan > 0 && now - alone_since_ >= config_.orphan) {
    orphaned("the daemon has been gone for too long");
  }
}

void Session::daemon_ended() {
  if (phase_ != Phase::over) orphaned("the daemon has ended");
}

void Session::orphaned(std::string text) {
  actions_.disconnect = true;
  actions_.connect = false;
  actions_.say.clear();
  over(Ending::orphaned, std::move(text));
}

Time Session::next_deadline() const {
  Time t = kNever;
  switch (phase_) {
    case Phase::over:
      return kNever;
    case Phase::idle:
      t = retry_at_;
      break;
    case Phase::greeting:
      t = greeting_until_;
      break;
    case Phase::ready:
      if (heartbeat_ > 0) t = next_ping_;
      if (seen_first_ < seen_.size()) t = std::min(t, seen_[seen_first_].since + kNameRunning);
      break;
  }
  if (phase_ != Phase::ready) {
    if (config_.orphan > 0) t = std::min(t, alone_since_ + config_.orphan);
    if (drain_since_ != kNever && calls_.size() == 0) t = std::min(t, drain_since_ + kDrainPatience);
  }
  return t;
}

// ---- calls

bool Session::has_room(Lane l) const {
  // The thread lane queues by itself and gives back what it has not started; the async lane starts what it gets.
  if (l == Lane::thread) return true;
  return calls_.in_hand(l) - calls_.waiting(l) < config_.async_slots;
}

void Session::hand_out(CallEntry& c, Time now) {
  calls_.hand_out(c);
  c.since = now;
  actions_.start[static_cast<std::size_t>(c.lane)].push_back(c.id);
  if (c.lane == Lane::async) {
    c.started = true;
    seen_.push_back({c.id, now});
  }
}

void Session::hand_out_waiting(Lane l, Time now) {
  if (giving_back_) return;
  while (calls_.waiting(l) > 0 && has_room(l)) {
    CallEntry* c = calls_.next(l);
    if (c == nullptr) return;
    hand_out(*c, now);
  }
}

void Session::run(std::span<NewCall> calls, Time now) {
  if (phase_ != Phase::ready) return;
  std::uint64_t received[kLanes] = {lanes_[0].received, lanes_[1].received};
  for (const NewCall& c : calls) {
    if (c.type < calls_.types()) ++received[static_cast<std::size_t>(calls_.type(c.type).lane)];
  }
  for (std::size_t l = 0; l < kLanes; ++l) {
    if (received[l] > lanes_[l].credit) {
      misbehaved("it sent more calls than it had credit for", now);
      return;
    }
  }
  for (std::size_t l = 0; l < kLanes; ++l) lanes_[l].received = received[l];
  SayRecalled back;
  for (NewCall& c : calls) {
    if (c.type >= calls_.types()) {
      auto failure = std::make_unique<Failure>();
      failure->kind = ErrorKind::rejected;
      failure->message = "this worker offers no task type of that name";
      failure->permanent = true;
      add_report(c.token, {}, std::move(failure), false);
      continue;
    }
    if (giving_back_) {
      back.tokens.push_back(c.token);
      back.returned.push_back(true);
      continue;
    }
    CallEntry& e = calls_.add(c.token, c.type);
    c.id = e.id;
    if (calls_.waiting(e.lane) == 0 && has_room(e.lane) && calls_.type_has_room(e.type)) {
      hand_out(e, now);
    } else {
      calls_.wait(e);
    }
  }
  if (!back.tokens.empty()) {
    recall_unasked_ = true;
    say_recalled(std::move(back));
  }
  for (const Lane l : {Lane::thread, Lane::async}) hand_out_waiting(l, now);
}

void Session::started(CallId id, Time now) {
  CallEntry* c = calls_.find(id);
  if (c == nullptr || c->started) return;
  c->started = true;
  seen_.push_back({id, now});
}

void Session::served(Lane l, std::uint64_t calls, Time busy) {
  lane(l).prefetch.served(calls, busy);
  busy_ += std::max<Time>(busy, 0);
}

void Session::ended(CallId id, Slice reply, std::unique_ptr<Failure> failure, Time now) {
  CallEntry* c = calls_.find(id);
  if (c == nullptr) return;
  const Lane l = c->lane;
  if (l == Lane::async) served(l, 1, now - c->since);
  if (reply.size() > payload_limit_) {
    failure = std::make_unique<Failure>();
    failure->kind = ErrorKind::too_large;
    failure->message = "the reply has " + std::to_string(reply.size()) + " bytes; the limit of the daemon is " +
                       std::to_string(payload_limit_);
    failure->permanent = true;
    reply = {};
  }
  const bool cancelled = c->told_to_stop && failure != nullptr;
  add_report(c->token, std::move(reply), std::move(failure), cancelled);
  calls_.remove(*c);
  if (calls_.waiting(l) > 0) hand_out_waiting(l, now);
}

void Session::add_report(const AttemptToken& token, Slice reply, std::unique_ptr<Failure> failure, bool cancelled) {
  reports_.add({token, std::move(reply), std::move(failure), cancelled});
}

void Session::end_cancelled(CallEntry& c) {
  auto failure = std::make_unique<Failure>();
  failure->message = "cancelled before it started";
  add_report(c.token, {}, std::move(failure), true);
  calls_.remove(c);
}

void Session::stop_call(CallEntry& c) {
  if (c.waiting) {
    end_cancelled(c);
  } else if (c.lane == Lane::thread && !c.started) {
    c.asked = CallEntry::Asked::stop;
    actions_.take_back.push_back(c.id);
  } else if (!std::exchange(c.told_to_stop, true)) {
    actions_.stop.push_back(c.id);
  }
}

void Session::stop(std::span<const AttemptToken> tokens) {
  std::vector<CallEntry*> found;
  calls_.find(tokens, found);
  for (CallEntry* c : found) {
    if (c != nullptr) stop_call(*c);
  }
}

void Session::recall(std::span<const AttemptToken> tokens) {
  if (phase_ != Phase::ready) return;
  std::vector<CallEntry*> found;
  calls_.find(tokens, found);
  recall(std::vector<AttemptToken>(tokens.begin(), tokens.end()), found, false);
}

void Session::recall(std::vector<AttemptToken> tokens, const std::vector<CallEntry*>& found, bool unasked) {
  recall_unasked_ = unasked;
  recalled_ = {std::move(tokens), std::vector<bool>(found.size(), false), {}};
  recall_open_ = 0;
  for (std::uint32_t i = 0; i < found.size(); ++i) {
    CallEntry* c = found[i];
    if (c == nullptr) continue;
    if (c->waiting) {
      recalled_.returned[i] = true;
      calls_.remove(*c);
    } else if (c->lane == Lane::thread && !c->started && c->asked == CallEntry::Asked::nothing) {
      c->asked = CallEntry::Asked::recall;
      c->recall_at = i;
      ++recall_open_;
      actions_.take_back.push_back(c->id);
    }
  }
  if (recall_open_ == 0) say_recalled(std::exchange(recalled_, {}));
}

void Session::taken_back(CallId id, bool yes, Time now) {
  CallEntry* c = calls_.find(id);
  if (c == nullptr) return;
  const Lane l = c->lane;
  switch (std::exchange(c->asked, CallEntry::Asked::nothing)) {
    case CallEntry::Asked::nothing:
      return;
    case CallEntry::Asked::recall:
      recalled_.returned[c->recall_at] = yes;
      if (!yes && c->stop_if_late && !std::exchange(c->told_to_stop, true)) actions_.stop.push_back(id);
      if (yes) calls_.remove(*c);
      if (--recall_open_ == 0) say_recalled(std::exchange(recalled_, {}));
      break;
    case CallEntry::Asked::stop:
      if (yes) {
        end_cancelled(*c);
      } else if (!std::exchange(c->told_to_stop, true)) {
        actions_.stop.push_back(id);
      }
      break;
  }
  if (yes) hand_out_waiting(l, now);
}

void Session::say_recalled(SayRecalled&& message) {
  if (phase_ != Phase::ready) return;
  if (recall_unasked_) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < message.tokens.size(); ++i) {
      if (message.returned[i]) message.tokens[kept++] = message.tokens[i];
    }
    message.tokens.resize(kept);
    message.returned.assign(kept, true);
    if (kept == 0) return;
  }
  message.credits = say_credits();
  while (message.tokens.size() > kPage) {
    SayRecalled page;
    page.credits = message.credits;
    const auto last = static_cast<std::ptrdiff_t>(message.tokens.size() - kPage);
    page.tokens.assign(message.tokens.begin() + last, message.tokens.end());
    page.returned.assign(message.returned.begin() + last, message.returned.end());
    message.tokens.erase(message.tokens.begin() + last, message.tokens.end());
    message.returned.erase(message.returned.begin() + last, message.returned.end());
    actions_.say.emplace_back(std::move(page));
  }
  actions_.say.emplace_back(std::move(message));
}

void Session::emit_room(const AttemptToken& token, std::uint64_t bytes) {
  std::vector<CallEntry*> found;
  calls_.find({&token, 1}, found);
  if (found[0] != nullptr) actions_.emit_room.push_back({found[0]->id, bytes});
}

void Session::ran_ack(std::uint64_t below) { (void)reports_.acked(below); }

// ---- leaving

void Session::drain(bool at_once, Time now) {
  if (drain_since_ == kNever) drain_since_ = now;
  if (!at_once) return;
  give_back_waiting();
  // What the lanes could not give back runs, or is about to: the answers of take_back come first, then these.
  calls_.for_each([this](CallEntry& c) {
    if (c.asked == CallEntry::Asked::nothing) {
      stop_call(c);
    } else {
      c.stop_if_late = true;
    }
  });
}

void Session::leave(Time now) {
  if (drain_since_ == kNever) drain_since_ = now;
  give_back_waiting();
}

void Session::give_back_waiting() {
  giving_back_ = true;
  std::vector<AttemptToken> tokens;
  std::vector<CallEntry*> found;
  calls_.for_each([&](CallEntry& c) {
    if (!c.waiting && (c.lane == Lane::async || c.started)) return;
    tokens.push_back(c.token);
    found.push_back(&c);
  });
  if (!found.empty()) recall(std::move(tokens), found, true);
}

void Session::leave_if_done(Time now) {
  if (drain_since_ == kNever || phase_ == Phase::over || calls_.size() != 0 || recall_open_ != 0) return;
  if (phase_ == Phase::ready) {
    if (reports_.unacked() != 0) return;
    actions_.say.emplace_back(SayGoodbye{"drained"});
    over(Ending::drained, "drained");
  } else if (reports_.unacked() == 0 || now - drain_since_ >= kDrainPatience) {
    over(Ending::drained, reports_.unacked() == 0 ? "drained" : "drained, but no daemon took the last reports");
  }
}

// ---- what gathers during a turn

Credits Session::say_credits() {
  Credits credits;
  for (std::size_t i = 0; i < kLanes; ++i) {
    LaneState& l = lanes_[i];
    l.credit = wanted_credit(i);
    credits.lane[i] = l.credit;
  }
  return credits;
}

std::uint64_t Session::wanted_credit(std::size_t i) const {
  const LaneState& l = lanes_[i];
  if (!l.offered || drain_since_ != kNever || reports_.choked()) return l.credit;
  const std::uint64_t window = l.prefetch.window();
  const std::uint64_t in_hand = calls_.in_hand(static_cast<Lane>(i));
  return std::max(l.credit, l.received + (window > in_hand ? window - in_hand : 0));
}

void Session::say_running(Time now, Time age) {
  SayRunning message;
  for (; seen_first_ < seen_.size() && now - seen_[seen_first_].since >= age; ++seen_first_) {
    const CallEntry* c = calls_.find(seen_[seen_first_].call);
    if (c == nullptr) continue;
    message.tokens.push_back(c->token);
    if (message.tokens.size() == kPage) actions_.say.emplace_back(std::exchange(message, {}));
  }
  if (!message.tokens.empty()) actions_.say.emplace_back(std::move(message));
}

void Session::flush(Time now) {
  // Forget started calls that have ended meanwhile, so that they set no deadline.
  while (seen_first_ < seen_.size() && calls_.find(seen_[seen_first_].call) == nullptr) ++seen_first_;
  if (seen_first_ == seen_.size()) {
    seen_.clear();
    seen_first_ = 0;
  } else if (seen_first_ >= 1024 && seen_first_ * 2 >= seen_.size()) {
    seen_.erase(seen_.begin(), seen_.begin() + static_cast<std::ptrdiff_t>(seen_first_));
    seen_first_ = 0;
  }
  if (phase_ == Phase::ready) {
    say_running(now, reports_.may_send() ? kNameBeside : kNameRunning);
    bool told = false;
    while (reports_.may_send()) {
      SayRan ran;
      ran.first = reports_.next_to_send();
      ran.count = reports_.next_batch();
      reports_.sent(ran.count);
      ran.credits = say_credits();
      ran.busy = std::exchange(busy_, 0);
      actions_.say.emplace_back(ran);
      told = true;
    }
    // Reports held back must not hold back the credit of a small window: it would be idle for a round trip.
    for (std::size_t i = 0; i < kLanes && !told; ++i) {
      const std::uint64_t more = wanted_credit(i) - lanes_[i].credit;
      if (more == 0 || more < (std::uint64_t{lanes_[i].prefetch.window()} + 1) / 2) continue;
      actions_.say.emplace_back(SayCredit{say_credits()});
      told = true;
    }
  }
  leave_if_done(now);
}

std::uint32_t Session::worth_waking() const {
  if (phase_ != Phase::ready) return AckClock::kElements;
  if (reports_.at_once()) return 1;
  const std::uint64_t until_batch =
      reports_.waiting() < AckClock::kElements ? AckClock::kElements - reports_.waiting() : 1;
  const std::uint64_t quarter = std::max<std::uint64_t>(1, lanes_[0].prefetch.window() / 4);
  return static_cast<std::uint32_t>(std::min(until_batch, quarter));
}

}  // namespace futured::worker
