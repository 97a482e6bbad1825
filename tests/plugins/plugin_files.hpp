// Where the plugins under test are.
#pragma once

#include <string>

namespace futured::test {

/// The .so of a shipped plugin.
inline std::string plugin_file(const std::string& name) { return std::string(FUTURED_PLUGIN_DIR) + "/" + name + ".so"; }

}  // namespace futured::test
