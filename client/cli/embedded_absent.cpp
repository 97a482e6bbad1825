#include "client/cli/embedded.hpp"
#include "client/cli/failure.hpp"

namespace futured::cli {

Executor start_embedded(const Daemon::Options&) {
  throw Failure(Exit::usage,
                "this fut was built without a daemon inside: start one with 'futured' and leave out --embedded");
}

}  // namespace futured::cli
