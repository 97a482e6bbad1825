// Inside of proto/schema: what schema.cpp and message_builder.cpp share.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>

#include <memory>
#include <string>
#include <string_view>

#include "proto/schema/schema.hpp"

namespace futured::schema {

/// The pool outlives the factory, both outlive every message made from them: who holds a message holds the Schema.
struct Schema::Parts {
  google::protobuf::DescriptorPool pool;
  google::protobuf::DynamicMessageFactory factory{&pool};

  /// Null: no message of that name.
  const google::protobuf::Descriptor* find(std::string_view message) const {
    return pool.FindMessageTypeByName(std::string(message));
  }
  std::unique_ptr<google::protobuf::Message> create(const google::protobuf::Descriptor* type) {
    return std::unique_ptr<google::protobuf::Message>(factory.GetPrototype(type)->New());
  }
};

/// Levels of messages within messages: protobuf's own parsers stop at 100.
inline constexpr int kMaxMessageDepth = 100;

/// How many JSON values `bytes` become as a message of this type, nested ones included; stops counting above `limit`.
/// Bounds the memory of a parse before it is made. -1: not a message.
std::int64_t count_values(const google::protobuf::Descriptor& type, std::string_view bytes, std::int64_t limit);

}  // namespace futured::schema
