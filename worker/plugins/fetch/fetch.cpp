// fetch: gets pages over HTTP. `fetch` runs on the async lane: one thread of its own holds thousands of transfers.
// `fetch.sync` is the same on the thread lane: one task thread, one transfer.
#include <curl/curl.h>

#include <futured/plugin.hpp>
#include <string>
#include <utility>

#include "fetch_schema.hpp"
#include "worker/plugins/fetch/fetch_loop.hpp"
#include "worker/plugins/fetch/fetch_sync.hpp"
#include "worker/plugins/fetch/limits.hpp"

namespace {

using futured::plugin::Call;
using futured::plugin::Outcome;
using futured::plugins::fetch::FetchCall;
using futured::plugins::fetch::FetchLoop;
using futured::plugins::fetch::FetchReply;
using futured::plugins::fetch::FetchRequest;
using futured::plugins::fetch::Limits;

// Made by init; only another init destroys them.
Limits* limits = nullptr;
FetchLoop* loop = nullptr;

void fetch(FetchRequest&& request, FetchCall call) { loop->collect(std::move(request), call); }

Outcome<FetchReply> fetch_sync(FetchRequest&& request, Call call) {
  return futured::plugins::fetch::fetch_here(std::move(request), *limits, call);
}

void flush() { loop->flush(); }

std::string start(std::string_view config) {
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return "libcurl cannot be initialised";
  if (loop != nullptr) loop->stop();
  delete std::exchange(loop, nullptr);
  delete std::exchange(limits, new Limits);
  if (std::string error = futured::plugins::fetch::read_limits(config, *limits); !error.empty()) return error;
  loop = new FetchLoop(*limits);
  return loop->start().message();
}
void stop() { loop->stop(); }

}  // namespace

FUTURED_PLUGIN("fetch", "0.1.0", schema(fetch_schema),
               async<fetch>("fetch", "gets a page over HTTP, thousands at a time"),
               blocking<fetch_sync>("fetch.sync", "gets a page over HTTP on a task thread"), on_init(start),
               on_flush(flush), on_fini(stop))
