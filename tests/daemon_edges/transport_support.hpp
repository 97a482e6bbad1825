// Shared by the tests that talk to a Transport.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/log.hpp"
#include "daemon/transport/transport.hpp"
#include "proto/envelope.hpp"
#include "tests/daemon_edges/support.hpp"

namespace futured::test {

using daemon::ConnectionId;
using daemon::Transport;

inline constexpr std::int64_t kSecond = 1'000'000'000;

inline std::unique_ptr<Transport> open_at(const std::vector<std::string>& endpoints,
                                          std::uint64_t limit = wire::kFrameLimit) {
  daemon::log_level("error");
  auto t = Transport::open(endpoints, limit);
  if (!t) FAIL(t.status().message());
  return std::move(*t);
}

struct Got {
  ConnectionId from = 0;
  std::vector<std::string> frames;
};

inline std::vector<std::string> text(const daemon::Frames& frames) {
  std::vector<std::string> out;
  for (const Slice& s : frames) out.emplace_back(s.view());
  return out;
}

inline daemon::Frames frames_of(const std::vector<std::string>& words) {
  daemon::Frames out;
  for (const std::string& w : words) out.push_back(Slice::copy(w));
  return out;
}

inline std::optional<Got> receive(Transport& t, std::int64_t limit = 10 * kSecond) {
  for (const std::int64_t end = now_ns() + limit;;) {
    Got got;
    daemon::Frames frames;
    if (t.receive(got.from, frames)) {
      got.frames = text(frames);
      return got;
    }
    if (now_ns() >= end) return std::nullopt;
    t.wait(std::min<std::int64_t>(end - now_ns(), kSecond), {});
  }
}

// Drops what comes meanwhile.
inline ConnectionId gone(Transport& t, std::int64_t limit = 10 * kSecond) {
  ConnectionId which = 0;
  for (const std::int64_t end = now_ns() + limit; now_ns() < end;) {
    ConnectionId from = 0;
    daemon::Frames frames;
    while (t.receive(from, frames)) {
    }
    if (t.next_gone(which)) return which;
    t.wait(end - now_ns(), {});
  }
  return 0;
}

}  // namespace futured::test
