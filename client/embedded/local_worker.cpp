#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <thread>

#include "client/connection.hpp"
#include "client/embedded/host.hpp"
#include "futured/embedded.hpp"
#include "worker/worker.hpp"

namespace futured {

class LocalWorker::Impl {
 public:
  Impl(Executor& executor, const WorkerOptions& options) : host_(detail::host_of(executor)) {
    if (!host_) {
      throw std::invalid_argument(
          "LocalWorker: this executor is a connection; functions of this process are offered "
          "through Executor::embedded()");
    }
    connection_ = &executor.core().connection();
    config_.pool = options.pool();
    config_.threads = options.threads();
    config_.log = false;
    ++host_->local_workers;
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    --host_->local_workers;
    if (!worker_) return;
    worker_->drain();
    loop_.join();
  }

  void add(std::string name, Function fn) {
    if (const Status s = registry_.add(name, std::move(fn)); !s.ok()) throw std::invalid_argument(s.message());
    if (!worker_) {
      auto made = worker::Worker::in_process(config_, registry_, [host = host_] { return host->connect(); });
      if (!made.ok()) throw BrokenExecutor("cannot start a local worker: " + made.status().message());
      worker_ = std::move(made.value());
      loop_ = std::thread([this] {
        pthread_setname_np(pthread_self(), "futured-worker");
        worker_->run();
      });
    } else {
      worker_->refresh();
    }
    wait_until_offered(name);
  }

 private:
  /// The daemon is asked, because a worker learns that it is welcome but not when its types are in force.
  void wait_until_offered(const std::string& name) {
    v1::Request ask;
    ask.mutable_workers();
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    for (auto pause = std::chrono::microseconds(100); std::chrono::steady_clock::now() < until;
         pause = std::min<std::chrono::microseconds>(pause * 2, std::chrono::milliseconds(10))) {
      const auto reply = connection_->request(ask, detail::deadline_after(std::chrono::seconds(10)));
      if (!reply.ok()) throw BrokenExecutor("cannot offer '" + name + "': " + reply.status().message());
      for (const v1::WorkerRecord& w : reply->workers()) {
        if (w.pid() != static_cast<std::uint32_t>(getpid())) continue;
        if (std::find(w.types().begin(), w.types().end(), name) != w.types().end()) return;
      }
      std::this_thread::sleep_for(pause);
    }
    throw BrokenExecutor("the daemon did not take '" + name + "' from this process within 10 s: " +
                         (worker_->connected() ? "is its pool there?" : "it did not welcome the worker"));
  }

  const std::shared_ptr<detail::Host> host_;
  detail::Connection* connection_ = nullptr;  // stays where it is when the executor is moved
  worker::WorkerConfig config_;
  worker::Registry registry_;
  std::unique_ptr<worker::Worker> worker_;
  std::thread loop_;
};

LocalWorker::LocalWorker(Executor& executor, const WorkerOptions& options)
    : impl_(std::make_unique<Impl>(executor, options)) {}
LocalWorker::LocalWorker(LocalWorker&&) noexcept = default;
LocalWorker& LocalWorker::operator=(LocalWorker&&) noexcept = default;
LocalWorker::~LocalWorker() = default;

LocalWorker& LocalWorker::add(std::string name, Function fn) {
  if (!impl_) throw std::invalid_argument("LocalWorker: moved from");
  impl_->add(std::move(name), std::move(fn));
  return *this;
}

}  // namespace futured
