#include "worker/options.hpp"

#include <CLI/CLI.hpp>
#include <cmath>
#include <optional>

namespace futured::worker {
namespace {

constexpr std::uint32_t kMostThreads = 4096;
constexpr std::uint32_t kMostAsync = 1U << 18;

// 250ms, 5s, 1h30m; a bare number is seconds.
std::optional<Time> parse_duration(const std::string& text) {
  static const std::map<std::string, double> units = {{"ns", 1},   {"us", 1e3},   {"ms", 1e6},    {"s", 1e9},
                                                      {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}, {"", 1e9}};
  double total = 0;
  std::size_t at = 0;
  if (text.empty()) return std::nullopt;
  while (at < text.size()) {
    std::size_t end = at;
    while (end < text.size() && ((text[end] >= '0' && text[end] <= '9') || text[end] == '.')) ++end;
    std::size_t unit_end = end;
    while (unit_end < text.size() && text[unit_end] >= 'a' && text[unit_end] <= 'z') ++unit_end;
    const auto unit = units.find(text.substr(end, unit_end - end));
    if (end == at || unit == units.end() || (unit->first.empty() && at != 0)) return std::nullopt;
    char* rest = nullptr;
    const std::string number = text.substr(at, end - at);
    total += std::strtod(number.c_str(), &rest) * unit->second;
    if (*rest != '\0' || unit_end == at) return std::nullopt;
    at = unit_end;
  }
  if (!(total < 9e18)) return std::nullopt;
  return static_cast<Time>(std::llround(total));
}

bool split(const std::string& pair, std::string& key, std::string& value) {
  const std::size_t eq = pair.find('=');
  if (eq == std::string::npos || eq == 0) return false;
  key = pair.substr(0, eq);
  value = pair.substr(eq + 1);
  return true;
}

}  // namespace

Parsed parse_options(int argc, const char* const* argv) {
  Parsed parsed;
  Options& o = parsed.options;
  std::vector<std::string> configs;
  std::vector<std::string> labels;
  std::string orphan;

  CLI::App app(
      "futured-worker runs tasks for a futured daemon. The daemon starts its own workers; start one by hand to\n"
      "lend it this machine, or to offer task types that the daemon's pools do not load.",
      "futured-worker");
  app.set_version_flag("--version", "futured-worker " FUTURED_VERSION);
  app.get_formatter()->column_width(34);
  app.add_option("--connect", o.connect, "Endpoint of the daemon")->type_name("ENDPOINT")->envname("FUTURED_CONNECT");
  app.add_option("--pool", o.worker.pool, "Pool to serve (default: default)")->type_name("NAME");
  app.add_option("--threads", o.worker.threads, "Blocking tasks at once (default: 1)")
      ->type_name("N")
      ->check(CLI::Range(0U, kMostThreads));
  app.add_option("--async-slots", o.worker.async_slots, "Asynchronous tasks at once (default: 0)")
      ->type_name("N")
      ->check(CLI::Range(0U, kMostAsync));
  app.add_option("--plugin", o.plugins, "Plugin file to load; may be repeated")
      ->type_name("FILE")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--plugin-config", configs, "Configuration of a plugin; may be repeated")
      ->type_name("NAME=JSON")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--host-label", labels, "What the daemon may ask of a worker (--require); may be repeated")
      ->type_name("KEY=VALUE")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option(
         "--orphan-timeout", orphan,
         "Leave when the daemon has been gone for so long: 5s, 1m; 0: never (default: never, 5s with --spawn-id)")
      ->type_name("DURATION");
  app.add_option("--spawn-id", o.worker.spawn, "Set by the daemon for the workers it starts")->type_name("N");
  app.add_option("--slots-file", o.worker.slots_file, "Set by the daemon: where to note what runs")->type_name("FILE");
  app.add_option("--probe", o.probe, "Describe a plugin file on standard output (a futured.v1.Probe message) and exit")
      ->type_name("FILE");
  app.footer(
      "Example: two threads for the primes plugin on this machine, for a daemon on another host\n"
      "  futured-worker --connect tcp://queue.example:4800 --pool cpu --threads 2 \\\n"
      "                 --plugin /usr/lib/futured/plugins/primes.so\n\n"
      "SIGTERM: finish what runs, give the rest back, leave. A second SIGTERM: leave at once.");

  const auto usage = [&](const std::string& what) {
    parsed.exit_code = app.exit(CLI::ValidationError("futured-worker", what));
    parsed.exit_code = 2;
    return parsed;
  };
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    parsed.exit_code = app.exit(e) == 0 ? 0 : 2;
    return parsed;
  }
  if (!o.probe.empty()) return parsed;
  if (o.connect.empty()) return usage("--connect ENDPOINT is needed, or FUTURED_CONNECT in the environment");
  for (const std::string& c : configs) {
    std::string name;
    std::string json;
    if (!split(c, name, json)) return usage("--plugin-config " + c + ": not NAME=JSON");
    o.plugin_configs[name] = json;
  }
  for (const std::string& l : labels) {
    std::string key;
    std::string value;
    if (!split(l, key, value)) return usage("--host-label " + l + ": not KEY=VALUE");
    o.worker.labels.emplace_back(key, value);
  }
  if (o.worker.threads + o.worker.async_slots == 0) {
    return usage("a worker with --threads 0 and without --async-slots could run nothing");
  }
  o.worker.orphan = o.worker.spawn != 0 ? 5'000'000'000 : 0;
  if (!orphan.empty()) {
    const std::optional<Time> d = parse_duration(orphan);
    if (!d) return usage("--orphan-timeout " + orphan + ": not a duration; write 500ms, 5s, 1m30s");
    o.worker.orphan = *d;
  }
  return parsed;
}

}  // namespace futured::worker
