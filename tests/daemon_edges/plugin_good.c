#include "worker/include/futured/plugin.h"

static void run(void* state, futured_call call, futured_bytes input) {
  (void)state;
  (void)call;
  (void)input;
}
static const futured_task_type one = {.struct_size = sizeof one, .name = PLUGIN_NAME ".one", .run = run};
static const futured_task_type two = {.struct_size = sizeof two, .name = PLUGIN_TYPE, .run = run};
static const futured_task_type* const types[] = {&one, &two};
static const futured_plugin plugin = {.struct_size = sizeof plugin,
                                      .abi_version = FUTURED_ABI_VERSION,
                                      .name = PLUGIN_NAME,
                                      .version = "1.2",
                                      .types = types,
                                      .type_count = 2};
const futured_plugin* futured_plugin_v1(void) { return &plugin; }
