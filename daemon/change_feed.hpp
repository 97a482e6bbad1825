// What has changed, for those who watch: a ring of records with consecutive sequence numbers. Without I/O. Owned and
// called by the loop thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "futured/v1/client.pb.h"
#include "proto/status.hpp"

namespace futured::daemon {

class ChangeFeed {
 public:
  static constexpr std::size_t kKept = 10'000;  ///< older changes are dropped: who is behind sees the gap
  static constexpr std::size_t kPage = 500;     ///< in one answer

  /// `origin`: stands in its cursors; another daemon has another.
  explicit ChangeFeed(std::string origin = {}) : origin_(std::move(origin)) {}
  /// A new record, all but its sequence to be filled at once; valid until the next is added. The oldest leaves its
  /// memory to it.
  v1::ChangeRecord& add();
  /// Changes were not noted for a while: who comes back to see them sees a gap.
  void skip();
  /// The cursor of somebody who has seen everything.
  std::string now() const { return cursor(next_); }
  /// What came after the cursor and matches; moves `cursor` on. Invalid: it is none. Forgotten: it is one of
  /// an earlier daemon.
  Status read(const v1::Selector& selector, std::string& cursor, v1::Reply& into) const;

 private:
  std::string cursor(std::uint64_t sequence) const;

  const std::string origin_;
  std::deque<v1::ChangeRecord> changes_;
  std::uint64_t next_ = 1;
};

}  // namespace futured::daemon
