// The log of this process: one line each on standard error. Any thread. Until log_level() is called warnings and errors
// are written, which is right for a daemon inside another program.
#pragma once

#include <string>
#include <string_view>

namespace futured::daemon {

void log_debug(std::string_view text);
void log_info(std::string_view text);
void log_warning(std::string_view text);
void log_error(std::string_view text);

/// trace, debug, info, warning, error or off; false: not one of these, nothing changes.
bool log_level(std::string_view level);

}  // namespace futured::daemon
