/* plugin.h as C11 sees it, and the layout of version 1 on LP64: what is here can never change. */
#include <futured/plugin.h>
#include <stddef.h>
#include <stdio.h>

#define AT(type, field, offset) _Static_assert(offsetof(type, field) == (offset), #type "." #field " has moved")

AT(futured_bytes, data, 0);
AT(futured_bytes, size, 8);
_Static_assert(sizeof(futured_bytes) == 16, "futured_bytes is passed by value: it cannot grow");
_Static_assert(sizeof(futured_call) == 8, "a call is 64 bits");

AT(futured_failure, struct_size, 0);
AT(futured_failure, kind, 4);
AT(futured_failure, message, 8);
AT(futured_failure, status, 24);
AT(futured_failure, signal, 28);
AT(futured_failure, permanent, 32);
AT(futured_failure, retry_after_ns, 40);
AT(futured_failure, reply, 48);
_Static_assert(sizeof(futured_failure) >= 64, "fields are only added");

AT(futured_value, struct_size, 0);
AT(futured_value, found, 4);
AT(futured_value, integer, 8);
AT(futured_value, bytes, 16);
_Static_assert(sizeof(futured_value) >= 32, "fields are only added");

AT(futured_host, struct_size, 0);
AT(futured_host, abi_version, 4);
AT(futured_host, complete, 8);
AT(futured_host, fail, 16);
AT(futured_host, result_reserve, 24);
AT(futured_host, result_commit, 32);
AT(futured_host, cancelled, 40);
AT(futured_host, emit, 48);
AT(futured_host, progress, 56);
AT(futured_host, get, 64);
AT(futured_host, log, 72);
AT(futured_host, get_extension, 80);
_Static_assert(sizeof(futured_host) >= 88, "fields are only added");

AT(futured_task_type, struct_size, 0);
AT(futured_task_type, lane, 4);
AT(futured_task_type, flags, 8);
AT(futured_task_type, name, 16);
AT(futured_task_type, summary, 24);
AT(futured_task_type, input_type, 32);
AT(futured_task_type, reply_type, 40);
AT(futured_task_type, max_concurrency, 48);
AT(futured_task_type, run, 56);
AT(futured_task_type, cancel, 64);
AT(futured_task_type, on_writable, 72);
_Static_assert(sizeof(futured_task_type) >= 80, "fields are only added");

AT(futured_plugin, struct_size, 0);
AT(futured_plugin, abi_version, 4);
AT(futured_plugin, name, 8);
AT(futured_plugin, version, 16);
AT(futured_plugin, schema_kind, 24);
AT(futured_plugin, schema, 32);
AT(futured_plugin, types, 48);
AT(futured_plugin, type_count, 56);
AT(futured_plugin, init, 64);
AT(futured_plugin, thread_init, 72);
AT(futured_plugin, thread_fini, 80);
AT(futured_plugin, flush, 88);
AT(futured_plugin, fini, 96);
AT(futured_plugin, get_extension, 104);
_Static_assert(sizeof(futured_plugin) >= 112, "fields are only added");

_Static_assert(FUTURED_ABI_VERSION == 1, "these are the offsets of version 1");
_Static_assert(FUTURED_ERROR == 1 && FUTURED_EXIT == 2, "numbers are for ever");
_Static_assert(FUTURED_OK == 0 && FUTURED_AGAIN == 1 && FUTURED_GONE == 2, "numbers are for ever");
_Static_assert(FUTURED_GET_ATTEMPT == 1 && FUTURED_GET_LIVE_OUTPUT == 8, "numbers are for ever");
_Static_assert(FUTURED_LANE_THREAD == 0 && FUTURED_LANE_ASYNC == 1, "numbers are for ever");
_Static_assert(FUTURED_IDEMPOTENT == 1, "numbers are for ever");

int main(void) {
  printf("plugin.h is C11 and version %u keeps its layout\n", FUTURED_ABI_VERSION);
  return 0;
}
