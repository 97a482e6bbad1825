#include "tests/sim/client.hpp"

#include <algorithm>

#include "tests/sim/daemon.hpp"

namespace futured::sim {

namespace {

client::SessionOptions options_of(const Mixture& m, std::uint32_t number) {
  client::SessionOptions o;
  o.result_window_tasks = m.result_window_tasks;
  o.result_window_bytes = m.result_window_bytes;
  o.delivered_lag = 2 * kMs;
  o.backoff_first = 5 * kMs;
  o.backoff_max = 100 * kMs;
  o.default_heartbeat = 1'000'000'000'000'000;  // nobody pings here
  o.seed = number;
  return o;
}

// Between the moments at which the two ends see that a connection has ended, at most.
constexpr Time kLongestSilence = 500 * kMs;

}  // namespace

Client::Client(World& world, std::uint32_t number)
    : world_(world), number_(number), session_(new_stream(), options_of(world.mixture(), number), world.now()) {}

StreamId Client::new_stream() {
  StreamId s;
  s.bytes.fill(static_cast<std::uint8_t>(number_ + 1));
  s.bytes[0] = ++streams_;
  return s;
}

bool Client::idle() const { return wanted_ == 0 && session_.awaited() == 0 && session_.unaccepted() == 0; }

std::string Client::still_owed() const {
  const std::string name = "client " + std::to_string(number_);
  if (session_.phase() != client::Session::Phase::up) return name + " is not connected";
  for (Seq seq = 0; seq < session_.first_unaccepted(); ++seq) {
    if (session_.awaits(seq)) return name + " awaits task key " + std::to_string(keys_[seq]);
  }
  for (const auto& [handle, key] : attached_) {
    if (session_.awaits(handle)) return name + " follows task key " + std::to_string(key);
  }
  return {};
}

std::string Client::waits_for() const {
  return "client " + std::to_string(number_) + " still waits: " + std::to_string(wanted_) + " to submit, " +
         std::to_string(session_.unaccepted()) + " not accepted, " + std::to_string(session_.awaited()) + " awaited";
}

void Client::arm() {
  const Time when = session_.next_deadline();
  if (!alive_ || when >= armed_ || when > world_.now() + 100'000'000'000'000) return;
  armed_ = std::max(when, world_.now() + 1);
  world_.at(armed_, [this, at = armed_] {
    if (!alive_ || armed_ != at) return;
    armed_ = scheduler::kNever;
    session_.on_time(world_.now());
    act();
  });
}

void Client::act() {
  if (!alive_) return;
  submit_wanted();
  while (auto order = session_.next(world_.now())) {
    act(*order);
    if (session_.phase() == client::Session::Phase::up) submit_wanted();
  }
  if (session_.phase() == client::Session::Phase::ended) throw Violation("a client gave up for good");
  arm();
}

void Client::act(client::Order& order) {
  if (std::holds_alternative<client::order::Connect>(order)) {
    if (connection_ != 0) world_.close_by_peer(connection_, true);
    connection_ = world_.open(*this);
    session_.connected(world_.now());
  } else if (auto* hello = std::get_if<client::order::Hello>(&order)) {
    msg::ClientHello m;
    m.hello.stream = hello->stream;
    m.hello.first_unacked_seq = hello->first_unacked;
    m.hello.processed_delivery = hello->processed_delivery;
    m.hello.credit_tasks = hello->credit_tasks;
    m.hello.credit_bytes = hello->credit_bytes;
    world_.to_daemon(connection_, m);
  } else if (auto* submit = std::get_if<client::order::Submit>(&order)) {
    const client::SubmitRange& r = submit->range;
    msg::Submit m;
    m.first_seq = r.first_seq();
    for (const client::SpecRef& s : r.batch->specs) m.specs.push_back(*static_cast<const scheduler::Spec*>(s.get()));
    std::size_t at = 0;
    auto framed = r.batch->framed.begin();
    for (std::size_t i = 0; i < r.from + r.count; ++i) {
      const bool large = framed != r.batch->framed.end() && framed->index == i;
      if (i >= r.from) {
        m.payloads.push_back(large ? framed->payload : Slice::copy(r.batch->blob.substr(at, r.batch->size[i])));
        if (!r.batch->spec_of.empty()) m.spec_of.push_back(r.batch->spec_of[i]);
      }
      if (large) {
        ++framed;
      } else {
        at += r.batch->size[i];
      }
    }
    world_.to_daemon(connection_, std::move(m));
  } else if (auto* d = std::get_if<client::order::Delivered>(&order)) {
    world_.to_daemon(connection_, msg::Delivered{d->processed, d->credit_tasks, d->credit_bytes});
  } else if (auto* c = std::get_if<client::order::Cancel>(&order)) {
    world_.to_daemon(connection_, msg::Cancel{c->request, c->handles, c->running_too, c->grace_ns});
  } else if (auto* a = std::get_if<client::order::Attach>(&order)) {
    msg::Attach m{a->request, a->first_handle, {}};
    for (const auto& item : a->tasks) {
      scheduler::event::TaskRef ref;
      ref.number = item.number;
      if (item.number == 0) daemon::from_raw_id(item.id, ref.id);
      m.tasks.push_back(ref);
    }
    std::vector<client::Handle>& handles = attaches_[a->request];
    handles.clear();
    for (std::size_t i = 0; i < a->tasks.size(); ++i) handles.push_back(a->first_handle + i);
    world_.to_daemon(connection_, std::move(m));
  }
}

// ---- what arrives

void Client::lost(ConnectionId connection) {
  if (!alive_ || connection != connection_) return;
  connection_ = 0;
  lost_at_ = world_.now();
  went_away();
  going_ = false;
  session_.on_lost(world_.now());
  act();
}

void Client::resolve_lost(const std::vector<client::Handle>& lost) {
  for (const client::Handle h : lost) {
    if (h >= client::kAttachBit) continue;
    world_.oracle().lost(keys_[h], was_given_up_);
    if (session_.awaits(h)) throw Violation("a lost task is still awaited");
  }
}

void Client::on_accepted(const msg::Accepted& m) {
  for (std::uint64_t i = 0; i < m.count && m.first_seq + i < keys_.size(); ++i) {
    world_.oracle().accepted(keys_[m.first_seq + i], m.first_number + i, epoch_);
  }
  for (const auto& x : m.existing) {
    if (x.seq < keys_.size()) world_.oracle().told_existing(keys_[x.seq], x.number, epoch_);
  }
  const Status s = session_.on_accepted(m.first_seq, m.count, m.credit_tasks, m.credit_bytes, world_.now());
  if (!s.ok()) throw Violation("a client calls it a breach: " + s.message());
}

void Client::on_outcomes(const msg::Outcomes& m) {
  for (const msg::Accepted& a : m.accepted) on_accepted(a);
  std::vector<client::Handle> handles;
  std::vector<std::uint64_t> sizes;
  for (const auto& item : m.items) {
    handles.push_back(item.handle);
    sizes.push_back(item.payload.size());
  }
  std::vector<std::uint32_t> fresh;
  const Status s = session_.on_outcomes(m.first_delivery, handles, sizes, world_.now(), fresh);
  if (!s.ok()) throw Violation("a client calls it a breach: " + s.message());
  for (const std::uint32_t i : fresh) {
    const client::Handle h = handles[i];
    const bool own = h < client::kAttachBit;
    const Oracle::Key key = own ? keys_[h] : attached_.at(h);
    world_.note("client %u: task key %u is %s", number_, key, std::string(name(m.items[i].state)).c_str());
    world_.oracle().outcome(key, m.items[i], own);
  }
}

void Client::receive(ConnectionId from, Message&& message) {
  if (!alive_ || from != connection_) return;
  const Time now = world_.now();
  session_.heard(now);
  if (auto* w = std::get_if<msg::ClientWelcome>(&message)) {
    if (w->instance != instance_ && !instance_.empty()) was_given_up_ = true;
    instance_ = w->instance;
    epoch_ = w->epoch;
    std::vector<client::Handle> lost;
    client::WelcomeFacts facts;
    facts.daemon_instance = w->instance;
    facts.accepted_seq = w->accepted_seq;
    facts.credit_tasks = w->credit_tasks;
    facts.credit_bytes = w->credit_bytes;
    facts.resumed = w->resumed;
    const std::uint64_t unaccepted = session_.unaccepted();
    const Status s = session_.on_welcome(facts, now, lost);
    if (!s.ok()) throw Violation("a client calls it a breach: " + s.message());
    if (w->resumed && session_.unaccepted() > 0 && unaccepted > 0) world_.oracle().saw(Seen::submit_repeated);
    // A session that was given up and forgotten since looks like one that never was.
    if (!w->resumed && !lost.empty()) {
      if (was_given_up_) world_.oracle().saw(Seen::daemon_restarted_and_lost, lost.size());
      was_given_up_ = was_given_up_ || now - lost_at_ + kLongestSilence >= world_.mixture().session_resume;
    }
    resolve_lost(lost);
    was_given_up_ = false;
  } else if (auto* a = std::get_if<msg::Accepted>(&message)) {
    on_accepted(*a);
  } else if (auto* o = std::get_if<msg::Outcomes>(&message)) {
    on_outcomes(*o);
  } else if (auto* c = std::get_if<msg::Cancelled>(&message)) {
    const auto at = cancels_.find(c->request);
    if (session_.on_cancelled(c->request) && at != cancels_.end()) {
      if (c->verdicts.size() != at->second.keys.size()) throw Violation("verdicts and handles differ in number");
      for (std::size_t i = 0; i < c->verdicts.size(); ++i) {
        world_.oracle().verdict(at->second.keys[i], c->verdicts[i], at->second.running_too);
      }
      cancels_.erase(at);
    }
  } else if (auto* t = std::get_if<msg::Attached>(&message)) {
    const auto at = attaches_.find(t->request);
    if (at != attaches_.end()) {
      std::vector<std::uint32_t> unknown;
      for (std::uint32_t i = 0; i < t->known.size(); ++i) {
        const Oracle::Task& task = world_.oracle().task(attached_.at(at->second[i]));
        if (t->known[i] == scheduler::Known::yes) {
          world_.oracle().saw(task.state == TaskState::unknown ? Seen::attached_to_live : Seen::attached_to_ended);
          continue;
        }
        unknown.push_back(i);
        if (t->known[i] == scheduler::Known::forgotten) world_.oracle().saw(Seen::attached_to_forgotten);
      }
      std::vector<client::Handle> resolved;
      session_.on_attached(t->request, unknown, resolved);
      attaches_.erase(at);
    }
  } else if (auto* refused = std::get_if<msg::Refused>(&message)) {
    std::vector<client::Handle> lost;
    was_given_up_ = refused->code == Code::forgotten;
    session_.on_refused({refused->code, refused->message}, new_stream(), now, lost);
    resolve_lost(lost);
    was_given_up_ = false;
  } else if (std::holds_alternative<msg::Rehello>(message)) {
    session_.on_lost(now);
  } else if (!std::holds_alternative<msg::Started>(message)) {
    throw Violation(std::string("a client was sent ") + name_of(message));
  }
  act();
}

}  // namespace futured::sim
