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

#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <futured/plugin_call.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#pragma GCC visibility push(hidden)
namespace futured::plugin {

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
Schema schema(const unsigned char (&descriptors)[N]) {
  return {{descriptors, N}};
}

struct OnInit {
  std::string (*f)(std::string_view config);
};
/// f gets the plugin's configuration as JSON text, once per process before any task, and returns why the plugin
/// cannot work, or nothing.
inline OnInit on_init(std::string (*f)(std::string_view config)) { return {f}; }

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

}  // namespace futured::plugin
#pragma GCC visibility pop

/// Exports the plugin: FUTURED_PLUGIN("name", "version", schema(...), blocking<f>(...), async<g>(...), on_init(h),
/// ...). Once, outside any namespace. Names of futured::plugin need no prefix in it.
#define FUTURED_PLUGIN(...)                                                         \
  extern "C" FUTURED_EXPORT const futured_plugin* futured_plugin_v1(void) {         \
    using namespace ::futured::plugin; /* NOLINT(google-build-using-namespace) */   \
    static const auto* const made = ::futured::plugin::detail::define(__VA_ARGS__); \
    return made == nullptr ? nullptr : &made->c;                                    \
  }

#endif  // FUTURED_PLUGIN_HPP
