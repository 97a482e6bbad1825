/* The plugin ABI of futured, version 1. C11; everything that crosses it is fixed-width or pointer + length.
 *
 * A plugin is a shared object that exports one function, futured_plugin_v1. It is loaded into worker processes
 * (dlopen, RTLD_LOCAL) and never unloaded: a new plugin means a new process.
 *
 * Threads are named on every function:
 *   [probe]   called in a throw-away process; must be pure: no threads, no files, no sockets
 *   [main]    the worker's main thread, before any task
 *   [lane]    one of the worker's task threads
 *   [loop]    the worker's loop thread; must return within microseconds, must not block
 *   [any]     any thread, at any time between init and process end
 *
 * Growth: every struct begins with its size as the writer compiled it. A reader uses a field only if
 * offset + size of the field <= struct_size. Fields are only ever added at the end. Arrays of structs that grow are
 * arrays of pointers. No C++ types, exceptions or FILE* cross; nobody frees what the other side allocated.
 * A C++ exception that escapes a plugin function ends the worker process. plugin.hpp (the C++ SDK) catches it.
 */
#ifndef FUTURED_PLUGIN_H
#define FUTURED_PLUGIN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FUTURED_ABI_VERSION 1u

#if defined(__GNUC__)
#define FUTURED_EXPORT __attribute__((visibility("default")))
#else
#define FUTURED_EXPORT
#endif

/* Bytes owned by whoever says so at the place of use. data may be null when size is 0. */
typedef struct futured_bytes {
  const void* data;
  uint64_t size;
} futured_bytes;

/* One call of one task. Carries a generation: using a handle after its call was completed is harmless and does
 * nothing. 0 is never a call. */
typedef uint64_t futured_call;

/* What went wrong in a call. Zero-initialise, set struct_size, fill what applies. */
enum {
  FUTURED_ERROR = 1, /* the task says no */
  FUTURED_EXIT = 2   /* a command ended with a status other than 0, or by a signal */
};
typedef struct futured_failure {
  uint32_t struct_size;
  int32_t kind;          /* FUTURED_ERROR or FUTURED_EXIT; anything else counts as FUTURED_ERROR */
  futured_bytes message; /* for people: what happened, to what, what to do next. Copied */
  int32_t status;        /* FUTURED_EXIT: exit status */
  int32_t signal;        /* FUTURED_EXIT: signal number, 0 if none */
  int32_t permanent;     /* not 0: another attempt cannot help */
  int32_t reserved;
  int64_t retry_after_ns; /* > 0: not before this many nanoseconds from now */
  futured_bytes reply;    /* what there is of a reply in spite of the failure. Copied */
} futured_failure;

/* Answers of futured_host.emit */
enum {
  FUTURED_OK = 0,
  FUTURED_AGAIN = 1, /* nothing was taken: the consumer is behind. on_writable(call) comes when there is room */
  FUTURED_GONE = 2   /* the call is over or nobody listens: drop the rest */
};

/* Keys of futured_host.get */
enum {
  FUTURED_GET_ATTEMPT = 1,     /* integer: number of this attempt, from 1 */
  FUTURED_GET_DEADLINE_NS = 2, /* integer: CLOCK_MONOTONIC time in ns at which the attempt is given up */
  FUTURED_GET_TASK_NUMBER = 3, /* integer */
  FUTURED_GET_TASK_ID = 4,     /* bytes: text form */
  FUTURED_GET_HEADER = 5,      /* bytes: value of the header named by `name` */
  FUTURED_GET_RESOURCE = 6,    /* bytes: what was assigned of the resource named by `name` */
  FUTURED_GET_TYPE = 7,        /* bytes: the task type's name */
  FUTURED_GET_LIVE_OUTPUT = 8  /* integer: 1 if someone follows the output of this call as it comes */
};
typedef struct futured_value {
  uint32_t struct_size;
  int32_t found; /* 0: the call has no such value */
  int64_t integer;
  futured_bytes bytes; /* owned by the host, valid until the call is completed */
} futured_value;

enum { FUTURED_LOG_DEBUG = 1, FUTURED_LOG_INFO = 2, FUTURED_LOG_WARNING = 3, FUTURED_LOG_ERROR = 4 };

/* Owned by the worker, valid from init to the end of the process. */
typedef struct futured_host {
  uint32_t struct_size;
  uint32_t abi_version;

  /* [any] Ends the call with success; the reply is copied. Each call is ended exactly once, by complete, fail or
   * result_commit, also after it was cancelled; a second or late one does nothing. */
  void (*complete)(futured_call call, futured_bytes reply);
  /* [any] Ends the call with a failure; everything in `failure` is copied. */
  void (*fail)(futured_call call, const futured_failure* failure);

  /* [any] Memory for a reply of exactly `size` bytes, to be filled and then committed; null if the call is over or
   * the size is above the worker's limit for replies (then fail the call). */
  void* (*result_reserve)(futured_call call, uint64_t size);
  /* [any] Ends the call with success, the first `size` bytes of what was reserved being the reply. */
  void (*result_commit)(futured_call call, uint64_t size);

  /* [any] Not 0 once the call should stop: cancelled, timed out or draining. Cheap enough for an inner loop. */
  int32_t (*cancelled)(futured_call call);

  /* [any] Sends a chunk of output (stream 1: stdout, 2: stderr, others as the plugin likes) while the call runs. The
   * chunk is taken whole and copied, or not at all. At most 64 KiB a chunk. */
  int32_t (*emit)(futured_call call, uint32_t stream, futured_bytes chunk);

  /* [any] How far the call is: fraction 0..1 (negative: unknown) and a short text. Copied; the last one wins. */
  void (*progress)(futured_call call, double fraction, futured_bytes text);

  /* [any] Reads one of FUTURED_GET_*; `name` for the keys that take one. out->struct_size must be set. */
  void (*get)(futured_call call, uint32_t key, futured_bytes name, futured_value* out);

  /* [any] A line in the worker's log. Copied. */
  void (*log)(int32_t level, futured_bytes text);

  /* [any] Further abilities of this host, by name; null if it has none of that name. */
  const void* (*get_extension)(const char* name);
} futured_host;

/* Which lane runs a task type */
enum {
  FUTURED_LANE_THREAD = 0, /* run() blocks a task thread until the call is done, and must end it before returning */
  FUTURED_LANE_ASYNC = 1   /* run() starts the call and returns; it is ended later, from any thread */
};

/* Flags of a task type */
enum {
  FUTURED_IDEMPOTENT = 1 /* running it twice does no harm */
};

/* Owned by the plugin, valid to the end of the process. */
typedef struct futured_task_type {
  uint32_t struct_size;
  int32_t lane; /* FUTURED_LANE_* */
  uint64_t flags;
  const char* name;         /* 1-64 of [A-Za-z0-9_.-], unique in the catalog: "fetch", "fetch.sync" */
  const char* summary;      /* one line for people, may be null */
  const char* input_type;   /* full name of the message of the input in the plugin's schema; null: plain bytes */
  const char* reply_type;   /* likewise for the reply */
  uint32_t max_concurrency; /* most calls of this type at once in one process; 0: no limit of its own */
  uint32_t reserved;

  /* thread lane [lane], async lane [loop]. `input` is owned by the host and valid until the call is ended.
   * thread_state is what thread_init returned on this thread (null on the async lane). */
  void (*run)(void* thread_state, futured_call call, futured_bytes input);
  /* [any, beside run and beside the end of the call; never after the call was ended and the ending function has
   * returned] The call should stop soon. It is still to be ended by the plugin. May be null: then only
   * host->cancelled() tells. */
  void (*cancel)(futured_call call);
  /* [any, like cancel] There is room again after emit said FUTURED_AGAIN. May be null. */
  void (*on_writable)(futured_call call);
} futured_task_type;

/* What a plugin is. Owned by the plugin, valid to the end of the process. */
typedef struct futured_plugin {
  uint32_t struct_size;
  uint32_t abi_version; /* FUTURED_ABI_VERSION the plugin was compiled against */
  const char* name;     /* as in the configuration: "fetch" */
  const char* version;

  /* What describes inputs and replies. "protobuf": schema holds a serialized google.protobuf.FileDescriptorSet with
   * all imports. null: plain bytes. */
  const char* schema_kind;
  futured_bytes schema;

  const futured_task_type* const* types;
  uint32_t type_count;
  uint32_t reserved;

  /* [main] Once per process, before any other function but futured_plugin_v1. `config` is the plugin's own table of
   * the daemon's configuration as JSON text ("{}" if there is none), valid during the call. Returns 0, or not 0 after
   * writing a reason into `error` (a zero-terminated text of at most error_size bytes): the worker then does not
   * offer this plugin. May be null. */
  int32_t (*init)(const futured_host* host, futured_bytes config, char* error, uint64_t error_size);
  /* [lane] Once per task thread, before its first run of this plugin; the result is handed to run. May be null. */
  void* (*thread_init)(void);
  /* [lane] At an orderly end of the thread. May be null. */
  void (*thread_fini)(void* thread_state);
  /* [loop] After each batch of async runs: start together what was collected. May be null. */
  void (*flush)(void);
  /* [main] At an orderly end of the process, with no call open. Not guaranteed: processes are also killed. May be
   * null. */
  void (*fini)(void);
  /* [probe, any] Further abilities of this plugin, by name; null if it has none of that name. May itself be null. */
  const void* (*get_extension)(const char* name);
} futured_plugin;

/* [probe, main] The only symbol a plugin exports. Pure: returns a pointer to static data, or null if it cannot work
 * at all. */
FUTURED_EXPORT const futured_plugin* futured_plugin_v1(void);

#ifdef __cplusplus
}
#endif

#endif /* FUTURED_PLUGIN_H */
