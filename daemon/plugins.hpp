// Which plugins a configuration means: the folders searched, each file tried, the names that its pools ask for.
#pragma once

#include "daemon/catalog/catalog.hpp"
#include "futured/daemon.hpp"
#include "proto/status.hpp"

namespace futured::daemon {

/// Fills in what `config` leaves open (worker program, plugin folders, the plugins of each pool) and tries the files;
/// blocks meanwhile. Invalid: a folder that does not exist, or a name in a pool's `plugins` that no usable file has.
/// Not found: there is no worker program. Without pools there is nothing to do.
Result<Catalog> find_plugins(DaemonConfig& config);

}  // namespace futured::daemon
