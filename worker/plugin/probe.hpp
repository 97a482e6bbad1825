// The throw-away process that finds out what a plugin file offers, so that a bad file harms nobody.
#pragma once

#include <string>

namespace futured::worker {

/// Loads `file` and writes a futured.v1.Probe to what is standard output at the call; what the plugin prints goes to
/// standard error. Returns the exit code: 0 if the message was written, also if it says that the file is no good.
int probe(const std::string& file);

}  // namespace futured::worker
