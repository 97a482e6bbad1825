#include "tests/scenarios/cast.hpp"

#include <algorithm>

namespace futured::scheduler::scenario {

namespace {
template <class Roles, class Is>
auto last(const Roles& roles, Is is) {
  const auto at = std::find_if(roles.rbegin(), roles.rend(), [&](const auto& role) { return is(*role); });
  return at == roles.rend() ? nullptr : at->get();
}
}  // namespace

std::uint64_t ClientRole::handle(TaskNumber number, const std::string& task) const {
  for (const auto& [handle, of] : handles) {
    if (of == number) return handle;
  }
  throw Error(name + " has not submitted " + task + " and is not attached to it");
}

Lane WorkerRole::lane_of(const std::string& type) const {
  for (const TypeOffer& t : types) {
    if (t.name == type) return t.lane;
  }
  throw Error(name + " was sent a call of '" + type + "', which it does not offer");
}

std::vector<TypeOffer> type_offers(const Value& v) {
  std::vector<TypeOffer> out;
  for (const std::string& item : v.list()) {
    const std::size_t colon = item.find(':');
    const std::string lane = colon == std::string::npos ? "thread" : item.substr(colon + 1);
    if (lane != "thread" && lane != "async") v.wrong("a lane is thread or async");
    out.push_back({item.substr(0, colon), lane == "async" ? Lane::async : Lane::thread});
  }
  return out;
}

ErrorKind error_kind(const Value& v) {
  std::vector<std::string> names;
  for (int k = 1; k <= static_cast<int>(ErrorKind::too_large); ++k) {
    names.emplace_back(name(static_cast<ErrorKind>(k)));
    if (names.back() == v.text()) return static_cast<ErrorKind>(k);
  }
  v.wrong("there is no such kind of error" + did_you_mean(v.text(), names));
}

ClientRole& Cast::add_client(const std::string& name) {
  clients_.push_back(std::make_unique<ClientRole>());
  clients_.back()->name = name;
  clients_.back()->stream = test::Bench::stream(++streams_);
  return *clients_.back();
}

WorkerRole& Cast::add_worker(const std::string& name) {
  workers_.push_back(std::make_unique<WorkerRole>());
  workers_.back()->name = name;
  workers_.back()->instance = name + "/" + std::to_string(workers_.size());
  return *workers_.back();
}

ClientRole* Cast::client(std::string_view name) const {
  return last(clients_, [&](const ClientRole& c) { return c.name == name; });
}

WorkerRole* Cast::worker(std::string_view name) const {
  return last(workers_, [&](const WorkerRole& w) { return w.name == name; });
}

ClientRole* Cast::by_session(SessionId id) const {
  return last(clients_, [&](const ClientRole& c) { return c.session == id; });
}

std::string Cast::name_of(SessionId id) const {
  const ClientRole* c = by_session(id);
  if (c == nullptr) throw Error("an action names session " + std::to_string(id) + ", which nobody has");
  return c->name;
}

std::string Cast::name_of(ConnectionId id, SessionId session) const {
  if (session != kNoSession) return name_of(session);
  const ClientRole* c = last(clients_, [&](const ClientRole& role) { return role.connection == id; });
  return c == nullptr ? "connection " + std::to_string(id) : c->name;
}

std::string Cast::worker_name(WorkerId id) const {
  const WorkerRole* w = last(workers_, [&](const WorkerRole& role) {
    return std::find(role.ids.begin(), role.ids.end(), id) != role.ids.end();
  });
  if (w == nullptr) throw Error("an action names worker " + std::to_string(id) + ", which was never welcomed");
  return w->name;
}

std::pair<const ClientRole*, Seq> Cast::owner(TaskNumber number) const {
  for (const auto& c : clients_) {
    for (const auto& [handle, of] : c->handles) {
      if (of == number && handle < test::Bench::kAttach) return {c.get(), handle};
    }
  }
  return {nullptr, 0};
}

void Cast::learn(const test::Bench& bench) {
  for (const ClientWelcome& w : bench.actions.client_welcomes) {
    ClientRole* c = last(clients_, [&](const ClientRole& role) { return role.connection == w.connection; });
    if (c == nullptr) throw Error("a welcome for a client that did not say hello");
    c->session = w.session;
    c->next_delivery = c->taken;
    c->accepted = w.accepted_seq;
  }
  for (const WorkerWelcome& welcome : bench.actions.worker_welcomes) {
    WorkerRole* w = last(workers_, [&](const WorkerRole& role) { return role.connection == welcome.connection; });
    if (w == nullptr) throw Error("a welcome for a worker that did not say hello");
    if (w->id() != welcome.worker) w->ids.push_back(welcome.worker);
  }
  for (const Accepted& a : bench.actions.accepted) {
    ClientRole* c = by_session(a.session);
    if (c == nullptr) continue;
    for (std::uint64_t i = 0; i < a.count; ++i) c->handles[a.first_seq + i] = a.first_number + i;
    c->accepted = std::max(c->accepted, a.first_seq + a.count);
  }
  for (const Run& r : bench.actions.runs) {
    WorkerRole* w = last(workers_, [&](const WorkerRole& role) { return role.id() == r.worker; });
    if (w == nullptr) throw Error("a call for worker " + std::to_string(r.worker) + ", which is not there");
    const AttemptToken token = bench.s.token(r.task);
    w->calls[token.task] = {token.attempt, w->lane_of(bench.s.spec(r.task).type), true};
  }
  for (const test::Told& t : bench.told) {
    ClientRole* c = by_session(t.session);
    if (c == nullptr || c->connection == 0) throw Error("an outcome for a client that is not connected");
    if (t.delivery != c->next_delivery) {
      throw Error(c->name + " was sent delivery " + std::to_string(t.delivery) + " after " +
                  std::to_string(c->next_delivery) + " deliveries");
    }
    ++c->next_delivery;
  }
}

}  // namespace futured::scheduler::scenario
