// What plugins call: the function table of the ABI over the call tables of this process.
#pragma once

#include <futured/plugin.h>

namespace futured::worker {

/// Valid for the life of the process; its functions may be called from any thread.
const futured_host* host_table();

}  // namespace futured::worker
