#include "futured/embedded.hpp"

#include <stdexcept>

#include "client/embedded/host.hpp"
#include "client/remote_executor.hpp"

namespace futured {

namespace detail {

namespace {

class EmbeddedExecutor final : public RemoteExecutor {
 public:
  EmbeddedExecutor(std::shared_ptr<Host> host, std::shared_ptr<Connection> connection)
      : RemoteExecutor(std::move(connection)), host_(std::move(host)) {}

  void close() override {
    if (connection().forked()) {
      new std::shared_ptr<Host>(std::move(host_));  // the threads are the parent's: leave everything as it is
      return;
    }
    // With nobody left who could run them, waiting tasks would never end.
    const bool hopeless = host_->processes == 0 && host_->local_workers == 0;
    connection().shutdown(true, hopeless);
    connection().close(std::chrono::nanoseconds::zero());
    host_->stop();
  }
  const std::shared_ptr<Host>& host() const { return host_; }

 private:
  std::shared_ptr<Host> host_;
};

}  // namespace

std::shared_ptr<Host> host_of(const Executor& executor) {
  const auto* core = dynamic_cast<const EmbeddedExecutor*>(&executor.core());
  return core == nullptr ? nullptr : core->host();
}

}  // namespace detail

Executor Executor::embedded(const EmbeddedOptions& options) {
  auto host = detail::Host::start(options);
  if (!host.ok()) {
    if (host.status().code() == Code::invalid) throw std::invalid_argument(host.status().message());
    throw ConnectError(host.status().code(), host.status().message());
  }
  detail::Connection::Options o;
  o.endpoint = "the embedded daemon";
  o.software = "libfutured 0.1.0 (embedded)";
  o.connect_timeout = std::chrono::seconds(30);
  // The connection may live as long as its futures; the daemon must not.
  auto opened = detail::Connection::open(
      o, [weak = std::weak_ptr(host.value())](std::function<void()> wake) -> Result<std::unique_ptr<client::Link>> {
        const auto alive = weak.lock();
        auto end = alive ? alive->connect() : nullptr;
        if (!end) return Status(Code::unavailable, "the embedded daemon has stopped");
        return client::make_pipe_link(std::move(end), std::move(wake));
      });
  if (!opened.ok()) detail::throw_connect_error(opened.status());
  return Executor(std::make_unique<detail::EmbeddedExecutor>(std::move(host.value()), std::move(opened.value())));
}

std::vector<std::string> embedded_endpoints(const Executor& executor) {
  const auto host = detail::host_of(executor);
  if (!host) throw std::invalid_argument("embedded_endpoints: this executor is a connection, not an embedded daemon");
  return host->endpoints();
}

}  // namespace futured
