// The calls of a plugin, for C++: failures, the handle of a call, and how it is ended. Part of the SDK: include
// <futured/plugin.hpp>, which says how to use it.
// Threads and lifetime are those of plugin.h; what is said of [any] there is safe from any thread here.
#ifndef FUTURED_PLUGIN_CALL_HPP
#define FUTURED_PLUGIN_CALL_HPP

#include <futured/plugin.h>

#include <array>
#include <atomic>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>

// Hidden: the state below belongs to one plugin; two plugins of one process must not share it.
#pragma GCC visibility push(hidden)
namespace futured::plugin {

/// Why a call failed. Thrown, returned in an Outcome, or handed to AsyncCall::fail.
class Failure : public std::exception {
 public:
  explicit Failure(std::string message) : message_(std::move(message)) {}
  /// Another attempt cannot help.
  Failure& permanent() {
    permanent_ = true;
    return *this;
  }
  /// Not before this time from now.
  Failure& retry_after(std::chrono::nanoseconds delay) {
    retry_after_ = delay;
    return *this;
  }
  /// A command ended with this status, or by this signal (then not 0).
  Failure& exited(int status, int signal = 0) {
    kind_ = FUTURED_EXIT;
    status_ = status;
    signal_ = signal;
    return *this;
  }
  /// What there is of a reply in spite of the failure: encoded bytes, or a message.
  Failure& reply(std::string bytes) {
    reply_ = std::move(bytes);
    return *this;
  }
  template <class Message>
  requires requires(const Message& m) { m.SerializePartialAsString(); }
  Failure& reply(const Message& message) {
    reply_ = message.SerializePartialAsString();
    return *this;
  }

  const char* what() const noexcept override { return message_.c_str(); }
  const std::string& message() const { return message_; }

  /// Views of this object: valid while it lives.
  futured_failure view() const {
    futured_failure f{};
    f.struct_size = sizeof(f);
    f.kind = kind_;
    f.message = {message_.data(), message_.size()};
    f.status = status_;
    f.signal = signal_;
    f.permanent = permanent_ ? 1 : 0;
    f.retry_after_ns = retry_after_.count();
    f.reply = {reply_.data(), reply_.size()};
    return f;
  }

 private:
  std::string message_;
  std::string reply_;
  std::chrono::nanoseconds retry_after_{0};
  int kind_ = FUTURED_ERROR;
  int status_ = 0;
  int signal_ = 0;
  bool permanent_ = false;
};

/// What a task says that stopped because its call was cancelled.
class Cancelled : public Failure {
 public:
  Cancelled() : Failure("stopped: the call was cancelled") {}
};

/// A reply or the reason why there is none: for tasks that do not throw.
template <class Reply>
using Outcome = std::variant<Reply, Failure>;

enum class Emit {
  ok = FUTURED_OK,
  again = FUTURED_AGAIN,  ///< nothing was taken: wait for on_writable
  gone = FUTURED_GONE,    ///< nobody listens: drop the rest
};

namespace detail {

/// Set by init before any task, never changed after.
inline const futured_host* host = nullptr;

inline futured_bytes bytes(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view view(futured_bytes b) {
  return b.size == 0 ? std::string_view() : std::string_view(static_cast<const char*>(b.data), b.size);
}

inline void log(int level, std::string_view text) {
  if (host != nullptr) host->log(level, bytes(text));
}

/// Callbacks of open calls. Any thread. No callback runs, and none is destroyed, under a lock of the table.
class Hooks {
 public:
  using Callback = std::shared_ptr<const std::function<void()>>;
  struct Entry {
    Callback cancel;
    Callback writable;
  };

  void open(futured_call id) {
    Shard& shard = of(id);
    const std::lock_guard lock(shard.mutex);
    if (shard.entries.try_emplace(id).second) open_.fetch_add(1, std::memory_order_relaxed);
  }
  void close(futured_call id) {
    if (open_.load(std::memory_order_relaxed) == 0) return;
    Shard& shard = of(id);
    Entry last;
    const std::lock_guard lock(shard.mutex);
    const auto it = shard.entries.find(id);
    if (it == shard.entries.end()) return;
    last = std::move(it->second);
    shard.entries.erase(it);
    open_.fetch_sub(1, std::memory_order_relaxed);
  }
  /// Does nothing on a call that is not open.
  void set(futured_call id, Callback Entry::*which, std::function<void()> f) {
    auto next = std::make_shared<const std::function<void()>>(std::move(f));
    Shard& shard = of(id);
    const std::lock_guard lock(shard.mutex);
    const auto it = shard.entries.find(id);
    if (it != shard.entries.end()) std::swap(it->second.*which, next);
  }
  /// Takes the callback out: it runs at most once.
  Callback take(futured_call id, Callback Entry::*which) {
    Shard& shard = of(id);
    const std::lock_guard lock(shard.mutex);
    const auto it = shard.entries.find(id);
    return it == shard.entries.end() ? nullptr : std::exchange(it->second.*which, nullptr);
  }
  Callback get(futured_call id, Callback Entry::*which) {
    Shard& shard = of(id);
    const std::lock_guard lock(shard.mutex);
    const auto it = shard.entries.find(id);
    return it == shard.entries.end() ? nullptr : it->second.*which;
  }

 private:
  struct Shard {
    std::mutex mutex;
    std::unordered_map<futured_call, Entry> entries;
  };
  Shard& of(futured_call id) { return shards_[(id * 0x9E3779B97F4A7C15ull) >> 60]; }

  std::array<Shard, 16> shards_;
  std::atomic<std::size_t> open_{0};
};

/// Never destroyed: threads of the worker may still use it while the process ends.
inline Hooks& hooks() {
  static Hooks& table = *new Hooks;
  return table;
}

inline void call_back(const Hooks::Callback& f) noexcept {
  if (f == nullptr) return;
  try {
    (*f)();
  } catch (const std::exception& e) {
    log(FUTURED_LOG_ERROR, e.what());
  } catch (...) {
    log(FUTURED_LOG_ERROR, "a callback of the plugin threw something that is not a std::exception");
  }
}
inline void cancel(futured_call id) noexcept { call_back(hooks().take(id, &Hooks::Entry::cancel)); }
inline void writable(futured_call id) noexcept { call_back(hooks().get(id, &Hooks::Entry::writable)); }

inline void fail(futured_call id, const Failure& failure) {
  hooks().close(id);
  const futured_failure f = failure.view();
  host->fail(id, &f);
}
inline void complete(futured_call id, std::string_view reply) {
  hooks().close(id);
  host->complete(id, bytes(reply));
}

// A protobuf message, as far as the SDK needs one.
template <class T>
concept Message = requires(T& m, const T& c, const void* in, std::uint8_t* out, int size) {
  m.ParsePartialFromArray(in, size);
  c.IsInitialized();
  c.GetTypeName();
  c.ByteSizeLong();
  c.SerializeWithCachedSizesToArray(out);
};
template <class T>
concept Bytes = std::is_convertible_v<const T&, std::string_view>;

template <Message Reply>
void complete(futured_call id, const Reply& reply) {
  if (!reply.IsInitialized()) {
    return fail(id, Failure("the task made an incomplete reply: a required field of " +
                            std::string(reply.GetTypeName()) + " is not set; this is a defect of the plugin"));
  }
  const std::size_t size = reply.ByteSizeLong();
  if (size == 0) return complete(id, std::string_view());
  void* memory = size > INT_MAX ? nullptr : host->result_reserve(id, size);
  if (memory == nullptr) {
    return fail(id, Failure("the reply of " + std::to_string(size) +
                            " bytes is above the worker's limit for replies: " + "ask for less, or raise the limit")
                        .permanent());
  }
  reply.SerializeWithCachedSizesToArray(static_cast<std::uint8_t*>(memory));
  hooks().close(id);
  host->result_commit(id, size);
}
inline void complete(futured_call id, std::monostate) { complete(id, std::string_view()); }

template <class Reply>
void complete(futured_call id, const Outcome<Reply>& outcome) {
  if (const auto* failure = std::get_if<Failure>(&outcome)) return fail(id, *failure);
  complete(id, std::get<0>(outcome));
}

/// Ends the call with the exception in flight.
inline void fail_with_exception(futured_call id) noexcept {
  try {
    try {
      throw;
    } catch (const Failure& failure) {
      fail(id, failure);
    } catch (const std::bad_alloc&) {
      fail(id, Failure("the task ran out of memory"));
    } catch (const std::exception& e) {
      fail(id, Failure(e.what()));
    } catch (...) {
      fail(id, Failure("the task threw something that is not a std::exception"));
    }
  } catch (...) {
    static constexpr std::string_view text = "out of memory";
    futured_failure f{};
    f.struct_size = sizeof(f);
    f.kind = FUTURED_ERROR;
    f.message = bytes(text);
    host->fail(id, &f);
  }
}

}  // namespace detail

inline void log_debug(std::string_view text) { detail::log(FUTURED_LOG_DEBUG, text); }
inline void log_info(std::string_view text) { detail::log(FUTURED_LOG_INFO, text); }
inline void log_warning(std::string_view text) { detail::log(FUTURED_LOG_WARNING, text); }
inline void log_error(std::string_view text) { detail::log(FUTURED_LOG_ERROR, text); }

/// One call of a task: a handle of 8 bytes, copied freely. Any thread; harmless once the call is over.
class Call {
 public:
  explicit Call(futured_call id) : id_(id) {}
  futured_call id() const { return id_; }

  /// Should the task stop? Cheap enough for an inner loop.
  bool cancelled() const { return detail::host->cancelled(id_) != 0; }
  /// Output while the task runs: 1 is stdout, 2 is stderr. At most 64 KiB a chunk; taken whole or not at all.
  Emit emit(std::uint32_t stream, std::string_view chunk) const {
    return static_cast<Emit>(detail::host->emit(id_, stream, detail::bytes(chunk)));
  }
  /// Fraction 0..1, negative if unknown.
  void progress(double fraction, std::string_view text = {}) const {
    detail::host->progress(id_, fraction, detail::bytes(text));
  }

  std::int64_t attempt() const { return integer(FUTURED_GET_ATTEMPT).value_or(1); }
  std::int64_t task_number() const { return integer(FUTURED_GET_TASK_NUMBER).value_or(0); }
  std::string task_id() const { return text(FUTURED_GET_TASK_ID).value_or(std::string()); }
  std::string type() const { return text(FUTURED_GET_TYPE).value_or(std::string()); }
  bool live_output() const { return integer(FUTURED_GET_LIVE_OUTPUT).value_or(0) != 0; }
  std::optional<std::string> header(std::string_view name) const { return text(FUTURED_GET_HEADER, name); }
  std::optional<std::string> resource(std::string_view name) const { return text(FUTURED_GET_RESOURCE, name); }
  /// When the attempt is given up, if ever.
  std::optional<std::chrono::steady_clock::time_point> deadline() const {
    const auto ns = integer(FUTURED_GET_DEADLINE_NS);
    if (!ns) return std::nullopt;
    return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(*ns));
  }

  /// Calls f once, from any thread, when the call should stop; at once if it already should. The call is still to be
  /// ended. Replaces the callback set before. To be set before the call is ended. The callback owns what it uses: it
  /// may still run when the task's function has returned, though not when the call is over.
  void on_cancel(std::function<void()> f) const {
    detail::hooks().open(id_);
    detail::hooks().set(id_, &detail::Hooks::Entry::cancel, std::move(f));
    if (cancelled()) detail::cancel(id_);
  }
  /// Calls f, from any thread, each time there is room again after emit said again.
  void on_writable(std::function<void()> f) const {
    detail::hooks().open(id_);
    detail::hooks().set(id_, &detail::Hooks::Entry::writable, std::move(f));
  }

 protected:
  std::optional<std::int64_t> integer(std::uint32_t key) const {
    const futured_value v = get(key, {});
    if (v.found == 0) return std::nullopt;
    return v.integer;
  }
  std::optional<std::string> text(std::uint32_t key, std::string_view name = {}) const {
    const futured_value v = get(key, name);
    if (v.found == 0) return std::nullopt;
    return std::string(detail::view(v.bytes));
  }

 private:
  futured_value get(std::uint32_t key, std::string_view name) const {
    futured_value v{};
    v.struct_size = sizeof(v);
    detail::host->get(id_, key, detail::bytes(name), &v);
    return v;
  }

  futured_call id_;
};

/// A call that is ended later, from any thread: by complete or fail, exactly once, also after it was cancelled. A
/// second ending does nothing.
template <class Reply>
class AsyncCall : public Call {
 public:
  using Call::Call;
  template <class R = Reply>
  requires(!std::is_void_v<R>) void complete(const R& reply) const { detail::complete(id(), reply); }
  template <class R = Reply>
  requires std::is_void_v<R>
  void complete() const { detail::complete(id(), std::string_view()); }
  void fail(const Failure& failure) const { detail::fail(id(), failure); }
  void fail(std::string message) const { detail::fail(id(), Failure(std::move(message))); }

  /// See Call; an async call may be over by now, and then nothing is set.
  // NOLINTBEGIN(performance-unnecessary-value-param): the check does not see the moves within a template
  void on_cancel(std::function<void()> f) const {
    detail::hooks().set(id(), &detail::Hooks::Entry::cancel, std::move(f));
    if (cancelled()) detail::cancel(id());
  }
  void on_writable(std::function<void()> f) const {
    detail::hooks().set(id(), &detail::Hooks::Entry::writable, std::move(f));
  }
  // NOLINTEND(performance-unnecessary-value-param)
};

}  // namespace futured::plugin
#pragma GCC visibility pop

#endif  // FUTURED_PLUGIN_CALL_HPP
