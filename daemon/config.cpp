#include "daemon/config.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "daemon/config_file.hpp"
#include "daemon/config_keys.hpp"
#include "proto/nearest.hpp"

namespace futured::daemon {
namespace {

std::string did_you_mean(const std::string& nearest) {
  return nearest.empty() ? "" : "; did you mean " + nearest + "?";
}

Status apply(ConfigDraft& parsed, const Setting& setting) {
  const ConfigKey* key = find_config_key(setting.key);
  if (key == nullptr || key->where == ConfigKey::command_line) {
    // A table is flattened to "table.key"; the message speaks of the table.
    const std::string name = setting.key.substr(0, setting.key.find('.'));
    if (key != nullptr) return {Code::invalid, setting.where + ": `" + name + "` can only be a flag: " + flag_of(*key)};
    std::vector<std::string> names{"pool", "plugin"};
    for (const ConfigGroup& group : config_groups()) {
      for (const ConfigKey& k : group.keys) {
        if (k.where == ConfigKey::anywhere) names.emplace_back(k.name);
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
      return {Code::invalid, s.where + ": `" + s.key + "` takes " +
                                 (s.array ? "one value, not a list" : "a list: [\"" + s.values[0] + "\"]")};
    }
    std::uint64_t n = 0;
    Status status;
    if (s.key == "name") {
      name = s.values[0];
      if (!is_name(name)) {
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
      return {status.code(),
              s.where + ": `" + s.key + "` must be " + status.message() + ", not \"" + s.values[0] + "\""};
    }
  }
  if (name.empty()) return {Code::invalid, where + ": this pool has no `name`"};
  pool.name = name;
  if (low.value_or(0) > high)
    return {Code::invalid, where + ": pool \"" + name + "\": processes.min is above processes.max"};
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
  for (const ConfigGroup& group : config_groups()) {
    for (const ConfigKey& key : group.keys) names.push_back(flag_of(key));
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
    const ConfigKey* found = nullptr;
    for (const ConfigGroup& group : config_groups()) {
      for (const ConfigKey& key : group.keys) {
        if (flag_of(key) == flag) found = &key;
      }
    }
    if (found == nullptr) {
      if (word.rfind("--", 0) != 0)
        return {Code::invalid, "what is \"" + word + "\"? There are only flags; see futured --help"};
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
  for (const ConfigGroup& group : config_groups()) {
    for (const ConfigKey& key : group.keys) {
      if (key.where == ConfigKey::command_line && key.name != "config") continue;
      std::vector<std::string> names{std::string(key.name)};
      if (!key.flag.empty()) names.emplace_back(key.flag);
      for (std::string name : names) {
        std::replace(name.begin(), name.end(), '-', '_');
        std::transform(name.begin(), name.end(), name.begin(),
                       [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
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

std::string working_folder() {
  std::error_code error;
  return std::filesystem::current_path(error).string();
}

std::string program_folder() {
  std::array<char, PATH_MAX> path{};
  const ssize_t n = readlink("/proc/self/exe", path.data(), path.size() - 1);
  return n > 0 ? std::filesystem::path(std::string(path.data(), static_cast<std::size_t>(n))).parent_path().string()
               : "";
}

}  // namespace

Result<ProgramOptions> parse_options(const std::vector<std::string>& arguments, const char* const* environment,
                                     const std::string& folder) {
  std::vector<Setting> flags;
  std::vector<Setting> variables;
  ConfigDraft parsed;
  parsed.options.folder = folder.empty() ? working_folder() : folder;
  if (Status s = read_flags(arguments, flags, parsed.options.text); !s.ok()) return s;
  if (!parsed.options.text.empty()) {
    parsed.options.text = parsed.options.text == "help" ? help_text() : "futured " FUTURED_VERSION "\n";
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
    parsed.options.config_file = absolute(path, parsed.options.folder);
    auto read = read_config_file(folder.empty() ? path : parsed.options.config_file);
    if (!read) return read.status();
    file = std::move(*read);
  }

  parsed.pool.processes = usable_cpus();
  for (const Setting& s : file.settings) {
    if (Status status = apply(parsed, s); !status.ok()) return status;
  }
  for (const std::vector<Setting>* layer : {&variables, &flags}) {
    for (const Setting& s : *layer) {
      if (s.key == "config") continue;
      // A switch is known to the command line only, and read_flags() made it.
      const ConfigKey* key = find_config_key(s.key);
      if (key->where == ConfigKey::command_line) {
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
      return Status(Code::invalid, parsed.pool_asked_by +
                                       " describes the one pool of a configuration without [[pool]], but " +
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

Result<DaemonConfig> read_again(const std::vector<std::string>& arguments, const char* const* environment,
                                const ProgramOptions& start, std::vector<std::string>& others) {
  auto read = parse_options(arguments, environment, start.folder);
  if (!read) return read.status();
  if (read->log_file != start.log_file) others.emplace_back("log_file");
  if (read->pidfile != start.pidfile) others.emplace_back("pidfile");
  if (read->daemon.listen.empty() && start.listens_by_default) read->daemon.listen = start.daemon.listen;
  return std::move(read->daemon);
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
    if (access(place.c_str(), X_OK) == 0) return absolute(place, working_folder());
    looked += (looked.empty() ? "" : ", ") + place;
  }
  return Status(Code::not_found, "found no futured-worker to run (looked at " + looked +
                                     "); name it with FUTURED_WORKER or worker_program");
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
    if (std::filesystem::is_directory(place, error)) return {absolute(place, working_folder())};
  }
  return {};
}

}  // namespace futured::daemon
