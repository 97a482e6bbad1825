// `--embedded`: a daemon inside fut, where fut is built with one.
#pragma once

#include "client/cli/daemon.hpp"

namespace futured::cli {

/// Failure(usage): this fut has no daemon inside.
Executor start_embedded(const Daemon::Options& options);

}  // namespace futured::cli
