// The thread lane of fetch: one transfer on the calling thread, whose curl handles keep their connections from call to
// call. Any thread; each has handles of its own.
#pragma once

#include <futured/plugin.hpp>

#include "worker/plugins/fetch/transfer.hpp"

namespace futured::plugins::fetch {

plugin::Outcome<FetchReply> fetch_here(FetchRequest&& request, const Limits& limits, plugin::Call call);

}  // namespace futured::plugins::fetch
