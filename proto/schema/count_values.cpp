#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>

#include "proto/schema/schema_parts.hpp"

namespace futured::schema {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

class Counter {
 public:
  Counter(std::string_view bytes, std::int64_t limit) : bytes_(bytes), limit_(limit) {}

  /// Counts the fields of one message up to the end of the stream's current limit, or of its group.
  bool message(const Descriptor& type, CodedInputStream& in, int depth) {
    count_ += type.field_count() + 1;
    if (depth > kMaxMessageDepth) return false;
    while (count_ <= limit_) {
      const std::uint32_t tag = in.ReadTag();
      if (tag == 0) return in.ConsumedEntireMessage();
      if (WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_END_GROUP) return true;
      const FieldDescriptor* field = type.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
      if (!value(field, tag, in, depth)) return false;
    }
    return true;
  }
  std::int64_t count() const { return count_; }

 private:
  bool value(const FieldDescriptor* field, std::uint32_t tag, CodedInputStream& in, int depth) {
    const auto wire_type = WireFormatLite::GetTagWireType(tag);
    const bool length_delimited = wire_type == WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
    ++count_;
    if (field == nullptr) return WireFormatLite::SkipField(&in, tag);
    if (field->type() == FieldDescriptor::TYPE_GROUP && wire_type == WireFormatLite::WIRETYPE_START_GROUP) {
      return message(*field->message_type(), in, depth + 1);
    }
    if (!length_delimited || field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      return WireFormatLite::SkipField(&in, tag);
    }
    std::uint32_t size = 0;
    if (!in.ReadVarint32(&size)) return false;
    const auto at = static_cast<std::size_t>(in.CurrentPosition());
    if (size > bytes_.size() - std::min(bytes_.size(), at)) return false;
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      const auto outer = in.PushLimit(static_cast<int>(size));
      const bool good = message(*field->message_type(), in, depth + 1);
      if (count_ > limit_) return true;
      in.PopLimit(outer);
      return good;
    }
    const std::string_view packed = bytes_.substr(at, size);  // each varint ends with a byte below 128
    count_ += std::count_if(packed.begin(), packed.end(), [](char c) { return (c & 0x80) == 0; });
    return in.Skip(static_cast<int>(size));
  }

  std::string_view bytes_;
  std::int64_t limit_;
  std::int64_t count_ = 0;
};

}  // namespace

std::int64_t count_values(const Descriptor& type, std::string_view bytes, std::int64_t limit) {
  CodedInputStream in(reinterpret_cast<const std::uint8_t*>(bytes.data()), static_cast<int>(bytes.size()));
  Counter counter(bytes, limit);
  return counter.message(type, in, 0) || counter.count() > limit ? counter.count() : -1;
}

}  // namespace futured::schema
