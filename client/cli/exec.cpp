#include "client/cli/exec.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "client/cli/interrupts.hpp"
#include "client/cli/run.hpp"
#include "client/cli/terminal.hpp"
#include "proto/envelope.hpp"

extern char** environ;

namespace futured::cli {

using schema::Json;

namespace {

constexpr int kNotFound = 127;
constexpr int kNotExecutable = 126;

constexpr std::array kOptions{
    Option{"directory", 'C', "DIR", "the folder to run in (default: this one)"},
    Option{"env", 'e', "K=V", "a variable of the environment", true},
    Option{"clean-env", 0, "", "no environment but that of -e"},
};

/// Operating system text as JSON that encodes to the same bytes.
Json os_text(std::string_view text) { return schema::json_of_bytes(text); }

std::string folder(const Arguments& args) {
  std::error_code problem;
  std::filesystem::path here = std::filesystem::current_path(problem);
  if (const auto chosen = args.value("directory")) {
    here = problem ? std::filesystem::path(*chosen) : here / *chosen;
    if (!std::filesystem::is_directory(here, problem)) {
      throw Failure(Exit::usage, "-C '" + std::string(*chosen) + "' is no folder");
    }
  } else if (problem) {
    throw Failure(Exit::usage, "this folder is gone (" + problem.message() + "); choose one with -C DIR");
  }
  return here.lexically_normal().string();
}

}  // namespace

std::span<const Option> exec_option_table() { return kOptions; }

Json surroundings(const Arguments& args) {
  Json env = Json::array();
  if (!args.has("clean-env")) {
    for (char** variable = environ; *variable != nullptr; ++variable) env.push(os_text(*variable));
  }
  for (const std::string_view variable : args.values("env")) {
    const auto equals = variable.find('=');
    if (equals == 0 || equals == std::string_view::npos) {
      throw Failure(Exit::usage, "-e '" + std::string(variable) + "' wants NAME=VALUE");
    }
    env.push(os_text(variable));
  }
  return Json::object().add("env", std::move(env)).add("clean_env", true).add("cwd", os_text(folder(args)));
}

int exec_verb(Context& context) {
  std::vector<std::string> command = context.args.words;
  command.insert(command.end(), context.args.after.begin(), context.args.after.end());
  if (command.empty()) throw Failure(Exit::usage, "'fut exec' wants a command: fut exec CMD ARG...");

  Json request = surroundings(context.args);
  Json argv = Json::array();
  for (const std::string& word : command) argv.push(os_text(word));
  request.add("argv", std::move(argv));
  if (context.args.has("stdin")) {
    request.add("stdin", os_text(expect(read_file("-", wire::kDefaultPayloadLimit), Exit::input_refused)));
  }

  TaskInfo info = context.daemon.task("exec");
  if (info.schema == nullptr) throw Failure(Exit::internal, "task 'exec' of this daemon has no schema");
  const std::string input = expect(info.schema->encode(info.input_type, request), Exit::input_refused);

  TaskOptions options = task_options(context, Gone::cancel);
  const bool live = !context.out.json();
  const auto waiting = std::make_shared<Waiting>();
  if (live) {
    // On a thread of the executor; while a write blocks, so does the command: nothing is lost and nothing piles up.
    options.on_output([&out = context.out, waiting](int stream, std::string_view bytes) {
      if (stream == 2) {
        out.error_bytes(bytes);
      } else if (!out.write(bytes)) {
        waiting->interrupted(SIGPIPE);  // nobody reads: the command is to end, as by this signal
      }
    });
  }
  const bool stays = goes_on(context.args, Gone::cancel);
  const Submitted task = submit_one(context, std::move(info), input, options);
  const int signal = await(context, task.future, stays, waiting);
  if (context.out.closed()) context.out.leave_closed();
  if (signal != 0) {
    if (stays) context.out.note("task " + std::to_string(task.number) + " goes on");
    return 128 + signal;
  }
  const Outcome outcome = outcome_of(task.future);
  if (context.out.json()) {
    Json record = whole_record(context, task.info, task.number, outcome);
    mark_existing(record, task.existing);
    context.out.print(record);
  }
  const bool exited = outcome.error.kind() == v1::ERROR_KIND_EXIT;
  if (exited && outcome.error.signal() != 0) return 128 + outcome.error.signal();
  if (exited) {
    const int status = outcome.error.status();
    // The command may end with these itself; one that never started is marked as hopeless.
    if ((status == kNotFound || status == kNotExecutable) && outcome.error.permanent()) {
      context.out.error_bytes("fut: " + harmless(outcome.error.message()) + "\n");
    }
    return status;
  }
  report(context, task.number, task.info.name, outcome);
  return static_cast<int>(exit_of(outcome));
}

}  // namespace futured::cli
