// Which task has a key. Looked up, never walked.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>

#include "proto/ids.hpp"

namespace futured::scheduler {

struct KeyHolder {
  TaskNumber task = 0;
  std::uint64_t input = 0;  ///< hash of its input
};

/// A hash table in parts, each of which grows at another size: growing all of it at once would take a turn's time.
class KeyTable {
 public:
  KeyTable() {
    float load = 1;
    for (Part& part : parts_) part.max_load_factor(load += 1.0F / kParts);
  }
  /// Null if nobody has it.
  const KeyHolder* find(const std::string& key) const {
    const Part& part = parts_[part_of(key)];
    const auto it = part.find(key);
    return it == part.end() ? nullptr : &it->second;
  }
  void set(std::string key, KeyHolder holder) {
    Part& part = parts_[part_of(key)];
    const std::size_t before = part.size();
    part.insert_or_assign(std::move(key), holder);
    size_ += part.size() - before;
  }
  void erase(const std::string& key) { size_ -= parts_[part_of(key)].erase(key); }
  std::size_t size() const { return size_; }

 private:
  static constexpr std::size_t kParts = 256;
  using Part = std::unordered_map<std::string, KeyHolder>;
  // Other bits than those that most choose the bucket within the part.
  static std::size_t part_of(const std::string& key) { return std::hash<std::string>{}(key) >> 48 & (kParts - 1); }
  std::array<Part, kParts> parts_;
  std::size_t size_ = 0;
};

}  // namespace futured::scheduler
