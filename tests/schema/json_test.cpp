#include "proto/schema/json.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using futured::schema::from_base64;
using futured::schema::is_utf8;
using futured::schema::Json;
using futured::schema::json_of_bytes;
using futured::schema::to_base64;

static std::string again(std::string_view text) {
  const auto parsed = Json::parse(text);
  return parsed ? parsed->dump() : "refused: " + parsed.status().message();
}

TEST_CASE("members keep their order") {
  CHECK(again(R"({"b":1,"a":[true,null,{"z":0,"y":-1}]})") == R"({"b":1,"a":[true,null,{"z":0,"y":-1}]})");
}

TEST_CASE("64-bit integers stay whole") {
  CHECK(again("18446744073709551615") == "18446744073709551615");
  CHECK(again("-9223372036854775808") == "-9223372036854775808");
  CHECK(Json(std::numeric_limits<std::uint64_t>::max()).dump() == "18446744073709551615");
}

TEST_CASE("doubles print with the fewest digits that give them again") {
  CHECK(Json(0.1).dump() == "0.1");
  CHECK(again("0.30000000000000004") == "0.30000000000000004");
  CHECK(Json(std::nan("")).dump() == "\"NaN\"");
  CHECK(Json(-INFINITY).dump() == "\"-Infinity\"");
}

TEST_CASE("text is escaped, and repaired where it is not UTF-8") {
  CHECK(Json("a\"\\\n\t\x01\x7f").dump() == R"("a\"\\\n\t\u0001\u007f")");
  CHECK(Json(std::string("\xff\xc3\xa4\xc3")).dump() == "\"\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\"");
}

TEST_CASE("what is no JSON is refused with the reason") {
  for (const char* text : {"", "{", "[1,]", "01", "nul", "\"\xff\"", "{\"a\":1}x", "1e999"}) {
    CAPTURE(text);
    const auto parsed = Json::parse(text);
    REQUIRE(!parsed.ok());
    CHECK(parsed.status().message().find("not JSON") == 0);
    CHECK(parsed.status().message().find("json.exception") == std::string::npos);
  }
}

TEST_CASE("a member given twice is refused, in small and large objects") {
  CHECK(!Json::parse(R"({"a":1,"a":2})").ok());
  std::string many = "{";
  for (int i = 0; i < 100; ++i) many += "\"m" + std::to_string(i) + "\":0,";
  CHECK(Json::parse(many + "\"last\":0}").ok());
  CHECK(!Json::parse(many + "\"m50\":0}").ok());
}

TEST_CASE("nesting without end is refused") {
  CHECK(!Json::parse(std::string(1'000'000, '[')).ok());
  CHECK(!Json::parse(std::string(200, '[') + std::string(200, ']')).ok());
  CHECK(Json::parse(std::string(100, '[') + std::string(100, ']')).ok());
}

TEST_CASE("bytes are a string if they are UTF-8, else base64, and come back") {
  CHECK(json_of_bytes("gr\xc3\xbc\xc3\x9f").dump() == "\"gr\xc3\xbc\xc3\x9f\"");
  const std::string raw("\x00\xff\x10", 3);
  CHECK(json_of_bytes(raw).dump() == R"({"bytes":"AP8Q"})");
  const auto back = futured::schema::bytes_of_json(json_of_bytes(raw));
  REQUIRE(back.ok());
  CHECK(*back == raw);
  CHECK(!futured::schema::bytes_of_json(Json(1)).ok());
  CHECK(!futured::schema::bytes_of_json(*Json::parse(R"({"bytes":"AP8Q","more":1})")).ok());
}

TEST_CASE("base64 of every length comes back, and nonsense is refused") {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    const auto back = from_base64(to_base64(bytes));
    REQUIRE(back.ok());
    CHECK(*back == bytes);
    bytes.push_back(static_cast<char>(i * 37));
  }
  CHECK(to_base64("a") == "YQ==");
  CHECK(from_base64("YQ").ok());
  CHECK(*from_base64("-_8=") == *from_base64("+/8="));
  CHECK(!from_base64("a").ok());
  CHECK(!from_base64("a b c").ok());
}

TEST_CASE("UTF-8 is judged strictly") {
  CHECK(is_utf8("\xf0\x9f\x98\x80"));
  CHECK(!is_utf8("\xc0\x80"));          // overlong
  CHECK(!is_utf8("\xed\xa0\x80"));      // surrogate
  CHECK(!is_utf8("\xf4\x90\x80\x80"));  // beyond U+10FFFF
  CHECK(!is_utf8("\xe2\x82"));
}
