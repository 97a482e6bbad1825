// ThreadPoolExecutor: calls of this process on threads of this process, with the same Future.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "futured/future.hpp"
#include "futured/map.hpp"

namespace futured {

class ThreadPoolOptions {
 public:
  ThreadPoolOptions() {}  // NOLINT(modernize-use-equals-default): option types are not aggregates
  /// >= 1; std::invalid_argument otherwise. Default: min(32, usable CPUs + 4).
  ThreadPoolOptions& max_workers(std::ptrdiff_t n);
  /// Threads are named PREFIX_0, PREFIX_1, ... (the kernel keeps 15 bytes).
  ThreadPoolOptions& thread_name_prefix(std::string prefix) { return (prefix_ = std::move(prefix), *this); }
  /// Runs first on each thread. If it throws, the pool is broken: pending and later calls get BrokenExecutor.
  ThreadPoolOptions& initializer(std::function<void()> fn) { return (initializer_ = std::move(fn), *this); }
  std::size_t max_workers() const { return max_workers_; }  ///< 0: the default
  const std::string& thread_name_prefix() const { return prefix_; }
  const std::function<void()>& initializer() const { return initializer_; }

 private:
  std::size_t max_workers_ = 0;
  std::string prefix_;
  std::function<void()> initializer_;
};

namespace detail {

/// One call on its way.
struct Work {
  Work() = default;
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;
  virtual ~Work() = default;
  virtual void run() = 0;      ///< makes the call, if it was not cancelled; throws nothing
  virtual void publish() = 0;  ///< after run(): resolves the cell
  CellRef cell;
};

template <class R, class Fn>
struct TypedWork final : Work {
  explicit TypedWork(Fn f) : fn(std::move(f)) {}
  void run() override {
    ran = set_running_or_notify_cancel(*cell);
    if (!ran) return;
    try {
      if constexpr (std::is_void_v<R>) {
        (*fn)();
      } else {
        value = std::make_unique<TypedValue<R>>((*fn)());
      }
    } catch (...) {
      error = std::current_exception();
    }
    fn.reset();  // the arguments go before anybody hears of the result
  }
  void publish() override {
    if (!ran) return;
    if (error) {
      set_error(*cell, std::move(error));
    } else {
      set_value(*cell, std::move(value));
    }
  }
  std::optional<Fn> fn;
  std::unique_ptr<Value> value;
  std::exception_ptr error;
  bool ran = false;
};

class ThreadPool;

}  // namespace detail

class ThreadPoolExecutor {
 public:
  explicit ThreadPoolExecutor(std::ptrdiff_t max_workers, std::string thread_name_prefix = {},
                              std::function<void()> initializer = {});
  explicit ThreadPoolExecutor(const ThreadPoolOptions& options = ThreadPoolOptions());
  ThreadPoolExecutor(ThreadPoolExecutor&&) noexcept;
  ThreadPoolExecutor& operator=(ThreadPoolExecutor&&) noexcept;
  ~ThreadPoolExecutor();  ///< shutdown(true)

  /// Calls fn(args...) later. Throws ShutdownError, BrokenExecutor.
  template <class Fn, class... Args>
  requires std::invocable<std::decay_t<Fn>, std::decay_t<Args>...>
  auto submit(Fn&& fn, Args&&... args) {
    using R = std::decay_t<std::invoke_result_t<std::decay_t<Fn>, std::decay_t<Args>...>>;
    auto call = [f = std::decay_t<Fn>(std::forward<Fn>(fn)),
                 a = std::tuple<std::decay_t<Args>...>(std::forward<Args>(args)...)]() mutable -> R {
      return std::apply(std::move(f), std::move(a));
    };
    using Work = detail::TypedWork<R, decltype(call)>;
    return FutureAccess::make<R>(enqueue(std::make_unique<Work>(std::move(call))));
  }

  /// fn(element) for each element, results in input order; see Executor::map. `fn` is shared by the calls.
  template <class Fn, class R>
  auto map(Fn fn, R&& range, const MapOptions& options = MapOptions()) {
    return map(options, std::move(fn), std::forward<R>(range));
  }
  /// fn(a, b, ...) along several ranges, up to the end of the shortest.
  template <class Fn, class... R>
  auto map(const MapOptions& options, Fn fn, R&&... ranges) {
    using T = std::decay_t<std::invoke_result_t<const Fn&, std::decay_t<decltype(*std::begin(ranges))>...>>;
    auto held = std::make_shared<std::tuple<detail::HeldRange<R>...>>(detail::HeldRange<R>(std::forward<R>(ranges))...);
    auto shared = std::make_shared<const Fn>(std::move(fn));
    auto source = [this, held, shared](std::vector<Future<T>>& out, std::size_t n) {
      const auto ended = [&held] { return std::apply([](auto&... r) { return (r.at_end() || ...); }, *held); };
      for (; n > 0 && !ended(); --n) {
        std::apply(
            [&](auto&... r) {
              out.push_back(submit([shared](auto&&... a) { return (*shared)(std::move(a)...); }, *r...));
              (r.next(), ...);
            },
            *held);
      }
      return !ended();
    };
    return MapResults<T>(std::move(source), options);
  }

  void shutdown(bool wait = true, bool cancel_futures = false);
  std::size_t threads() const;  ///< started so far
  std::size_t max_workers() const;

 private:
  detail::CellRef enqueue(std::unique_ptr<detail::Work> work);
  std::shared_ptr<detail::ThreadPool> pool_;
};

}  // namespace futured
