#include "tests/support/plugin_harness.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>

namespace futured::test {
namespace {

using Clock = std::chrono::steady_clock;

std::string_view view(futured_bytes b) {
  return b.size == 0 ? std::string_view() : std::string_view(static_cast<const char*>(b.data), b.size);
}

struct Record {
  const futured_task_type* type = nullptr;
  CallOptions options;
  std::string input;
  std::string id_text;
  std::int64_t deadline_ns = 0;

  std::mutex mutex;
  std::condition_variable changed;
  int endings = 0;
  bool ended = false;  // the outcome is there
  Outcome outcome;
  std::string reserved;
  std::map<std::uint32_t, std::string> output;
  std::uint64_t room = 0;
  bool refused = false;
  bool listening = true;
  double progress = -1;
  // Callbacks of the plugin that run now: an ending function returns after them, unless it is called by one.
  std::vector<std::thread::id> callbacks;
  std::atomic<bool> cancelled{false};
};

std::mutex table_mutex;
std::unordered_map<futured_call, std::shared_ptr<Record>>& table() {
  static auto& records = *new std::unordered_map<futured_call, std::shared_ptr<Record>>;
  return records;
}
futured_call last_id = 0;
std::atomic<std::uint64_t> reply_limit{64 << 20};
std::mutex log_mutex;
std::vector<std::string>& log_lines() {
  static auto& lines = *new std::vector<std::string>;
  return lines;
}

/// Does the writer of this struct know the field?
template <class Struct, class Field>
bool knows(const Struct* s, Field Struct::*field) {
  const auto* begin = reinterpret_cast<const char*>(s);
  const auto* end = reinterpret_cast<const char*>(&(s->*field) + 1);
  return end - begin <= static_cast<std::ptrdiff_t>(s->struct_size);
}
/// The field, or nothing if the writer does not know it.
template <class Struct, class Field>
Field field_of(const Struct* s, Field Struct::*field) {
  return knows(s, field) ? s->*field : Field{};
}

std::shared_ptr<Record> find(futured_call id) {
  const std::lock_guard lock(table_mutex);
  const auto it = table().find(id);
  return it == table().end() ? nullptr : it->second;
}

/// The first ending of a call fills in the outcome, under the lock.
void end(futured_call id, const std::function<void(Record&)>& fill) {
  const auto record = find(id);
  if (record == nullptr) return;
  std::unique_lock lock(record->mutex);
  if (++record->endings > 1) return;
  record->changed.wait(lock, [&] {
    return std::all_of(record->callbacks.begin(), record->callbacks.end(),
                       [](std::thread::id id_of) { return id_of == std::this_thread::get_id(); });
  });
  fill(*record);
  record->ended = true;
  record->changed.notify_all();
}

void complete(futured_call id, futured_bytes reply) {
  end(id, [&](Record& r) {
    r.outcome.ok = true;
    r.outcome.reply = view(reply);
  });
}

void fail(futured_call id, const futured_failure* f) {
  end(id, [&](Record& r) {
    r.outcome.message = view(f->message);
    r.outcome.reply = view(field_of(f, &futured_failure::reply));
    r.outcome.kind = f->kind;
    r.outcome.status = f->status;
    r.outcome.signal = f->signal;
    r.outcome.permanent = f->permanent != 0;
    r.outcome.retry_after_ns = field_of(f, &futured_failure::retry_after_ns);
  });
}

void* result_reserve(futured_call id, std::uint64_t size) {
  const auto record = find(id);
  if (record == nullptr || size > reply_limit) return nullptr;
  const std::lock_guard lock(record->mutex);
  if (record->endings > 0) return nullptr;
  record->reserved.assign(size, '\xee');
  return record->reserved.data();
}

void result_commit(futured_call id, std::uint64_t size) {
  end(id, [&](Record& r) {
    r.outcome.ok = true;
    r.outcome.reply = r.reserved.substr(0, size);
  });
}

std::int32_t cancelled(futured_call id) {
  const auto record = find(id);
  return record == nullptr || record->cancelled ? 1 : 0;
}

std::int32_t emit(futured_call id, std::uint32_t stream, futured_bytes chunk) {
  const auto record = find(id);
  if (record == nullptr) return FUTURED_GONE;
  const std::lock_guard lock(record->mutex);
  if (record->endings > 0 || !record->listening || chunk.size > 65536) return FUTURED_GONE;
  if (record->room < chunk.size) {
    record->refused = true;
    record->changed.notify_all();
    return FUTURED_AGAIN;
  }
  record->room -= chunk.size;
  record->output[stream] += view(chunk);
  return FUTURED_OK;
}

void progress(futured_call id, double fraction, futured_bytes) {
  if (const auto record = find(id)) {
    const std::lock_guard lock(record->mutex);
    record->progress = fraction;
  }
}

void get(futured_call id, std::uint32_t key, futured_bytes name, futured_value* out) {
  out->found = 0;
  const auto record = find(id);
  if (record == nullptr) return;
  const auto integer = [out](std::int64_t value) {
    out->found = 1;
    out->integer = value;
  };
  const auto text = [out](std::string_view value) {
    out->found = 1;
    if (knows(out, &futured_value::bytes)) out->bytes = {value.data(), value.size()};
  };
  switch (key) {
    case FUTURED_GET_ATTEMPT:
      return integer(record->options.attempt);
    case FUTURED_GET_DEADLINE_NS:
      if (record->deadline_ns != 0) integer(record->deadline_ns);
      return;
    case FUTURED_GET_TASK_NUMBER:
      return integer(static_cast<std::int64_t>(record->options.number));
    case FUTURED_GET_TASK_ID:
      return text(record->id_text);
    case FUTURED_GET_HEADER:
      if (view(name) == "traceparent") text("00-trace");
      return;
    case FUTURED_GET_TYPE:
      return text(record->type->name);
    case FUTURED_GET_LIVE_OUTPUT:
      return integer(record->options.live ? 1 : 0);
    default:
      return;
  }
}

void log(std::int32_t, futured_bytes line) {
  const std::lock_guard lock(log_mutex);
  log_lines().emplace_back(view(line));
}

const void* get_extension(const char*) { return nullptr; }

const futured_host& host() {
  static const futured_host& made = *new futured_host{sizeof(futured_host),
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
  return made;
}

/// Calls back into the plugin unless the call is over; the ending waits for it.
void call_back(Record& record, void (*f)(futured_call), futured_call id) {
  if (f == nullptr) return;
  {
    const std::lock_guard lock(record.mutex);
    if (record.endings > 0) return;
    record.callbacks.push_back(std::this_thread::get_id());
  }
  f(id);
  const std::lock_guard lock(record.mutex);
  record.callbacks.erase(std::find(record.callbacks.begin(), record.callbacks.end(), std::this_thread::get_id()));
  record.changed.notify_all();
}

[[noreturn]] void give_up(const std::string& text) {
  std::fprintf(stderr, "plugin harness: %s\n", text.c_str());
  std::abort();
}

}  // namespace

bool Running::ended() const {
  const auto record = find(id_);
  const std::lock_guard lock(record->mutex);
  return record->ended;
}

int Running::endings() const {
  const auto record = find(id_);
  const std::lock_guard lock(record->mutex);
  return record->endings;
}

Outcome Running::wait(std::chrono::milliseconds limit) const {
  const auto record = find(id_);
  std::unique_lock lock(record->mutex);
  if (!record->changed.wait_for(lock, limit, [&] { return record->ended; })) {
    give_up("a call of '" + std::string(type_->name) + "' did not end in time");
  }
  return record->outcome;
}

void Running::cancel() const {
  const auto record = find(id_);
  record->cancelled = true;
  call_back(*record, field_of(type_, &futured_task_type::cancel), id_);
}

void Running::grant(std::uint64_t bytes) const {
  const auto record = find(id_);
  {
    const std::lock_guard lock(record->mutex);
    record->room = bytes > UINT64_MAX - record->room ? UINT64_MAX : record->room + bytes;
    if (!record->refused) return;
    record->refused = false;
  }
  call_back(*record, field_of(type_, &futured_task_type::on_writable), id_);
}

void Running::stop_listening() const {
  const auto record = find(id_);
  {
    const std::lock_guard lock(record->mutex);
    record->listening = false;
  }
  call_back(*record, field_of(type_, &futured_task_type::on_writable), id_);
}

std::string Running::output(std::uint32_t stream) const {
  const auto record = find(id_);
  const std::lock_guard lock(record->mutex);
  return record->output[stream];
}

void Running::wait_refused() const {
  const auto record = find(id_);
  std::unique_lock lock(record->mutex);
  if (!record->changed.wait_for(lock, std::chrono::seconds(60), [&] { return record->refused; })) {
    give_up("the plugin emitted nothing that was refused");
  }
}

bool Running::wait_refused_or_ended() const {
  const auto record = find(id_);
  std::unique_lock lock(record->mutex);
  if (!record->changed.wait_for(lock, std::chrono::seconds(60), [&] { return record->refused || record->ended; })) {
    give_up("the plugin neither ended nor emitted anything that was refused");
  }
  return !record->ended;
}

double Running::progress() const {
  const auto record = find(id_);
  const std::lock_guard lock(record->mutex);
  return record->progress;
}

PluginHarness::PluginHarness(const std::string& path, std::string_view config) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    error_ = dlerror();
    return;
  }
  using Entry = const futured_plugin* (*)();
  Entry entry = nullptr;
  void* symbol = dlsym(library, "futured_plugin_v1");
  static_assert(sizeof(entry) == sizeof(symbol));
  std::memcpy(&entry, &symbol, sizeof(entry));
  if (entry == nullptr) {
    error_ = "no symbol futured_plugin_v1";
    return;
  }
  plugin_ = entry();
  if (plugin_ == nullptr) {
    error_ = "futured_plugin_v1 returned null";
    return;
  }
  if (plugin_->abi_version != FUTURED_ABI_VERSION) {
    error_ = "abi version " + std::to_string(plugin_->abi_version);
    return;
  }
  std::array<char, 512> text{};
  if (plugin_->init != nullptr &&
      plugin_->init(&host(), {config.data(), config.size()}, text.data(), text.size()) != 0) {
    error_ = text.data();
    return;
  }
  initialised_ = true;
}

PluginHarness::~PluginHarness() {
  if (!initialised_) return;
  if (auto* fini = field_of(plugin_, &futured_plugin::fini)) fini();
}

const futured_task_type* PluginHarness::type(std::string_view task) const {
  for (std::uint32_t i = 0; i < plugin_->type_count; ++i) {
    if (plugin_->types[i]->name != nullptr && plugin_->types[i]->name == task) return plugin_->types[i];
  }
  return nullptr;
}

Running PluginHarness::start(std::string_view task, std::string_view input, const CallOptions& options) {
  const futured_task_type* found = type(task);
  if (!initialised_ || found == nullptr) give_up("no task '" + std::string(task) + "': " + error_);
  auto record = std::make_shared<Record>();
  record->type = found;
  record->options = options;
  record->room = options.room;
  record->input = input;
  if (options.deadline) {
    record->deadline_ns = std::chrono::nanoseconds((Clock::now() + *options.deadline).time_since_epoch()).count();
  }
  futured_call id = 0;
  {
    const std::lock_guard lock(table_mutex);
    id = ++last_id;
    record->id_text = "task-" + std::to_string(id);
    table()[id] = record;
  }
  const futured_bytes bytes{record->input.data(), record->input.size()};
  if (found->lane == FUTURED_LANE_ASYNC) {
    found->run(nullptr, id, bytes);
  } else {
    std::thread([plugin = plugin_, found, id, bytes, record] {
      auto* thread_init = field_of(plugin, &futured_plugin::thread_init);
      auto* thread_fini = field_of(plugin, &futured_plugin::thread_fini);
      void* state = thread_init == nullptr ? nullptr : thread_init();
      found->run(state, id, bytes);
      if (thread_fini != nullptr) thread_fini(state);
      const std::lock_guard lock(record->mutex);
      if (record->endings == 0) give_up("a task of the thread lane returned without ending its call");
    }).detach();
  }
  return Running(found, id);
}

void PluginHarness::flush() {
  if (auto* flush = field_of(plugin_, &futured_plugin::flush)) flush();
}

Outcome PluginHarness::run(std::string_view task, std::string_view input, const CallOptions& options) {
  const Running running = start(task, input, options);
  flush();
  return running.wait();
}

void PluginHarness::limit_replies(std::uint64_t bytes) { reply_limit = bytes; }

std::vector<std::string> PluginHarness::logged() {
  const std::lock_guard lock(log_mutex);
  return log_lines();
}

}  // namespace futured::test
