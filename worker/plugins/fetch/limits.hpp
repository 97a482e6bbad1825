// What the configuration of fetch says. Set by init, never changed after.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace futured::plugins::fetch {

struct Limits {
  std::uint32_t max_transfers = 1000;     ///< at once in one process; clamped to what open files allow
  std::uint32_t max_per_host = 1000;      ///< at once to one host and port
  std::uint64_t max_body = 256ull << 20;  ///< bytes of a body kept in memory, whatever max_bytes says
  double connect_timeout = 30;            ///< seconds for name, connection and TLS
  double stall_timeout = 60;              ///< seconds below stall_speed after which a transfer is given up
  std::int64_t stall_speed = 100;         ///< bytes a second
  bool private_addresses = true;          ///< may loopback, private and link-local addresses be reached?
  std::string proxy = "none";             ///< "none", "environment", or the URL of a proxy
};

/// Reads the configuration and raises the limit of open files as far as it may. Returns why not, or nothing.
std::string read_limits(std::string_view config, Limits& limits);

}  // namespace futured::plugins::fetch
