// Options of commands: a name, and what it sets. A new field takes a line here and one in README.md.
#pragma once

#include <algorithm>
#include <string>

#include "daemon/scheduler/scheduler.hpp"
#include "tests/scenarios/cast.hpp"
#include "tests/scenarios/script.hpp"

namespace futured::scheduler::scenario {

/// submit
inline constexpr Option<Spec> kSpecOptions[] = {
    {"pool", [](Spec& s, const Value& v) { s.pool = v.text(); }},
    {"priority", [](Spec& s, const Value& v) { s.priority = static_cast<std::int32_t>(v.number()); }},
    {"retries", [](Spec& s, const Value& v) { s.retries = static_cast<std::uint32_t>(v.number()); }},
    {"crashes",
     [](Spec& s, const Value& v) { s.crashes = v.text() == "never" ? -1 : static_cast<std::int32_t>(v.number()); }},
    {"keep", [](Spec& s, const Value& v) { s.keep_ns = v.duration(); }},
    {"detached", [](Spec& s, const Value& v) { s.detached = v.yes(); }},
    {"live_output", [](Spec& s, const Value& v) { s.live_output = v.yes(); }},
    {"on_disconnect",
     [](Spec& s, const Value& v) {
       if (v.text() != "cancel" && v.text() != "keep") v.wrong("cancel or keep is wanted");
       s.cancel_on_disconnect = v.text() == "cancel";
     }},
    {"disconnect_grace", [](Spec& s, const Value& v) { s.disconnect_grace_ns = v.duration(); }},
    {"delay", [](Spec& s, const Value& v) { s.delay_ns = v.duration(); }},
    {"timeout", [](Spec& s, const Value& v) { s.timeout_ns = v.duration(); }},
    {"deadline", [](Spec& s, const Value& v) { s.deadline_ns = v.duration(); }},
    {"expires", [](Spec& s, const Value& v) { s.expires_ns = v.duration(); }},
    {"backoff",
     [](Spec& s, const Value& v) {
       const auto [first, most] = v.split("..");
       s.backoff_ns = first.duration();
       s.backoff_max_ns = most ? most->duration() : 0;
     }},
    {"key", [](Spec& s, const Value& v) { s.key = v.text(); }},
    {"owner", [](Spec& s, const Value& v) { s.owner = static_cast<std::uint32_t>(v.number()); }},
    {"limit", [](Spec& s, const Value& v) { s.limit = v.text(); }},
    {"fair", [](Spec& s, const Value& v) { s.fair = v.text(); }},
    {"after", [](Spec& s, const Value& v) { s.after = v.dependencies(); }},
    {"input_from",
     [](Spec& s, const Value& v) {
       // One of those in `after`, else one more.
       const TaskNumber number = v.tasks().front().number;
       const auto at =
           std::find_if(s.after.begin(), s.after.end(), [&](const Dependency& d) { return d.number == number; });
       s.input_from = static_cast<std::uint32_t>(at - s.after.begin());
       if (at == s.after.end()) s.after.emplace_back().number = number;
     }},
    {"group", [](Spec& s, const Value& v) { s.group = v.text(); }},
    {"labels", [](Spec& s, const Value& v) { s.labels = v.pairs(); }},
    {"headers", [](Spec& s, const Value& v) { s.headers = v.pairs(); }},
    {"content_type", [](Spec& s, const Value& v) { s.content_type = v.text(); }},
};

/// limits
inline constexpr Option<Limits> kLimitOptions[] = {
    {"payload_bytes", [](Limits& l, const Value& v) { l.payload_bytes = static_cast<std::uint64_t>(v.number()); }},
    {"tasks", [](Limits& l, const Value& v) { l.tasks = static_cast<std::uint64_t>(v.number()); }},
    {"bytes", [](Limits& l, const Value& v) { l.bytes = static_cast<std::uint64_t>(v.number()); }},
    {"kept_tasks", [](Limits& l, const Value& v) { l.kept_tasks = static_cast<std::uint64_t>(v.number()); }},
    {"kept_bytes", [](Limits& l, const Value& v) { l.kept_bytes = static_cast<std::uint64_t>(v.number()); }},
    {"owed_bytes", [](Limits& l, const Value& v) { l.owed_bytes = static_cast<std::uint64_t>(v.number()); }},
    {"first_window_tasks",
     [](Limits& l, const Value& v) { l.first_window_tasks = static_cast<std::uint64_t>(v.number()); }},
    {"window_tasks", [](Limits& l, const Value& v) { l.window_tasks = static_cast<std::uint64_t>(v.number()); }},
    {"window_bytes", [](Limits& l, const Value& v) { l.window_bytes = static_cast<std::uint64_t>(v.number()); }},
    {"session_resume", [](Limits& l, const Value& v) { l.session_resume = v.duration(); }},
    {"worker_return", [](Limits& l, const Value& v) { l.worker_return = v.duration(); }},
    {"stop_grace", [](Limits& l, const Value& v) { l.stop_grace = v.duration(); }},
    {"neighbour_time", [](Limits& l, const Value& v) { l.neighbour_time = v.duration(); }},
    {"own_keep", [](Limits& l, const Value& v) { l.own_keep = v.duration(); }},
};

/// limit
inline constexpr Option<event::SetLimit> kNamedLimitOptions[] = {
    {"running", [](event::SetLimit& e, const Value& v) { e.running = static_cast<std::uint32_t>(v.number()); }},
    {"rate",
     [](event::SetLimit& e, const Value& v) {
       const auto [starts, per] = v.split("/");
       if (!per) v.wrong("so many starts in some time are wanted: 5/1s");
       e.starts = static_cast<std::uint32_t>(starts.number());
       e.per = per->duration();
     }},
    {"remove", [](event::SetLimit& e, const Value& v) { e.remove = v.yes(); }},
};

/// worker
inline constexpr Option<WorkerRole> kWorkerOptions[] = {
    {"threads", [](WorkerRole& w, const Value& v) { w.slots[0] = static_cast<std::uint32_t>(v.number()); }},
    {"async", [](WorkerRole& w, const Value& v) { w.slots[1] = static_cast<std::uint32_t>(v.number()); }},
    {"ahead", [](WorkerRole& w, const Value& v) { w.ahead = static_cast<std::uint64_t>(v.number()); }},
    {"pool", [](WorkerRole& w, const Value& v) { w.pool = v.text(); }},
    {"types", [](WorkerRole& w, const Value& v) { w.types = type_offers(v); }},
    {"by_hand", [](WorkerRole& w, const Value& v) { w.by_hand = v.yes(); }},
};

/// fails, stops
inline constexpr Option<Failure> kFailureOptions[] = {
    {"kind", [](Failure& f, const Value& v) { f.kind = error_kind(v); }},
    {"status", [](Failure& f, const Value& v) { f.status = static_cast<std::int32_t>(v.number()); }},
    {"signal", [](Failure& f, const Value& v) { f.signal = static_cast<std::int32_t>(v.number()); }},
    {"permanent", [](Failure& f, const Value& v) { f.permanent = v.yes(); }},
    {"retry_after", [](Failure& f, const Value& v) { f.retry_after_ns = v.duration(); }},
};

}  // namespace futured::scheduler::scenario
