// Frames <-> typed message: pure bytes in, value or Status out. Any thread; no state.
//
// A message is 1 + n frames. Frame 0 is an 8-byte prefix and a serialized message of futured.v1:
//
//   byte  0  1   2        3     4      5       6 7
//        'f''d'  version  kind  flags  n       generation (little endian)
//
// n is the number of payload frames that follow (0..64), each a payload that the Payloads column calls `framed`.
// flags are 0. generation counts the connections of the sending peer: a message of an older one is dropped.
#pragma once

#include <google/protobuf/message_lite.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "futured/v1/common.pb.h"
#include "proto/bytes.hpp"
#include "proto/status.hpp"

namespace futured::wire {

inline constexpr std::uint8_t kVersion = 1;
inline constexpr std::size_t kPrefixBytes = 8;
inline constexpr std::size_t kMaxFrames = 64;          ///< after frame 0
inline constexpr std::size_t kFramedFrom = 8192;       ///< payloads of this many bytes travel as their own frame
inline constexpr std::size_t kMaxBatchTasks = 4096;    ///< elements of one batch
inline constexpr std::size_t kBatchTasks = 256;        ///< a batch this full leaves without waiting for anything
inline constexpr std::size_t kBatchBytes = 16 * 1024;  ///< likewise, of inline payload
inline constexpr std::uint64_t kDefaultPayloadLimit = 64ULL << 20;
inline constexpr std::uint64_t kFrameLimit = 80ULL << 20;  ///< ZMQ_MAXMSGSIZE: above every legal frame

using Frames = std::vector<Slice>;

struct Envelope {
  v1::Kind kind = v1::KIND_NONE;
  std::uint8_t version = 0;
  std::uint16_t generation = 0;
  std::string_view body;            ///< within frame 0
  std::span<const Slice> payloads;  ///< the frames after frame 0
};

/// `payloads` are the frames after frame 0, at most kMaxFrames.
Frames encode(v1::Kind kind, std::uint16_t generation, const google::protobuf::MessageLite& body, Frames payloads = {});

/// Checks prefix and frame count; the result points into `frames`. Invalid: why, for a log line. A message of
/// another version is returned with that version, its body untouched: the caller answers Refused.
Result<Envelope> open(std::span<const Slice> frames);

/// Invalid if the body is not a message of this type.
Status parse(const Envelope& envelope, google::protobuf::MessageLite& into);

/// Builds a Payloads column and its frames.
class PayloadWriter {
 public:
  /// Small bytes are copied into the blob, large ones shared.
  void add(const Slice& payload);
  void add(std::string_view payload);
  std::size_t count() const { return static_cast<std::size_t>(column_.size_size()); }
  std::size_t inline_bytes() const { return column_.blob().size(); }
  std::size_t frames() const { return frames_.size(); }
  /// True if another payload of `size` bytes would exceed what one message may carry.
  bool full_for(std::size_t size) const;
  /// Moves the column into `column` and the frames out; the writer is empty afterwards.
  Frames finish(v1::Payloads& column);

 private:
  v1::Payloads column_;
  Frames frames_;
};

/// Appends one slice per element to `out`. The blob becomes one counted allocation shared by all small payloads, taken
/// from `column`. Invalid if sizes, blob and frames do not fit each other, or there are more than kMaxBatchTasks.
/// A payload above `limit` is delivered all the same: the caller refuses that element by its size.
Status read_payloads(v1::Payloads& column, std::span<const Slice> frames, std::vector<Slice>& out);

}  // namespace futured::wire
