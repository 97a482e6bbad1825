#include "worker/executor/host.hpp"

#include <algorithm>
#include <new>
#include <string>
#include <string_view>

#include "worker/executor/call_table.hpp"
#include "worker/log.hpp"

namespace futured::worker {
namespace {

constexpr std::uint64_t kMostMessage = 4096;  // of a failure
constexpr std::uint64_t kMostText = 1024;     // of progress

std::string_view view(futured_bytes b, std::uint64_t most = UINT64_MAX) {
  return b.data == nullptr ? std::string_view()
                           : std::string_view(static_cast<const char*>(b.data), std::min(b.size, most));
}

struct Found {
  CallTable* table = nullptr;
  CallRecord* record = nullptr;
  explicit operator bool() const { return record != nullptr; }
};

Found find(futured_call call) {
  Found f;
  if (call == 0) return f;
  f.table = CallTable::of(call);
  if (f.table != nullptr) f.record = f.table->find(call);
  return f;
}

void complete(futured_call call, futured_bytes reply) {
  const Found f = find(call);
  if (!f || !f.table->begin_end(*f.record, call)) return;
  f.record->reply = keep_reply(reply.data, reply.size);
  f.table->end(*f.record, call);
}

void fail(futured_call call, const futured_failure* failure) {
  const Found f = find(call);
  if (!f || !f.table->begin_end(*f.record, call)) return;
  auto why = std::make_unique<Failure>();
  const std::size_t size = failure == nullptr ? 0 : failure->struct_size;
  const auto has = [size](std::size_t offset, std::size_t bytes) { return offset + bytes <= size; };
  if (has(offsetof(futured_failure, kind), sizeof failure->kind) && failure->kind == FUTURED_EXIT) {
    why->kind = ErrorKind::exit;
  }
  if (has(offsetof(futured_failure, message), sizeof failure->message)) {
    why->message = view(failure->message, kMostMessage);
  }
  if (has(offsetof(futured_failure, status), sizeof failure->status)) why->status = failure->status;
  if (has(offsetof(futured_failure, signal), sizeof failure->signal)) why->signal = failure->signal;
  if (has(offsetof(futured_failure, permanent), sizeof failure->permanent)) why->permanent = failure->permanent != 0;
  if (has(offsetof(futured_failure, retry_after_ns), sizeof failure->retry_after_ns)) {
    why->retry_after = std::max<std::int64_t>(failure->retry_after_ns, 0);
  }
  if (has(offsetof(futured_failure, reply), sizeof failure->reply)) {
    f.record->reply = keep_reply(failure->reply.data, failure->reply.size);
  }
  f.record->failure = std::move(why);
  f.table->end(*f.record, call);
}

void* result_reserve(futured_call call, std::uint64_t size) {
  const Found f = find(call);
  if (!f || size > f.table->reply_limit()) return nullptr;
  char* data = new (std::nothrow) char[std::max<std::uint64_t>(size, 1)];
  if (data == nullptr) return nullptr;
  Slice reserved(new ReservedBlob(data, size), data, size);
  if (!CallTable::pin(*f.record, call)) return nullptr;
  std::swap(f.record->reserved, reserved);
  CallTable::unpin(*f.record);
  return data;
}

void result_commit(futured_call call, std::uint64_t size) {
  const Found f = find(call);
  if (!f || !f.table->begin_end(*f.record, call)) return;
  CallRecord& r = *f.record;
  if (size <= r.reserved.size()) {
    r.reply = r.reserved.sub(0, size);
    r.reserved = {};
  } else {
    r.failure = std::make_unique<Failure>();
    r.failure->message = "task " + r.spec->type->name + " of plugin " + r.spec->type->plugin->name +
                         " committed a reply of " + std::to_string(size) + " bytes, but had reserved " +
                         std::to_string(r.reserved.size()) + ". This is a fault of the plugin";
    r.failure->permanent = true;
  }
  f.table->end(r, call);
}

std::int32_t cancelled(futured_call call) {
  const Found f = find(call);
  return !f || f.table->should_stop(call) ? 1 : 0;
}

std::int32_t emit(futured_call call, std::uint32_t stream, futured_bytes chunk) {
  const Found f = find(call);
  if (!f || chunk.size > CallTable::kEmitChunk || !CallTable::pin(*f.record, call)) return FUTURED_GONE;
  std::int32_t answer = FUTURED_OK;
  if (!f.record->spec->live_output && !f.record->spec->keep_output) {
    answer = FUTURED_GONE;
  } else if (!f.table->may_emit(*f.record, chunk.size)) {
    f.table->emit_refused(*f.record, chunk.size);
    answer = FUTURED_AGAIN;
  } else if (chunk.size > 0) {
    f.table->emit(*f.record, stream, view(chunk));
  }
  CallTable::unpin(*f.record);
  if (answer != FUTURED_GONE) f.table->wakeup().wake();
  return answer;
}

void progress(futured_call call, double fraction, futured_bytes text) {
  const Found f = find(call);
  if (!f || !CallTable::pin(*f.record, call)) return;
  const bool first = f.record->progress == nullptr;
  f.table->progress(*f.record, fraction, view(text, kMostText));
  CallTable::unpin(*f.record);
  if (first) f.table->wakeup().wake();
}

void get(futured_call call, std::uint32_t key, futured_bytes name, futured_value* out) {
  if (out == nullptr || out->struct_size < sizeof(futured_value)) return;
  out->found = 0;
  out->integer = 0;
  out->bytes = {};
  const Found f = find(call);
  if (!f || !CallTable::pin(*f.record, call)) return;
  const CallRecord& r = *f.record;
  const auto integer = [out](std::int64_t v) {
    out->found = 1;
    out->integer = v;
  };
  const auto bytes = [out](std::string_view v) {
    out->found = 1;
    out->bytes = {v.data(), v.size()};
  };
  const auto named = [&](const std::vector<std::pair<std::string, std::string>>& list) {
    for (const auto& [k, v] : list) {
      if (k == view(name)) return bytes(v);
    }
  };
  switch (key) {
    case FUTURED_GET_ATTEMPT:
      integer(r.token.attempt);
      break;
    case FUTURED_GET_DEADLINE_NS:
      if (r.deadline > 0) integer(r.deadline);
      break;
    case FUTURED_GET_TASK_NUMBER:
      integer(static_cast<std::int64_t>(r.token.task));
      break;
    case FUTURED_GET_HEADER:
      named(r.spec->headers);
      break;
    case FUTURED_GET_RESOURCE:
      named(r.spec->assigned);
      break;
    case FUTURED_GET_TYPE:
      bytes(r.spec->type->name);
      break;
    case FUTURED_GET_LIVE_OUTPUT:
      integer(r.spec->live_output ? 1 : 0);
      break;
    default:
      break;  // also FUTURED_GET_TASK_ID: the daemon does not send it
  }
  CallTable::unpin(*f.record);
}

void log(std::int32_t level, futured_bytes text) {
  if (level <= FUTURED_LOG_DEBUG) return;
  const char* word = level >= FUTURED_LOG_ERROR ? "error: " : level == FUTURED_LOG_WARNING ? "warning: " : "";
  log_line(word + std::string(view(text, 4096)));
}

const void* get_extension(const char*) { return nullptr; }

}  // namespace

const futured_host* host_table() {
  static const futured_host table = {sizeof(futured_host),
                                     FUTURED_ABI_VERSION,
                                     complete,
                                     fail,
                                     result_reserve,
                                     result_commit,
                                     cancelled,
                                     emit,
                                     progress,
                                     get,
                                     log,
                                     get_extension};
  return &table;
}

}  // namespace futured::worker
