// The configuration of a plugin: the JSON text given to init, read key by key. One thread. Wrong types, values out of
// range and keys nobody asked for are collected and told together by error().
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace futured::plugins {

class Settings {
 public:
  explicit Settings(std::string_view json);
  ~Settings();
  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;

  std::int64_t integer(const char* key, std::int64_t otherwise, std::int64_t least, std::int64_t most);
  double number(const char* key, double otherwise, double least, double most);
  bool flag(const char* key, bool otherwise);
  std::string text(const char* key, const std::string& otherwise);

  /// After all keys were read: empty if all is well.
  std::string error() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace futured::plugins
