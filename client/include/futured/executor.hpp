// Executor: calls run by a daemon. Thread-safe; movable. After fork() the child's copy is broken (BrokenExecutor).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "futured/errors.hpp"
#include "futured/future.hpp"
#include "futured/map.hpp"
#include "futured/task_options.hpp"
#include "futured/thread_pool.hpp"
#include "futured/wait.hpp"

namespace futured {

class EmbeddedOptions;

class ConnectOptions {
 public:
  ConnectOptions() {}  // NOLINT(modernize-use-equals-default): option types are not aggregates
  /// "ipc://..." or "tcp://..."; empty: FUTURED_CONNECT, else the first of the user's and the system's socket
  /// that exists.
  ConnectOptions& endpoint(std::string e) { return (endpoint_ = std::move(e), *this); }
  /// How long connect() may take; a socket that nobody listens on is reported well before.
  ConnectOptions& timeout(std::chrono::nanoseconds d) { return (timeout_ = d, *this); }
  /// How long a connection that was lost is tried again before its futures get BrokenExecutor; below 0: for ever.
  ConnectOptions& give_up_after(std::chrono::nanoseconds d) { return (give_up_after_ = d, *this); }
  /// "fut 0.1.0": shown by the daemon.
  ConnectOptions& software(std::string s) { return (software_ = std::move(s), *this); }
  const std::string& endpoint() const { return endpoint_; }
  std::chrono::nanoseconds timeout() const { return timeout_; }
  std::chrono::nanoseconds give_up_after() const { return give_up_after_; }
  const std::string& software() const { return software_; }

 private:
  std::string endpoint_;
  std::string software_ = "libfutured 0.1.0";
  std::chrono::nanoseconds timeout_ = std::chrono::seconds(5);
  std::chrono::nanoseconds give_up_after_ = std::chrono::nanoseconds(-1);
};

namespace detail {

class Connection;

/// Bytes only; what the templates of Executor stand on.
class ExecutorCore {
 public:
  virtual ~ExecutorCore() = default;  ///< after close()
  virtual CellRef submit(std::string_view task, Input input, const TaskOptions& options) = 0;
  virtual void submit_many(std::string_view task, std::vector<Input> inputs, const TaskOptions& options,
                           std::vector<CellRef>& out) = 0;
  virtual CellRef attach(const TaskId& id, TaskNumber number, OutputCallback output) = 0;
  virtual void shutdown(bool wait, bool cancel_futures) = 0;
  /// What the destructor of an Executor does.
  virtual void close() = 0;
  virtual Connection& connection() = 0;
};

}  // namespace detail

class Executor {
 public:
  /// Connects to the daemon of this user, else of this machine. Throws NoDaemonError, VersionError, NotAllowedError or
  /// ConnectError.
  static Executor connect() { return connect(ConnectOptions()); }
  static Executor connect(std::string endpoint) { return connect(ConnectOptions().endpoint(std::move(endpoint))); }
  static Executor connect(const ConnectOptions& options);
  /// A daemon of one's own in this process: <futured/embedded.hpp>, futured::embedded.
  static Executor embedded(const EmbeddedOptions& options);

  explicit Executor(std::unique_ptr<detail::ExecutorCore> core) : core_(std::move(core)) {}
  Executor(Executor&&) noexcept = default;
  Executor& operator=(Executor&& o) noexcept {
    if (this != &o) {
      close();
      core_ = std::move(o.core_);
    }
    return *this;
  }
  /// Of a connection: hands over what was submitted (5 s), then leaves; pending futures get BrokenExecutor, the tasks
  /// go on as their on_disconnect says. Of an embedded daemon: shutdown(true).
  ~Executor() { close(); }

  /// `input`: bytes, or a message with SerializeToString. `Reply`: std::string, or a message with ParseFromArray.
  /// Returns at once unless the submit window is used up (see TaskOptions::on_full). Throws ShutdownError,
  /// BrokenExecutor, QueueFull; std::invalid_argument for a message that cannot be serialized.
  template <class Reply = std::string, class In>
  Future<Reply> submit(std::string_view task, In&& input, const TaskOptions& options = TaskOptions()) {
    return FutureAccess::make<Reply>(core().submit(task, detail::Input(std::forward<In>(input)), options));
  }

  /// One task per element of a range of inputs.
  template <class Reply = std::string, class R>
  std::vector<Future<Reply>> submit_many(std::string_view task, R&& inputs,
                                         const TaskOptions& options = TaskOptions()) {
    std::vector<detail::Input> bytes;
    for (auto&& input : inputs) bytes.push_back(as_input<R>(input));
    std::vector<detail::CellRef> cells;
    core().submit_many(task, std::move(bytes), options, cells);
    std::vector<Future<Reply>> futures;
    futures.reserve(cells.size());
    for (detail::CellRef& c : cells) futures.push_back(FutureAccess::make<Reply>(std::move(c)));
    return futures;
  }

  /// Results in input order. Submits everything at once unless options.buffersize() is set; then `inputs` is read as
  /// results are taken, may be endless, and must outlive the result if it is an lvalue. So must this executor.
  template <class Reply = std::string, class R>
  MapResults<Reply> map(std::string_view task, R&& inputs, const MapOptions& options = MapOptions(),
                        const TaskOptions& task_options = TaskOptions()) {
    auto held = std::make_shared<detail::HeldRange<R>>(std::forward<R>(inputs));
    auto source = [core = &core(), name = std::string(task), held, task_options](std::vector<Future<Reply>>& out,
                                                                                 std::size_t n) {
      std::vector<detail::CellRef> cells;
      while (n > 0 && !held->at_end()) {
        std::vector<detail::Input> bytes;
        for (; n > 0 && bytes.size() < kMapBatch && !held->at_end(); held->next(), --n) {
          // An element that the range makes on the fly is gone after this step: keep what is not a reference.
          decltype(auto) element = **held;
          bytes.push_back(as_input<R>(element));
        }
        cells.clear();
        core->submit_many(name, std::move(bytes), task_options, cells);
        for (detail::CellRef& c : cells) out.push_back(FutureAccess::make<Reply>(std::move(c)));
      }
      return !held->at_end();
    };
    return MapResults<Reply>(std::move(source), options);
  }

  /// A future of a task submitted by anybody: another process, or before a restart. Its result() throws NotFound or
  /// Forgotten if the daemon does not have it.
  template <class Reply = std::string>
  Future<Reply> future(const TaskId& id) {
    return FutureAccess::make<Reply>(core().attach(id, 0, nullptr));
  }
  template <class Reply = std::string>
  Future<Reply> future(TaskNumber number) {
    return FutureAccess::make<Reply>(core().attach(TaskId(), number, nullptr));
  }
  /// `id`: 32 hex digits; std::invalid_argument otherwise.
  template <class Reply = std::string>
  Future<Reply> future(std::string_view id) {
    return future<Reply>(parse(id));
  }

  /// No more submits. `cancel_futures` cancels what has not started; `wait` returns when every future is done.
  void shutdown(bool wait = true, bool cancel_futures = false) { core().shutdown(wait, cancel_futures); }

  /// For the tools of this project: client/control.hpp.
  detail::ExecutorCore& core() const {
    if (!core_) throw_moved();
    return *core_;
  }

 private:
  static constexpr std::size_t kMapBatch = 4096;
  static TaskId parse(std::string_view id);
  [[noreturn]] static void throw_moved();
  template <class R, class E>
  static detail::Input as_input(E&& element) {
    using Element = decltype(*std::begin(std::declval<std::remove_reference_t<R>&>()));
    if constexpr (std::is_lvalue_reference_v<Element> || !std::is_convertible_v<const E&, std::string_view>) {
      return detail::Input(std::as_const(element));
    } else {
      return detail::Input(std::string(std::string_view(element)));
    }
  }
  void close() {
    if (core_) core_->close();
    core_.reset();
  }
  std::unique_ptr<detail::ExecutorCore> core_;
};

}  // namespace futured
