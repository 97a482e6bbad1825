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

Status set_pool(TaskOptions& to, std::string_view text) {
  to.pool(std::string(text));
  return {};
}

Status set_group(TaskOptions& to, std::string_view text) {
  to.group(std::string(text));
  return {};
}

struct Flag {
  Option option;
  Status (*apply)(TaskOptions&, std::string_view);  ///< null: not an option of the task itself
};

constexpr std::array kFlags{
    Flag{{"priority", 'p', "N", "-100 to 100; higher runs first (default 0)"}, set_priority},
    Flag{{"pool", 0, "POOL", "the pool whose workers run it (default: the first that offers the task)"}, set_pool},
    Flag{{"label", 'l', "K=V", "a label, to select by", true}, add_label},
    Flag{{"group", 'g', "GROUP", "the group it belongs to, to select by"}, set_group},
    Flag{{"retries", 0, "N", "tries again after a failure, at most N times (default 0)"}, set_retries},
    Flag{{"crashes", 0, "N|never", "the crash of its worker that ends it (default 3; never: the first)"}, set_crashes},
    Flag{{"keep", 0, "TIME", "how long the result is kept after the end (default 24h)"}, set_keep},
    Flag{{"on-disconnect", 0, "keep|cancel",
          "what becomes of it when fut is gone (submit: keep; else: cancel after 10s)", false, "keep cancel"},
         nullptr},
    Flag{{"detach", 0, "", "it goes on when fut is gone: --on-disconnect keep"}, nullptr},
};

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

TaskOptions task_options(const Arguments& args, Gone gone) {
  TaskOptions out;
  out.keep(kKeep);
  for (const Flag& flag : kFlags) {
    if (flag.apply == nullptr) continue;
    for (const std::string_view value : args.values(flag.option.name)) {
      if (Status applied = flag.apply(out, value); !applied.ok()) {
        const bool whole = applied.message().find('\'') != std::string::npos;
        throw Failure(Exit::usage, "option '--" + std::string(flag.option.name) + "'" + (whole ? ": " : " ") +
                                       applied.message() + (whole ? "" : ", not '" + std::string(value) + "'"));
      }
    }
  }
  if (goes_on(args, gone)) {
    out.on_disconnect(OnDisconnect::keep);
  } else {
    out.on_disconnect(OnDisconnect::cancel, kDisconnectGrace);
  }
  return out;
}

Input::Words input_words(const Arguments& args) {
  Input::Words out;
  if (!args.words.empty()) out.words.assign(args.words.begin() + 1, args.words.end());
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
