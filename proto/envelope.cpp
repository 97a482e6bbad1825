#include "proto/envelope.hpp"

#include <limits>

namespace futured::wire {

Frames encode(v1::Kind kind, std::uint16_t generation, const google::protobuf::MessageLite& body, Frames payloads) {
  std::string head;
  const std::size_t size = body.ByteSizeLong();
  head.resize(kPrefixBytes + size);
  head[0] = 'f';
  head[1] = 'd';
  head[2] = static_cast<char>(kVersion);
  head[3] = static_cast<char>(kind);
  head[4] = 0;
  head[5] = static_cast<char>(payloads.size());
  head[6] = static_cast<char>(generation & 0xff);
  head[7] = static_cast<char>(generation >> 8);
  body.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(head.data() + kPrefixBytes));
  Frames frames;
  frames.reserve(1 + payloads.size());
  frames.push_back(Slice::of(std::move(head)));
  for (Slice& p : payloads) frames.push_back(std::move(p));
  return frames;
}

Result<Envelope> open(std::span<const Slice> frames) {
  if (frames.empty()) return Status(Code::invalid, "a message without frames");
  const std::string_view head = frames[0].view();
  if (head.size() < kPrefixBytes) {
    return Status(Code::invalid, "frame 0 has " + std::to_string(head.size()) + " bytes; the prefix alone has 8");
  }
  if (head[0] != 'f' || head[1] != 'd') return Status(Code::invalid, "frame 0 does not begin with \"fd\"");
  Envelope e;
  const auto byte = [head](std::size_t i) { return static_cast<std::uint8_t>(head[i]); };
  e.version = byte(2);
  e.kind = static_cast<v1::Kind>(byte(3));
  e.generation = static_cast<std::uint16_t>(byte(6) | byte(7) << 8);
  e.body = head.substr(kPrefixBytes);
  if (e.version != kVersion) return e;
  if (byte(5) > kMaxFrames || byte(5) != frames.size() - 1) {
    return Status(Code::invalid, "the prefix announces " + std::to_string(byte(5)) + " payload frames, " +
                                     std::to_string(frames.size() - 1) + " came");
  }
  e.payloads = frames.subspan(1);
  return e;
}

Status parse(const Envelope& envelope, google::protobuf::MessageLite& into) {
  if (envelope.body.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()) ||
      !into.ParseFromArray(envelope.body.data(), static_cast<int>(envelope.body.size()))) {
    return {Code::invalid, "the body is not a " + into.GetTypeName()};
  }
  return {};
}

void PayloadWriter::add(const Slice& payload) {
  if (payload.size() < kFramedFrom) {
    add(payload.view());
    return;
  }
  column_.add_framed(static_cast<std::uint32_t>(column_.size_size()));
  column_.add_size(payload.size());
  frames_.push_back(payload);
}

void PayloadWriter::add(std::string_view payload) {
  if (payload.size() >= kFramedFrom) {
    add(Slice::copy(payload));
    return;
  }
  column_.add_size(payload.size());
  column_.mutable_blob()->append(payload);
}

bool PayloadWriter::full_for(std::size_t size) const {
  if (count() >= kMaxBatchTasks) return true;
  return size >= kFramedFrom ? frames_.size() >= kMaxFrames : false;
}

Frames PayloadWriter::finish(v1::Payloads& column) {
  column.Swap(&column_);
  column_.Clear();
  return std::exchange(frames_, {});
}

Status read_payloads(v1::Payloads& column, std::span<const Slice> frames, std::vector<Slice>& out) {
  const auto n = static_cast<std::size_t>(column.size_size());
  if (n > kMaxBatchTasks) {
    return {Code::invalid,
            "a batch of " + std::to_string(n) + " elements; the limit is " + std::to_string(kMaxBatchTasks)};
  }
  if (static_cast<std::size_t>(column.framed_size()) != frames.size()) {
    return {Code::invalid, "payload frames and the column do not fit each other"};
  }
  // Check everything before anything is appended.
  const std::size_t blob_bytes = column.blob().size();
  std::size_t inline_bytes = 0;
  int f = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint64_t size = column.size(static_cast<int>(i));
    if (f < column.framed_size() && column.framed(f) == i) {
      if (frames[static_cast<std::size_t>(f)].size() != size) {
        return {Code::invalid, "payload frame " + std::to_string(f) + " is not as long as the column says"};
      }
      ++f;
    } else {
      if (size > blob_bytes - inline_bytes) return {Code::invalid, "payload sizes exceed the blob"};
      inline_bytes += size;
    }
  }
  if (f != column.framed_size()) return {Code::invalid, "`framed` is not ascending or out of range"};
  if (inline_bytes != blob_bytes) return {Code::invalid, "the blob is longer than the payload sizes say"};

  const Slice blob = Slice::of(std::move(*column.mutable_blob()));
  std::size_t at = 0;
  f = 0;
  out.reserve(out.size() + n);
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t size = column.size(static_cast<int>(i));
    if (f < column.framed_size() && column.framed(f) == i) {
      out.push_back(frames[static_cast<std::size_t>(f++)]);
    } else {
      out.push_back(blob.sub(at, size));
      at += size;
    }
  }
  return {};
}

}  // namespace futured::wire
