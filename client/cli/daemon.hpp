// The daemon that a command talks to: an Executor, its Control, and what is asked more than once. Connects on first
// use. Used by the command's main thread. What goes wrong becomes a Failure with its exit code.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "client/control.hpp"
#include "futured/executor.hpp"
#include "proto/schema/schema.hpp"

namespace futured::cli {

class Arguments;

inline constexpr std::chrono::seconds kAnswerTime{30};  ///< a daemon that sweeps millions of tasks may take its time

/// A task type as the catalog knows it.
struct TaskInfo {
  std::string name;
  std::string input_type, reply_type;  ///< message names in the schema; empty: plain bytes
  std::string schema_hash;
  std::shared_ptr<const schema::Schema> schema;  ///< null: plain bytes

  /// A result as JSON; plain bytes, too, and those that are no message of the schema.
  schema::Json show(std::string_view reply) const;
};

class Daemon {
 public:
  struct Options {
    std::string endpoint;  ///< --connect; empty: the usual ones
    bool embedded = false;
    std::uint32_t processes = 1, threads = 1, async_slots = 1000;
    std::vector<std::string> plugin_dirs;
    std::vector<std::string> plugins;  ///< only these are loaded; none named: all there are
    /// What makes the private daemon; only main.cpp links one.
    Executor (*start_embedded)(const Options&) = nullptr;
    bool patient = false;  ///< waits for a daemon that comes back, as long as a task lasts
    /// Is told, on a thread of the executor, when a connection that a patient command waits on is lost, and back.
    std::function<void(const std::string& text)> tell = nullptr;
  };
  explicit Daemon(Options options) : options_(std::move(options)) {}
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  Executor& executor();
  Control& control();

  /// Failure: the problem the daemon names.
  v1::Reply ask(const v1::Request& request);
  /// Nothing where the daemon says that there is no such task, or not any more.
  std::optional<v1::Reply> answer_or_nothing(const v1::Request& request);
  /// Asks until all pages are there or `limit` tasks.
  std::vector<v1::TaskRecord> list(const v1::Selector& selector, bool detail, std::size_t limit = 0);
  std::optional<v1::TaskRecord> record(TaskNumber number);
  /// Calls `page` with each page of records until it says false. A page may be empty with more to come; not at all
  /// called if the daemon knows none of the numbers asked for.
  template <class F>
  void pages(const v1::Selector& selector, bool detail, bool newest_first, F page) {
    v1::Request request;
    auto& query = *request.mutable_list();
    *query.mutable_selector() = selector;
    query.set_detail(detail);
    query.set_newest_first(newest_first);
    while (true) {
      auto answer = answer_or_nothing(request);
      if (!answer) return;
      v1::Reply& reply = *answer;
      if (!page(reply) || !reply.more() || reply.cursor().empty()) return;
      query.set_cursor(reply.cursor());
    }
  }

  /// Failure(input_refused): no such task; names the nearest.
  TaskInfo task(std::string_view name);

  /// Failure(refused_now): the daemon drains and takes no new tasks. A full one only takes its time.
  void refuse_if_draining();
  /// The number of a task that was just submitted, as soon as the daemon has accepted it.
  TaskNumber accepted(const Future<std::string>& future);

  /// The task submitted last from here, for the selector `last`.
  void remember(TaskNumber number);
  Result<TaskNumber> last();

 private:
  Options options_;
  std::optional<Executor> executor_;
  std::optional<Control> control_;
};

}  // namespace futured::cli
