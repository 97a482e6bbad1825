/* A plugin for the tests of the worker process, in plain C. */
#define _DEFAULT_SOURCE
#include <futured/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const futured_host* host;

/* The worst a plugin may do while it is only looked at. */
__attribute__((constructor)) static void noise(void) {
  printf("noise on standard output\n");
  fflush(stdout);
}

static int32_t init(const futured_host* h, futured_bytes config, char* error, uint64_t error_size) {
  host = h;
  if (config.size == 2) return 0;
  snprintf(error, error_size, "it was told %.*s", (int)config.size, (const char*)config.data);
  return 1;
}

static void fail(futured_call call, const char* why) {
  futured_failure f;
  memset(&f, 0, sizeof f);
  f.struct_size = sizeof f;
  f.message.data = why;
  f.message.size = strlen(why);
  host->fail(call, &f);
}

/* Until the file named by the input exists, or until it is told to stop. */
static void hold(void* state, futured_call call, futured_bytes input) {
  char path[512];
  (void)state;
  snprintf(path, sizeof path, "%.*s", (int)input.size, (const char*)input.data);
  while (access(path, F_OK) != 0) {
    if (host->cancelled(call)) {
      fail(call, "told to stop");
      return;
    }
    usleep(1000);
  }
  host->complete(call, input);
}

/* As many bytes of output as the input says. */
static void spew(void* state, futured_call call, futured_bytes input) {
  static char chunk[1000];
  char text[32];
  (void)state;
  snprintf(text, sizeof text, "%.*s", (int)input.size, (const char*)input.data);
  memset(chunk, 'o', sizeof chunk);
  for (long left = atol(text); left > 0;) {
    futured_bytes b = {chunk, left < 1000 ? (uint64_t)left : 1000};
    switch (host->emit(call, 1, b)) {
      case FUTURED_OK:
        left -= (long)b.size;
        break;
      case FUTURED_AGAIN:
        usleep(1000);
        break;
      default:
        fail(call, "nobody listens");
        return;
    }
  }
  host->progress(call, 1.0, (futured_bytes){"all out", 7});
  host->complete(call, (futured_bytes){NULL, 0});
}

static void crash(void* state, futured_call call, futured_bytes input) {
  (void)state;
  (void)call;
  (void)input;
  abort();
}

static const futured_task_type hold_type = {.struct_size = sizeof(futured_task_type),
                                            .lane = FUTURED_LANE_THREAD,
                                            .name = "hold",
                                            .summary = "waits for a file",
                                            .run = hold};
static const futured_task_type spew_type = {
    .struct_size = sizeof(futured_task_type), .lane = FUTURED_LANE_THREAD, .name = "spew", .run = spew};
static const futured_task_type crash_type = {
    .struct_size = sizeof(futured_task_type), .lane = FUTURED_LANE_THREAD, .name = "crash", .run = crash};
static const futured_task_type* const types[] = {&hold_type, &spew_type, &crash_type};

static const futured_plugin plugin = {.struct_size = sizeof(futured_plugin),
                                      .abi_version = FUTURED_ABI_VERSION,
                                      .name = "hold",
                                      .version = "1.2",
                                      .types = types,
                                      .type_count = 3,
                                      .init = init};

FUTURED_EXPORT const futured_plugin* futured_plugin_v1(void) { return &plugin; }
