#include "daemon/reload.hpp"

#include <doctest/doctest.h>

using namespace futured;
using namespace futured::daemon;

namespace {

DaemonConfig with(void (*change)(DaemonConfig&)) {
  DaemonConfig config;
  config.pools = {{"a", 1, 1, 10, {}}, {"b", 2, 1, 10, {"echo"}}};
  config.plugin_config = {{"fetch", "{}"}};
  if (change != nullptr) change(config);
  return config;
}
using Names = std::vector<std::string>;

TEST_CASE("the same configuration changes nothing") {
  const Reload r = compare(with(nullptr), with(nullptr));
  CHECK(r.changed.empty());
  CHECK(r.needs_restart.empty());
}

TEST_CASE("log level, patience and processes are taken over") {
  const Reload r = compare(with(nullptr), with([](DaemonConfig& c) {
                             c.log_level = "debug";
                             c.drain_timeout_ns = 1'050'000'000;
                             c.pools[1].processes = 0;
                           }));
  CHECK(r.changed == Names{"log_level = debug", "drain_timeout = 1.05s", "pool b: processes = 0"});
  CHECK(r.needs_restart.empty());
  CHECK(r.config.log_level == "debug");
  CHECK(r.config.drain_timeout_ns == 1'050'000'000);
  CHECK(r.config.pools[1].processes == 0);
}

TEST_CASE("the rest needs a restart, is named, and stays as it is") {
  const Reload r = compare(with(nullptr), with([](DaemonConfig& c) {
                             c.listen = {"ipc:///x"};
                             c.store = "other";
                             c.plugin_dirs = {"/x"};
                             c.worker_program = "/x";
                             c.payload_limit = 1;
                             c.max_queued_tasks = 1;
                             c.max_queued_bytes = 1;
                             c.plugin_config = {{"exec", "{}"}};
                             c.pools = {{"b", 2, 2, 11, {"sleep"}}, {"c", 1, 1, 1, {}}};
                           }));
  CHECK(r.changed.empty());
  CHECK(r.needs_restart == Names{"listen", "store", "plugin_dirs", "worker_program", "payload_limit",
                                 "max_queued_tasks", "max_queued_bytes", "plugin.exec", "plugin.fetch (removed)",
                                 "pool a (removed)", "pool b: threads", "pool b: async_slots", "pool b: plugins",
                                 "pool c (new)"});
  CHECK(r.config.listen.empty());
  CHECK(r.config.pools.size() == 2);
  CHECK(r.config.pools[1].threads == 1);
}

}  // namespace
