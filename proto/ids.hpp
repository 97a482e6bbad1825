// Identities that cross a process or a restart. Plain values: no allocation, any thread.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace futured {

/// One client session: 88 bits of time and randomness, drawn anew after fork.
struct StreamId {
  std::array<std::uint8_t, 11> bytes{};
  friend auto operator<=>(const StreamId&, const StreamId&) = default;
};

/// Position of a task within its stream, 0 .. 2^40-1.
using Seq = std::uint64_t;
inline constexpr Seq kMaxSeq = (Seq{1} << 40) - 1;

/// Made by the client, so that it can pipeline submit, cancel and dependency without waiting, and so that a
/// resubmit after a lost acknowledgement is recognised. Text form: 32 lower-case hex digits.
struct TaskId {
  StreamId stream;
  Seq seq = 0;
  friend auto operator<=>(const TaskId&, const TaskId&) = default;
};

/// Dense number given by the daemon in order of acceptance, from 1: what humans type and what the daemon indexes by.
/// 0 means "none".
using TaskNumber = std::uint64_t;

/// Given by the daemon to each worker process that says hello, from 1; never reused within an epoch.
using WorkerId = std::uint64_t;

/// Names one attempt of one task for ever; workers echo it and never look inside.
struct AttemptToken {
  std::uint32_t epoch = 0;    ///< of the daemon start that dispatched it
  std::uint32_t attempt = 0;  ///< from 1
  TaskNumber task = 0;
  // NOLINTNEXTLINE(modernize-use-nullptr): the check takes the zero that `<` compares with for a pointer
  friend auto operator<=>(const AttemptToken&, const AttemptToken&) = default;
};
inline constexpr std::size_t kTokenBytes = 16;

/// Little-endian 16-byte form of a token, as it stands on the wire.
inline void put_token(std::string& out, const AttemptToken& t) {
  char raw[kTokenBytes];
  auto put = [&raw](std::size_t at, std::uint64_t v, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) raw[at + i] = static_cast<char>((v >> (8 * i)) & 0xff);
  };
  put(0, t.epoch, 4);
  put(4, t.attempt, 4);
  put(8, t.task, 8);
  out.append(raw, kTokenBytes);
}

/// `raw` must have at least kTokenBytes bytes.
inline AttemptToken get_token(const char* raw) {
  auto get = [raw](std::size_t at, std::size_t n) {
    std::uint64_t v = 0;
    for (std::size_t i = 0; i < n; ++i) v |= std::uint64_t{static_cast<unsigned char>(raw[at + i])} << (8 * i);
    return v;
  };
  return {static_cast<std::uint32_t>(get(0, 4)), static_cast<std::uint32_t>(get(4, 4)), get(8, 8)};
}

inline std::string to_hex(std::string_view raw) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(raw.size() * 2);
  for (unsigned char c : raw) {
    out.push_back(digits[c >> 4]);
    out.push_back(digits[c & 15]);
  }
  return out;
}

inline std::string to_string(const TaskId& id) {
  std::string raw(reinterpret_cast<const char*>(id.stream.bytes.data()), id.stream.bytes.size());
  for (int shift = 32; shift >= 0; shift -= 8) raw.push_back(static_cast<char>((id.seq >> shift) & 0xff));
  return to_hex(raw);
}

/// The inverse of to_string(TaskId); nothing if `text` is not 32 hex digits.
inline std::optional<TaskId> parse_task_id(std::string_view text) {
  if (text.size() != 32) return std::nullopt;
  std::array<std::uint8_t, 16> raw{};
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    int v = 0;
    if (c >= '0' && c <= '9') {
      v = c - '0';
    } else if (c >= 'a' && c <= 'f') {
      v = c - 'a' + 10;
    } else if (c >= 'A' && c <= 'F') {
      v = c - 'A' + 10;
    } else {
      return std::nullopt;
    }
    raw[i / 2] = static_cast<std::uint8_t>(raw[i / 2] << 4 | v);
  }
  TaskId id;
  std::memcpy(id.stream.bytes.data(), raw.data(), id.stream.bytes.size());
  for (std::size_t i = 11; i < 16; ++i) id.seq = id.seq << 8 | raw[i];
  return id;
}

}  // namespace futured

template <>
struct std::hash<futured::StreamId> {
  std::size_t operator()(const futured::StreamId& s) const noexcept {
    std::uint64_t v = 0;
    std::memcpy(&v, s.bytes.data() + 3, sizeof v);  // the random end of the id
    return v * 0x9e3779b97f4a7c15ULL;
  }
};
