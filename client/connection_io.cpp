// The half of Connection that moves messages. Everything here runs under io_ unless it says otherwise.
#include <algorithm>

#include "client/connection.hpp"
#include "futured/errors.hpp"

namespace futured::detail {

using client::kAttachBit;
using client::Time;
using Phase = client::Session::Phase;

namespace {
constexpr std::size_t kReceivePortion = 64;  // messages before others get a chance
constexpr std::size_t kWarningsKept = 1024;
}  // namespace

// ---- sending

void Connection::send(wire::Frames frames) {
  if (link_ != nullptr && !link_->send(std::move(frames))) {
    link_lost("the connection to " + endpoint() + " was lost");
  }
}

bool Connection::carry_out_orders() {
  bool any = false;
  for (;;) {
    std::optional<client::Order> order;
    wire::Frames extra;
    {
      const Lock lock(state_);
      order = session_.next(now_ns());
      if (!order && !extra_.empty() && session_.phase() == Phase::up) {
        extra = std::move(extra_.front());
        extra_.pop_front();
      }
    }
    if (order) {
      carry_out(*order);
    } else if (!extra.empty()) {
      send(std::move(extra));
    } else {
      return any;
    }
    any = true;
  }
}

void Connection::carry_out(const client::Order& order) {
  namespace o = client::order;
  if (const auto* m = std::get_if<o::Submit>(&order)) {
    send(client::encode(*m, generation_, submit_scratch_));
  } else if (const auto* d = std::get_if<o::Delivered>(&order)) {
    send(client::encode(*d, generation_));
  } else if (const auto* c = std::get_if<o::Cancel>(&order)) {
    send(client::encode(*c, generation_));
  } else if (const auto* a = std::get_if<o::Attach>(&order)) {
    send(client::encode(*a, generation_));
  } else if (const auto* p = std::get_if<o::Pong>(&order)) {
    v1::Ping pong;
    pong.set_id(p->id);
    send(wire::encode(v1::KIND_PONG, generation_, pong));
  } else if (const auto* h = std::get_if<o::Hello>(&order)) {
    send(client::encode(*h, self_, generation_));
  } else {
    link_.reset();
    auto made = factory_([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->wake_reader();
    });
    if (made.ok()) {
      link_ = std::move(made.value());
      const Lock lock(state_);
      generation_ = session_.generation();
      session_.connected(now_ns());
    } else {
      link_lost(made.status().message(), true);
    }
    wake_io();  // who watches the link has other descriptors to watch now
    if (driven_.load(std::memory_order_seq_cst)) Waiter::kick(drive_fd_);
  }
}

void Connection::link_lost(const std::string& why, bool nobody) {
  link_.reset();
  wake_io();  // its descriptors are gone; if the session has ended it resolves what is left
  const Lock lock(state_);
  session_.on_lost(now_ns());
  tell_watcher(false);
  if (nobody && first_failure_.ok()) first_failure_ = {Code::unavailable, why};
  extra_.clear();
  for (auto& [id, wait] : replies_) {
    wait->answered = true;
    wait->status = {Code::unavailable, why};
  }
  event();
}

// ---- receiving

bool Connection::receive_some() {
  std::vector<wire::Frames> batch;
  batch.swap(received_);
  link_->receive(batch, kReceivePortion);
  const bool any = !batch.empty();
  for (wire::Frames& frames : batch) {
    if (link_ == nullptr) break;  // one of them ended the connection
    handle(frames);
  }
  batch.clear();
  received_.swap(batch);
  return any;
}

void Connection::protocol_error(const Status& what) {
  std::fprintf(stderr, "futured: the daemon at %s broke the protocol: %s; connecting again\n", endpoint().c_str(),
               what.message().c_str());
  link_lost("the daemon at " + endpoint() + " broke the protocol: " + what.message());
}

void Connection::handle(wire::Frames& frames) {
  auto opened = wire::open(frames);
  if (!opened.ok()) {
    protocol_error(opened.status());
    return;
  }
  const wire::Envelope& e = *opened;
  if (e.generation != generation_) return;
  if (e.version != wire::kVersion && e.kind != v1::KIND_REFUSED) return;
  {
    const Lock lock(state_);
    session_.heard(now_ns());
  }
  switch (e.kind) {
    case v1::KIND_WELCOME:
      return on_welcome(e);
    case v1::KIND_REFUSED:
      return on_refused(e);
    case v1::KIND_REHELLO:
      return link_lost("the daemon at " + endpoint() + " asked for a new connection");
    case v1::KIND_ACCEPTED:
      return on_accepted(e);
    case v1::KIND_OUTCOMES:
      return on_outcomes(e);
    case v1::KIND_STARTED:
      return on_started(e);
    case v1::KIND_OUTPUT:
      return on_output(e);
    case v1::KIND_CANCELLED:
      return on_cancelled(e);
    case v1::KIND_ATTACHED:
      return on_attached(e);
    case v1::KIND_REPLY:
      return on_reply(e);
    case v1::KIND_PING:
      return on_ping(e, false);
    case v1::KIND_PONG:
      return on_ping(e, true);
    default:
      return;  // a newer daemon may say more than this client understands
  }
}

void Connection::on_welcome(const wire::Envelope& e) {
  v1::Welcome m;
  if (const Status s = wire::parse(e, m); !s.ok()) return protocol_error(s);
  std::vector<Handle> lost;
  std::vector<Cell*> cells;
  Status status;
  {
    const Lock lock(state_);
    if (session_.phase() != Phase::greeting) return;
    client::WelcomeFacts facts;
    facts.daemon_instance = m.daemon_instance();
    facts.accepted_seq = m.accepted_seq();
    facts.credit_tasks = m.submit_credit_tasks();
    facts.credit_bytes = m.submit_credit_bytes();
    facts.resumed = m.resumed();
    facts.heartbeat = m.heartbeat_ns();
    status = session_.on_welcome(facts, now_ns(), lost);
    cells = take_cells(lost);
    if (status.ok()) {
      if (m.limits().payload_bytes() != 0) payload_limit_ = m.limits().payload_bytes();
      welcome_ = std::move(m);
      welcomed_ = true;
      tell_watcher(true);
      event();
    }
  }
  for (Cell* c : cells) {
    WakeList wakes;
    c->fail(client::lost_error(), wakes);
    c->unref();
  }
  if (!cells.empty()) resolved();
  resolve_detached();
  if (!status.ok()) protocol_error(status);
}

void Connection::on_refused(const wire::Envelope& e) {
  v1::Refused m;
  if (const Status s = wire::parse(e, m); !s.ok()) return protocol_error(s);
  Status why = client::status_of(m.problem(), "the daemon refused the connection");
  const bool in_range = wire::kVersion >= m.version_min() && wire::kVersion <= m.version_max();
  if (why.code() == Code::version || (!m.has_problem() && !in_range)) {
    why = {Code::version, "the daemon at " + endpoint() + " speaks protocol versions " +
                              std::to_string(m.version_min()) + ".." + std::to_string(m.version_max()) +
                              ", this client " + std::to_string(wire::kVersion) +
                              ": use a client and a daemon of one release"};
  }
  std::vector<Handle> lost;
  std::vector<Cell*> cells;
  {
    const Lock lock(state_);
    session_.on_refused(why, fresh_stream(), now_ns(), lost);
    cells = take_cells(lost);
    if (why.code() == Code::forgotten) {
      slab_.for_each_chunk([this](Chunk& c) { c.stream = session_.stream(); });
    } else {
      refusal_ = why;
    }
  }
  for (Cell* c : cells) {
    WakeList wakes;
    c->fail(client::lost_error(), wakes);
    c->unref();
  }
  if (!cells.empty()) resolved();
  link_lost(why.message());
}

Status Connection::take_accepted(v1::Accepted& m) {
  if (session_.phase() != Phase::up) return {};  // unchecked it must not be believed
  const Seq known = session_.first_unaccepted();
  Status status = session_.on_accepted(m.first_seq(), m.count(), m.submit_credit_tasks(), m.submit_credit_bytes(),
                                       now_ns(), m.full());
  if (!status.ok()) return status;
  // Of what is accepted again the numbers are known.
  for (Seq seq = std::max(m.first_seq(), known); seq < m.first_seq() + m.count();) {
    const Seq end = std::min(m.first_seq() + m.count(), (seq / Chunk::kCells + 1) * Chunk::kCells);
    const TaskNumber number = m.first_number() + (seq - m.first_seq());
    if (Chunk* const c = slab_.chunk(seq); c != nullptr) {
      auto& all = c->extents;
      if (!all.empty() && all.back().first + all.back().count == seq &&
          all.back().number + all.back().count == number) {
        all.back().count += end - seq;
      } else {
        all.push_back({seq, end - seq, number});
      }
    }
    seq = end;
  }
  for (const auto& other : m.existing()) {
    Chunk* const c = other.seq() < session_.first_unaccepted() ? slab_.chunk(other.seq()) : nullptr;
    if (c != nullptr)
      c->existing_of.insert_or_assign(other.seq(), Chunk::Existing{other.number(), other.input_differs()});
  }
  for (auto& w : *m.mutable_warnings()) {
    if (warnings_.size() >= kWarningsKept) warnings_.erase(warnings_.begin());
    warnings_[w.seq()] = std::move(*w.mutable_message());
  }
  event();
  return status;
}

void Connection::on_accepted(const wire::Envelope& e) {
  v1::Accepted& m = accepted_scratch_;
  if (const Status s = wire::parse(e, m); !s.ok()) return protocol_error(s);
  Status status;
  bool any_detached = false;
  {
    const Lock lock(state_);
    status = take_accepted(m);
    any_detached = !detached_.empty();
  }
  if (any_detached) resolve_detached();
  if (!status.ok()) protocol_error(status);
}

void Connection::on_outcomes(const wire::Envelope& e) {
  v1::Outcomes& m = outcomes_scratch_;
  if (const Status s = wire::parse(e, m); !s.ok()) return protocol_error(s);
  const int n = m.handle_delta_size();
  if (m.payloads().size_size() != n || (m.state_size() != 0 && m.state_size() != n)) {
    return protocol_error({Code::invalid, "columns of OUTCOMES differ in length"});
  }
  sizes_.assign(m.payloads().size().begin(), m.payloads().size().end());
  slices_.clear();
  if (const Status s = wire::read_payloads(*m.mutable_payloads(), e.payloads, slices_); !s.ok()) {
    return protocol_error(s);
  }
  handles_.clear();
  Handle handle = 0;
  for (const std::int64_t delta : m.handle_delta()) handles_.push_back(handle += static_cast<std::uint64_t>(delta));
  fresh_.clear();
  to_resolve_.clear();
  std::vector<std::pair<ToResolve, Sinks>> after_output;
  Status status;
  bool any_detached = false;
  {
    const Lock lock(state_);
    for (v1::Accepted& a : *m.mutable_accepted()) {
      if (status = take_accepted(a); !status.ok()) break;
    }
    any_detached = m.accepted_size() != 0 && !detached_.empty();
    if (status.ok()) status = session_.on_outcomes(m.first_delivery(), handles_, sizes_, now_ns(), fresh_);
    for (const std::uint32_t i : fresh_) {
      const Handle h = handles_[i];
      const auto sink = sinks_.empty() ? sinks_.end() : sinks_.find(h);
      if (sink != sinks_.end()) {
        // All its output comes first, on the callback thread: so must the news that it is done.
        after_output.emplace_back(ToResolve{take_cell(h), i}, std::move(sink->second));
        sinks_.erase(sink);
      } else {
        to_resolve_.push_back({take_cell(h), i});
      }
    }
    resolving_ += 1 + static_cast<int>(after_output.size());
  }
  WakeList wakes;
  int next_failure = 0;
  const auto failure_of = [&m, &next_failure](std::uint32_t i) -> const v1::Outcomes::Failure* {
    while (next_failure < m.failures_size() && m.failures(next_failure).index() < i) ++next_failure;
    return next_failure < m.failures_size() && m.failures(next_failure).index() == i ? &m.failures(next_failure)
                                                                                     : nullptr;
  };
  const auto state_of_task = [&m](std::uint32_t i) {
    return m.state_size() == 0 ? v1::STATE_SUCCEEDED : static_cast<v1::State>(m.state(static_cast<int>(i)));
  };
  for (const ToResolve& r : to_resolve_) {
    if (r.cell == nullptr) continue;
    if (const v1::State s = state_of_task(r.index); s == v1::STATE_SUCCEEDED) {
      r.cell->succeed(std::move(slices_[r.index]), wakes);
    } else {
      client::Ending end = client::ending_of(s, failure_of(r.index), slices_[r.index].view());
      if (end.cancelled) {
        r.cell->cancel(true, true, std::move(end.error), wakes);
      } else {
        r.cell->fail(std::move(end.error), wakes);
      }
    }
    r.cell->unref();
  }
  wakes.wake();
  next_failure = 0;
  for (auto& [r, sink] : after_output) {
    const v1::State s = state_of_task(r.index);
    client::Ending end;
    if (s != v1::STATE_SUCCEEDED) end = client::ending_of(s, failure_of(r.index), slices_[r.index].view());
    post([self = shared_from_this(), cell = CellRef(r.cell), s, end, reply = slices_[r.index]] {
      WakeList w;
      if (s == v1::STATE_SUCCEEDED) {
        cell.get()->succeed(reply, w);
      } else if (end.cancelled) {
        cell.get()->cancel(true, true, end.error, w);
      } else {
        cell.get()->fail(end.error, w);
      }
      w.wake();
      self->resolved();
    });
  }
  resolved();
  if (any_detached) resolve_detached();
  if (!status.ok()) protocol_error(status);
}

void Connection::on_started(const wire::Envelope& e) {
  v1::Started m;
  if (const Status s = wire::parse(e, m); !s.ok()) return protocol_error(s);
  const Lock lock(state_);
  Handle handle = 0;
  for (const std::int64_t delta : m.handle_delta()) {
    handle += static_cast<std::uint64_t>(delta);
    if (!session_.awaits(handle)) continue;
    if (handle < kAttachBit) {
      if (Cell* c = slab_.find(handle); c != nullptr) c->start();
    } else if (const auto at = attached_.find(handle); at != attached_.end()) {
      at->second->cell.start();
    }
  }
}

void Connection::on_output(const wire::Envelope& e) {
  v1::Output m;
  if (const Status s = wire::parse(e, m); !s.ok()) return protocol_error(s);
  const Handle handle = m.handle();
  const Lock lock(state_);
  const auto sinks = sinks_.find(handle);
  if (m.has_progress()) {
    if (sinks == sinks_.end() || !sinks->second.progress) return;
    post([fn = sinks->second.progress, fraction = m.fraction(), text = std::move(*m.mutable_text())] {
      try {
        fn(fraction, text);
      } catch (...) {
        log_exception("a progress callback", std::current_exception());
      }
    });
    return;
  }
  const std::size_t seen = session_.on_output(handle, m.attempt(), m.offset(), m.data().size());
  const std::size_t fresh = m.data().size() - seen;
  if (fresh == 0) return;
  if (sinks == sinks_.end() || !sinks->second.output) {
    session_.output_taken(handle, m.attempt(), m.offset() + m.data().size(), now_ns());
    return;
  }
  post([self = shared_from_this(), handle, seen, fn = sinks->second.output, stream = static_cast<int>(m.stream()),
        attempt = m.attempt(), end = m.offset() + m.data().size(), data = std::move(*m.mutable_data())] {
    try {
      fn(stream, std::string_view(data).substr(seen));
    } catch (...) {
      log_exception("an output callback", std::current_exception());
    }
    {
      const Lock inner(self->state_);
      self->session_.output_taken(handle, attempt, end, now_ns());
    }
    self->pump();
  });
}

void Connection::on_cancelled(const wire::Envelope& e) {
  v1::Cancelled m;
  if (const Status s = wire::parse(e, m); !s.ok()) return protocol_error(s);
  std::vector<Cell*> cells;
  std::shared_ptr<CancelWait> wait;
  {
    const Lock lock(state_);
    if (!session_.on_cancelled(m.request())) return;
    const auto at = cancels_.find(m.request());
    if (at == cancels_.end()) return;
    wait = std::move(at->second);
    cancels_.erase(at);
    for (std::size_t i = 0; i < wait->handles.size(); ++i) {
      const auto verdict = i < static_cast<std::size_t>(m.verdicts_size())
                               ? static_cast<v1::Cancelled::Verdict>(m.verdicts(static_cast<int>(i)))
                               : v1::Cancelled::UNKNOWN;
      wait->verdicts.push_back(verdict);
      // Its outcome will say the same; whoever asked can rely on it now.
      if (verdict == v1::Cancelled::CANCELLED && session_.resolve(wait->handles[i])) {
        cells.push_back(take_cell(wait->handles[i]));
        sinks_.erase(wait->handles[i]);
      }
    }
    ++resolving_;
  }
  for (Cell* c : cells) {
    if (c == nullptr) continue;
    WakeList wakes;
    c->cancel(true, true, nullptr, wakes);
    c->unref();
  }
  {
    const Lock lock(state_);
    wait->answered = true;
  }
  resolved();
}

void Connection::on_attached(const wire::Envelope& e) {
  v1::Attached m;
  if (const Status s = wire::parse(e, m); !s.ok()) return protocol_error(s);
  std::vector<std::pair<Cell*, std::exception_ptr>> gone;
  {
    const Lock lock(state_);
    const auto at = attaches_.find(m.request());
    const auto wait = at == attaches_.end() ? nullptr : at->second;
    std::vector<std::uint32_t> unknown;
    for (int i = 0; i < m.tasks_size(); ++i) {
      const auto& t = m.tasks(i);
      if (t.code() != v1::CODE_OK) {
        unknown.push_back(static_cast<std::uint32_t>(i));
      } else if (wait && static_cast<std::size_t>(i) < wait->cells.size()) {
        // Only while the session awaits it: then this connection holds the cell.
        if (const auto a = attached_.find(wait->first + static_cast<Handle>(i)); a != attached_.end()) {
          a->second->number = t.number();
          if (t.id().size() == 16) {
            a->second->known_id = client::read_id(t.id());
            session_.attached_is(wait->first + static_cast<Handle>(i), t.id());
          }
          if (t.state() == v1::STATE_RUNNING) a->second->cell.start();
        }
      }
    }
    std::vector<Handle> resolved_handles;
    session_.on_attached(m.request(), unknown, resolved_handles);
    for (const Handle h : resolved_handles) {
      sinks_.erase(h);
      std::exception_ptr why;
      if (wait == nullptr) {
        why = client::lost_error();  // asked again: a daemon before this one had it
      } else if (m.tasks(static_cast<int>(h - wait->first)).code() == v1::CODE_FORGOTTEN) {
        why = std::make_exception_ptr(Forgotten("the daemon has forgotten this task: its result was kept no longer"));
      } else {
        why = std::make_exception_ptr(NotFound("the daemon does not know this task"));
      }
      gone.emplace_back(take_cell(h), std::move(why));
    }
    if (wait) {
      wait->answer = std::move(m);
      wait->answered = true;
      attaches_.erase(at);
    }
    ++resolving_;
  }
  for (auto& [c, why] : gone) {
    if (c == nullptr) continue;
    WakeList wakes;
    c->fail(std::move(why), wakes);
    c->unref();
  }
  resolved();
}

void Connection::on_reply(const wire::Envelope& e) {
  v1::Reply m;
  if (const Status s = wire::parse(e, m); !s.ok()) return protocol_error(s);
  const Lock lock(state_);
  const auto at = replies_.find(m.request());
  if (at == replies_.end()) return;  // nobody waits any more
  at->second->reply = std::move(m);
  at->second->answered = true;
  event();
}

void Connection::on_ping(const wire::Envelope& e, bool pong) {
  v1::Ping m;
  if (const Status s = wire::parse(e, m); !s.ok()) return protocol_error(s);
  const Lock lock(state_);
  if (!pong) {
    session_.on_ping(m.id());
  } else if (const auto at = replies_.find(m.id()); at != replies_.end()) {
    at->second->answered = true;
    event();
  }
}

}  // namespace futured::detail
