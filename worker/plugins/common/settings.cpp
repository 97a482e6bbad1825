#include "worker/plugins/common/settings.hpp"

#include <nlohmann/json.hpp>
#include <set>

namespace futured::plugins {

struct Settings::State {
  nlohmann::json json;
  std::string error;
  std::set<std::string, std::less<>> known;

  void wrong(const std::string& text) { error += (error.empty() ? "" : "; ") + text; }
  const nlohmann::json* find(const char* key) {
    known.insert(key);
    const auto it = json.find(key);
    return it == json.end() ? nullptr : &*it;
  }
};

Settings::Settings(std::string_view json) : state_(std::make_unique<State>()) {
  state_->json = nlohmann::json::parse(json, nullptr, false);
  if (!state_->json.is_object()) {
    state_->wrong("the plugin's configuration is no table");
    state_->json = nlohmann::json::object();
  }
}

Settings::~Settings() = default;

std::int64_t Settings::integer(const char* key, std::int64_t otherwise, std::int64_t least, std::int64_t most) {
  const auto* value = state_->find(key);
  if (value == nullptr) return otherwise;
  const bool fits = value->is_number_unsigned() ? value->get<std::uint64_t>() <= INT64_MAX : value->is_number_integer();
  if (fits && value->get<std::int64_t>() >= least && value->get<std::int64_t>() <= most) return *value;
  state_->wrong(std::string(key) + " = " + value->dump() + " must be a whole number from " + std::to_string(least) +
                " to " + std::to_string(most));
  return otherwise;
}

double Settings::number(const char* key, double otherwise, double least, double most) {
  const auto* value = state_->find(key);
  if (value == nullptr) return otherwise;
  if (value->is_number() && value->get<double>() >= least && value->get<double>() <= most) return *value;
  state_->wrong(std::string(key) + " = " + value->dump() + " must be a number from " + std::to_string(least) + " to " +
                std::to_string(most));
  return otherwise;
}

bool Settings::flag(const char* key, bool otherwise) {
  const auto* value = state_->find(key);
  if (value == nullptr) return otherwise;
  if (value->is_boolean()) return *value;
  state_->wrong(std::string(key) + " = " + value->dump() + " must be true or false");
  return otherwise;
}

std::string Settings::text(const char* key, const std::string& otherwise) {
  const auto* value = state_->find(key);
  if (value == nullptr) return otherwise;
  if (value->is_string()) return *value;
  state_->wrong(std::string(key) + " = " + value->dump() + " must be a text");
  return otherwise;
}

std::string Settings::error() const {
  std::string error = state_->error;
  std::string names;
  for (const std::string& name : state_->known) names += (names.empty() ? "" : ", ") + name;
  for (const auto& [key, value] : state_->json.items()) {
    if (!state_->known.contains(key)) {
      error += (error.empty() ? "" : "; ") + ("'" + key + "' is no setting of this plugin; there are: " + names);
    }
  }
  return error;
}

}  // namespace futured::plugins
