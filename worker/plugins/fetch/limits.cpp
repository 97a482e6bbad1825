#include "worker/plugins/fetch/limits.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <futured/plugin.hpp>

#include "worker/plugins/common/settings.hpp"

namespace futured::plugins::fetch {
namespace {

constexpr rlim_t files_for_others = 200;

/// Each transfer needs a socket and perhaps a file. An idle connection keeps its socket.
std::uint32_t within_open_files(std::uint32_t transfers) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return transfers;
  const rlim_t wanted = rlim_t{transfers} * 2 + files_for_others;
  if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < wanted) {
    rlimit raised = limit;
    raised.rlim_cur = limit.rlim_max == RLIM_INFINITY ? wanted : std::min(wanted, limit.rlim_max);
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= wanted) return transfers;
  const rlim_t rest = limit.rlim_cur > files_for_others ? limit.rlim_cur - files_for_others : 0;
  return std::max(std::uint32_t{4}, static_cast<std::uint32_t>(rest / 2));
}

}  // namespace

std::string read_limits(std::string_view config, Limits& limits) {
  Settings settings(config);
  limits.max_transfers =
      static_cast<std::uint32_t>(settings.integer("max_transfers", limits.max_transfers, 1, 100'000));
  limits.max_per_host = static_cast<std::uint32_t>(settings.integer("max_per_host", limits.max_per_host, 1, 100'000));
  limits.max_body = static_cast<std::uint64_t>(
      settings.integer("max_body", static_cast<std::int64_t>(limits.max_body), 0, 1ll << 31));
  limits.connect_timeout = settings.number("connect_timeout", limits.connect_timeout, 0.001, 3600);
  limits.stall_timeout = settings.number("stall_timeout", limits.stall_timeout, 1, 86400);
  limits.stall_speed = settings.integer("stall_speed", limits.stall_speed, 1, 1ll << 30);
  limits.private_addresses = settings.flag("private_addresses", limits.private_addresses);
  limits.proxy = settings.text("proxy", limits.proxy);
  if (std::string error = settings.error(); !error.empty()) return error;

  const std::uint32_t allowed = within_open_files(limits.max_transfers);
  if (allowed < limits.max_transfers) {
    plugin::log_warning("fetch: only " + std::to_string(allowed) + " of " + std::to_string(limits.max_transfers) +
                        " transfers at once: raise the limit of open files (RLIMIT_NOFILE, LimitNOFILE=)");
    limits.max_transfers = allowed;
  }
  return {};
}

}  // namespace futured::plugins::fetch
