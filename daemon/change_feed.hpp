// What has changed, for those who watch: a ring of records with consecutive sequence numbers. Without I/O. Owned and
// called by the loop thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "futured/v1/client.pb.h"
#include "proto/status.hpp"

namespace futured::daemon {

class ChangeFeed {
 public:
  static constexpr std::size_t kKept = 10'000;  ///< older changes are dropped: who is behind sees the gap
  static constexpr std::size_t kPage = 500;     ///< in one answer

  /// A new record, all but its sequence to be filled at once; valid until the next is added. The oldest leaves its
  /// memory to it.
  v1::ChangeRecord& add();
  /// The cursor of somebody who has seen everything.
  std::string now() const { return cursor(next_); }
  /// What came after the cursor and matches; moves `cursor` on. Invalid: not a cursor of this feed.
  Status read(const v1::Selector& selector, std::string& cursor, v1::Reply& into) const;

 private:
  static std::string cursor(std::uint64_t sequence);

  std::deque<v1::ChangeRecord> changes_;
  std::uint64_t next_ = 1;
};

}  // namespace futured::daemon
