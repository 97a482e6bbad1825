// Where a client looks for its daemon. A daemon started by hand listens by the same rules.
#pragma once

#include <string>
#include <vector>

namespace futured::client {

/// $XDG_RUNTIME_DIR/futured/futured.sock, else ~/.local/state/futured/run/futured.sock.
std::string user_socket_path();
/// /run/futured/futured.sock
std::string system_socket_path();

/// What `asked` means: itself; FUTURED_CONNECT; the first socket of the two that exists; the user's otherwise.
/// A bare path becomes ipc://PATH.
std::string resolve_endpoint(const std::string& asked);

}  // namespace futured::client
