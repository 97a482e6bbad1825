// The executor of a connection.
#pragma once

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "client/connection.hpp"
#include "futured/executor.hpp"
#include "proto/status.hpp"

namespace futured::detail {

[[noreturn]] void throw_connect_error(const Status& status);

class RemoteExecutor : public ExecutorCore {
 public:
  explicit RemoteExecutor(std::shared_ptr<Connection> c) : connection_(std::move(c)) {}

  CellRef submit(std::string_view task, Input input, const TaskOptions& options) override {
    return connection_->submit(task, std::move(input), options);
  }
  void submit_many(std::string_view task, std::vector<Input> inputs, const TaskOptions& options,
                   std::vector<CellRef>& out) override {
    connection_->submit_many(task, std::move(inputs), options, out);
  }
  CellRef attach(const TaskId& id, TaskNumber number, OutputCallback output) override {
    return connection_->attach(id, number, std::move(output));
  }
  void shutdown(bool wait, bool cancel_futures) override { connection_->shutdown(wait, cancel_futures); }
  void close() override { connection_->close(std::chrono::seconds(5)); }
  Connection& connection() override { return *connection_; }

 private:
  std::shared_ptr<Connection> connection_;
};

}  // namespace futured::detail
