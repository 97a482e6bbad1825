// The nearest of several names, for "did you mean": by edit distance, std only. Pure; any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace futured {

inline constexpr std::size_t kNearestMaxLength = 128;  ///< longer words are near to nothing: the cost stays bounded

/// Insertions, deletions, substitutions and swaps of neighbours that make `b` of `a`; case does not count.
inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  std::vector<std::size_t> before(b.size() + 1), previous(b.size() + 1), current(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      current[j] = std::min({previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1])) {
        current[j] = std::min(current[j], before[j - 2] + 1);
      }
    }
    before.swap(previous);
    previous.swap(current);
  }
  return previous[b.size()];
}

/// The first of the candidates that are nearest to `word`, or an empty string if none is near enough to be meant: at
/// most a third of the letters wrong (one of one or two), or `word` is the beginning of the candidate (from 2 letters
/// on).
template <class Candidates>
std::string nearest(std::string_view word, const Candidates& candidates) {
  if (word.empty() || word.size() > kNearestMaxLength) return {};
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(1, (word.size() + 1) / 3) + 1;
  std::string begins;
  for (const auto& candidate : candidates) {
    const std::string_view name(candidate);
    if (name.empty() || name.size() > kNearestMaxLength) continue;
    if (begins.empty() && word.size() >= 2 && name.size() > word.size() && name.substr(0, word.size()) == word) {
      begins = name;
    }
    const std::size_t distance = edit_distance(word, name);
    if (distance < best_distance && distance < std::max(word.size(), name.size())) {
      best_distance = distance;
      best = name;
    }
  }
  return best.empty() ? begins : best;
}

}  // namespace futured
