#include "client/cli/daemon.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "client/cli/failure.hpp"
#include "proto/ids.hpp"
#include "proto/nearest.hpp"

namespace futured::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kLookAgain = 500ms;  ///< a daemon that has not accepted a task by then may be draining
constexpr auto kComesBack = 10s;    ///< how long a short command waits for a lost daemon
constexpr auto kComesBackLater = 5min;

std::filesystem::path state_folder() {
  const auto from = [](const char* name) -> std::filesystem::path {
    const char* value = std::getenv(name);
    return value == nullptr || *value != '/' ? std::filesystem::path() : std::filesystem::path(value);
  };
  if (const auto state = from("XDG_STATE_HOME"); !state.empty()) return state / "futured";
  if (const auto home = from("HOME"); !home.empty()) return home / ".local" / "state" / "futured";
  return {};
}

}  // namespace

schema::Json TaskInfo::show(std::string_view reply) const {
  if (schema != nullptr && !reply_type.empty()) {
    if (auto message = schema->decode(reply_type, reply)) return std::move(*message);
  }
  return schema::json_of_bytes(reply);
}

Executor& Daemon::executor() {
  if (executor_) return *executor_;
  if (options_.embedded) {
    executor_.emplace(options_.start_embedded(options_));
  } else {
    executor_.emplace(Executor::connect(ConnectOptions()
                                            .endpoint(options_.endpoint)
                                            .software("fut 0.1.0")
                                            .give_up_after(options_.patient ? kComesBackLater : kComesBack)));
    if (options_.patient && options_.tell) {
      control().watch([tell = options_.tell, endpoint = control().endpoint()](bool connected) {
        tell(connected ? "connected to " + endpoint + " again"
                       : "the connection to " + endpoint + " was lost; connecting again");
      });
    }
  }
  return *executor_;
}

Control& Daemon::control() {
  if (!control_) control_.emplace(executor());
  return *control_;
}

v1::Reply Daemon::ask(const v1::Request& request) { return expect(control().request(request, kAnswerTime)); }

std::optional<v1::Reply> Daemon::answer_or_nothing(const v1::Request& request) {
  auto answer = control().request(request, kAnswerTime);
  if (!answer && (answer.status().code() == Code::not_found || answer.status().code() == Code::forgotten))
    return std::nullopt;
  return expect(std::move(answer));
}

std::vector<v1::TaskRecord> Daemon::list(const v1::Selector& selector, bool detail, std::size_t limit) {
  std::vector<v1::TaskRecord> out;
  pages(selector, detail, false, [&](v1::Reply& reply) {
    for (auto& task : *reply.mutable_tasks()) {
      if (limit == 0 || out.size() < limit) out.push_back(std::move(task));
    }
    return limit == 0 || out.size() < limit;
  });
  return out;
}

std::optional<v1::TaskRecord> Daemon::record(TaskNumber number) {
  v1::Selector selector;
  auto* range = selector.add_numbers();
  range->set_first(number);
  range->set_last(number);
  auto found = list(selector, true, 1);
  return found.empty() ? std::nullopt : std::optional(std::move(found.front()));
}

TaskInfo Daemon::task(std::string_view name) {
  v1::Request request;
  request.mutable_catalog()->add_types(std::string(name));
  request.mutable_catalog()->set_schema(true);
  auto answer = control().request(request, kAnswerTime);
  if (!answer && answer.status().code() != Code::not_found && answer.status().code() != Code::invalid) {
    throw Failure(exit_of(answer.status().code()), answer.status().message());
  }
  if (!answer || answer->types().empty()) {
    v1::Request everything;
    everything.mutable_catalog();
    std::vector<std::string> names;
    const v1::Reply catalog = ask(everything);
    for (const auto& type : catalog.types()) names.push_back(type.name());
    const std::string near = nearest(name, names);
    throw Failure(Exit::input_refused,
                  "there is no task '" + std::string(name) + "'" +
                      (near.empty() ? "; 'fut catalog' lists those there are" : "; did you mean '" + near + "'?"));
  }
  const v1::TaskType& type = answer->types(0);
  TaskInfo info;
  info.name = type.name();
  info.input_type = type.input_type();
  info.reply_type = type.reply_type();
  info.schema_hash = type.schema_hash();
  if (!type.schema().empty() && type.schema_kind() == "protobuf") {
    auto loaded = schema::Schema::load(type.schema());
    if (!loaded) {
      throw Failure(Exit::internal,
                    "plugin " + type.plugin() + " of task " + info.name + ": " + loaded.status().message());
    }
    info.schema = std::move(*loaded);
  }
  return info;
}

void Daemon::refuse_if_draining() {
  v1::Request request;
  request.mutable_status();
  if (ask(request).status().draining()) {
    throw Failure(Exit::refused_now, "the daemon is draining and takes no new tasks: try again later");
  }
}

TaskNumber Daemon::accepted(const Future<std::string>& future) {
  while (true) {
    auto number = control().number(future, kLookAgain);
    if (number) return *number;
    if (future.done()) {
      try {
        [[maybe_unused]] const auto bytes = future.bytes();
      } catch (const RejectedError& e) {  // it was never sent: too long for this daemon
        if (number.status().code() == Code::invalid) throw Failure(Exit::input_refused, e.what());
      } catch (const Error&) {  // whoever waits for the outcome says so
      }
    }
    if (number.status().code() != Code::unavailable) return expect(std::move(number));
    refuse_if_draining();
  }
}

void Daemon::remember(TaskNumber number) {
  if (options_.embedded) return;
  const auto folder = state_folder();
  if (folder.empty()) return;
  // Only a convenience: where the folder cannot be written, `last` will say so.
  std::error_code ignored;
  std::filesystem::create_directories(folder, ignored);
  const std::string path = folder / "last";
  const std::string fresh = path + "." + std::to_string(::getpid());
  const std::string line = to_hex(control().welcome().daemon_instance()) + " " + std::to_string(number) + "\n";
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return;
  const bool written = ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  ::close(fd);
  if (!written || std::rename(fresh.c_str(), path.c_str()) != 0) ::unlink(fresh.c_str());
}

Result<TaskNumber> Daemon::last() {
  const auto folder = state_folder();
  std::ifstream file(folder / "last");
  std::string instance;
  TaskNumber number = 0;
  if (folder.empty() || !(file >> instance >> number) || number == 0) {
    return Status(Code::not_found, "no task was submitted from here; 'fut list' shows those of the daemon");
  }
  // Numbers of a daemon with a store live on; without one, another instance has tasks of its own under them.
  if (instance != to_hex(control().welcome().daemon_instance())) {
    v1::Request request;
    request.mutable_status();
    if (ask(request).status().store().starts_with("memory")) {
      return Status(Code::forgotten, "the daemon was started again since task " + std::to_string(number) +
                                         " was submitted, and has no store; 'fut list' shows its tasks");
    }
  }
  return number;
}

}  // namespace futured::cli
