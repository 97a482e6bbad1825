#include "tests/scenarios/trace.hpp"

#include <numeric>

#include "tests/scenarios/words.hpp"

namespace futured::scheduler::scenario {

namespace {

std::string_view word(Verdict v) {
  switch (v) {
    case Verdict::none:
      break;
    case Verdict::cancelled:
      return "cancelled";
    case Verdict::requested:
      return "requested";
    case Verdict::running:
      return "running";
    case Verdict::finished:
      return "finished";
    case Verdict::unknown:
      return "unknown";
    case Verdict::forgotten:
      return "forgotten";
  }
  return "none";
}

void accepted(const Scene& scene, const Accepted& a, Lines& lines) {
  std::vector<TaskNumber> numbers(a.count);
  std::iota(numbers.begin(), numbers.end(), a.first_number);
  const std::string names = scene.tasks.list(numbers);
  const std::string as = TaskNames{}.list(numbers);
  std::string line = scene.cast.name_of(a.session) + ": " + names + " accepted";
  if (names != as) line += " as " + as;
  if (!a.warning.empty()) line += ", warning: " + a.warning;
  lines.add(line);
  for (const Accepted::Existing& e : a.existing) {
    const TaskNumber number = a.first_number + (e.seq - a.first_seq);
    lines.add(scene.cast.name_of(a.session) + ": ", number,
              " is " + scene.tasks.of(e.number) + (e.input_differs ? ", which has another input" : ""));
  }
}

std::string outcome(const test::Told& t) {
  switch (t.phase) {
    case Phase::succeeded:
      return "succeeded " + quoted(t.result);
    case Phase::failed:
      return failed(t.failure) + (t.result.empty() ? "" : ", with " + quoted(t.result));
    default:
      return ended(t.phase, t.failure.message.empty() ? nullptr : &t.failure);
  }
}

void cancel_reply(const Scene& scene, const CancelReply& r, Lines& lines) {
  const ClientRole& client = *scene.cast.by_session(r.session);
  const std::vector<std::string>& asked = client.requests.at(r.request);
  std::string line = client.name + ": cancel";
  for (std::size_t i = 0; i < r.verdicts.size(); ++i) {
    line += (i == 0 ? " " : ", ") + asked[i] + ": " + std::string(word(r.verdicts[i]));
  }
  lines.add(line);
}

void attach_reply(const Scene& scene, const AttachReply& r, Lines& lines) {
  const ClientRole& client = *scene.cast.by_session(r.session);
  const std::vector<std::string>& asked = client.requests.at(r.request);
  for (std::size_t i = 0; i < r.items.size(); ++i) {
    const AttachReply::Item& item = r.items[i];
    const std::string is = item.known == Known::yes         ? std::string(name(item.state))
                           : item.known == Known::forgotten ? "forgotten"
                                                            : "unknown";
    lines.add(client.name + ": attach " + asked[i] + ": " + is);
  }
}

}  // namespace

std::vector<std::string> trace(const Scene& scene) {
  const Actions& a = scene.bench.actions;
  const Cast& cast = scene.cast;
  Lines lines(scene.tasks);
  // A plain welcome is what a hello is for: it is not worth a line.
  for (const ClientWelcome& w : a.client_welcomes) {
    const std::string who = cast.name_of(w.session) + ": ";
    if (w.resumed) lines.add(who + "resumed, next seq " + std::to_string(w.accepted_seq));
    if (!w.resumed && w.accepted_seq > 0) lines.add(who + "welcome, next seq " + std::to_string(w.accepted_seq));
  }
  for (const WorkerWelcome& w : a.worker_welcomes) {
    const WorkerRole& role = *cast.worker(cast.worker_name(w.worker));
    if (w.resumed) lines.add(role.name + ": resumed");
    if (!w.resumed && role.ids.size() > 1) lines.add(role.name + ": welcome, as another worker");
  }
  for (const Breach& b : a.breaches) lines.add(cast.name_of(b.connection, b.session) + ": refused: " + b.message);
  for (const Accepted& x : a.accepted) accepted(scene, x, lines);
  for (const SessionId id : a.credit) {
    lines.add(cast.name_of(id) + ": may submit up to seq " +
              std::to_string(scene.bench.s.session(id)->granted_seq - 1));
  }
  for (const test::Sent& r : scene.bench.runs) {
    lines.add(cast.worker_name(r.worker) + ": run ", r.token.task,
              " (attempt " + std::to_string(r.token.attempt) + ")");
  }
  for (const TokenOrder& r : a.recalls) lines.add(cast.worker_name(r.worker) + ": recall ", r.token.task, "");
  for (const TokenOrder& s : a.stops) {
    lines.add(cast.worker_name(s.worker) + ": stop ", s.token.task, " (grace " + duration(s.grace) + ")");
  }
  for (const Started& s : a.started) {
    const ClientRole& c = *cast.by_session(s.session);
    lines.add(c.name + ": ", c.handles.at(s.handle), " started");
  }
  for (const CancelReply& r : a.cancelled) cancel_reply(scene, r, lines);
  for (const AttachReply& r : a.attached) attach_reply(scene, r, lines);
  for (const test::Told& t : scene.bench.told) {
    const ClientRole& c = *cast.by_session(t.session);
    lines.add(c.name + ": ", c.handles.at(t.handle), " " + outcome(t));
  }
  for (const WorkerId w : a.kills) lines.add(cast.worker_name(w) + ": kill");
  for (const SessionId id : a.ended_sessions) lines.add(cast.name_of(id) + ": session ended");
  return lines.take();
}

}  // namespace futured::scheduler::scenario
