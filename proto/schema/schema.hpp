// What a plugin says about its messages, at run time: a FileDescriptorSet from a stranger, and messages of it to and
// from JSON. A Schema is immutable: any thread, for as long as someone holds it. Each has a pool and a factory of its
// own, so that two plugins may use the same names. Nothing a descriptor or a message holds may bring the process down:
// sizes, numbers and depths are bounded and the reason is in the Status.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proto/schema/json.hpp"
#include "proto/status.hpp"

namespace futured::schema {

inline constexpr std::size_t kMaxSchemaBytes = 1 << 20;
inline constexpr int kMaxSchemaFiles = 256;
inline constexpr std::size_t kMaxMessageBytes = 256U << 20;
inline constexpr std::size_t kMaxJsonValues = 4'000'000;  ///< of one message: small bytes may become many values

/// One field, as `fut catalog TASK` shows it.
struct Field {
  std::string name;
  std::string type;                  ///< "string", "int64", "bytes" ...; the full name for enums and messages
  std::string label;                 ///< "", "repeated", "required", "optional" or "map"
  std::string fallback;              ///< explicit default of proto2, as text; else empty
  std::string oneof;                 ///< of which at most one may be set
  std::string comment;               ///< if the descriptors carry their source
  std::vector<std::string> choices;  ///< names of an enum's values
  std::vector<Field> fields;         ///< of a message, one level deep
};

class Schema {
 public:
  /// Invalid: not a FileDescriptorSet with all its imports, or beyond the bounds above.
  static Result<std::shared_ptr<const Schema>> load(std::string_view descriptor_set);
  ~Schema();
  Schema(const Schema&) = delete;
  Schema& operator=(const Schema&) = delete;

  /// Not found: no message of that full name.
  Result<std::vector<Field>> fields(std::string_view message) const;
  /// All fields under the names of the .proto: 64-bit integers are numbers, bytes are strings if they are UTF-8, else
  /// {"bytes": BASE64}, enums their names. What is not set has its default; a message, a member of a oneof or a proto3
  /// `optional` that is not set is null.
  Result<Json> decode(std::string_view message, std::string_view bytes) const;
  /// The inverse of decode. Invalid: names the field, and the nearest that exists.
  Result<std::string> encode(std::string_view message, const Json& value) const;

 private:
  friend class MessageBuilder;
  struct Parts;
  explicit Schema(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

/// Puts one message together, field by field. A path is a name, or names joined by dots: `a.b` is field b of the
/// message in field a, `headers.Accept` the entry of a map. A repeated field takes one more element each time; a path
/// into a repeated message fills its last element, and begins a new one when that has the field already. Each function:
/// Invalid names the path and says what would do. One thread at a time.
class MessageBuilder {
 public:
  static Result<MessageBuilder> start(std::shared_ptr<const Schema> schema, std::string_view message);
  MessageBuilder(MessageBuilder&&) noexcept;
  MessageBuilder& operator=(MessageBuilder&&) noexcept;
  ~MessageBuilder();

  bool has(std::string_view field) const;
  /// Whether a path leads to a field, as far as that can be said without a value.
  Status check(std::string_view path);
  /// The text becomes what the field is: a number, a name of an enum, true or false, bytes as they stand.
  Status text(std::string_view path, std::string_view value);
  /// A JSON value: arrays for repeated fields, objects for messages and maps.
  Status json(std::string_view path, const Json& value);
  /// The contents of a file: strings and bytes as they stand, messages as JSON, others as text without the final
  /// newline.
  Status file(std::string_view path, std::string_view contents);
  /// A whole object; what is given by path later changes it.
  Status merge(const Json& object);
  /// Invalid: a required field is missing, or the message is larger than kMaxMessageBytes.
  Result<std::string> finish() const;

 private:
  struct State;
  explicit MessageBuilder(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace futured::schema
