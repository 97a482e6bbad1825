// Against the program futured, over its socket; the functions are offered by a worker in this process.
#include "tests/conformance/remote_fixture.hpp"
#include "tests/conformance/suite.hpp"
#include "tests/support/daemon_process.hpp"
#include "worker/worker.hpp"

using namespace futured;
using namespace futured::conformance;

namespace {

class DaemonFixture : public RemoteFixture {
 public:
  explicit DaemonFixture(std::size_t workers) : RemoteFixture(workers), daemon_({"--processes", "0"}) {
    add_functions(
        [this](std::string name, worker::HostFunction fn) {
          if (const Status s = registry_.add(std::move(name), std::move(fn)); !s.ok()) {
            throw std::runtime_error(s.message());
          }
        },
        gate_);
    worker::WorkerConfig config;
    config.threads = static_cast<std::uint32_t>(workers);
    config.log = false;
    auto made = worker::Worker::remote(config, registry_, daemon_.endpoint());
    if (!made.ok()) throw std::runtime_error(made.status().message());
    worker_ = std::move(made.value());
    loop_ = std::thread([this] { worker_->run(); });
    ex_ = std::make_unique<Executor>(Executor::connect(daemon_.endpoint()));
    // A task of a name never seen is refused: the worker has to be there first.
    while (!worker_->connected()) std::this_thread::yield();
    while (echo("ready").exception(60s) != nullptr) std::this_thread::sleep_for(1ms);
  }
  ~DaemonFixture() {
    release();
    ex_->shutdown(true);
    ex_.reset();
    worker_->drain();
    loop_.join();
  }

 private:
  test::DaemonProcess daemon_;
  worker::Registry registry_;
  std::unique_ptr<worker::Worker> worker_;
  std::thread loop_;
};

}  // namespace

TEST_CASE_TEMPLATE_INVOKE(executor_suite, DaemonFixture);
TEST_CASE_TEMPLATE_INVOKE(future_suite, DaemonFixture);
TEST_CASE_TEMPLATE_INVOKE(wait_suite, DaemonFixture);
TEST_CASE_TEMPLATE_INVOKE(shutdown_suite, DaemonFixture);
