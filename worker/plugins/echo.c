/* echo: the template of a futured plugin in plain C. Copy this file, change the names, fill in run().
 *
 *   futured_add_plugin(NAME echo SOURCES echo.c)          CMake, after find_package(futured)
 *   cc -std=c11 -shared -fPIC -fvisibility=hidden -o echo.so echo.c      without CMake
 *
 * Put the .so into the daemon's plugin folder: then `fut run echo hello` prints hello.
 */
#include <futured/plugin.h>
#include <stddef.h>

/* Everything a plugin can ask of the worker. Given once, in init, and valid to the end of the process. */
static const futured_host* host;

/* One call of the task, on one of the worker's task threads. The input belongs to the worker and stays valid until the
 * call is ended. A task of the thread lane ends its call before it returns, and exactly once: here with complete(),
 * which copies the reply. To report a failure:
 *
 *   futured_failure failure = {.struct_size = sizeof failure, .kind = FUTURED_ERROR};
 *   failure.message = (futured_bytes){"what happened; what to do next", 30};
 *   host->fail(call, &failure);
 *
 * A task that takes long looks at host->cancelled(call) now and then and, if that is not 0, fails early. */
static void run(void* thread_state, futured_call call, futured_bytes input) {
  (void)thread_state;
  host->complete(call, input);
}

static const futured_task_type echo = {
    .struct_size = sizeof(futured_task_type),
    .lane = FUTURED_LANE_THREAD,
    .flags = FUTURED_IDEMPOTENT, /* running it twice does no harm */
    .name = "echo",
    .summary = "replies with its input",
    .run = run,
};
static const futured_task_type* const types[] = {&echo};

/* Called once in each worker process before any task. A plugin that cannot work writes a reason into error and returns
 * something else than 0. */
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
    .name = "echo",
    .version = "0.1.0",
    .types = types,
    .type_count = sizeof(types) / sizeof(types[0]),
    .init = init,
};

/* The one symbol a plugin exports. It only describes: it starts nothing and opens nothing. */
const futured_plugin* futured_plugin_v1(void) { return &plugin; }
