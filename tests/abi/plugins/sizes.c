/* A plugin compiled against another state of plugin.h of the same version: SMALLER lacks the fields that were added
 * last, LARGER has some that this host does not know. What lies behind the end of a smaller struct is poison: a host
 * that reads a field without looking at struct_size ends here. */
#include <futured/plugin.h>
#include <stddef.h>
#include <string.h>

static const futured_host* host;

#if defined(SMALLER)

/* As futured_task_type, up to and without cancel. */
typedef struct old_task_type {
  uint32_t struct_size;
  int32_t lane;
  uint64_t flags;
  const char* name;
  const char* summary;
  const char* input_type;
  const char* reply_type;
  uint32_t max_concurrency;
  uint32_t reserved;
  void (*run)(void* thread_state, futured_call call, futured_bytes input);
  uint64_t poison[16];
} old_task_type;
/* As futured_plugin, up to and without thread_init. */
typedef struct old_plugin {
  uint32_t struct_size;
  uint32_t abi_version;
  const char* name;
  const char* version;
  const char* schema_kind;
  futured_bytes schema;
  const futured_task_type* const* types;
  uint32_t type_count;
  uint32_t reserved;
  int32_t (*init)(const futured_host* host, futured_bytes config, char* error, uint64_t error_size);
  uint64_t poison[16];
} old_plugin;
/* As futured_failure, up to and without retry_after_ns. */
typedef struct old_failure {
  uint32_t struct_size;
  int32_t kind;
  futured_bytes message;
  int32_t status;
  int32_t signal;
  int32_t permanent;
  int32_t reserved;
  uint64_t poison[16];
} old_failure;
typedef struct old_value {
  uint32_t struct_size;
  int32_t found;
  int64_t integer;
  uint64_t untouched[16];
} old_value;

_Static_assert(offsetof(old_task_type, poison) == offsetof(futured_task_type, cancel), "the smaller task type");
_Static_assert(offsetof(old_plugin, poison) == offsetof(futured_plugin, thread_init), "the smaller plugin");
_Static_assert(offsetof(old_failure, poison) == offsetof(futured_failure, retry_after_ns), "the smaller failure");
_Static_assert(offsetof(old_value, untouched) == offsetof(futured_value, bytes), "the smaller value");

#define POISON                                                                                                  \
  {                                                                                                             \
    0xdeadbeef00000001u, 0xdeadbeef00000001u, 0xdeadbeef00000001u, 0xdeadbeef00000001u, 0xdeadbeef00000001u,    \
        0xdeadbeef00000001u, 0xdeadbeef00000001u, 0xdeadbeef00000001u, 0xdeadbeef00000001u, 0xdeadbeef00000001u \
  }

/* The input as reply; the input "fail" fails, and "get" asks for a value. */
static void run(void* thread_state, futured_call call, futured_bytes input) {
  (void)thread_state;
  if (input.size == 4 && memcmp(input.data, "fail", 4) == 0) {
    const old_failure failure = {
        .struct_size = offsetof(old_failure, poison), .kind = FUTURED_ERROR, .message = {"small", 5}, .poison = POISON};
    host->fail(call, (const futured_failure*)(const void*)&failure);
    return;
  }
  if (input.size == 3 && memcmp(input.data, "get", 3) == 0) {
    old_value value = {.struct_size = offsetof(old_value, untouched), .untouched = POISON};
    host->get(call, FUTURED_GET_TASK_ID, (futured_bytes){NULL, 0}, (futured_value*)(void*)&value);
    const int kept = value.untouched[0] == 0xdeadbeef00000001u && value.untouched[1] == 0xdeadbeef00000001u;
    host->complete(call, kept ? (futured_bytes){"kept", 4} : (futured_bytes){"overwritten", 11});
    return;
  }
  host->complete(call, input);
}
static int32_t init(const futured_host* given, futured_bytes config, char* error, uint64_t error_size) {
  (void)config;
  (void)error;
  (void)error_size;
  host = given;
  return 0;
}
static const old_task_type type = {.struct_size = offsetof(old_task_type, poison),
                                   .lane = FUTURED_LANE_THREAD,
                                   .name = "abi.smaller",
                                   .run = run,
                                   .poison = POISON};
static const old_task_type* const types[] = {&type};
static const old_plugin plugin = {.struct_size = offsetof(old_plugin, poison),
                                  .abi_version = FUTURED_ABI_VERSION,
                                  .name = "smaller",
                                  .version = "0.1.0",
                                  .types = (const futured_task_type* const*)(const void*)types,
                                  .type_count = 1,
                                  .init = init,
                                  .poison = POISON};

#else /* LARGER */

typedef struct new_task_type {
  futured_task_type now;
  void (*unknown[8])(void);
} new_task_type;
typedef struct new_plugin {
  futured_plugin now;
  void (*unknown[8])(void);
} new_plugin;
typedef struct new_failure {
  futured_failure now;
  uint64_t unknown[8];
} new_failure;

static void run(void* thread_state, futured_call call, futured_bytes input) {
  (void)thread_state;
  if (input.size == 4 && memcmp(input.data, "fail", 4) == 0) {
    const new_failure failure = {
        .now = {.struct_size = sizeof(new_failure), .kind = 4711, .message = {"large", 5}, .status = 1}};
    host->fail(call, &failure.now);
    return;
  }
  host->complete(call, input);
}
static int32_t init(const futured_host* given, futured_bytes config, char* error, uint64_t error_size) {
  (void)config;
  (void)error;
  (void)error_size;
  host = given;
  return 0;
}
static const new_task_type type = {.now = {.struct_size = sizeof(new_task_type),
                                           .lane = FUTURED_LANE_THREAD,
                                           .flags = 0xff00,
                                           .name = "abi.larger",
                                           .run = run}};
static const futured_task_type* const types[] = {&type.now};
static const new_plugin plugin = {.now = {.struct_size = sizeof(new_plugin),
                                          .abi_version = FUTURED_ABI_VERSION,
                                          .name = "larger",
                                          .version = "0.1.0",
                                          .types = types,
                                          .type_count = 1,
                                          .init = init}};
#endif

const futured_plugin* futured_plugin_v1(void) { return (const futured_plugin*)(const void*)&plugin; }
