#include "futured/executor.hpp"

#include "client/connection.hpp"
#include "client/endpoint.hpp"
#include "client/remote_executor.hpp"

namespace futured {

namespace detail {

void throw_connect_error(const Status& status) {
  switch (status.code()) {
    case Code::unavailable:
      throw NoDaemonError(status.message());
    case Code::version:
      throw VersionError(status.message());
    case Code::not_allowed:
      throw NotAllowedError(status.message());
    default:
      throw ConnectError(status.code(), status.message());
  }
}

}  // namespace detail

Executor Executor::connect(const ConnectOptions& options) {
  detail::Connection::Options o;
  o.endpoint = client::resolve_endpoint(options.endpoint());
  o.software = options.software();
  o.connect_timeout = options.timeout();
  o.session.give_up_after = options.give_up_after().count();
  auto opened = detail::Connection::open(
      o, [endpoint = o.endpoint](const std::function<void()>&) { return client::make_zmq_link(endpoint); });
  if (!opened.ok()) detail::throw_connect_error(opened.status());
  return Executor(std::make_unique<detail::RemoteExecutor>(std::move(opened.value())));
}

TaskId Executor::parse(std::string_view id) {
  const auto parsed = parse_task_id(id);
  if (!parsed) throw std::invalid_argument("'" + std::string(id) + "' is not a task id: 32 hex digits");
  return *parsed;
}

void Executor::throw_moved() { throw BrokenExecutor("this executor was moved from"); }

}  // namespace futured
