// The C++ SDK over plugin.h: a typed task is one function from request to reply. Header only; C++20.
//
//   #include <futured/plugin.hpp>
//   #include "resize/resize.pb.h"   // made by futured_add_plugin(NAME resize SOURCES resize.cpp PROTO resize.proto)
//   #include "resize_schema.hpp"
//
//   using namespace futured::plugin;
//
//   ResizeReply resize(const ResizeRequest& request, Call call) {   // blocks a task thread: FUTURED_LANE_THREAD
//     ResizeReply reply;
//     for (int row = 0; row < request.height(); ++row) {
//       if (call.cancelled()) throw Cancelled();
//       ...
//     }
//     return reply;
//   }
//
//   std::string reverse(std::string_view input) { return {input.rbegin(), input.rend()}; }   // bytes to bytes
//
//   void later(const LaterRequest& request, AsyncCall<LaterReply> call) {   // starts and returns: FUTURED_LANE_ASYNC
//     my_loop.after(request.seconds(), [call] { call.complete(LaterReply()); });
//   }
//
//   FUTURED_PLUGIN("resize", "1.0.0", schema(resize_schema),
//                  blocking<resize>("resize", "scales a picture").idempotent(),
//                  blocking<reverse>("reverse", "turns its input round"),
//                  async<later>("later", "replies after a while"),
//                  on_init(configure))
//
// Requests: a protobuf message (lite will do) by const reference, by value or by rvalue reference; std::string_view is
// the bytes as they came. Replies: a message, std::string, void, or Outcome<one of these> to fail without throwing.
// A task may throw Failure or any std::exception: the call then fails with its text; nothing crosses the C boundary.
// A request that does not parse fails permanently before the task sees it.
//
// Lifetime and threads are those of plugin.h. State of a thread: use thread_local. State of the plugin: make it in
// on_init and never destroy it, since the process may end at any time without on_fini.
#ifndef FUTURED_PLUGIN_HPP
#define FUTURED_PLUGIN_HPP

#include <futured/plugin.h>

#include <array>
#include <atomic>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace futured {
// Hidden: the state below belongs to one plugin; two plugins of one process must not share it.
namespace plugin __attribute__((visibility("hidden"))) {

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
    /// ended. Replaces the callback set before. To be set before the call is ended.
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
    void on_cancel(std::function<void()> f) const {
      detail::hooks().set(id(), &detail::Hooks::Entry::cancel, std::move(f));
      if (cancelled()) detail::cancel(id());
    }
    void on_writable(std::function<void()> f) const {
      detail::hooks().set(id(), &detail::Hooks::Entry::writable, std::move(f));
    }
  };

  namespace detail {

  template <class T>
  struct Signature;
  template <class R, class... A>
  struct Signature<R (*)(A...)> {
    using Reply = R;
    using Arguments = std::tuple<A...>;
  };
  template <class R, class... A>
  struct Signature<R (*)(A...) noexcept> : Signature<R (*)(A...)> {};

  /// The reply's type without Outcome around it.
  template <class T>
  struct Bare {
    using type = T;
  };
  template <class T>
  struct Bare<Outcome<T>> {
    using type = T;
  };

  template <class T>
  std::string message_name() {
    if constexpr (Message<T>) return std::string(T().GetTypeName());
    return {};
  }

  /// Hands the request to `use`, or fails the call. `Request` is a message or a view of bytes.
  template <class Request, class Use>
  void with_request(futured_call id, futured_bytes input, Use&& use) {
    if constexpr (Message<Request>) {
      Request request;
      if (input.size > INT_MAX || !request.ParsePartialFromArray(input.data, static_cast<int>(input.size))) {
        return fail(id, Failure("the input of " + std::to_string(input.size) + " bytes is not a " +
                                std::string(request.GetTypeName()) + ": encode it by the schema of task '" +
                                Call(id).type() + "'")
                            .permanent());
      }
      if (!request.IsInitialized()) {
        return fail(id, Failure("the input lacks a required field of " + std::string(request.GetTypeName()) +
                                ": see the fields of task '" + Call(id).type() + "' in the catalog")
                            .permanent());
      }
      use(std::move(request));
    } else {
      static_assert(Bytes<Request>, "a task takes a protobuf message or std::string_view");
      use(Request(view(input)));
    }
  }

  template <auto F>
  using SignatureOf = Signature<decltype(+F)>;
  template <auto F>
  using RequestOf = std::remove_cvref_t<std::tuple_element_t<0, typename SignatureOf<F>::Arguments>>;

  template <auto F>
  void run_blocking(void*, futured_call id, futured_bytes input) noexcept {
    using Reply = typename SignatureOf<F>::Reply;
    try {
      with_request<RequestOf<F>>(id, input, [id](auto&& request) {
        const auto invoke = [&]() -> Reply {
          if constexpr (std::tuple_size_v<typename SignatureOf<F>::Arguments> == 2) {
            return F(std::forward<decltype(request)>(request), Call(id));
          } else {
            return F(std::forward<decltype(request)>(request));
          }
        };
        if constexpr (std::is_void_v<Reply>) {
          invoke();
          complete(id, std::string_view());
        } else {
          complete(id, invoke());
        }
      });
    } catch (...) {
      fail_with_exception(id);
    }
  }

  template <class>
  struct ReplyOfCall;
  template <class R>
  struct ReplyOfCall<AsyncCall<R>> {
    using type = R;
  };

  template <auto F>
  void run_async(void*, futured_call id, futured_bytes input) noexcept {
    using Handle = std::remove_cvref_t<std::tuple_element_t<1, typename SignatureOf<F>::Arguments>>;
    try {
      hooks().open(id);
      with_request<RequestOf<F>>(id, input,
                                 [id](auto&& request) { F(std::forward<decltype(request)>(request), Handle(id)); });
    } catch (...) {
      fail_with_exception(id);
    }
  }

  }  // namespace detail

  /// A task type of the plugin; made by blocking and async.
  class Task {
   public:
    Task(const char* name, const char* summary, int lane, std::string input_type, std::string reply_type,
         void (*run)(void*, futured_call, futured_bytes))
        : input_type_(std::move(input_type)), reply_type_(std::move(reply_type)) {
      type_.struct_size = sizeof(type_);
      type_.lane = lane;
      type_.name = name;
      type_.summary = summary;
      type_.run = run;
      type_.cancel = detail::cancel;
      type_.on_writable = detail::writable;
    }
    /// Running it twice does no harm.
    Task& idempotent() {
      type_.flags |= FUTURED_IDEMPOTENT;
      return *this;
    }
    /// Most calls at once in one process.
    Task& max_concurrency(std::uint32_t n) {
      type_.max_concurrency = n;
      return *this;
    }
    /// Valid while this object lives and stays where it is.
    const futured_task_type* publish() {
      type_.input_type = input_type_.empty() ? nullptr : input_type_.c_str();
      type_.reply_type = reply_type_.empty() ? nullptr : reply_type_.c_str();
      return &type_;
    }

   private:
    std::string input_type_;
    std::string reply_type_;
    futured_task_type type_{};
  };

  /// A task that blocks one of the worker's task threads until it is done. F: Reply(Request) or Reply(Request, Call).
  template <auto F>
  Task blocking(const char* name, const char* summary) {
    using Reply = typename detail::Bare<typename detail::SignatureOf<F>::Reply>::type;
    return Task(name, summary, FUTURED_LANE_THREAD, detail::message_name<detail::RequestOf<F>>(),
                detail::message_name<Reply>(), detail::run_blocking<F>);
  }

  /// A task that starts on the worker's loop thread, returns within microseconds, and is ended later through its
  /// handle. F: void(Request, AsyncCall<Reply>).
  template <auto F>
  Task async(const char* name, const char* summary) {
    using Handle = std::remove_cvref_t<std::tuple_element_t<1, typename detail::SignatureOf<F>::Arguments>>;
    using Reply = typename detail::ReplyOfCall<Handle>::type;
    return Task(name, summary, FUTURED_LANE_ASYNC, detail::message_name<detail::RequestOf<F>>(),
                detail::message_name<Reply>(), detail::run_async<F>);
  }

  struct Schema {
    futured_bytes descriptors;
  };
  /// The FileDescriptorSet of the messages: the array in <name>_schema.hpp.
  template <std::size_t N>
  Schema schema(const unsigned char(&descriptors)[N]) {
    return {{descriptors, N}};
  }

  struct OnInit {
    std::string (*f)(std::string_view config);
  };
  /// f gets the plugin's configuration as JSON text, once per process before any task, and returns why the plugin
  /// cannot work, or nothing.
  inline OnInit on_init(std::string(*f)(std::string_view config)) { return {f}; }

  struct OnFlush {
    void (*f)();
  };
  /// After each batch of async starts, on the loop thread: start together what was collected.
  inline OnFlush on_flush(void (*f)()) { return {f}; }

  struct OnFini {
    void (*f)();
  };
  /// At an orderly end of the process, with no call open.
  inline OnFini on_fini(void (*f)()) { return {f}; }

  namespace detail {

  /// The one description of the plugin. Made by the first futured_plugin_v1, never destroyed.
  struct Definition {
    futured_plugin c{};
    std::vector<std::unique_ptr<Task>> tasks;
    std::vector<const futured_task_type*> types;
    std::string (*init)(std::string_view) = nullptr;
    void (*flush)() = nullptr;
    void (*fini)() = nullptr;

    void add(Schema s) {
      c.schema_kind = "protobuf";
      c.schema = s.descriptors;
    }
    void add(Task task) {
      tasks.push_back(std::make_unique<Task>(std::move(task)));
      types.push_back(tasks.back()->publish());
    }
    void add(OnInit hook) { init = hook.f; }
    void add(OnFlush hook) { flush = hook.f; }
    void add(OnFini hook) { fini = hook.f; }
  };

  inline Definition* definition = nullptr;

  inline std::int32_t init(const futured_host* given, futured_bytes config, char* error, std::uint64_t size) noexcept {
    const auto refuse = [&](std::string_view reason) {
      if (size > 0) {
        const std::size_t n = reason.size() < size ? reason.size() : static_cast<std::size_t>(size) - 1;
        std::memcpy(error, reason.data(), n);
        error[n] = '\0';
      }
      return 1;
    };
    if (given == nullptr || given->struct_size < sizeof(futured_host)) {
      return refuse("the worker is older than this plugin: update the worker");
    }
    try {
      host = given;
      if (definition->init != nullptr) {
        const std::string reason = definition->init(view(config));
        if (!reason.empty()) return refuse(reason);
      }
      return 0;
    } catch (const std::exception& e) {
      return refuse(e.what());
    } catch (...) {
      return refuse("the plugin's initialisation threw something that is not a std::exception");
    }
  }

  template <void (*Definition::*Hook)()>
  void run_hook() noexcept {
    try {
      (definition->*Hook)();
    } catch (const std::exception& e) {
      log(FUTURED_LOG_ERROR, e.what());
    } catch (...) {
      log(FUTURED_LOG_ERROR, "a hook of the plugin threw something that is not a std::exception");
    }
  }

  template <class... Parts>
  Definition* define(const char* name, const char* version, Parts... parts) noexcept {
    try {
      auto made = std::make_unique<Definition>();
      (made->add(std::move(parts)), ...);
      futured_plugin& c = made->c;
      c.struct_size = sizeof(c);
      c.abi_version = FUTURED_ABI_VERSION;
      c.name = name;
      c.version = version;
      c.types = made->types.data();
      c.type_count = static_cast<std::uint32_t>(made->types.size());
      c.init = init;
      if (made->flush != nullptr) c.flush = run_hook<&Definition::flush>;
      if (made->fini != nullptr) c.fini = run_hook<&Definition::fini>;
      return definition = made.release();
    } catch (...) {
      return nullptr;
    }
  }

  }  // namespace detail
}  // namespace )
}  // namespace futured

/// Exports the plugin: FUTURED_PLUGIN("name", "version", schema(...), blocking<f>(...), async<g>(...), on_init(h),
/// ...). Once, outside any namespace. Names of futured::plugin need no prefix in it.
#define FUTURED_PLUGIN(...)                                                         \
  extern "C" FUTURED_EXPORT const futured_plugin* futured_plugin_v1(void) {         \
    using namespace ::futured::plugin; /* NOLINT(google-build-using-namespace) */   \
    static const auto* const made = ::futured::plugin::detail::define(__VA_ARGS__); \
    return made == nullptr ? nullptr : &made->c;                                    \
  }

#endif  // FUTURED_PLUGIN_HPP
