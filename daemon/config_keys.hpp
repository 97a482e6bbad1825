// The keys of the configuration: what each is called, what it means and how its text becomes a value. One table serves
// flags, environment, file and --help. Pure, main thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/config.hpp"

namespace futured::daemon {

struct ConfigDraft {
  ProgramOptions options;
  // The one pool of a configuration without [[pool]], and who asked for it.
  PoolConfig pool;
  std::string pool_asked_by;
};

struct ConfigKey {
  enum Where : std::uint8_t { anywhere, command_line };
  std::string_view name;
  std::string_view flag;      // where it differs from the name
  std::string_view argument;  // for --help; empty: a switch
  std::string_view help;
  bool list = false;
  Where where = anywhere;
  std::function<Status(ConfigDraft&, const std::vector<std::string>&)> apply;
};

struct ConfigGroup {
  std::string_view title;
  std::string_view example;
  std::vector<ConfigKey> keys;
};

const std::vector<ConfigGroup>& config_groups();
/// Null: there is no such key.
const ConfigKey* find_config_key(std::string_view name);
/// "--plugin-dir"
std::string flag_of(const ConfigKey& key);
/// Is it part of the one pool of a configuration without [[pool]]?
bool is_pool_key(std::string_view name);
/// The text of --help.
std::string help_text();

/// The Status completes the sentence "KEY must be ...".
Status read_number(const std::string& text, std::uint64_t low, std::uint64_t high, std::uint64_t& out);
/// 1 to 64 of A-Z a-z 0-9 _ . -
bool is_name(std::string_view text);
/// A relative path starts at `folder`; an empty path stays empty.
std::string absolute(const std::string& path, const std::string& folder);

}  // namespace futured::daemon
