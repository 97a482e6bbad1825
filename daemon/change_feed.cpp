#include "daemon/change_feed.hpp"

#include <utility>

#include "daemon/selection.hpp"
#include "proto/ids.hpp"

namespace futured::daemon {

namespace {
struct RecordView {
  const v1::TaskRecord& r;
  TaskNumber number() const { return r.number(); }
  const std::string& id() const { return r.id(); }
  v1::State state() const { return r.state(); }
  const std::string& type() const { return r.type(); }
  const std::string& pool() const { return r.pool(); }
  const std::string& group() const { return r.group(); }
  const std::string& key() const { return r.key(); }
  bool has_labels() const { return !r.labels().empty(); }
  bool has_label(const std::string& name, const std::string& value) const {
    return std::any_of(r.labels().begin(), r.labels().end(),
                       [&](const v1::Header& h) { return h.name() == name && h.value() == value; });
  }
};
}  // namespace

std::string ChangeFeed::cursor(std::uint64_t sequence) const {
  std::string raw = origin_;
  for (int shift = 56; shift >= 0; shift -= 8) raw.push_back(static_cast<char>((sequence >> shift) & 0xff));
  return raw;
}

v1::ChangeRecord& ChangeFeed::add() {
  v1::ChangeRecord change;
  if (changes_.size() == kKept) {
    change = std::move(changes_.front());
    changes_.pop_front();
    change.Clear();
  }
  change.set_sequence(next_++);
  return changes_.emplace_back(std::move(change));
}

void ChangeFeed::skip() {
  changes_.clear();
  ++next_;
}

Status ChangeFeed::read(const v1::Selector& selector, std::string& at, v1::Reply& into) const {
  if (at.size() != origin_.size() + 8) return {Code::invalid, "this cursor is not one of this daemon"};
  if (at.compare(0, origin_.size(), origin_) != 0) {
    return {Code::forgotten, "this cursor is of an earlier daemon; watch on from now, without one"};
  }
  std::uint64_t from = 0;
  for (const unsigned char ch : at.substr(origin_.size())) from = from << 8 | ch;
  if (from > next_) return {Code::invalid, "this cursor is not one of this daemon"};
  const std::uint64_t first = next_ - changes_.size();
  from = std::max(from, first);
  for (; from < next_ && static_cast<std::size_t>(into.changes_size()) < kPage; ++from) {
    const v1::ChangeRecord& change = changes_[from - first];
    if (selects(selector, RecordView{change.task()})) *into.add_changes() = change;
  }
  at = cursor(from);
  return {};
}

}  // namespace futured::daemon
