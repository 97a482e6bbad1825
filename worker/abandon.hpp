// The end of a worker process whose calls still run: nobody waits for them any more, and the same tasks may be about to
// run elsewhere. What the calls have started must not live on.
#pragma once

#include "worker/plugin/registry.hpp"

namespace futured::worker {

/// Lets the plugins end what they hold (for at most two seconds), kills whatever else this process has started if it
/// leads a session, and exits with `code`. Main thread.
[[noreturn]] void abandon_calls(Registry& registry, int code);

}  // namespace futured::worker
