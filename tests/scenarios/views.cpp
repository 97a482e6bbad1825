// The tables of the scheduler, in words.
#include <map>
#include <tuple>

#include "tests/scenarios/trace.hpp"
#include "tests/scenarios/words.hpp"

namespace futured::scheduler::scenario {

namespace {

std::string describe(const Scene& scene, const Attempt& a) {
  std::string out = "  attempt " + std::to_string(a.number) + " at " + scene.cast.worker_name(a.worker) + ": ";
  if (a.ending == Attempt::Ending::none) {
    out += a.started != 0 ? "running" : "sent";
  } else {
    out += name(a.ending);
  }
  return a.message.empty() ? out : out + " (" + a.message + ")";
}

/// Comma and text, but for the first.
void item(std::string& line, const std::string& text) { line += (line.empty() ? "" : ", ") + text; }

}  // namespace

std::vector<std::string> show_task(const Scene& scene, TaskNumber number) {
  const Scheduler& s = scene.bench.s;
  const std::string who = scene.tasks.of(number) + ": ";
  const TaskSlot slot = s.tasks().find(number);
  if (slot == kNoSlot) return {who + (s.tasks().issued(number) ? "forgotten" : "unknown")};
  const TaskRecord& t = s.tasks()[slot];
  const SideRecord* side = s.tasks().side_if(slot);
  std::string line = who + ended(t.phase, side == nullptr ? nullptr : side->failure.get());
  if (const Reason r = s.reason(slot); r != Reason::none) line += ", " + std::string(name(r));
  if (t.phase == Phase::succeeded) line += " " + quoted(t.payload.view());
  if (side != nullptr && side->spent_retries != 0) line += ", retries spent: " + std::to_string(side->spent_retries);
  if (side != nullptr && t.phase == Phase::waiting) {
    if (side->unmet != 0) line += ", not met: " + std::to_string(side->unmet);
    if (side->due != 0) line += ", due in " + duration(side->due - scene.bench.now);
  }
  if (side != nullptr && side->retry_of != 0) line += ", retry of " + scene.tasks.of(side->retry_of);
  if (t.crashes != 0) line += ", crashes: " + std::to_string(t.crashes);
  std::vector<std::string> out = {line};
  if (side == nullptr) return out;
  for (const Attempt& a : side->attempts) out.push_back(describe(scene, a));
  return out;
}

std::vector<std::string> show_counts(const Scene& scene) {
  const Counts& c = scene.bench.s.counts();
  const std::pair<const char*, std::uint64_t> all[] = {
      {"waiting", c.waiting}, {"queued", c.queued},       {"running", c.running}, {"succeeded", c.succeeded},
      {"failed", c.failed},   {"cancelled", c.cancelled}, {"expired", c.expired}, {"stale reports", c.stale_reports},
  };
  std::string line;
  for (const auto& [what, n] : all) {
    if (n != 0) item(line, what + (" " + std::to_string(n)));
  }
  return {"counts: " + (line.empty() ? "none" : line)};
}

std::vector<std::string> show_queues(const Scene& scene) {
  const Scheduler& s = scene.bench.s;
  // By pool, type, priority (highest first) and client.
  std::map<std::tuple<std::string, std::string, std::int32_t, SessionId>, std::vector<TaskNumber>> queues;
  for (TaskNumber n = s.tasks().next_live(1); n != 0; n = s.tasks().next_live(n + 1)) {
    const TaskSlot slot = s.tasks().find(n);
    if (s.tasks()[slot].phase != Phase::queued) continue;
    const Spec& spec = s.spec(slot);
    queues[{s.pool_of(slot), spec.type, -spec.priority, s.tasks().extent_of(slot).session}].push_back(n);
  }
  std::vector<std::string> out;
  for (const auto& [key, numbers] : queues) {
    const auto& [pool, type, below, session] = key;
    const Session* owner = s.session(session);
    out.push_back("pool " + pool + ", " + type + ", priority " + std::to_string(-below) + ", " +
                  (scene.cast.by_session(session) == nullptr ? "the daemon" : scene.cast.name_of(session)) +
                  (owner->held ? " (held)" : "") + ": " + scene.tasks.list(numbers));
  }
  if (out.empty()) out.emplace_back("nothing waits");
  return out;
}

std::vector<std::string> show_workers(const Scene& scene) {
  const Scheduler& s = scene.bench.s;
  std::vector<std::string> out;
  for (const auto& role : scene.cast.workers()) {
    const Worker* w = s.worker(role->id());
    if (w == nullptr) continue;
    std::vector<TaskNumber> running, ahead, recalled;
    for (TaskSlot slot = w->oldest; slot != kNoSlot; slot = s.tasks()[slot].next) {
      const TaskRecord& t = s.tasks()[slot];
      ((t.flags & kRecallSent) != 0 ? recalled : t.phase == Phase::running ? running : ahead).push_back(t.number);
    }
    std::string line;
    if (w->connection == 0) item(line, "disconnected");
    if (w->announcing) item(line, "announcing");
    if (w->draining) item(line, "draining");
    if (w->condemned) item(line, w->kill_sent ? "killed" : "to be replaced");
    if (!running.empty()) item(line, "running " + scene.tasks.list(running));
    if (!ahead.empty()) item(line, "sent " + scene.tasks.list(ahead));
    if (!recalled.empty()) item(line, "recalled " + scene.tasks.list(recalled));
    out.push_back(role->name + ": " + (line.empty() ? "idle" : line));
  }
  if (out.empty()) out.emplace_back("no workers");
  return out;
}

std::vector<std::string> show_clients(const Scene& scene) {
  const Scheduler& s = scene.bench.s;
  std::vector<std::string> out;
  for (const auto& role : scene.cast.clients()) {
    const Session* c = role->session == kNoSession ? nullptr : s.session(role->session);
    if (c == nullptr || c->stream != role->stream) continue;
    std::string line = role->name + ": " + (c->connection != 0 ? "connected" : "away");
    if (c->connection != 0) line += ", may submit " + std::to_string(c->granted_seq - c->accepted_seq) + " more";
    if (!c->deliveries.empty()) {
      line += ", " + std::to_string(c->deliveries.size()) + " not taken (" + std::to_string(c->owed_bytes) + " bytes)";
    }
    if (c->held) line += ", held";
    out.push_back(line);
  }
  if (out.empty()) out.emplace_back("no clients");
  return out;
}

std::vector<std::string> show_input(const Scene& scene, TaskNumber number) {
  const TaskSlot slot = scene.bench.slot(number);
  if (slot == kNoSlot || is_terminal(scene.bench.phase(number)))
    return {scene.tasks.of(number) + ": no input any more"};
  return {scene.tasks.of(number) + ": " + quoted(scene.bench.s.tasks()[slot].payload.view())};
}

std::vector<std::string> explain_task(const Scene& scene, TaskNumber number) {
  const Scheduler& s = scene.bench.s;
  const TaskSlot slot = s.tasks().find(number);
  const std::string who = scene.tasks.of(number) + ": ";
  if (slot == kNoSlot) return {who + (s.tasks().issued(number) ? "forgotten" : "unknown")};
  return {who + s.explain(slot, scene.bench.now)};
}

std::vector<std::string> show_groups(const Scene& scene) {
  const GroupTable& groups = scene.bench.s.groups();
  std::vector<std::string> out;
  for (const auto& [name, id] : groups.names()) {
    const Group& g = groups[id];
    const std::pair<const char*, std::uint64_t> all[] = {
        {"live", g.live},           {"succeeded", g.succeeded}, {"failed", g.failed},
        {"cancelled", g.cancelled}, {"expired", g.expired},
    };
    std::string line = std::to_string(g.submitted) + " submitted";
    for (const auto& [what, n] : all) {
      if (n != 0) item(line, what + (" " + std::to_string(n)));
    }
    if (g.closed) item(line, "closed");
    out.push_back("group " + name + ": " + line);
  }
  if (out.empty()) out.emplace_back("no groups");
  return out;
}

std::vector<std::string> show_limits(const Scene& scene) {
  const ReadyQueue& ready = scene.bench.s.ready();
  std::vector<std::string> out;
  for (const auto& [name, id] : ready.limits().names()) {
    const Limit& l = ready.limits()[id];
    std::string line;
    if (l.running != 0) item(line, std::to_string(l.running) + " at once");
    if (l.starts != 0) item(line, std::to_string(l.starts) + " starts in " + duration(l.per));
    if (line.empty()) item(line, "no bound");
    item(line, std::to_string(l.in_use) + " in use");
    item(line, std::to_string(ready.waiting_for(id)) + " queued");
    out.push_back("limit " + name + ": " + line);
  }
  if (out.empty()) out.emplace_back("no limits");
  return out;
}

}  // namespace futured::scheduler::scenario
