/* Plugins that are wrong before they run a task; each .so is built with one of these definitions. What a worker does
 * with them must not depend on luck. */
#define _POSIX_C_SOURCE 200809L
#include <futured/plugin.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(NO_SYMBOL)

int futured_some_other_symbol(void);
int futured_some_other_symbol(void) { return 0; }

#else

#if defined(CONSTRUCTOR_ABORT)
__attribute__((constructor)) static void at_load(void) { abort(); }
#elif defined(CONSTRUCTOR_EXIT)
__attribute__((constructor)) static void at_load(void) { exit(0); }
#elif defined(CONSTRUCTOR_HANG)
__attribute__((constructor)) static void at_load(void) {
  for (;;) pause();
}
#endif

static const futured_host* host;
#if !defined(NULL_RUN)
static void run(void* thread_state, futured_call call, futured_bytes input) {
  (void)thread_state;
  host->complete(call, input);
}
#endif

static int32_t init(const futured_host* given, futured_bytes config, char* error, uint64_t error_size) {
  (void)config;
  (void)error;
  (void)error_size;
  host = given;
#if defined(INIT_REFUSES)
  return snprintf(error, (size_t)error_size, "the licence of this plugin has expired: renew it");
#elif defined(INIT_ABORT)
  abort();
#elif defined(INIT_HANG)
  for (;;) pause();
#endif
  return 0;
}

#if defined(BAD_NAME)
#define TASK_NAME "a name with spaces"
#elif defined(NULL_NAME)
#define TASK_NAME NULL
#elif defined(LONG_NAME)
#define TASK_NAME "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklm"
#else
#define TASK_NAME "broken.task"
#endif

static const futured_task_type type = {
    .struct_size = sizeof(futured_task_type),
#if defined(BAD_LANE)
    .lane = 77,
#else
    .lane = FUTURED_LANE_THREAD,
#endif
    .name = TASK_NAME,
#if !defined(NULL_RUN)
    .run = run,
#endif
};
static const futured_task_type* const types[] = {
    &type,
#if defined(DUPLICATE_TASK)
    &type,
#endif
};

static const futured_plugin plugin = {
    .struct_size = sizeof(futured_plugin),
#if defined(WRONG_ABI)
    .abi_version = 9999,
#else
    .abi_version = FUTURED_ABI_VERSION,
#endif
    .name = "broken",
    .version = "0.1.0",
#if defined(GARBAGE_SCHEMA)
    .schema_kind = "protobuf",
    .schema = {"\377\377\377\377 this is no FileDescriptorSet", 33},
#endif
    .types = types,
#if defined(NO_TASKS)
    .type_count = 0,
#else
    .type_count = sizeof(types) / sizeof(types[0]),
#endif
    .init = init,
};

const futured_plugin* futured_plugin_v1(void) {
#if defined(NULL_PLUGIN)
  (void)plugin;
  return NULL;
#elif defined(DESCRIBE_ABORT)
  (void)plugin;
  abort();
#else
  return &plugin;
#endif
}

#endif
