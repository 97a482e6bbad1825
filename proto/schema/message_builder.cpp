#include <google/protobuf/reflection.h>
#include <google/protobuf/stubs/logging.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "proto/nearest.hpp"
#include "proto/schema/schema_parts.hpp"

namespace futured::schema {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr std::size_t kNamesListed = 12;

Status invalid(std::string message) { return {Code::invalid, std::move(message)}; }

std::string quoted(std::string_view text) {
  constexpr std::size_t kMost = 60;
  return "'" + (text.size() <= kMost ? std::string(text) : std::string(text.substr(0, kMost)) + "...") + "'";
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (std::size_t i = 0; i < words.size() && i < kNamesListed; ++i) out += (i == 0 ? "" : ", ") + words[i];
  return words.size() > kNamesListed ? out + ", ..." : out;
}

Status unknown_field(const Descriptor& type, std::string_view name, std::string_view where) {
  std::vector<std::string> names;
  for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->name());
  std::string text = type.full_name() + " has no field " + quoted(name);
  if (!where.empty()) text += " (in " + quoted(where) + ")";
  if (const std::string near = nearest(name, names); !near.empty()) {
    text += "; did you mean '" + near + "'?";
  } else {
    text += names.empty() ? "; it has none" : "; it has: " + joined(names);
  }
  return invalid(std::move(text));
}

std::string wanted(const FieldDescriptor& field) {
  switch (field.type()) {
    case FieldDescriptor::TYPE_STRING:
      return "text";
    case FieldDescriptor::TYPE_BYTES:
      return "bytes";
    case FieldDescriptor::TYPE_MESSAGE:
    case FieldDescriptor::TYPE_GROUP:
      return "an object (" + field.message_type()->full_name() + ")";
    case FieldDescriptor::TYPE_ENUM: {
      std::vector<std::string> names;
      for (int i = 0; i < field.enum_type()->value_count(); ++i) names.push_back(field.enum_type()->value(i)->name());
      return "one of " + joined(names);
    }
    case FieldDescriptor::TYPE_BOOL:
      return "true or false";
    case FieldDescriptor::TYPE_FLOAT:
    case FieldDescriptor::TYPE_DOUBLE:
      return "a number";
    default:
      return std::string("a whole number (") + field.type_name() + ")";
  }
}

Status wrong_type(const FieldDescriptor& field, std::string_view path, std::string_view got) {
  return invalid("field " + quoted(path) + " wants " + wanted(field) + ", not " + std::string(got));
}

std::string shown(const Json& value) {
  if (value.items() != nullptr || value.members() != nullptr) return std::string(value.kind());
  return quoted(value.text() != nullptr ? *value.text() : value.dump());
}

template <class T>
std::optional<T> number_of(std::string_view text) {
  T out{};
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto end = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || end.ec != std::errc{} || end.ptr != text.data() + text.size()) return std::nullopt;
  return out;
}

/// A whole number of type T, from a JSON number or the text of one.
template <class T>
std::optional<T> integer(const Json& value) {
  if (const auto* whole = value.signed_integer()) {
    return std::in_range<T>(*whole) ? std::optional<T>(static_cast<T>(*whole)) : std::nullopt;
  }
  if (const auto* natural = value.unsigned_integer()) {
    return std::in_range<T>(*natural) ? std::optional<T>(static_cast<T>(*natural)) : std::nullopt;
  }
  if (const auto* real = value.real()) {  // 1e3 is whole; beyond 2^53 a double no longer says which number it is
    constexpr double kExact = 9007199254740992.0;
    if (std::trunc(*real) != *real || std::fabs(*real) > kExact) return std::nullopt;
    const auto whole = static_cast<std::int64_t>(*real);
    return std::in_range<T>(whole) ? std::optional<T>(static_cast<T>(whole)) : std::nullopt;
  }
  if (const auto* text = value.text()) return number_of<T>(*text);
  return std::nullopt;
}

std::optional<double> real_number(const Json& value) {
  if (const auto* real = value.real()) return *real;
  if (const auto* whole = value.signed_integer()) return static_cast<double>(*whole);
  if (const auto* natural = value.unsigned_integer()) return static_cast<double>(*natural);
  if (const auto* text = value.text()) {
    if (*text == "NaN") return std::numeric_limits<double>::quiet_NaN();
    if (*text == "Infinity") return std::numeric_limits<double>::infinity();
    if (*text == "-Infinity") return -std::numeric_limits<double>::infinity();
    return number_of<double>(*text);
  }
  return std::nullopt;
}

std::optional<bool> truth(const Json& value) {
  if (const auto* flag = value.boolean()) return *flag;
  if (const auto* text = value.text()) {
    if (*text == "true" || *text == "1" || *text == "yes" || *text == "on") return true;
    if (*text == "false" || *text == "0" || *text == "no" || *text == "off") return false;
  }
  return std::nullopt;
}

/// Whose text must be UTF-8 and whose enums may have values without a name.
bool is_proto3(const FieldDescriptor& field) {
  return field.file()->syntax() == google::protobuf::FileDescriptor::SYNTAX_PROTO3;
}

class Writer {
 public:
  Status merge(Message& into, const Json& object, std::string_view where, int depth) {
    if (depth > kMaxMessageDepth) return invalid("the input is nested too deeply in " + quoted(where));
    const Descriptor& type = *into.GetDescriptor();
    const Json::Object* members = object.members();
    if (members == nullptr) {
      return invalid((where.empty() ? "the input" : "field " + quoted(where)) + " wants an object (" +
                     type.full_name() + "), not " + shown(object));
    }
    for (const auto& [name, value] : *members) {
      const std::string path = where.empty() ? name : std::string(where) + "." + name;
      const FieldDescriptor* field = type.FindFieldByName(name);
      if (field == nullptr) return unknown_field(type, name, where);
      if (Status put = store(into, *field, value, path, depth); !put.ok()) return put;
    }
    return {};
  }

  /// null leaves a field as it is.
  Status store(Message& into, const FieldDescriptor& field, const Json& value, std::string_view path, int depth) {
    if (value.is_null()) return {};
    if (field.is_map()) {
      if (value.members() == nullptr) return invalid("field " + quoted(path) + " wants an object, not " + shown(value));
      for (const auto& [key, entry] : *value.members()) {
        if (Status put = store_entry(into, field, key, entry, path, depth); !put.ok()) return put;
      }
      return {};
    }
    if (!field.is_repeated()) return store_one(into, field, value, path, depth);
    if (value.items() == nullptr) {
      return invalid("field " + quoted(path) + " is repeated: it wants an array, not " + shown(value));
    }
    for (const Json& item : *value.items()) {
      if (item.is_null()) return wrong_type(field, path, "null");
      if (Status put = store_one(into, field, item, path, depth); !put.ok()) return put;
    }
    return {};
  }

  Status store_entry(Message& into, const FieldDescriptor& field, std::string_view key, const Json& value,
                     std::string_view path, int depth) {
    Message* entry = into.GetReflection()->AddMessage(&into, &field);
    const Descriptor& pair = *field.message_type();
    const std::string whole = std::string(path) + "." + std::string(key);
    if (Status put = store_one(*entry, *pair.field(0), Json(key), whole, depth); !put.ok()) return put;
    if (value.is_null()) return wrong_type(*pair.field(1), whole, "null");
    return store_one(*entry, *pair.field(1), value, whole, depth);
  }

  /// Sets a single field, or adds one element to a repeated one.
  Status store_one(Message& into, const FieldDescriptor& field, const Json& value, std::string_view path, int depth) {
    const Reflection& r = *into.GetReflection();
    const bool add = field.is_repeated();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        if (const auto v = integer<std::int32_t>(value)) {
          add ? r.AddInt32(&into, &field, *v) : r.SetInt32(&into, &field, *v);
          return {};
        }
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        if (const auto v = integer<std::int64_t>(value)) {
          add ? r.AddInt64(&into, &field, *v) : r.SetInt64(&into, &field, *v);
          return {};
        }
        break;
      case FieldDescriptor::CPPTYPE_UINT32:
        if (const auto v = integer<std::uint32_t>(value)) {
          add ? r.AddUInt32(&into, &field, *v) : r.SetUInt32(&into, &field, *v);
          return {};
        }
        break;
      case FieldDescriptor::CPPTYPE_UINT64:
        if (const auto v = integer<std::uint64_t>(value)) {
          add ? r.AddUInt64(&into, &field, *v) : r.SetUInt64(&into, &field, *v);
          return {};
        }
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        if (const auto v = real_number(value)) {
          add ? r.AddDouble(&into, &field, *v) : r.SetDouble(&into, &field, *v);
          return {};
        }
        break;
      case FieldDescriptor::CPPTYPE_FLOAT:
        if (const auto v = real_number(value)) {
          if (std::isfinite(*v) && std::fabs(*v) > static_cast<double>(std::numeric_limits<float>::max())) break;
          const auto narrow = static_cast<float>(*v);
          add ? r.AddFloat(&into, &field, narrow) : r.SetFloat(&into, &field, narrow);
          return {};
        }
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        if (const auto v = truth(value)) {
          add ? r.AddBool(&into, &field, *v) : r.SetBool(&into, &field, *v);
          return {};
        }
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        return store_enum(into, field, value, path);
      case FieldDescriptor::CPPTYPE_STRING:
        return store_string(into, field, value, path);
      case FieldDescriptor::CPPTYPE_MESSAGE: {
        if (value.members() == nullptr) return wrong_type(field, path, shown(value));
        Message* inner = add ? r.AddMessage(&into, &field) : r.MutableMessage(&into, &field);
        return merge(*inner, value, path, depth + 1);
      }
    }
    return wrong_type(field, path, shown(value));
  }

 private:
  static Status store_enum(Message& into, const FieldDescriptor& field, const Json& value, std::string_view path) {
    const Reflection& r = *into.GetReflection();
    const auto& type = *field.enum_type();
    std::optional<int> number;
    if (const auto* named = value.text() != nullptr ? type.FindValueByName(*value.text()) : nullptr) {
      number = named->number();
    } else if (const auto given = integer<std::int32_t>(value);
               given && (is_proto3(field) || type.FindValueByNumber(*given) != nullptr)) {
      number = *given;
    }
    if (!number) {
      Status wrong = wrong_type(field, path, shown(value));
      std::vector<std::string> names;
      for (int i = 0; i < type.value_count(); ++i) names.push_back(type.value(i)->name());
      const std::string near = value.text() != nullptr ? nearest(*value.text(), names) : std::string();
      return near.empty() ? wrong : invalid(wrong.message() + "; did you mean '" + near + "'?");
    }
    field.is_repeated() ? r.AddEnumValue(&into, &field, *number) : r.SetEnumValue(&into, &field, *number);
    return {};
  }

  static Status store_string(Message& into, const FieldDescriptor& field, const Json& value, std::string_view path) {
    const Reflection& r = *into.GetReflection();
    const bool bytes = field.type() == FieldDescriptor::TYPE_BYTES;
    auto text = bytes_of_json(value);
    if (!text && bytes) return invalid("field " + quoted(path) + ": " + text.status().message());
    if (!text) return wrong_type(field, path, shown(value));
    if (!bytes && is_proto3(field) && !is_utf8(*text)) {
      return invalid("field " + quoted(path) + " is text and wants UTF-8");
    }
    field.is_repeated() ? r.AddString(&into, &field, std::move(*text)) : r.SetString(&into, &field, std::move(*text));
    return {};
  }
};

}  // namespace

struct MessageBuilder::State {
  std::shared_ptr<const Schema> schema;
  std::unique_ptr<Message> message;
  std::set<std::pair<const Message*, const FieldDescriptor*>> given;  ///< single fields that a path has set

  struct Place {
    Message* message = nullptr;
    const FieldDescriptor* field = nullptr;
    std::string_view key;  ///< of a map
    int depth = 0;
  };

  Result<Place> find(std::string_view path);
  Message* step_into(Message& from, const FieldDescriptor& field, std::string_view rest);
  Status put(std::string_view path, const Place& place, const Json& value, bool whole);
};

/// The message that the rest of a path goes on in.
Message* MessageBuilder::State::step_into(Message& from, const FieldDescriptor& field, std::string_view rest) {
  const Reflection& r = *from.GetReflection();
  if (!field.is_repeated()) return r.MutableMessage(&from, &field);
  const int size = r.FieldSize(from, &field);
  if (size == 0) return r.AddMessage(&from, &field);
  Message* last = r.MutableRepeatedMessage(&from, &field, size - 1);
  const auto* next = field.message_type()->FindFieldByName(std::string(rest.substr(0, rest.find('.'))));
  return next != nullptr && given.contains({last, next}) ? r.AddMessage(&from, &field) : last;
}

Result<MessageBuilder::State::Place> MessageBuilder::State::find(std::string_view path) {
  Place place{message.get(), nullptr, {}, 0};
  std::string_view rest = path;
  while (true) {
    const Descriptor& type = *place.message->GetDescriptor();
    const std::string_view done = path.substr(0, path.size() - rest.size());
    const auto dot = rest.find('.');
    const std::string_view name = rest.substr(0, dot);
    place.field = type.FindFieldByName(std::string(name));
    if (place.field == nullptr) return unknown_field(type, name, done.substr(0, done.empty() ? 0 : done.size() - 1));
    if (dot == std::string_view::npos) return place;
    rest.remove_prefix(dot + 1);
    if (place.field->is_map()) {
      place.key = rest;
      return place;
    }
    if (place.field->message_type() == nullptr) {
      return invalid("field " + quoted(path.substr(0, path.size() - rest.size() - 1)) + " is " +
                     place.field->type_name() + " and has no field " + quoted(rest));
    }
    if (++place.depth >= kMaxMessageDepth) return invalid("the input is nested too deeply in " + quoted(path));
    place.message = step_into(*place.message, *place.field, rest);
  }
}

Status MessageBuilder::State::put(std::string_view path, const Place& place, const Json& value, bool whole) {
  const FieldDescriptor& field = *place.field;
  Writer writer;
  if (!place.key.empty()) {
    return writer.store_entry(*place.message, field, place.key, value,
                              path.substr(0, path.size() - place.key.size() - 1), place.depth);
  }
  if (!field.is_repeated()) {
    if (!given.insert({place.message, &field}).second) return invalid("field " + quoted(path) + " is given twice");
    if (const auto* oneof = field.real_containing_oneof()) {
      for (int i = 0; i < oneof->field_count(); ++i) {
        if (oneof->field(i) != &field && given.contains({place.message, oneof->field(i)})) {
          return invalid("fields " + quoted(oneof->field(i)->name()) + " and " + quoted(field.name()) +
                         " exclude each other");
        }
      }
    }
  }
  const bool several = whole && (field.is_map() || value.items() != nullptr);
  if (!field.is_repeated() || several) return writer.store(*place.message, field, value, path, place.depth);
  if (value.is_null()) return wrong_type(field, path, "null");
  return writer.store_one(*place.message, field, value, path, place.depth);
}

MessageBuilder::MessageBuilder(std::unique_ptr<State> state) : state_(std::move(state)) {}
MessageBuilder::MessageBuilder(MessageBuilder&&) noexcept = default;
MessageBuilder& MessageBuilder::operator=(MessageBuilder&&) noexcept = default;
MessageBuilder::~MessageBuilder() = default;

Result<MessageBuilder> MessageBuilder::start(std::shared_ptr<const Schema> schema, std::string_view message) {
  const Descriptor* type = schema->parts_->find(message);
  if (type == nullptr) return Status(Code::not_found, "the schema has no message " + std::string(message));
  auto state = std::make_unique<State>();
  state->message = schema->parts_->create(type);
  state->schema = std::move(schema);
  return MessageBuilder(std::move(state));
}

bool MessageBuilder::has(std::string_view field) const {
  return state_->message->GetDescriptor()->FindFieldByName(std::string(field)) != nullptr;
}

Status MessageBuilder::check(std::string_view path) {
  const auto place = state_->find(path);
  return place ? Status() : place.status();
}

Status MessageBuilder::text(std::string_view path, std::string_view value) {
  const auto place = state_->find(path);
  if (!place) return place.status();
  const FieldDescriptor& field = *place->field;
  if (place->key.empty() && field.message_type() != nullptr) {
    const std::string name(path);
    return invalid("field " + quoted(path) + " is " + (field.is_map() ? "a map" : field.message_type()->full_name()) +
                   ": write " + name + (field.is_map() ? ".KEY=VALUE or " : ".FIELD=VALUE or ") + name + ":=JSON");
  }
  return state_->put(path, *place, value, false);
}

Status MessageBuilder::json(std::string_view path, const Json& value) {
  const auto place = state_->find(path);
  if (!place) return place.status();
  return state_->put(path, *place, value, true);
}

Status MessageBuilder::file(std::string_view path, std::string_view contents) {
  const auto place = state_->find(path);
  if (!place) return place.status();
  const FieldDescriptor& field = *place->field;
  if (place->key.empty() && field.message_type() != nullptr) {
    auto parsed = Json::parse(contents);
    if (!parsed) return invalid("the file of field " + quoted(path) + " is " + parsed.status().message());
    return state_->put(path, *place, *parsed, true);
  }
  if (field.cpp_type() != FieldDescriptor::CPPTYPE_STRING && contents.ends_with('\n')) contents.remove_suffix(1);
  return state_->put(path, *place, contents, false);
}

Status MessageBuilder::merge(const Json& object) { return Writer().merge(*state_->message, object, {}, 0); }

Result<std::string> MessageBuilder::finish() const {
  const Message& message = *state_->message;
  std::vector<std::string> missing;
  message.FindInitializationErrors(&missing);
  if (!missing.empty()) {
    return invalid(message.GetDescriptor()->full_name() + " lacks " +
                   (missing.size() == 1 ? "the required field " : "required fields: ") + joined(missing));
  }
  const std::size_t size = message.ByteSizeLong();
  if (size > kMaxMessageBytes) {
    return invalid("the input has " + std::to_string(size) + " bytes; a message has at most " +
                   std::to_string(kMaxMessageBytes));
  }
  const google::protobuf::LogSilencer quiet;
  return message.SerializeAsString();
}

}  // namespace futured::schema
