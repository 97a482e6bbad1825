/* bench.clock: replies when it ran, as 8 bytes: nanoseconds of the wall clock. */
#define _POSIX_C_SOURCE 200809L
#include <futured/plugin.h>
#include <stddef.h>
#include <time.h>

static const futured_host* host;

static void run(void* thread_state, futured_call call, futured_bytes input) {
  (void)thread_state;
  (void)input;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  const int64_t ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
  host->complete(call, (futured_bytes){(const char*)&ns, sizeof ns});
}

static const futured_task_type clock_task = {
    .struct_size = sizeof(futured_task_type),
    .lane = FUTURED_LANE_THREAD,
    .name = "bench.clock",
    .summary = "replies when it ran",
    .run = run,
};
static const futured_task_type* const types[] = {&clock_task};

static int32_t init(const futured_host* given, futured_bytes config, char* error, uint64_t error_size) {
  (void)config;
  (void)error;
  (void)error_size;
  host = given;
  return 0;
}

static const futured_plugin plugin = {
    .struct_size = sizeof(futured_plugin),
    .abi_version = FUTURED_ABI_VERSION,
    .name = "bench",
    .version = "0.1.0",
    .types = types,
    .type_count = sizeof(types) / sizeof(types[0]),
    .init = init,
};

const futured_plugin* futured_plugin_v1(void) { return &plugin; }
