// Descriptors and messages from strangers: refused or read, never a crash, never without bound.
#include <doctest/doctest.h>
#include <google/protobuf/descriptor.pb.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>

#include "proto/schema/schema.hpp"

using namespace futured;
using futured::schema::Json;
using futured::schema::Schema;
using google::protobuf::FieldDescriptorProto;
using google::protobuf::FileDescriptorSet;

namespace {

std::string good() {
  std::ifstream file(std::getenv("SCHEMA_SET"), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

FieldDescriptorProto* add_field(google::protobuf::DescriptorProto* to, const std::string& name, int number,
                                FieldDescriptorProto::Type type, bool repeated = false) {
  auto* field = to->add_field();
  field->set_name(name);
  field->set_number(number);
  field->set_type(type);
  field->set_label(repeated ? FieldDescriptorProto::LABEL_REPEATED : FieldDescriptorProto::LABEL_OPTIONAL);
  return field;
}

}  // namespace

TEST_CASE("what is no descriptor set is refused") {
  CHECK(!Schema::load("\x01garbage").ok());
  CHECK(!Schema::load(std::string((1 << 20) + 1, '\0')).ok());
  CHECK(Schema::load("").ok());  // a set of nothing
}

TEST_CASE("a set that lacks an import says so") {
  FileDescriptorSet set;
  REQUIRE(set.ParseFromString(good()));
  FileDescriptorSet partial;
  for (const auto& file : set.file()) {
    if (file.name() == "new.proto") *partial.add_file() = file;
  }
  const auto loaded = Schema::load(partial.SerializeAsString());
  REQUIRE(!loaded.ok());
  CHECK(loaded.status().message().find("--include_imports") != std::string::npos);
}

TEST_CASE("files that import each other are refused") {
  FileDescriptorSet set;
  for (const char* name : {"a", "b"}) {
    auto* file = set.add_file();
    file->set_name(name);
    file->add_dependency(name[0] == 'a' ? "b" : "a");
  }
  CHECK(!Schema::load(set.SerializeAsString()).ok());
}

TEST_CASE("one name twice, too many files, and fields without sense are refused") {
  FileDescriptorSet set;
  set.add_file()->set_name("a");
  set.add_file()->set_name("a");
  CHECK(!Schema::load(set.SerializeAsString()).ok());
  set.Clear();
  for (int i = 0; i < 300; ++i) set.add_file()->set_name(std::to_string(i));
  CHECK(!Schema::load(set.SerializeAsString()).ok());
  set.Clear();
  auto* file = set.add_file();
  file->set_name("a");
  auto* message = file->add_message_type();
  message->set_name("M");
  add_field(message, "x", 1, FieldDescriptorProto::TYPE_MESSAGE)->set_type_name(".Missing");
  CHECK(!Schema::load(set.SerializeAsString()).ok());
}

TEST_CASE("the order of the files does not matter") {
  FileDescriptorSet set;
  REQUIRE(set.ParseFromString(good()));
  FileDescriptorSet backwards;
  for (int i = set.file_size() - 1; i >= 0; --i) *backwards.add_file() = set.file(i);
  CHECK(Schema::load(backwards.SerializeAsString()).ok());
}

TEST_CASE("two schemas may have the same names") {
  const auto one = Schema::load(good());
  const auto other = Schema::load(good());
  REQUIRE((one.ok() && other.ok()));
  CHECK((*one)->encode("test.old.Inner", *Json::parse(R"({"name":"n"})")).ok());
  CHECK((*other)->encode("test.old.Inner", *Json::parse(R"({"name":"n"})")).ok());
}

TEST_CASE("a small message that unfolds into very many values is refused before it takes the memory") {
  FileDescriptorSet set;
  auto* file = set.add_file();
  file->set_name("a");
  auto* message = file->add_message_type();
  message->set_name("M");
  add_field(message, "m", 1, FieldDescriptorProto::TYPE_MESSAGE, true)->set_type_name(".M");
  for (int i = 2; i < 2000; ++i) add_field(message, "f" + std::to_string(i), i, FieldDescriptorProto::TYPE_STRING);
  const auto schema = Schema::load(set.SerializeAsString());
  REQUIRE(schema.ok());
  std::string bomb;
  for (int i = 0; i < 1'000'000; ++i) bomb += std::string("\x0a\x00", 2);
  const auto decoded = (*schema)->decode("M", bomb);
  REQUIRE(!decoded.ok());
  CHECK(decoded.status().message().find("too large to print") != std::string::npos);
}

TEST_CASE("messages nested without end are refused, both ways") {
  const auto schema = Schema::load(good());
  std::string nested;
  for (int i = 0; i < 200; ++i) {
    std::string size;
    for (std::size_t n = nested.size();; n >>= 7) {
      size.push_back(static_cast<char>(n > 127 ? (n & 127) | 128 : n));
      if (n <= 127) break;
    }
    nested = std::string("\x8a\x01", 2) + size + nested;  // field 17, self
  }
  CHECK(!(*schema)->decode("test.now.Everything", nested).ok());
  std::string path = "text";
  for (int i = 0; i < 100'000; ++i) path = "self." + path;
  auto builder = futured::schema::MessageBuilder::start(*schema, "test.now.Everything");
  CHECK(!builder->text(path, "x").ok());
}

TEST_CASE("damaged descriptors and messages never bring the process down") {
  std::mt19937 random(1);  // NOLINT: the same damage each time
  const std::string set = good();
  const auto schema = Schema::load(set);
  const auto message = (*schema)->encode(
      "test.now.Everything",
      *Json::parse(R"({"text":"hello","headers":{"a":"b"},"many":[1,2,3],"self":{"raw":"x"},"old":{"name":"n"}})"));
  REQUIRE(message.ok());
  const auto damage = [&](std::string bytes) {
    for (int i = 0; i < 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    return bytes;
  };
  for (int i = 0; i < 2000; ++i) {
    const auto loaded = Schema::load(damage(set));
    if (loaded) [[maybe_unused]]
      const auto fields = (*loaded)->fields("test.now.Everything");
    const auto decoded = (*schema)->decode("test.now.Everything", damage(*message));
    if (decoded) CHECK(Json::parse(decoded->dump()).ok());
  }
}
