#include "daemon/config_keys.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <system_error>

#include "daemon/process.hpp"

namespace futured::daemon {

Status read_number(const std::string& text, std::uint64_t low, std::uint64_t high, std::uint64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size() || out < low || out > high) {
    return {Code::invalid, "a whole number from " + std::to_string(low) + " to " + std::to_string(high)};
  }
  return {};
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 &&
         text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") ==
             std::string_view::npos;
}

std::string absolute(const std::string& path, const std::string& folder) {
  return path.empty() ? path : (std::filesystem::path(folder) / path).lexically_normal().string();
}

namespace {

struct Unit {
  std::string_view name;
  double factor;
};

// "1.5h30m" is a sum; a bare number has the unit "".
bool read_sum(std::string_view text, const std::vector<Unit>& units, double& sum) {
  sum = 0;
  if (text.empty()) return false;
  while (!text.empty()) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (error != std::errc() || value < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    const std::string_view name = text.substr(0, std::min(text.find_first_of("0123456789."), text.size()));
    const auto unit = std::find_if(units.begin(), units.end(), [&](const Unit& u) { return u.name == name; });
    if (unit == units.end()) return false;
    sum += value * unit->factor;
    text.remove_prefix(name.size());
  }
  return sum < 9e18;
}

Status read_duration(const std::string& text, std::int64_t& ns) {
  static const std::vector<Unit> units{{"", 1e9},  {"ns", 1},   {"us", 1e3},   {"ms", 1e6},
                                       {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}};
  double sum = 0;
  if (!read_sum(text, units, sum)) return {Code::invalid, "a duration such as 250ms, 30s or 1h30m"};
  ns = static_cast<std::int64_t>(sum);
  return {};
}

Status read_size(const std::string& text, std::uint64_t low, std::uint64_t& bytes) {
  static const std::vector<Unit> units{
      {"", 1},       {"B", 1},         {"kB", 1e3},        {"MB", 1e6},         {"GB", 1e9},          {"K", 1024},
      {"KiB", 1024}, {"M", 1048576.0}, {"MiB", 1048576.0}, {"G", 1073741824.0}, {"GiB", 1073741824.0}};
  double sum = 0;
  if (!read_sum(text, units, sum) || sum < static_cast<double>(low)) {
    return {Code::invalid, "a size of at least " + std::to_string(low) + " bytes such as 65536, 64MiB or 4GiB"};
  }
  bytes = static_cast<std::uint64_t>(sum);
  return {};
}

using Values = const std::vector<std::string>&;

Status pool_number(ConfigDraft& p, Values v, std::uint32_t low, std::uint32_t high, std::uint32_t PoolConfig::*field) {
  std::uint64_t n = 0;
  if (Status s = read_number(v[0], low, high, n); !s.ok()) return s;
  p.pool.*field = static_cast<std::uint32_t>(n);
  return {};
}

Status read_switch(const std::string& text, bool& out) {
  if (text != "true" && text != "false" && text != "1" && text != "0") return {Code::invalid, "true or false"};
  out = text == "true" || text == "1";
  return {};
}

}  // namespace

const std::vector<ConfigGroup>& config_groups() {
  static const std::vector<ConfigGroup> all{
      {"Where",
       "futured --listen ipc:///run/user/1000/work.sock --listen tcp://127.0.0.1:7600",
       {{"listen", "", "ENDPOINT", "ipc:///PATH or tcp://ADDRESS:PORT; repeat it for more", true, ConfigKey::anywhere,
         [](ConfigDraft& p, Values v) -> Status {
           if (v.empty()) return {Code::invalid, "at least one endpoint"};
           p.options.daemon.listen.clear();
           for (const std::string& e : v) {
             const std::string path = ipc_path(e);
             const bool relative = !path.empty() && path[0] != '/' && path[0] != '@' && path != "*";
             if (path.empty() && e.rfind("tcp://", 0) != 0) {
               return {Code::invalid, "ipc:///PATH or tcp://ADDRESS:PORT, not \"" + e + "\""};
             }
             if (path.empty()) {
               // libzmq takes the port modulo 65536.
               const std::string port = e.substr(std::min(e.rfind(':'), e.size() - 1) + 1);
               std::uint64_t n = 0;
               if (port != "*" && port != "!" && !read_number(port, 0, 65535, n).ok()) {
                 return {Code::invalid, "tcp://ADDRESS:PORT with a port from 0 to 65535, not \"" + e + "\""};
               }
             }
             p.options.daemon.listen.push_back(relative ? "ipc://" + absolute(path, p.options.folder) : e);
           }
           return {};
         }},
        {"store", "", "STORE", "memory: tasks and results end with the daemon", false, ConfigKey::anywhere,
         [](ConfigDraft& p, Values v) -> Status {
           if (v[0] != "memory") return {Code::invalid, "\"memory\": only memory is available in this build"};
           p.options.daemon.store = v[0];
           return {};
         }},
        {"store_must_exist", "", "BOOL", "do not create a missing store", false, ConfigKey::anywhere,
         [](ConfigDraft&, Values v) {
           bool ignored = false;  // memory always exists
           return read_switch(v[0], ignored);
         }}}},
      {"Workers",
       "futured --processes 4 --threads 2 --plugin-dir ./plugins",
       {{"processes", "", "N", "worker processes (default: usable CPUs)", false, ConfigKey::anywhere,
         [](ConfigDraft& p, Values v) { return pool_number(p, v, 0, 1024, &PoolConfig::processes); }},
        {"threads", "", "N", "blocking calls at once in each process (default: 1)", false, ConfigKey::anywhere,
         [](ConfigDraft& p, Values v) { return pool_number(p, v, 1, 1024, &PoolConfig::threads); }},
        {"async_slots", "", "N", "asynchronous calls at once in each process (default: 1000)", false,
         ConfigKey::anywhere,
         [](ConfigDraft& p, Values v) { return pool_number(p, v, 0, 100'000, &PoolConfig::async_slots); }},
        {"plugin_dirs", "plugin-dir", "FOLDER", "searched for *.so; repeat it for more", true, ConfigKey::anywhere,
         [](ConfigDraft& p, Values v) -> Status {
           p.options.daemon.plugin_dirs.clear();
           for (const std::string& dir : v) p.options.daemon.plugin_dirs.push_back(absolute(dir, p.options.folder));
           return {};
         }},
        {"worker_program", "", "FILE", "futured-worker, if it is not beside this program", false, ConfigKey::anywhere,
         [](ConfigDraft& p, Values v) -> Status {
           p.options.daemon.worker_program = absolute(v[0], p.options.folder);
           return {};
         }}}},
      {"Limits",
       "futured --payload-limit 16MiB --max-queued-bytes 1GiB --drain-timeout 10s",
       {{"payload_limit", "", "SIZE", "of one input or result (default: 64MiB)", false, ConfigKey::anywhere,
         [](ConfigDraft& p, Values v) -> Status {
           constexpr std::uint64_t most = 64ULL << 20;  // below the frame limit of the protocol
           std::uint64_t n = 0;
           if (Status s = read_size(v[0], 1, n); !s.ok()) return s;
           if (n > most) return {Code::invalid, "at most 64MiB"};
           p.options.daemon.payload_limit = n;
           return {};
         }},
        {"max_queued_tasks", "", "N", "that have not ended (default: 10000000)", false, ConfigKey::anywhere,
         [](ConfigDraft& p, Values v) {
           return read_number(v[0], 1, 1'000'000'000, p.options.daemon.max_queued_tasks);
         }},
        {"max_queued_bytes", "", "SIZE", "of inputs and of results not yet taken (default: 4GiB)", false,
         ConfigKey::anywhere,
         [](ConfigDraft& p, Values v) { return read_size(v[0], 4096, p.options.daemon.max_queued_bytes); }},
        {"drain_timeout", "", "DURATION", "for running tasks at SIGTERM (default: 30s)", false, ConfigKey::anywhere,
         [](ConfigDraft& p, Values v) { return read_duration(v[0], p.options.daemon.drain_timeout_ns); }}}},
      {"Process",
       "futured --config /etc/futured/futured.toml --daemonize --pidfile /run/futured.pid --log-file "
       "/var/log/futured.log",
       {{"config", "", "FILE", "TOML: the same keys with _ for -, [[pool]] and [plugin.NAME]", false,
         ConfigKey::command_line, [](ConfigDraft&, Values) { return Status(); }},
        {"log_level", "", "LEVEL", "trace, debug, info, warning, error or off (default: info)", false,
         ConfigKey::anywhere,
         [](ConfigDraft& p, Values v) -> Status {
           static constexpr std::array<std::string_view, 6> levels{"trace", "debug", "info", "warning", "error", "off"};
           if (std::find(levels.begin(), levels.end(), v[0]) == levels.end()) {
             return {Code::invalid, "trace, debug, info, warning, error or off"};
           }
           p.options.daemon.log_level = v[0];
           return {};
         }},
        {"log_file", "", "FILE", "appended to instead of standard error", false, ConfigKey::anywhere,
         [](ConfigDraft& p, Values v) -> Status {
           p.options.log_file = absolute(v[0], p.options.folder);
           return {};
         }},
        {"pidfile", "", "FILE", "holds the process id while the daemon accepts connections", false, ConfigKey::anywhere,
         [](ConfigDraft& p, Values v) -> Status {
           p.options.pidfile = absolute(v[0], p.options.folder);
           return {};
         }},
        {"daemonize", "", "", "go to the background; return when connections are accepted", false,
         ConfigKey::command_line, [](ConfigDraft& p, Values v) { return read_switch(v[0], p.options.daemonize); }},
        {"check_config", "", "", "read the configuration, say whether it is right, and exit", false,
         ConfigKey::command_line,
         [](ConfigDraft& p, Values v) { return read_switch(v[0], p.options.check_config); }}}}};
  return all;
}

std::string flag_of(const ConfigKey& key) {
  std::string flag(key.flag.empty() ? key.name : key.flag);
  std::replace(flag.begin(), flag.end(), '_', '-');
  return "--" + flag;
}

const ConfigKey* find_config_key(std::string_view name) {
  for (const ConfigGroup& group : config_groups()) {
    for (const ConfigKey& key : group.keys) {
      if (key.name == name) return &key;
    }
  }
  return nullptr;
}

bool is_pool_key(std::string_view name) { return name == "processes" || name == "threads" || name == "async_slots"; }

std::string help_text() {
  std::string out =
      "futured: runs tasks in worker processes and gives their results to clients (fut, or a program with the "
      "library).\n"
      "Usage: futured [FLAG...]\n"
      "Each flag is also a key of the TOML file (_ for -) and a variable FUTURED_KEY; flags beat variables beat the "
      "file.\n";
  for (const ConfigGroup& group : config_groups()) {
    out.append("\n").append(group.title).append("\n");
    for (const ConfigKey& key : group.keys) {
      std::string left("  ");
      left.append(flag_of(key)).append(key.argument.empty() ? "" : " ").append(key.argument);
      if (left.size() < 28) left.resize(28, ' ');
      out.append(left).append("  ").append(key.help).append("\n");
    }
    out.append("  example: ").append(group.example).append("\n");
  }
  out +=
      "\n  --help, --version\n\n"
      "Without --listen the socket is $XDG_RUNTIME_DIR/futured/futured.sock, else "
      "~/.local/state/futured/run/futured.sock\n"
      "(root: /run/futured/futured.sock). SIGTERM lets running tasks finish, a second one does not. SIGHUP reads\n"
      "the configuration file again, as `fut reload` does.\n";
  return out;
}

}  // namespace futured::daemon
