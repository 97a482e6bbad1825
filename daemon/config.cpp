#include "daemon/config.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "daemon/config_file.hpp"
#include "daemon/process.hpp"
#include "proto/nearest.hpp"

namespace futured::daemon {
namespace {

// --- Values ---

// Each reads one kind of value; the Status completes the sentence "KEY must be ...".
Status read_number(const std::string& text, std::uint64_t low, std::uint64_t high, std::uint64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size() || out < low || out > high) {
    return {Code::invalid, "a whole number from " + std::to_string(low) + " to " + std::to_string(high)};
  }
  return {};
}

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
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
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
  static const std::vector<Unit> units{{"", 1e9}, {"ns", 1},     {"us", 1e3},    {"ms", 1e6},
                                       {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}};
  double sum = 0;
  if (!read_sum(text, units, sum)) return {Code::invalid, "a duration such as 250ms, 30s or 1h30m"};
  ns = static_cast<std::int64_t>(sum);
  return {};
}

Status read_size(const std::string& text, std::uint64_t low, std::uint64_t& bytes) {
  static const std::vector<Unit> units{{"", 1},      {"B", 1},           {"kB", 1e3},         {"MB", 1e6},
                                       {"GB", 1e9},  {"K", 1024},        {"KiB", 1024},       {"M", 1048576.0},
                                       {"MiB", 1048576.0}, {"G", 1073741824.0}, {"GiB", 1073741824.0}};
  double sum = 0;
  if (!read_sum(text, units, sum) || sum < static_cast<double>(low)) {
    return {Code::invalid, "a size of at least " + std::to_string(low) + " bytes such as 65536, 64MiB or 4GiB"};
  }
  bytes = static_cast<std::uint64_t>(sum);
  return {};
}

std::string absolute(const std::string& path) {
  std::error_code error;
  const auto full = std::filesystem::absolute(path, error);
  return path.empty() || error ? path : full.lexically_normal().string();
}

// --- Keys ---

struct Parsed {
  ProgramOptions options;
  // The one pool of a configuration without [[pool]], and who asked for it.
  PoolConfig pool;
  std::string pool_asked_by;
};

struct Key {
  enum Where : std::uint8_t { anywhere, command_line };
  std::string_view name;
  std::string_view flag;      // where it differs from the name
  std::string_view argument;  // for --help; empty: a switch
  std::string_view help;
  bool list = false;
  Where where = anywhere;
  std::function<Status(Parsed&, const std::vector<std::string>&)> apply;
};

using Values = const std::vector<std::string>&;

Status pool_number(Parsed& p, Values v, std::uint32_t low, std::uint32_t high, std::uint32_t PoolConfig::*field) {
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

struct Group {
  std::string_view title;
  std::string_view example;
  std::vector<Key> keys;
};

const std::vector<Group>& groups() {
  static const std::vector<Group> all{
      {"Where",
       "futured --listen ipc:///run/user/1000/work.sock --listen tcp://127.0.0.1:7600",
       {{"listen", "", "ENDPOINT", "ipc:///PATH or tcp://ADDRESS:PORT; repeat it for more", true, Key::anywhere,
         [](Parsed& p, Values v) -> Status {
           if (v.empty()) return {Code::invalid, "at least one endpoint"};
           p.options.daemon.listen.clear();
           for (const std::string& e : v) {
             const std::string path = ipc_path(e);
             const bool relative = !path.empty() && path[0] != '/' && path[0] != '@' && path != "*";
             if (path.empty() && e.rfind("tcp://", 0) != 0) {
               return {Code::invalid, "ipc:///PATH or tcp://ADDRESS:PORT, not \"" + e + "\""};
             }
             p.options.daemon.listen.push_back(relative ? "ipc://" + absolute(path) : e);
           }
           return {};
         }},
        {"store", "", "STORE", "memory: tasks and results end with the daemon", false, Key::anywhere,
         [](Parsed& p, Values v) -> Status {
           if (v[0] != "memory") return {Code::invalid, "\"memory\": only memory is available in this build"};
           p.options.daemon.store = v[0];
           return {};
         }},
        {"store_must_exist", "", "BOOL", "do not create a missing store", false, Key::anywhere,
         [](Parsed&, Values v) {
           bool ignored = false;  // memory always exists
           return read_switch(v[0], ignored);
         }}}},
      {"Workers",
       "futured --processes 4 --threads 2 --plugin-dir ./plugins",
       {{"processes", "", "N", "worker processes (default: usable CPUs)", false, Key::anywhere,
         [](Parsed& p, Values v) { return pool_number(p, v, 0, 1024, &PoolConfig::processes); }},
        {"threads", "", "N", "blocking calls at once in each process (default: 1)", false, Key::anywhere,
         [](Parsed& p, Values v) { return pool_number(p, v, 1, 1024, &PoolConfig::threads); }},
        {"async_slots", "", "N", "asynchronous calls at once in each process (default: 1000)", false, Key::anywhere,
         [](Parsed& p, Values v) { return pool_number(p, v, 0, 100'000, &PoolConfig::async_slots); }},
        {"plugin_dirs", "plugin-dir", "FOLDER", "searched for *.so; repeat it for more", true, Key::anywhere,
         [](Parsed& p, Values v) -> Status {
           p.options.daemon.plugin_dirs.clear();
           for (const std::string& dir : v) p.options.daemon.plugin_dirs.push_back(absolute(dir));
           return {};
         }},
        {"worker_program", "", "FILE", "futured-worker, if it is not beside this program", false, Key::anywhere,
         [](Parsed& p, Values v) -> Status {
           p.options.daemon.worker_program = absolute(v[0]);
           return {};
         }}}},
      {"Limits",
       "futured --payload-limit 16MiB --max-queued-bytes 1GiB --drain-timeout 10s",
       {{"payload_limit", "", "SIZE", "of one input or result (default: 64MiB)", false, Key::anywhere,
         [](Parsed& p, Values v) -> Status {
           constexpr std::uint64_t most = 64ULL << 20;  // below the frame limit of the protocol
           std::uint64_t n = 0;
           if (Status s = read_size(v[0], 1, n); !s.ok()) return s;
           if (n > most) return {Code::invalid, "at most 64MiB"};
           p.options.daemon.payload_limit = n;
           return {};
         }},
        {"max_queued_tasks", "", "N", "that have not ended (default: 10000000)", false, Key::anywhere,
         [](Parsed& p, Values v) {
           return read_number(v[0], 1, 1'000'000'000, p.options.daemon.max_queued_tasks);
         }},
        {"max_queued_bytes", "", "SIZE", "of inputs and of results not yet taken (default: 4GiB)", false, Key::anywhere,
         [](Parsed& p, Values v) { return read_size(v[0], 4096, p.options.daemon.max_queued_bytes); }},
        {"drain_timeout", "", "DURATION", "for running tasks at SIGTERM (default: 30s)", false, Key::anywhere,
         [](Parsed& p, Values v) { return read_duration(v[0], p.options.daemon.drain_timeout_ns); }}}},
      {"Process",
       "futured --config /etc/futured/futured.toml --daemonize --pidfile /run/futured.pid --log-file /var/log/futured.log",
       {{"config", "", "FILE", "TOML: the same keys with _ for -, [[pool]] and [plugin.NAME]", false,
         Key::command_line, [](Parsed&, Values) { return Status(); }},
        {"log_level", "", "LEVEL", "trace, debug, info, warning, error or off (default: info)", false, Key::anywhere,
         [](Parsed& p, Values v) -> Status {
           static constexpr std::array<std::string_view, 6> levels{"trace", "debug", "info", "warning", "error", "off"};
           if (std::find(levels.begin(), levels.end(), v[0]) == levels.end()) {
             return {Code::invalid, "trace, debug, info, warning, error or off"};
           }
           p.options.daemon.log_level = v[0];
           return {};
         }},
        {"log_file", "", "FILE", "appended to instead of standard error", false, Key::anywhere,
         [](Parsed& p, Values v) -> Status {
           p.options.log_file = absolute(v[0]);
           return {};
         }},
        {"pidfile", "", "FILE", "holds the process id while the daemon accepts connections", false, Key::anywhere,
         [](Parsed& p, Values v) -> Status {
           p.options.pidfile = absolute(v[0]);
           return {};
         }},
        {"daemonize", "", "", "go to the background; return when connections are accepted", false, Key::command_line,
         [](Parsed& p, Values v) { return read_switch(v[0], p.options.daemonize); }},
        {"check_config", "", "", "read the configuration, say whether it is right, and exit", false, Key::command_line,
         [](Parsed& p, Values v) { return read_switch(v[0], p.options.check_config); }}}}};
  return all;
}

std::string flag_of(const Key& key) {
  std::string flag(key.flag.empty() ? key.name : key.flag);
  std::replace(flag.begin(), flag.end(), '_', '-');
  return "--" + flag;
}

const Key* find_key(std::string_view name) {
  for (const Group& group : groups()) {
    for (const Key& key : group.keys) {
      if (key.name == name) return &key;
    }
  }
  return nullptr;
}

std::string did_you_mean(const std::string& nearest) { return nearest.empty() ? "" : "; did you mean " + nearest + "?"; }

bool is_pool_key(std::string_view name) { return name == "processes" || name == "threads" || name == "async_slots"; }

Status apply(Parsed& parsed, const Setting& setting) {
  const Key* key = find_key(setting.key);
  if (key == nullptr || key->where == Key::command_line) {
    // A table is flattened to "table.key"; the message speaks of the table.
    const std::string name = setting.key.substr(0, setting.key.find('.'));
    if (key != nullptr) return {Code::invalid, setting.where + ": `" + name + "` can only be a flag: " + flag_of(*key)};
    std::vector<std::string> names{"pool", "plugin"};
    for (const Group& group : groups()) {
      for (const Key& k : group.keys) {
        if (k.where == Key::anywhere) names.emplace_back(k.name);
      }
    }
    const std::string near = nearest(name, names);
    return {Code::invalid,
            setting.where + ": there is no key `" + name + "`" + (near.empty() ? "" : did_you_mean("`" + near + "`"))};
  }
  if (!key->list && (setting.array || setting.values.size() != 1)) {
    return {Code::invalid, setting.where + ": `" + setting.key + "` takes one value, not a list"};
  }
  if (is_pool_key(key->name)) parsed.pool_asked_by = setting.where;
  if (Status s = key->apply(parsed, setting.values); !s.ok()) {
    const std::string given = setting.values.size() == 1 ? ", not \"" + setting.values[0] + "\"" : "";
    return {s.code(), setting.where + ": `" + setting.key + "` must be " + s.message() +
                          (s.message().find("not \"") == std::string::npos ? given : "")};
  }
  return {};
}

// --- Pools ---

Status read_pool(const std::vector<Setting>& settings, const std::string& where, PoolConfig& pool) {
  static const std::vector<std::string> keys{"name", "processes", "threads", "async_slots", "plugins"};
  pool.processes = 1;
  std::string name;
  std::optional<std::uint64_t> low;
  std::uint64_t high = 1024;
  for (const Setting& s : settings) {
    const std::string base = s.key.substr(0, s.key.find('.'));
    const bool range = s.key == "processes.min" || s.key == "processes.max";
    if (std::find(keys.begin(), keys.end(), s.key) == keys.end() && !range) {
      const std::string near = s.key == base ? nearest(s.key, keys) : "";
      return {Code::invalid, s.where + ": a pool has no key `" + s.key + "`" +
                                 (near.empty() ? (base == "processes" ? "; a range is { min = 1, max = 8 }" : "")
                                               : did_you_mean("`" + near + "`"))};
    }
    if (s.array != (s.key == "plugins")) {
      return {Code::invalid,
              s.where + ": `" + s.key + "` takes " + (s.array ? "one value, not a list" : "a list: [\"" + s.values[0] + "\"]")};
    }
    std::uint64_t n = 0;
    Status status;
    if (s.key == "name") {
      name = s.values[0];
      if (name.empty() || name.size() > 64 ||
          name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") !=
              std::string::npos) {
        status = {Code::invalid, "1 to 64 of A-Z a-z 0-9 _ . -"};
      }
    } else if (s.key == "plugins") {
      pool.plugins = s.values;
    } else if (s.key == "threads") {
      status = read_number(s.values[0], 1, 1024, n);
      pool.threads = static_cast<std::uint32_t>(n);
    } else if (s.key == "async_slots") {
      status = read_number(s.values[0], 0, 100'000, n);
      pool.async_slots = static_cast<std::uint32_t>(n);
    } else {
      status = read_number(s.values[0], 0, 1024, n);
      if (s.key == "processes.max") {
        high = n;
      } else {
        low = n;
      }
    }
    if (!status.ok()) {
      return {status.code(), s.where + ": `" + s.key + "` must be " + status.message() + ", not \"" + s.values[0] + "\""};
    }
  }
  if (name.empty()) return {Code::invalid, where + ": this pool has no `name`"};
  pool.name = name;
  if (low.value_or(0) > high) return {Code::invalid, where + ": pool \"" + name + "\": processes.min is above processes.max"};
  if (low) pool.processes = static_cast<std::uint32_t>(*low);
  return {};
}

std::uint32_t usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<std::uint32_t>(std::clamp(CPU_COUNT(&set), 1, 1024));
}

// --- Layers ---

Status read_flags(const std::vector<std::string>& arguments, std::vector<Setting>& out, std::string& text) {
  std::vector<std::string> names{"--help", "--version"};
  for (const Group& group : groups()) {
    for (const Key& key : group.keys) names.push_back(flag_of(key));
  }
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    const std::size_t equals = word.find('=');
    const std::string flag = word.substr(0, equals);
    if (flag == "--help" || flag == "-h") {
      text = "help";
      return {};
    }
    if (flag == "--version") {
      text = "version";
      return {};
    }
    const Key* found = nullptr;
    for (const Group& group : groups()) {
      for (const Key& key : group.keys) {
        if (flag_of(key) == flag) found = &key;
      }
    }
    if (found == nullptr) {
      if (word.rfind("--", 0) != 0) return {Code::invalid, "what is \"" + word + "\"? There are only flags; see futured --help"};
      const std::string near = nearest(flag, names);
      return {Code::invalid, "there is no flag " + flag + (near.empty() ? "; see futured --help" : did_you_mean(near))};
    }
    std::string value = "true";
    if (equals != std::string::npos) {
      value = word.substr(equals + 1);
    } else if (!found->argument.empty()) {
      if (i + 1 == arguments.size()) {
        return {Code::invalid, flag + " needs a value: " + flag + " " + std::string(found->argument)};
      }
      value = arguments[++i];
    }
    const auto same = [&](const Setting& s) { return s.key == found->name; };
    const auto before = std::find_if(out.begin(), out.end(), same);
    if (before == out.end()) {
      out.push_back({std::string(found->name), {value}, found->list, flag});
    } else if (found->list) {
      before->values.push_back(value);
    } else {
      before->values = {value};  // the last one counts
    }
  }
  return {};
}

void read_environment(const char* const* environment, std::vector<Setting>& out) {
  const auto value_of = [environment](const std::string& name) -> const char* {
    for (const char* const* e = environment; e != nullptr && *e != nullptr; ++e) {
      const std::string_view entry(*e);
      if (entry.size() > name.size() && entry.substr(0, name.size()) == name && entry[name.size()] == '=') {
        return *e + name.size() + 1;
      }
    }
    return nullptr;
  };
  for (const Group& group : groups()) {
    for (const Key& key : group.keys) {
      if (key.where == Key::command_line && key.name != "config") continue;
      std::vector<std::string> names{std::string(key.name)};
      if (!key.flag.empty()) names.emplace_back(key.flag);
      for (std::string name : names) {
        std::replace(name.begin(), name.end(), '-', '_');
        std::transform(name.begin(), name.end(), name.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
        name = "FUTURED_" + name;
        const char* value = value_of(name);
        if (value == nullptr || *value == '\0') continue;
        Setting setting{std::string(key.name), {}, key.list, name};
        std::string_view rest(value);
        const char separator = key.name == "plugin_dirs" ? ':' : ',';
        while (key.list && rest.find(separator) != std::string_view::npos) {
          setting.values.emplace_back(rest.substr(0, rest.find(separator)));
          rest.remove_prefix(rest.find(separator) + 1);
        }
        setting.values.emplace_back(rest);
        out.push_back(std::move(setting));
        break;
      }
    }
  }
}

std::string help() {
  std::string out =
      "futured: runs tasks in worker processes and gives their results to clients (fut, or a program with the library).\n"
      "Usage: futured [FLAG...]\n"
      "Each flag is also a key of the TOML file (_ for -) and a variable FUTURED_KEY; flags beat variables beat the file.\n";
  for (const Group& group : groups()) {
    out += "\n" + std::string(group.title) + "\n";
    for (const Key& key : group.keys) {
      std::string left = "  " + flag_of(key) + (key.argument.empty() ? "" : " " + std::string(key.argument));
      if (left.size() < 28) left.resize(28, ' ');
      out += left + "  " + std::string(key.help) + "\n";
    }
    out += "  example: " + std::string(group.example) + "\n";
  }
  out +=
      "\n  --help, --version\n\n"
      "Without --listen the socket is $XDG_RUNTIME_DIR/futured/futured.sock, else ~/.local/state/futured/run/futured.sock\n"
      "(root: /run/futured/futured.sock). SIGTERM lets running tasks finish, a second one does not; SIGHUP reloads.\n";
  return out;
}

std::string program_folder() {
  std::array<char, PATH_MAX> path{};
  const ssize_t n = readlink("/proc/self/exe", path.data(), path.size() - 1);
  return n > 0 ? std::filesystem::path(std::string(path.data(), static_cast<std::size_t>(n))).parent_path().string() : "";
}

}  // namespace

Result<ProgramOptions> parse_options(const std::vector<std::string>& arguments, const char* const* environment) {
  std::vector<Setting> flags;
  std::vector<Setting> variables;
  Parsed parsed;
  if (Status s = read_flags(arguments, flags, parsed.options.text); !s.ok()) return s;
  if (!parsed.options.text.empty()) {
    parsed.options.text = parsed.options.text == "help" ? help() : "futured " FUTURED_VERSION "\n";
    return parsed.options;
  }
  read_environment(environment, variables);

  std::string path;
  for (const std::vector<Setting>* layer : {&variables, &flags}) {
    for (const Setting& s : *layer) {
      if (s.key == "config") path = s.values.back();
    }
  }
  ConfigFile file;
  if (!path.empty()) {
    auto read = read_config_file(path);
    if (!read) return read.status();
    file = std::move(*read);
    parsed.options.config_file = absolute(path);
  }

  parsed.pool.processes = usable_cpus();
  for (const Setting& s : file.settings) {
    if (Status status = apply(parsed, s); !status.ok()) return status;
  }
  for (const std::vector<Setting>* layer : {&variables, &flags}) {
    for (const Setting& s : *layer) {
      if (s.key == "config") continue;
      // A switch is known to the command line only, and read_flags() made it.
      const Key* key = find_key(s.key);
      if (key->where == Key::command_line) {
        if (Status status = key->apply(parsed, s.values); !status.ok()) {
          return Status(status.code(), s.where + " must be " + status.message());
        }
      } else if (Status status = apply(parsed, s); !status.ok()) {
        return status;
      }
    }
  }

  DaemonConfig& daemon = parsed.options.daemon;
  daemon.handle_signals = true;
  daemon.plugin_config = std::move(file.plugin_config);
  if (file.pools.empty()) {
    daemon.pools.push_back(parsed.pool);
  } else {
    if (!parsed.pool_asked_by.empty()) {
      return Status(Code::invalid, parsed.pool_asked_by + " describes the one pool of a configuration without [[pool]], but " +
                                       file.pool_where[0] + " has one; set it there");
    }
    for (std::size_t i = 0; i < file.pools.size(); ++i) {
      PoolConfig pool;
      if (Status s = read_pool(file.pools[i], file.pool_where[i], pool); !s.ok()) return s;
      for (const PoolConfig& other : daemon.pools) {
        if (other.name == pool.name) {
          return Status(Code::invalid, file.pool_where[i] + ": there are two pools \"" + pool.name + "\"");
        }
      }
      daemon.pools.push_back(std::move(pool));
    }
  }
  if (parsed.options.daemonize && daemon.log_level != "off" && parsed.options.log_file.empty() &&
      !parsed.options.check_config) {
    daemon.log_level = "off";  // standard error leads nowhere
  }
  return parsed.options;
}

std::string start_line(const DaemonConfig& config, const std::vector<std::string>& endpoints, std::size_t task_types) {
  std::string line = "futured " FUTURED_VERSION " (pid " + std::to_string(getpid()) + ") listens on ";
  if (endpoints.empty()) line += "nothing";
  for (std::size_t i = 0; i < endpoints.size(); ++i) line += (i == 0 ? "" : ", ") + endpoints[i];
  line += "; store: " + config.store + " (tasks and results are lost when it exits); pools: ";
  if (config.pools.empty()) line += "none";
  for (std::size_t i = 0; i < config.pools.size(); ++i) {
    const PoolConfig& p = config.pools[i];
    line += (i == 0 ? "" : ", ") + p.name + " (" + std::to_string(p.processes) + " x " + std::to_string(p.threads) +
            " threads, " + std::to_string(p.async_slots) + " async slots)";
  }
  return line + "; " + std::to_string(task_types) + " task types";
}

Result<std::string> find_worker_program() {
  constexpr std::string_view name = "/futured-worker";
  std::vector<std::string> places;
  if (const char* named = std::getenv("FUTURED_WORKER"); named != nullptr && *named != '\0') {
    places.emplace_back(named);  // said so explicitly: nothing else will do
  } else {
    const std::string own = program_folder();
    places.push_back(own + std::string(name));
    places.push_back(own + "/../libexec/futured" + std::string(name));
    places.push_back(FUTURED_LIBEXECDIR + std::string(name));
    places.push_back(FUTURED_BINDIR + std::string(name));
  }
  std::string looked;
  for (const std::string& place : places) {
    if (access(place.c_str(), X_OK) == 0) return absolute(place);
    looked += (looked.empty() ? "" : ", ") + place;
  }
  return Status(Code::not_found,
                "found no futured-worker to run (looked at " + looked + "); name it with FUTURED_WORKER or worker_program");
}

std::vector<std::string> default_plugin_dirs(const std::string& worker_program) {
  std::vector<std::string> places;
  std::vector<std::string> folders{program_folder()};
  if (!worker_program.empty()) folders.push_back(std::filesystem::path(worker_program).parent_path().string());
  for (const std::string& folder : folders) {
    if (folder.empty()) continue;
    places.push_back(folder + "/../plugins");
    places.push_back(folder + "/../lib/futured/plugins");
  }
  places.emplace_back(FUTURED_PLUGINDIR);
  for (const std::string& place : places) {
    std::error_code error;
    if (std::filesystem::is_directory(place, error)) return {absolute(place)};
  }
  return {};
}

}  // namespace futured::daemon
