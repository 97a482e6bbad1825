// A JSON value that keeps the order of its members and whole 64-bit integers. A plain value: any thread, no state.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "proto/status.hpp"

namespace futured::schema {

inline constexpr std::size_t kMaxJsonDepth = 128;

class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;

  Json() = default;  ///< null
  template <std::same_as<bool> T>
  Json(T value) : v_(value) {}  // NOLINT(google-explicit-constructor)
  template <std::integral T>
  requires(!std::same_as<T, bool>) Json(T value) {  // NOLINT(google-explicit-constructor)
    if constexpr (std::is_signed_v<T>) {
      v_ = static_cast<std::int64_t>(value);
    } else {
      v_ = static_cast<std::uint64_t>(value);
    }
  }
  Json(double value) : v_(value) {}                         // NOLINT(google-explicit-constructor)
  Json(std::string value) : v_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Json(std::string_view value) : v_(std::string(value)) {}  // NOLINT(google-explicit-constructor)
  Json(const char* value) : v_(std::string(value)) {}       // NOLINT(google-explicit-constructor)
  Json(Array value) : v_(std::move(value)) {}               // NOLINT(google-explicit-constructor)
  Json(Object value) : v_(std::move(value)) {}              // NOLINT(google-explicit-constructor)
  static Json array() { return Json(Array{}); }
  static Json object() { return Json(Object{}); }

  bool is_null() const { return std::holds_alternative<std::monostate>(v_); }
  /// The value if it is of that type, else null.
  const bool* boolean() const { return std::get_if<bool>(&v_); }
  const std::int64_t* signed_integer() const { return std::get_if<std::int64_t>(&v_); }
  const std::uint64_t* unsigned_integer() const { return std::get_if<std::uint64_t>(&v_); }
  const double* real() const { return std::get_if<double>(&v_); }
  const std::string* text() const { return std::get_if<std::string>(&v_); }
  const Array* items() const { return std::get_if<Array>(&v_); }
  Array* items() { return std::get_if<Array>(&v_); }
  const Object* members() const { return std::get_if<Object>(&v_); }
  Object* members() { return std::get_if<Object>(&v_); }

  /// The member of that name; null if there is none or this is no object.
  const Json* find(std::string_view name) const;
  Json* find(std::string_view name);
  /// Appends to an array; a null becomes one first.
  Json& push(Json value);
  /// Appends a member, without looking for one of that name; a null becomes an object first. Returns this object.
  Json& add(std::string name, Json value);
  /// Changes the member of that name, or appends it.
  Json& set(std::string_view name, Json value);

  /// What a message calls it: "null", "a number", "an object" ...
  std::string_view kind() const;

  /// On one line. Text that is not UTF-8 is repaired with U+FFFD; infinities and NaN become strings.
  std::string dump() const;
  void dump_to(std::string& out) const;

  /// Invalid: where and why. Refuses a member given twice, more than kMaxJsonDepth levels, and text that is not UTF-8.
  static Result<Json> parse(std::string_view text);

 private:
  std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, Array, Object> v_;
};

bool is_utf8(std::string_view bytes);

/// Bytes as JSON: a string if they are UTF-8, else {"bytes": BASE64}.
Json json_of_bytes(std::string_view bytes);
/// The inverse. Invalid if `value` is neither.
Result<std::string> bytes_of_json(const Json& value);

std::string to_base64(std::string_view bytes);
/// With or without padding, standard or URL alphabet. Invalid: not base64.
Result<std::string> from_base64(std::string_view text);

}  // namespace futured::schema
