// Reads the time zones of this machine (package tzdata). The only part of the schedules that touches a file; any
// thread.
#pragma once

#include <filesystem>
#include <string_view>

#include "daemon/schedules/zone.hpp"
#include "proto/status.hpp"

namespace futured::schedules {

/// Where the machine's own zone and all zones are.
struct ZoneFiles {
  std::filesystem::path local = "/etc/localtime";
  std::filesystem::path folder = "/usr/share/zoneinfo";
};

/// The zone of an IANA name such as Europe/Berlin; empty: the machine's own, which is UTC if it has none, as for libc.
/// UTC needs no file. Neither TZ nor any other part of the environment is read. Invalid: no such name (with the
/// nearest there is), or a file that is no zone. Internal: it cannot be read.
Result<Zone> read_zone(std::string_view name, const ZoneFiles& files = {});

}  // namespace futured::schedules
