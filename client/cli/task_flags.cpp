#include "client/cli/task_flags.hpp"

#include <sched.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "client/cli/duration.hpp"
#include "client/cli/failure.hpp"

namespace futured::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kKeep = 24h;
constexpr auto kDisconnectGrace = 10s;

Status wrong(std::string message) { return {Code::invalid, std::move(message)}; }

template <class T>
std::optional<T> number(std::string_view text) {
  T out{};
  const auto end = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || end.ec != std::errc{} || end.ptr != text.data() + text.size()) return std::nullopt;
  return out;
}

Status set_priority(TaskOptions& to, std::string_view text) {
  const auto n = number<int>(text);
  if (!n || *n < -100 || *n > 100) return wrong("wants a number from -100 to 100");
  to.priority(*n);
  return {};
}

Status set_retries(TaskOptions& to, std::string_view text) {
  const auto n = number<std::uint32_t>(text);
  if (!n) return wrong("wants a number");
  to.retries(*n);
  return {};
}

/// On the wire 0 is the default and -1 is none.
Status set_crashes(TaskOptions& to, std::string_view text) {
  const auto n = text == "never" ? std::optional(0) : number<int>(text);
  if (!n || *n < 0) return wrong("wants a number, or never");
  to.crashes(*n == 0 ? -1 : *n);
  return {};
}

template <TaskOptions& (TaskOptions::*set)(std::chrono::nanoseconds)>
Status set_time(TaskOptions& to, std::string_view text) {
  const auto d = parse_duration(text);
  if (!d) return d.status();
  if (d->count() == 0) return wrong("wants a time above 0");  // on the wire 0 is none
  (to.*set)(*d);
  return {};
}

template <TaskOptions& (TaskOptions::*set)(std::string)>
Status set_name(TaskOptions& to, std::string_view text) {
  if (text.empty()) return wrong("wants a name");
  (to.*set)(std::string(text));
  return {};
}

Status set_delay(TaskOptions& to, std::string_view text) {
  const auto d = parse_duration(text);
  if (!d) return d.status();
  to.delay(*d);
  return {};
}

Status set_at(TaskOptions& to, std::string_view text) {
  const auto t = parse_time(text, std::chrono::system_clock::now());
  if (!t) return t.status();
  to.at(*t);
  return {};
}

/// "5s" or "5s..10m".
Status set_backoff(TaskOptions& to, std::string_view text) {
  const auto dots = text.find("..");
  const auto first = parse_duration(text.substr(0, dots));
  if (!first) return first.status();
  std::chrono::nanoseconds most{};
  if (dots != std::string_view::npos) {
    const auto d = parse_duration(text.substr(dots + 2));
    if (!d) return d.status();
    if (*d < *first || d->count() == 0) return wrong("wants its bound above the first time, as in 1s..5m");
    most = *d;
  }
  to.backoff(*first, most);
  return {};
}

Status set_volatile(TaskOptions& to, std::string_view) {
  to.is_volatile();
  return {};
}

struct AnyTask {
  TaskNumber number = 0;
  TaskId id;
};

std::optional<AnyTask> task_named(std::string_view text, const LastTask& last) {
  if (text == "last") return AnyTask{last(), {}};
  if (const auto id = parse_task_id(text)) return AnyTask{0, *id};
  const auto n = number<TaskNumber>(text);
  if (!n || *n == 0) return std::nullopt;
  return AnyTask{*n, {}};
}

std::optional<Condition> condition_named(std::string_view text) {
  if (text == "success") return Condition::success;
  if (text == "failure") return Condition::failure;
  if (text == "any") return Condition::any;
  return std::nullopt;
}

/// "12", "12,last:any", "group=G:failure", or full ids.
Status add_after(TaskOptions& to, std::string_view text, const LastTask& last_task) {
  constexpr std::string_view kGroup = "group=";
  Condition on = Condition::success;
  const auto colon = text.rfind(':');
  if (colon != std::string_view::npos) {
    const std::string_view last = text.substr(0, colon).substr(text.substr(0, colon).rfind(',') + 1);
    if (const auto named = condition_named(text.substr(colon + 1))) {
      on = *named;
      text = text.substr(0, colon);
    } else if (!last.starts_with(kGroup)) {  // the name of a group may have a colon
      return wrong("'" + std::string(text.substr(colon + 1)) +
                   "' is no way to have ended: write success, failure or any after the colon");
    }
  }
  for (;;) {
    const auto comma = text.find(',');
    const std::string_view word = text.substr(0, comma);
    if (word.starts_with(kGroup)) {
      if (word == kGroup) return wrong("'group=' wants the name of a group");
      to.after_group(std::string(word.substr(kGroup.size())), on);
    } else if (const auto task = task_named(word, last_task)) {
      task->number != 0 ? to.after(task->number, on) : to.after(task->id, on);
    } else {
      return wrong("'" + std::string(word) + "' names no task: write 12, 12,13:any, a full id, last, or group=G");
    }
    if (comma == std::string_view::npos) return {};
    text.remove_prefix(comma + 1);
  }
}

Status set_input_from(TaskOptions& to, std::string_view text, const LastTask& last_task) {
  const auto task = task_named(text, last_task);
  if (!task) return wrong("wants the number or the full id of a task, or last");
  task->number != 0 ? to.input_from(task->number) : to.input_from(task->id);
  return {};
}

Status set_on_full(TaskOptions& to, std::string_view text) {
  if (text == "block") {
    to.on_full(OnFull::block);
  } else if (text == "fail") {
    to.on_full(OnFull::fail);
  } else {
    const auto d = parse_duration(text);
    if (!d) return wrong("'" + std::string(text) + "' is none of block, fail, and a time like 30s");
    to.on_full(OnFull::block, *d);
  }
  return {};
}

Status set_keep(TaskOptions& to, std::string_view text) {
  const auto d = parse_duration(text);
  if (!d) return d.status();
  to.keep(*d);
  return {};
}

Status add_label(TaskOptions& to, std::string_view text) {
  const auto equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) return wrong("wants name=value");
  to.label(std::string(text.substr(0, equals)), std::string(text.substr(equals + 1)));
  return {};
}

/// What an option says something about.
enum class About : unsigned char {
  task,
  single,  ///< a task that is submitted once: a schedule has none of it
  fut,     ///< fut and its connection: likewise
};

struct Flag {
  Option option;
  Status (*apply)(TaskOptions&, std::string_view);
  About about = About::task;
  /// Instead of `apply`, for what names tasks.
  Status (*apply_named)(TaskOptions&, std::string_view, const LastTask&) = nullptr;
};

constexpr std::array kFlags{
    Flag{{"priority", 'p', "N", "-100 to 100; higher runs first (default 0)"}, set_priority},
    Flag{{"pool", 0, "POOL", "the pool whose workers run it (default: the first that offers the task)"},
         set_name<&TaskOptions::pool>},
    Flag{{"label", 'l', "K=V", "a label, to select by", true}, add_label},
    Flag{{"group", 'g', "GROUP", "the group it belongs to, to select by"}, set_name<&TaskOptions::group>},
    Flag{{"delay", 'd', "TIME", "it starts this long after it was submitted, not before"}, set_delay},
    Flag{{"at", 0, "WHEN", "not before 2026-11-22T17:30:00Z, or 17:30, the next such local time"},
         set_at,
         About::single},
    Flag{{"after", 'a', "ID[,ID...][:HOW]",
          "it waits until these (or last) have ended; HOW: success (default), failure, any; group=G for all of a group",
          true},
         nullptr,
         About::single,
         add_after},
    Flag{{"input-from", 0, "ID", "the result of that task (or last) is appended to its input; it waits for it"},
         nullptr,
         About::single,
         set_input_from},
    Flag{{"retries", 0, "N", "tries again after a failure, at most N times (default 0)"}, set_retries},
    Flag{{"backoff", 0, "TIME[..MAX]", "before it tries again: first this long, doubling, at most MAX (default 0)"},
         set_backoff},
    Flag{{"crashes", 0, "N|never", "the crash of its worker that ends it (default 3; never: the first)"}, set_crashes},
    Flag{{"timeout", 0, "TIME", "each attempt fails after this long"}, set_time<&TaskOptions::timeout>},
    Flag{{"deadline", 0, "TIME", "it fails if it is not done this long after it was submitted"},
         set_time<&TaskOptions::deadline>},
    Flag{{"expires", 0, "TIME", "it expires if it has not started this long after it was submitted"},
         set_time<&TaskOptions::expires>},
    Flag{{"key", 0, "KEY", "a live or succeeded task of yours with this key is taken instead of a new one"},
         set_name<&TaskOptions::key>,
         About::single},
    Flag{{"limit", 0, "KEY", "it counts against this limit ('fut limit set')"}, set_name<&TaskOptions::limit>},
    Flag{{"fair", 0, "KEY", "tasks of one priority take turns by this (default: who submits)"},
         set_name<&TaskOptions::fair>},
    Flag{{"volatile", 0, "", "it need not outlive the daemon: faster, and lost with it"}, set_volatile},
    Flag{{"keep", 0, "TIME", "how long the result is kept after the end (default 24h)"}, set_keep},
    Flag{{"on-full", 0, "block|fail|TIME", "while the daemon is full: waits (default), fails, or waits this long"},
         set_on_full,
         About::fut},
    Flag{{"on-disconnect", 0, "keep|cancel",
          "what becomes of it when fut is gone (submit: keep; else: cancel after 10s)", false, "keep cancel"},
         nullptr,
         About::fut},
    Flag{{"detach", 0, "", "it goes on when fut is gone: --on-disconnect keep"}, nullptr, About::fut},
};

constexpr auto kScheduledOptions = [] {
  constexpr auto scheduled = [](const Flag& flag) { return flag.about == About::task; };
  std::array<Option, std::count_if(kFlags.begin(), kFlags.end(), scheduled)> out;
  auto to = out.begin();
  for (const Flag& flag : kFlags) {
    if (scheduled(flag)) *to++ = flag.option;
  }
  return out;
}();

constexpr auto kTaskOptions = [] {
  std::array<Option, kFlags.size()> out;
  std::transform(kFlags.begin(), kFlags.end(), out.begin(), [](const Flag& flag) { return flag.option; });
  return out;
}();

constexpr std::array kInputOptions{
    Option{"input-json", 0, "JSON", "the whole input as JSON; fields given as words change it"},
    Option{"input-file", 0, "FILE",
           "the whole input from a file (- for standard input): JSON, or bytes if the task has no schema"},
};

constexpr std::array kEmbeddedOptions{
    Option{"embedded", 0, "", "a private daemon for this command, gone with it"},
    Option{"processes", 0, "N", "worker processes of the private daemon (default 1; map: one per CPU)"},
    Option{"threads", 0, "N", "task threads of each process (default 1)"},
    Option{"async-slots", 0, "N", "calls of the async lane at once in each process (default 1000)"},
    Option{"plugin-dir", 0, "DIR", "where the private daemon looks for plugins", true},
};

std::uint32_t usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int n = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return static_cast<std::uint32_t>(std::max(1, n));
}

}  // namespace

std::span<const Option> task_option_table() { return kTaskOptions; }
std::span<const Option> scheduled_option_table() { return kScheduledOptions; }
std::span<const Option> input_option_table() { return kInputOptions; }
std::span<const Option> embedded_option_table() { return kEmbeddedOptions; }

bool goes_on(const Arguments& args, Gone gone) {
  const auto choice = args.value("on-disconnect");
  if (args.has("detach") && choice == "cancel") {
    throw Failure(Exit::usage, "--detach and --on-disconnect cancel exclude each other");
  }
  if (args.has("detach")) return true;
  return choice ? *choice == "keep" : gone == Gone::keep;
}

TaskOptions task_options(const Arguments& args, Gone gone, const LastTask& last) {
  TaskOptions out;
  out.keep(kKeep);
  for (const Flag& flag : kFlags) {
    if (flag.apply == nullptr && flag.apply_named == nullptr) continue;
    for (const std::string_view value : args.values(flag.option.name)) {
      const Status applied = flag.apply != nullptr ? flag.apply(out, value) : flag.apply_named(out, value, last);
      if (!applied.ok()) {
        const bool whole = applied.message().find('\'') != std::string::npos;
        throw Failure(Exit::usage, "option '--" + std::string(flag.option.name) + "'" + (whole ? ": " : " ") +
                                       applied.message() + (whole ? "" : ", not '" + std::string(value) + "'"));
      }
    }
  }
  if (args.has("delay") && args.has("at")) throw Failure(Exit::usage, "--delay and --at exclude each other");
  if (goes_on(args, gone)) {
    out.on_disconnect(OnDisconnect::keep);
  } else {
    out.on_disconnect(OnDisconnect::cancel, kDisconnectGrace);
  }
  return out;
}

TaskOptions task_options(Context& context, Gone gone) {
  return task_options(context.args, gone, [&] { return expect(context.daemon.last()); });
}

Input::Words input_words(const Arguments& args, std::size_t before) {
  Input::Words out;
  if (args.words.size() > before) {
    out.words.assign(args.words.begin() + static_cast<std::ptrdiff_t>(before), args.words.end());
  }
  out.after = args.after;
  out.dashes = args.dashes;
  if (const auto json = args.value("input-json")) out.json = std::string(*json);
  if (const auto file = args.value("input-file")) out.file = std::string(*file);
  return out;
}

Daemon::Options daemon_options(const Verb& verb, const Arguments& args) {
  Daemon::Options out;
  out.patient = verb.patient || args.has("wait");
  out.endpoint = args.value("connect").value_or("");
  out.embedded = args.has("embedded");
  if (out.embedded && !out.endpoint.empty()) throw Failure(Exit::usage, "--embedded and --connect exclude each other");
  const auto count = [&](std::string_view name, std::uint32_t fallback, std::uint32_t most) {
    const auto text = args.value(name);
    if (!text) return fallback;
    if (!out.embedded) throw Failure(Exit::usage, "--" + std::string(name) + " belongs to --embedded");
    const auto n = number<std::uint32_t>(*text);
    if (!n || *n < 1 || *n > most) {
      throw Failure(Exit::usage, "option '--" + std::string(name) + "' wants a number from 1 to " +
                                     std::to_string(most) + ", not '" + std::string(*text) + "'");
    }
    return *n;
  };
  out.processes = count("processes", verb.name == "map" ? usable_cpus() : 1, 1024);
  out.threads = count("threads", 1, 1024);
  out.async_slots = count("async-slots", 1000, 100000);
  const bool command = verb.name == "exec" || (verb.name == "map" && args.words.empty() && args.dashes);
  if (command) out.plugins = {"exec"};
  for (const std::string_view dir : args.values("plugin-dir")) out.plugin_dirs.emplace_back(dir);
  if (!out.plugin_dirs.empty() && !out.embedded) throw Failure(Exit::usage, "--plugin-dir belongs to --embedded");
  return out;
}

}  // namespace futured::cli
