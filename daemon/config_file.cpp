#include "daemon/config_file.hpp"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string_view>
#include <system_error>

namespace futured::daemon {
namespace {

std::string place(const std::string& file, const toml::node& node) {
  return file + ":" + std::to_string(node.source().begin.line);
}

std::optional<std::string> scalar(const toml::node& node) {
  if (const auto* s = node.as_string()) return s->get();
  if (const auto* i = node.as_integer()) return std::to_string(i->get());
  if (const auto* b = node.as_boolean()) return b->get() ? "true" : "false";
  if (const auto* f = node.as_floating_point()) {
    std::ostringstream out;
    out << f->get();
    return out.str();
  }
  return std::nullopt;
}

// A scalar, an array of scalars, or (in a pool) the table of a range.
Status read_setting(const std::string& file, const std::string& key, const toml::node& node,
                    std::vector<Setting>& into) {
  Setting setting{key, {}, false, place(file, node)};
  if (auto text = scalar(node)) {
    setting.values.push_back(std::move(*text));
  } else if (const auto* array = node.as_array()) {
    setting.array = true;
    for (const toml::node& element : *array) {
      auto word = scalar(element);
      if (!word) return {Code::invalid, place(file, element) + ": `" + key + "` is a list of plain values"};
      setting.values.push_back(std::move(*word));
    }
  } else if (const auto* table = node.as_table()) {
    for (const auto& [name, value] : *table) {
      if (Status s = read_setting(file, key + "." + std::string(name.str()), value, into); !s.ok()) return s;
    }
    return {};
  } else {
    return {Code::invalid, place(file, node) + ": `" + key + "` has a value of a kind that no key has"};
  }
  into.push_back(std::move(setting));
  return {};
}

}  // namespace

Result<ConfigFile> read_config_file(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return Status(Code::invalid, path + " is a folder; name the configuration file in it");
  }
  std::ifstream stream(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  if (!stream || stream.bad()) return Status(Code::invalid, "cannot read the configuration file " + path);
  const toml::parse_result parsed = toml::parse(text, path);
  if (!parsed) {
    const toml::parse_error& e = parsed.error();
    return Status(Code::invalid,
                  path + ":" + std::to_string(e.source().begin.line) + ": " + std::string(e.description()));
  }
  ConfigFile out;
  for (const auto& [name, node] : parsed.table()) {
    const std::string key(name.str());
    if (key == "pool") {
      const auto* pools = node.as_array();
      if (pools == nullptr || !pools->is_homogeneous(toml::node_type::table)) {
        return Status(Code::invalid, place(path, node) + ": a pool is written [[pool]], with two brackets");
      }
      for (const toml::node& pool : *pools) {
        std::vector<Setting> settings;
        for (const auto& [pool_key, value] : *pool.as_table()) {
          if (Status s = read_setting(path, std::string(pool_key.str()), value, settings); !s.ok()) return s;
        }
        out.pools.push_back(std::move(settings));
        out.pool_where.push_back(place(path, pool));
      }
    } else if (key == "plugin") {
      const auto* plugins = node.as_table();
      if (plugins == nullptr) {
        return Status(Code::invalid, place(path, node) + ": a plugin's settings are written [plugin.NAME]");
      }
      for (const auto& [plugin, value] : *plugins) {
        const auto* table = value.as_table();
        if (table == nullptr) {
          return Status(Code::invalid, place(path, value) + ": a plugin's settings are written [plugin.NAME]");
        }
        std::ostringstream json;
        json << toml::json_formatter{*table, toml::format_flags::quote_dates_and_times};
        out.plugin_config.emplace_back(std::string(plugin.str()), json.str());
      }
    } else if (Status s = read_setting(path, key, node, out.settings); !s.ok()) {
      return s;
    }
  }
  return out;
}

}  // namespace futured::daemon
