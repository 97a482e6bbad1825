#include "proto/schema/schema.hpp"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/reflection.h>
#include <google/protobuf/stubs/logging.h>

#include <charconv>
#include <unordered_map>
#include <utility>

#include "proto/schema/schema_parts.hpp"

namespace futured::schema {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptorProto;
using google::protobuf::Message;
using google::protobuf::Reflection;

class FirstError final : public google::protobuf::DescriptorPool::ErrorCollector {
 public:
  void AddError(const std::string& file, const std::string& element, const Message*, ErrorLocation,
                const std::string& message) override {
    if (text.empty()) text = file + ": " + element + ": " + message;
  }
  std::string text;
};

Status invalid(std::string message) { return {Code::invalid, std::move(message)}; }

/// Builds the files in the order of their imports; whatever cannot be ordered has a missing or circular import.
Status build(google::protobuf::DescriptorPool& pool, const google::protobuf::FileDescriptorSet& set) {
  std::vector<const FileDescriptorProto*> left;
  for (const FileDescriptorProto& file : set.file()) left.push_back(&file);
  while (!left.empty()) {
    std::vector<const FileDescriptorProto*> later;
    for (const FileDescriptorProto* file : left) {
      bool ready = true;
      for (const std::string& import : file->dependency()) ready = ready && pool.FindFileByName(import) != nullptr;
      if (!ready) {
        later.push_back(file);
        continue;
      }
      if (pool.FindFileByName(file->name()) != nullptr) return invalid("the schema has " + file->name() + " twice");
      FirstError error;
      if (pool.BuildFileCollectingErrors(*file, &error) == nullptr)
        return invalid("the schema is wrong: " + error.text);
    }
    if (later.size() == left.size()) {
      return invalid("the schema lacks an import of " + left.front()->name() +
                     "; make it with protoc --descriptor_set_out=FILE --include_imports");
    }
    left = std::move(later);
  }
  return {};
}

std::string type_name(const FieldDescriptor& field) {
  if (field.is_map()) {
    const Descriptor& entry = *field.message_type();
    return "map<" + type_name(*entry.field(0)) + ", " + type_name(*entry.field(1)) + ">";
  }
  if (field.message_type() != nullptr) return field.message_type()->full_name();
  if (field.enum_type() != nullptr) return field.enum_type()->full_name();
  return field.type_name();
}

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(" \n\t");
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \n\t") - begin + 1);
}

/// The shortest digits that give this float again, as the double they name.
double shortest(float value) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value);
  double out = value;
  std::from_chars(digits, end.ptr, out);
  return out;
}

/// An explicit default of proto2.
std::string default_text(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return std::to_string(field.default_value_int32());
    case FieldDescriptor::CPPTYPE_INT64:
      return std::to_string(field.default_value_int64());
    case FieldDescriptor::CPPTYPE_UINT32:
      return std::to_string(field.default_value_uint32());
    case FieldDescriptor::CPPTYPE_UINT64:
      return std::to_string(field.default_value_uint64());
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return Json(field.default_value_double()).dump();
    case FieldDescriptor::CPPTYPE_FLOAT:
      return Json(shortest(field.default_value_float())).dump();
    case FieldDescriptor::CPPTYPE_BOOL:
      return field.default_value_bool() ? "true" : "false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return field.default_value_enum()->name();
    case FieldDescriptor::CPPTYPE_STRING:
      return json_of_bytes(field.default_value_string()).dump();
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  return {};
}

Field describe(const FieldDescriptor& field, bool deep) {
  Field out;
  out.name = field.name();
  out.type = type_name(field);
  if (field.is_map()) {
    out.label = "map";
  } else if (field.is_repeated()) {
    out.label = "repeated";
  } else if (field.is_required()) {
    out.label = "required";
  } else if (field.has_optional_keyword()) {
    out.label = "optional";
  }
  if (field.has_default_value()) out.fallback = default_text(field);
  if (field.real_containing_oneof() != nullptr) out.oneof = field.real_containing_oneof()->name();
  google::protobuf::SourceLocation source;
  if (field.GetSourceLocation(&source)) {
    out.comment = trimmed(source.leading_comments.empty() ? source.trailing_comments : source.leading_comments);
  }
  if (field.enum_type() != nullptr) {
    for (int i = 0; i < field.enum_type()->value_count(); ++i) {
      out.choices.push_back(field.enum_type()->value(i)->name());
    }
  }
  if (deep && field.message_type() != nullptr && !field.is_map()) {
    for (int i = 0; i < field.message_type()->field_count(); ++i) {
      out.fields.push_back(describe(*field.message_type()->field(i), false));
    }
  }
  return out;
}

Json to_json(const Message& message);

/// A field that is set, or element `index` of a repeated one.
Json value_of(const Message& message, const FieldDescriptor& field, int index) {
  const Reflection& r = *message.GetReflection();
  const bool repeated = index >= 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return repeated ? r.GetRepeatedInt32(message, &field, index) : r.GetInt32(message, &field);
    case FieldDescriptor::CPPTYPE_INT64:
      return repeated ? r.GetRepeatedInt64(message, &field, index) : r.GetInt64(message, &field);
    case FieldDescriptor::CPPTYPE_UINT32:
      return repeated ? r.GetRepeatedUInt32(message, &field, index) : r.GetUInt32(message, &field);
    case FieldDescriptor::CPPTYPE_UINT64:
      return repeated ? r.GetRepeatedUInt64(message, &field, index) : r.GetUInt64(message, &field);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return repeated ? r.GetRepeatedDouble(message, &field, index) : r.GetDouble(message, &field);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return shortest(repeated ? r.GetRepeatedFloat(message, &field, index) : r.GetFloat(message, &field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return repeated ? r.GetRepeatedBool(message, &field, index) : r.GetBool(message, &field);
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int number = repeated ? r.GetRepeatedEnumValue(message, &field, index) : r.GetEnumValue(message, &field);
      const auto* value = field.enum_type()->FindValueByNumber(number);
      return value != nullptr ? Json(value->name()) : Json(number);
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string scratch;
      return json_of_bytes(repeated ? r.GetRepeatedStringReference(message, &field, index, &scratch)
                                    : r.GetStringReference(message, &field, &scratch));
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return to_json(repeated ? r.GetRepeatedMessage(message, &field, index) : r.GetMessage(message, &field));
  }
  return {};
}

/// JSON has only strings for names.
std::string key_text(const Json& key) { return key.text() != nullptr ? *key.text() : key.dump(); }

/// Not set, it still has a value; of messages, members of a oneof and what proto3 calls optional, absence says
/// something.
bool reads_as_default(const FieldDescriptor& field) {
  return field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE && field.containing_oneof() == nullptr;
}

/// An entry that came twice counts once, with its last value.
Json map_to_json(const Message& message, const FieldDescriptor& field) {
  const Reflection& r = *message.GetReflection();
  const Descriptor& pair = *field.message_type();
  Json::Object out;
  std::unordered_map<std::string, std::size_t> at;
  for (int i = 0; i < r.FieldSize(message, &field); ++i) {
    const Message& entry = r.GetRepeatedMessage(message, &field, i);
    std::string key = key_text(value_of(entry, *pair.field(0), -1));
    Json value = value_of(entry, *pair.field(1), -1);
    if (const auto [known, fresh] = at.try_emplace(key, out.size()); fresh) {
      out.emplace_back(std::move(key), std::move(value));
    } else {
      out[known->second].second = std::move(value);
    }
  }
  return out;
}

Json to_json(const Message& message) {
  const Reflection& r = *message.GetReflection();
  const Descriptor& type = *message.GetDescriptor();
  Json out = Json::object();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    Json value;
    if (field.is_map()) {
      value = map_to_json(message, field);
    } else if (field.is_repeated()) {
      value = Json::array();
      for (int k = 0; k < r.FieldSize(message, &field); ++k) value.push(value_of(message, field, k));
    } else if (r.HasField(message, &field) || reads_as_default(field)) {
      value = value_of(message, field, -1);
    }
    out.add(field.name(), std::move(value));
  }
  return out;
}

}  // namespace

Schema::Schema(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Schema::~Schema() = default;

Result<std::shared_ptr<const Schema>> Schema::load(std::string_view descriptor_set) {
  if (descriptor_set.size() > kMaxSchemaBytes) {
    return invalid("the schema has " + std::to_string(descriptor_set.size()) + " bytes; at most " +
                   std::to_string(kMaxSchemaBytes) + " are read");
  }
  const google::protobuf::LogSilencer quiet;
  google::protobuf::FileDescriptorSet set;
  if (!set.ParseFromArray(descriptor_set.data(), static_cast<int>(descriptor_set.size()))) {
    return invalid(
        "the schema is no FileDescriptorSet; make it with protoc --descriptor_set_out=FILE --include_imports");
  }
  if (set.file_size() > kMaxSchemaFiles) {
    return invalid("the schema has " + std::to_string(set.file_size()) + " files; at most " +
                   std::to_string(kMaxSchemaFiles) + " are read");
  }
  auto parts = std::make_unique<Parts>();
  parts->pool.EnforceWeakDependencies(true);
  if (Status built = build(parts->pool, set); !built.ok()) return built;
  return std::shared_ptr<const Schema>(new Schema(std::move(parts)));
}

Result<std::vector<Field>> Schema::fields(std::string_view message) const {
  const Descriptor* type = parts_->find(message);
  if (type == nullptr) return Status(Code::not_found, "the schema has no message " + std::string(message));
  std::vector<Field> out;
  for (int i = 0; i < type->field_count(); ++i) out.push_back(describe(*type->field(i), true));
  return out;
}

Result<Json> Schema::decode(std::string_view message, std::string_view bytes) const {
  const Descriptor* type = parts_->find(message);
  if (type == nullptr) return Status(Code::not_found, "the schema has no message " + std::string(message));
  if (bytes.size() > kMaxMessageBytes) {
    return invalid("a message of " + std::to_string(bytes.size()) + " bytes is too large to print");
  }
  const google::protobuf::LogSilencer quiet;
  const auto limit = static_cast<std::int64_t>(kMaxJsonValues);
  const std::int64_t values = count_values(*type, bytes, limit);
  if (values > limit) {
    return invalid("a message of more than " + std::to_string(kMaxJsonValues) + " values is too large to print");
  }
  const std::unique_ptr<Message> parsed = parts_->create(type);
  if (values < 0 || !parsed->ParsePartialFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return invalid("these " + std::to_string(bytes.size()) + " bytes are no " + std::string(message));
  }
  return to_json(*parsed);
}

Result<std::string> Schema::encode(std::string_view message, const Json& value) const {
  // The builder does not outlive this call, so that it need not own the schema.
  auto builder = MessageBuilder::start(std::shared_ptr<const Schema>(std::shared_ptr<void>(), this), message);
  if (!builder) return builder.status();
  if (Status merged = builder->merge(value); !merged.ok()) return merged;
  return builder->finish();
}

}  // namespace futured::schema
