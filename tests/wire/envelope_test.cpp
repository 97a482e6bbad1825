#include "proto/envelope.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "futured/v1/client.pb.h"

using namespace futured;

namespace {

wire::Frames submit_message(const std::vector<std::string>& inputs) {
  wire::PayloadWriter writer;
  for (const std::string& input : inputs) writer.add(std::string_view(input));
  v1::Submit submit;
  submit.set_first_seq(5);
  submit.add_specs()->set_type("echo");
  wire::Frames frames = writer.finish(*submit.mutable_payloads());
  return wire::encode(v1::KIND_SUBMIT, 3, submit, std::move(frames));
}

/// What a receiver does with a message: false if it is refused.
bool read(const wire::Frames& frames, std::vector<Slice>& payloads) {
  const auto envelope = wire::open(frames);
  if (!envelope || envelope->version != wire::kVersion) return false;
  v1::Submit submit;
  if (!wire::parse(*envelope, submit).ok()) return false;
  return wire::read_payloads(*submit.mutable_payloads(), envelope->payloads, payloads).ok();
}

}  // namespace

TEST_CASE("a batch comes out as it went in, small payloads inline and large ones framed") {
  const std::vector<std::string> inputs = {
      "", "small", std::string(8191, 'a'), std::string(8192, 'b'), "", std::string(100'000, 'c'), "end"};
  const wire::Frames frames = submit_message(inputs);
  CHECK(frames.size() == 3);
  const auto envelope = wire::open(frames);
  REQUIRE(envelope);
  CHECK(envelope->kind == v1::KIND_SUBMIT);
  CHECK(envelope->generation == 3);
  std::vector<Slice> payloads;
  REQUIRE(read(frames, payloads));
  REQUIRE(payloads.size() == inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) CHECK(payloads[i].view() == inputs[i]);
}

TEST_CASE("the prefix is the one that the protocol documents") {
  const wire::Frames frames = wire::encode(v1::KIND_PING, 0x1234, v1::Ping{});
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].view() == std::string("fd\x01\x07\x00\x00\x34\x12", 8));
}

TEST_CASE("a message of another version is told apart from a malformed one") {
  std::string head(wire::encode(v1::KIND_HELLO, 1, v1::Hello{})[0].view());
  head[2] = 9;
  const auto envelope = wire::open(wire::Frames{Slice::copy(head)});
  REQUIRE(envelope);
  CHECK(envelope->version == 9);
}

TEST_CASE("messages that are not well-formed are refused with a reason") {
  CHECK_FALSE(wire::open(wire::Frames{}));
  CHECK_FALSE(wire::open(wire::Frames{Slice{}}));
  CHECK_FALSE(wire::open(wire::Frames{Slice::copy("fd")}));
  CHECK_FALSE(wire::open(wire::Frames{Slice::copy("GET / HTTP/1.1\r\n")}));
  wire::Frames missing = submit_message({std::string(9000, 'x')});
  missing.pop_back();
  CHECK_FALSE(wire::open(missing));
  wire::Frames extra = submit_message({"x"});
  extra.push_back(Slice::copy("y"));
  CHECK_FALSE(wire::open(extra));
}

TEST_CASE("a payload column whose sizes do not fit is refused and nothing is taken") {
  std::vector<Slice> out;
  const auto refuse = [&out](v1::Payloads column, const wire::Frames& frames) {
    const bool refused = !wire::read_payloads(column, frames, out).ok();
    return refused && out.empty();
  };
  v1::Payloads beyond;
  beyond.add_size(5);
  beyond.set_blob("abc");
  CHECK(refuse(beyond, {}));
  v1::Payloads rest;
  rest.add_size(1);
  rest.set_blob("abc");
  CHECK(refuse(rest, {}));
  v1::Payloads huge;
  huge.add_size(UINT64_MAX);
  huge.add_size(4);
  huge.set_blob("abc");
  CHECK(refuse(huge, {}));
  v1::Payloads unordered;
  unordered.add_size(2);
  unordered.add_size(2);
  unordered.add_framed(1);
  unordered.add_framed(0);
  CHECK(refuse(unordered, {Slice::copy("aa"), Slice::copy("bb")}));
  v1::Payloads wrong_size;
  wrong_size.add_size(3);
  wrong_size.add_framed(0);
  CHECK(refuse(wrong_size, {Slice::copy("aa")}));
  v1::Payloads out_of_range;
  out_of_range.add_size(2);
  out_of_range.add_framed(7);
  CHECK(refuse(out_of_range, {Slice::copy("aa")}));
  v1::Payloads too_many;
  for (std::size_t i = 0; i <= wire::kMaxBatchTasks; ++i) too_many.add_size(0);
  CHECK(refuse(too_many, {}));
}

TEST_CASE("no damage to a message makes its reader do worse than refuse it") {
  // Every outcome is fine but a crash, a read out of bounds (ASan) or payloads that lie outside of their frames.
  std::mt19937 random(20'260'101);
  const std::vector<wire::Frames> seeds = {submit_message({"a", "bb", "ccc"}),
                                           submit_message({std::string(9000, 'x'), "y", std::string(8192, 'z')}),
                                           submit_message({})};
  for (int round = 0; round < 20'000; ++round) {
    wire::Frames frames;
    for (const Slice& frame : seeds[random() % seeds.size()]) {
      std::string bytes(frame.view().substr(0, 200 + random() % 20'000));
      for (unsigned n = random() % 4; n > 0 && !bytes.empty(); --n) {
        bytes[random() % std::min<std::size_t>(bytes.size(), 64)] = static_cast<char>(random());
      }
      if (random() % 8 == 0) bytes.resize(random() % (bytes.size() + 1));
      frames.push_back(Slice::copy(bytes));
    }
    if (random() % 10 == 0) frames.push_back(Slice::copy("more"));
    std::vector<Slice> payloads;
    if (!read(frames, payloads)) continue;
    std::size_t sum = 0;
    for (const Slice& p : payloads) {
      for (const char c : p.view()) sum += static_cast<unsigned char>(c);
    }
    CHECK(sum < SIZE_MAX);
  }
}
