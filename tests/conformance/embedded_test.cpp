#include "futured/embedded.hpp"

#include "tests/conformance/remote_fixture.hpp"
#include "tests/conformance/suite.hpp"

using namespace futured;
using namespace futured::conformance;

namespace {

class EmbeddedFixture : public RemoteFixture {
 public:
  explicit EmbeddedFixture(std::size_t workers) : RemoteFixture(workers) {
    ex_ = std::make_unique<Executor>(Executor::embedded(EmbeddedOptions()));
    worker_ = std::make_unique<LocalWorker>(*ex_, WorkerOptions().threads(static_cast<std::uint32_t>(workers)));
    add_functions([this](std::string name, LocalWorker::Function fn) { worker_->add(std::move(name), std::move(fn)); },
                  gate_);
  }
  ~EmbeddedFixture() {
    release();
    ex_->shutdown(true);
    worker_.reset();
  }

 private:
  std::unique_ptr<LocalWorker> worker_;
};

}  // namespace

TEST_CASE_TEMPLATE_INVOKE(executor_suite, EmbeddedFixture);
TEST_CASE_TEMPLATE_INVOKE(future_suite, EmbeddedFixture);
TEST_CASE_TEMPLATE_INVOKE(wait_suite, EmbeddedFixture);
TEST_CASE_TEMPLATE_INVOKE(shutdown_suite, EmbeddedFixture);
