#include "proto/schema/schema.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

using namespace futured;
using futured::schema::Json;
using futured::schema::MessageBuilder;
using futured::schema::Schema;

namespace {

std::string schema_bytes() {
  const char* path = std::getenv("SCHEMA_SET");
  REQUIRE_MESSAGE(path != nullptr, "run this test with ctest");
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::shared_ptr<const Schema> load() {
  auto schema = Schema::load(schema_bytes());
  REQUIRE(schema.ok());
  return *schema;
}

/// Encodes JSON and decodes it again; or says why not.
std::string around(const std::string& message, std::string_view json) {
  const auto schema = load();
  const auto value = Json::parse(json);
  REQUIRE(value.ok());
  const auto bytes = schema->encode(message, *value);
  if (!bytes) return bytes.status().message();
  const auto back = schema->decode(message, *bytes);
  return back ? back->dump() : "cannot be decoded: " + back.status().message();
}

struct Build {
  explicit Build(const std::string& message = "test.old.Request")
      : type(message), schema(load()), builder(std::move(*MessageBuilder::start(schema, message))) {}
  Build& text(std::string_view path, std::string_view value) { return keep(builder.text(path, value)); }
  Build& json(std::string_view path, std::string_view value) { return keep(builder.json(path, *Json::parse(value))); }
  Build& file(std::string_view path, std::string_view value) { return keep(builder.file(path, value)); }
  Build& keep(const Status& status) {
    if (error.empty() && !status.ok()) error = status.message();
    return *this;
  }
  /// The member `name` as JSON, or the first error.
  std::string member(std::string_view name) {
    if (!error.empty()) return error;
    const auto bytes = builder.finish();
    if (!bytes) return bytes.status().message();
    const auto value = schema->decode(type, *bytes);
    REQUIRE(value.ok());
    const Json* found = value->find(name);
    return found != nullptr ? found->dump() : "absent";
  }
  std::string type;
  std::shared_ptr<const Schema> schema;
  MessageBuilder builder;
  std::string error;
};

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("all fields of a message are printed under the names of the .proto") {
  CHECK(
      around("test.now.Everything", "{}") ==
      R"({"i32":0,"i64":0,"u32":0,"u64":0,"flag":false,"text":"","raw":"","real":0,"small":0,"color":"RED","headers":{},)"
      R"("nested":{},"left":null,"right":null,"maybe":null,"many":[],"self":null,"selves":[],"old":null})");
}

TEST_CASE("every kind of field goes there and back") {
  const std::string given =
      R"({"i32":-5,"i64":-9223372036854775808,"u32":4294967295,"u64":18446744073709551615,"flag":true,"text":"ü",)"
      R"("raw":{"bytes":"/wA="},"real":0.1,"small":0.1,"color":"GREEN","headers":{"a.b":"c","d":""},)"
      R"("nested":{"7":)"
      R"({"i32":1,"i64":0,"u32":0,"u64":0,"flag":false,"text":"","raw":"","real":0,"small":0,"color":"RED","headers":{},)"
      R"("nested":{},"left":null,"right":null,"maybe":null,"many":[],"self":null,"selves":[],"old":null}},)"
      R"("left":null,"right":0,"maybe":0,"many":[1,-2],"self":null,"selves":[],"old":{"name":"x","weight":0,"children":[]}})";
  CHECK(around("test.now.Everything", given) == given);
}

TEST_CASE("proto2 defaults stand for what is not set") {
  Build build;
  CHECK(build.text("url", "x").member("offset") == "-7");
  CHECK(Build().text("url", "x").member("level") == "\"HIGH\"");
  CHECK(Build().text("url", "x").member("inner") == "null");
}

TEST_CASE("an unknown field is refused with the nearest one") {
  CHECK(Build().text("ulr", "x").error == "test.old.Request has no field 'ulr'; did you mean 'url'?");
  CHECK(Build().text("inner.nmae", "x").error ==
        "test.old.Inner has no field 'nmae' (in 'inner'); did you mean 'name'?");
  CHECK(has(Build().text("transmogrify", "x").error, "it has: url, below, offset"));
  CHECK(has(around("test.old.Request", R"({"url":"x","inner":{"name":"n","wieght":1}})"), "did you mean 'weight'?"));
}

TEST_CASE("a value of the wrong type is refused by its name") {
  CHECK(has(Build().text("below", "many").error, "field 'below' wants a whole number (uint64), not 'many'"));
  CHECK(has(Build().text("below", "-1").error, "'below'"));
  CHECK(has(Build().text("below", "18446744073709551616").error, "'below'"));
  CHECK(has(Build().text("below", "1.5").error, "'below'"));
  CHECK(has(Build().text("follow", "maybe").error, "wants true or false"));
  CHECK(has(Build().text("ratio", "x").error, "wants a number"));
  CHECK(has(Build().json("url", "5").error, "field 'url' wants text, not '5'"));
  CHECK(has(Build().json("small", "1e300").error, "'small'"));
  CHECK(has(Build().text("level", "HIHG").error, "did you mean 'HIGH'?"));
  CHECK(has(Build().text("level", "3").error, "one of LOW, HIGH"));
  CHECK(has(Build().text("inner", "x").error, "inner.FIELD=VALUE or inner:=JSON"));
  CHECK(has(Build().text("url.x", "x").error, "'url' is string and has no field 'x'"));
  CHECK(has(around("test.old.Request", R"({"url":"x","headers":"h"})"), "'headers' is repeated: it wants an array"));
  CHECK(has(around("test.old.Request", "[1]"), "wants an object"));
}

TEST_CASE("a missing required field is refused by its name") {
  CHECK(Build().text("below", "1").member("below") == "test.old.Request lacks the required field url");
  CHECK(Build().text("url", "x").text("inner.weight", "1").member("inner") ==
        "test.old.Request lacks the required field inner.name");
}

TEST_CASE("text becomes what the field is") {
  CHECK(Build().text("url", "a=b@c").member("url") == "\"a=b@c\"");
  Build numbers;
  numbers.text("url", "x").text("below", "18446744073709551615").text("ratio", "1e-3").text("follow", "yes");
  CHECK(numbers.member("below") == "18446744073709551615");
  CHECK(numbers.member("ratio") == "0.001");
  CHECK(numbers.member("follow") == "true");
  CHECK(Build().text("url", "x").text("body", std::string("\x00\xff", 2)).member("body") == R"({"bytes":"AP8="})");
  CHECK(Build().text("url", "x").text("level", "LOW").member("level") == "\"LOW\"");
}

TEST_CASE("a repeated field repeats, one element each time") {
  Build build;
  build.text("url", "x")
      .text("headers", "a: 1")
      .text("headers", "b: 2")
      .json("headers", R"(["c","d"])")
      .json("headers", "\"e\"");
  CHECK(build.member("headers") == R"(["a: 1","b: 2","c","d","e"])");
}

TEST_CASE("a single field given twice is refused") {
  CHECK(Build().text("url", "x").text("url", "y").error == "field 'url' is given twice");
  CHECK(Build("test.now.Everything").text("left", "x").text("right", "1").error ==
        "fields 'left' and 'right' exclude each other");
}

TEST_CASE("a path with dots fills messages within messages") {
  CHECK(Build().text("url", "x").text("inner.name", "n").text("inner.weight", "3").member("inner") ==
        R"({"name":"n","weight":3,"children":[]})");
  CHECK(Build("test.now.Everything").text("self.self.text", "deep").member("self").find(R"("text":"deep")") !=
        std::string::npos);
}

TEST_CASE("a path into a repeated message begins a new element when the last one has the field") {
  Build build;
  build.text("url", "x").text("many.name", "a").text("many.weight", "1").text("many.name", "b");
  CHECK(build.member("many") == R"([{"name":"a","weight":1,"children":[]},{"name":"b","weight":0,"children":[]}])");
}

TEST_CASE("an entry of a map is named after its field, dots and all") {
  CHECK(Build("test.now.Everything").text("headers.x.y", "1").text("headers.z", "2").member("headers") ==
        R"({"x.y":"1","z":"2"})");
  CHECK(has(Build("test.now.Everything").text("nested.x", "1").error, "'nested.x'"));
}

TEST_CASE("a file is taken as it stands for text and bytes, and read as JSON for messages") {
  CHECK(Build().file("url", "a\nb\n").member("url") == R"("a\nb\n")");
  CHECK(Build().text("url", "x").file("below", "12\n").member("below") == "12");
  CHECK(Build().text("url", "x").file("inner", R"({"name":"n"})").member("inner") ==
        R"({"name":"n","weight":0,"children":[]})");
  CHECK(has(Build().file("inner", "nonsense").error, "not JSON"));
}

TEST_CASE("text of proto3 must be UTF-8, that of proto2 need not") {
  CHECK(has(Build("test.now.Everything").text("text", "\xff").error, "UTF-8"));
  CHECK(Build().text("url", "\xff").member("url") == R"({"bytes":"/w=="})");
}

TEST_CASE("null leaves a field as it is") {
  CHECK(around("test.old.Inner", R"({"name":"n","weight":null,"children":null})") ==
        R"({"name":"n","weight":0,"children":[]})");
}

TEST_CASE("a whole number may be written as one with an exponent or as text") {
  CHECK(around("test.old.Inner", R"({"name":"n","weight":1e3})") == R"({"name":"n","weight":1000,"children":[]})");
  CHECK(around("test.old.Inner", R"({"name":"n","weight":"12"})") == R"({"name":"n","weight":12,"children":[]})");
  CHECK(has(around("test.old.Inner", R"({"name":"n","weight":0.5})"), "'weight'"));
}

TEST_CASE("fields are described with type, label, default and comment") {
  const auto fields = load()->fields("test.old.Request");
  REQUIRE(fields.ok());
  const auto& url = fields->at(0);
  CHECK(url.name == "url");
  CHECK(url.type == "string");
  CHECK(url.label == "required");
  CHECK(url.comment == "Where to go.");
  CHECK(fields->at(2).fallback == "-7");
  CHECK(fields->at(7).label == "repeated");
  CHECK(fields->at(8).choices == std::vector<std::string>{"LOW", "HIGH"});
  CHECK(fields->at(9).fields.at(0).label == "required");
  const auto maps = load()->fields("test.now.Everything");
  CHECK(maps->at(10).type == "map<string, string>");
  CHECK(maps->at(10).label == "map");
  CHECK(maps->at(12).oneof == "choice");
  CHECK(!load()->fields("test.Nothing").ok());
}

TEST_CASE("a message of the wrong type is refused when it is read") {
  CHECK(!load()->decode("test.old.Request", "\xff\xff\xff").ok());
  CHECK(!load()->decode("test.Nothing", "").ok());
}
