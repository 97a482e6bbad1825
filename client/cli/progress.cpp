#include "client/cli/progress.hpp"

#include <array>
#include <cmath>
#include <cstdio>
#include <vector>

#include "client/cli/duration.hpp"

namespace futured::cli {
namespace {

using Seconds = std::chrono::duration<double>;
constexpr double kSmoothing = 2.0;  ///< seconds after which an old rate counts for a third

std::string per_second(double rate) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), rate < 10 ? "%.1f/s" : "%.0f/s", rate);
  return text.data();
}

}  // namespace

std::string Progress::line(Time now, std::size_t width) {
  const double since_last = Seconds(now - last_).count();
  if (since_last > 0.05) {
    const double fresh = static_cast<double>(done - done_at_last_) / since_last;
    const double weight = last_ == start_ ? 1 : 1 - std::exp(-since_last / kSmoothing);
    rate_ += (fresh - rate_) * weight;
    last_ = now;
    done_at_last_ = done;
  }
  std::vector<std::string> parts;
  std::string count = std::to_string(done);
  if (total && *total > 0) {
    const double share = 100.0 * static_cast<double>(done) / static_cast<double>(*total);
    count += (total_is_guess ? "/~" : "/") + std::to_string(*total);
    count += " " + std::to_string(static_cast<int>(std::min(share, total_is_guess ? 99.0 : 100.0))) + "%";
  }
  parts.push_back(std::move(count));
  if (failed > 0) parts.push_back(std::to_string(failed) + " failed");
  parts.push_back(per_second(rate_));
  if (total && *total > done && rate_ > 0) {
    const double left = static_cast<double>(*total - done) / rate_;
    if (left < 1e8) {
      parts.push_back("eta " +
                      show_duration(std::chrono::duration_cast<std::chrono::nanoseconds>(Seconds(std::ceil(left)))));
    }
  }
  parts.push_back(std::to_string(running) + " in flight");
  std::string out;
  for (const std::string& part : parts) {
    if (!out.empty() && out.size() + 2 + part.size() > width) break;
    out += (out.empty() ? "" : "  ") + part;
  }
  return out.substr(0, width);
}

std::string Progress::summary(Time now) const {
  const double seconds = Seconds(now - start_).count();
  std::string out = counted_tasks(done) + " in " + show_duration(now - start_);
  if (done > 0 && seconds > 0) out += " (" + per_second(static_cast<double>(done) / seconds) + ")";
  const std::uint64_t succeeded = done - failed - cancelled;
  std::string parts;
  const auto add = [&](std::uint64_t n, const char* what) {
    if (n > 0) parts += (parts.empty() ? ": " : ", ") + std::to_string(n) + " " + what;
  };
  add(succeeded, "succeeded");
  add(failed, "failed");
  add(cancelled, "cancelled");
  return out + parts;
}

}  // namespace futured::cli
