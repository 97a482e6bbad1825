// A TOML file as plain settings: structure and types are checked here, meaning in config.cpp. The only user of toml++.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "proto/status.hpp"

namespace futured::daemon {

/// One key with its value(s) as text, whichever layer it came from.
struct Setting {
  std::string key;
  std::vector<std::string> values;  ///< an array has any number, everything else one
  bool array = false;
  std::string where;  ///< "futured.toml:3", "--listen", "FUTURED_LISTEN"
};

struct ConfigFile {
  std::vector<Setting> settings;
  std::vector<std::vector<Setting>>
      pools;                            ///< one list for each [[pool]]; `processes = {min, max}` is processes.min, .max
  std::vector<std::string> pool_where;  ///< "futured.toml:7" for each of them
  std::vector<std::pair<std::string, std::string>> plugin_config;  ///< [plugin.NAME] as JSON text
};

/// Invalid: unreadable, not TOML, or a value of a kind no key has; the text names file:line.
Result<ConfigFile> read_config_file(const std::string& path);

}  // namespace futured::daemon
