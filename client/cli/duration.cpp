#include "client/cli/duration.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <limits>

namespace futured::cli {
namespace {

struct Unit {
  std::string_view name;
  double ns;
};
constexpr std::array<Unit, 7> kUnits{
    {{"d", 86400e9}, {"h", 3600e9}, {"m", 60e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1}}};

template <class... A>
std::string format(const char* pattern, A... values) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), pattern, values...);
  return text.data();
}

}  // namespace

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  const Status wrong(Code::invalid, "'" + std::string(text) + "' is no duration; write 250ms, 5s, 1h30m, or seconds");
  double total = 0;
  std::size_t next_unit = 0;
  std::string_view rest = text;
  if (rest.empty()) return wrong;
  while (!rest.empty()) {
    if (rest[0] < '0' || rest[0] > '9') {
      if (rest[0] != '.') return wrong;
    }
    double amount = 0;
    const auto end = std::from_chars(rest.data(), rest.data() + rest.size(), amount, std::chars_format::fixed);
    if (end.ec != std::errc{}) return wrong;
    rest.remove_prefix(static_cast<std::size_t>(end.ptr - rest.data()));
    const std::string_view unit = rest.substr(0, rest.find_first_of("0123456789."));
    rest.remove_prefix(unit.size());
    std::size_t i = next_unit;
    if (unit.empty()) {
      if (next_unit != 0) return wrong;
      i = 3;
    }
    while (!unit.empty() && i < kUnits.size() && kUnits[i].name != unit) ++i;
    if (i == kUnits.size()) return wrong;
    total += amount * kUnits[i].ns;
    next_unit = i + 1;
  }
  if (total >= static_cast<double>(std::numeric_limits<std::int64_t>::max())) {
    return Status(Code::invalid, "'" + std::string(text) + "' is too long a time");
  }
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::llround(total)));
}

std::string show_duration(std::chrono::nanoseconds d) {
  const auto ns = static_cast<double>(d.count());
  if (ns < 0) return "-" + show_duration(-d);
  if (ns < 9.95e5) return format("%.0fus", ns / 1e3);
  if (ns < 9.95e7) return format("%.1fms", ns / 1e6);
  if (ns < 9.995e9) return format("%.2fs", ns / 1e9);
  if (ns < 59.5e9) return format("%.0fs", ns / 1e9);
  const auto seconds = static_cast<std::int64_t>(std::llround(ns / 1e9));
  if (seconds < 3600) return format("%dm%02ds", static_cast<int>(seconds / 60), static_cast<int>(seconds % 60));
  if (seconds < 86400) return format("%dh%02dm", static_cast<int>(seconds / 3600), static_cast<int>(seconds / 60 % 60));
  return format("%dd%02dh", static_cast<int>(seconds / 86400), static_cast<int>(seconds / 3600 % 24));
}

std::string rfc3339(std::int64_t unix_ns) {
  std::int64_t seconds = unix_ns / 1'000'000'000;
  std::int64_t rest = unix_ns % 1'000'000'000;
  if (rest < 0) {
    rest += 1'000'000'000;
    --seconds;
  }
  const std::time_t when = seconds;
  std::tm utc{};
  if (gmtime_r(&when, &utc) == nullptr) return {};
  std::array<char, 40> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  return std::string(text.data(), size) + format(".%03dZ", static_cast<int>(rest / 1'000'000));
}

}  // namespace futured::cli
