#include "worker/plugins/exec/command.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <unordered_map>

extern char** environ;

namespace futured::plugins::exec {
namespace {

using plugin::Failure;

bool has_zero(const std::string& text) { return text.find('\0') != std::string::npos; }

/// A descriptor that closes itself.
class Folder {
 public:
  explicit Folder(const char* path) : fd_(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)) {}
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    if (fd_ >= 0) close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

Failure cannot_run(const std::string& what, int status) {
  ExecReply reply;
  reply.set_status(status);
  return Failure(what).exited(status).permanent().reply(reply);
}

/// The program that `name` means, as execvp would find it, but in the PATH of the command.
plugin::Outcome<std::string> find_program(const std::string& name, const std::vector<std::string>& environment,
                                          int cwd) {
  const auto not_found = [&name] {
    return cannot_run("command '" + name + "' was not found: check its name and the PATH it is searched in", 127);
  };
  const auto not_executable = [&name](const std::string& why) {
    return cannot_run("command '" + name + "' cannot be run: " + why, 126);
  };
  const auto look = [cwd](const std::string& path) {
    struct stat info {};
    if (fstatat(cwd, path.c_str(), &info, 0) != 0) return errno;
    if (S_ISDIR(info.st_mode)) return EISDIR;
    return faccessat(cwd, path.c_str(), X_OK, AT_EACCESS) == 0 ? 0 : EACCES;
  };
  if (name.empty()) return not_found();
  if (name.find('/') != std::string::npos) {
    const int error = look(name);
    if (error == 0) return name;
    if (error == ENOENT || error == ENOTDIR) return not_found();
    return not_executable(error == EACCES ? "no permission to execute it" : std::strerror(error));
  }
  std::string_view path = "/usr/local/bin:/usr/bin:/bin";
  for (const std::string& entry : environment) {
    if (entry.starts_with("PATH=")) path = std::string_view(entry).substr(5);
  }
  bool denied = false;
  while (true) {
    const std::size_t colon = path.find(':');
    std::string candidate(path.substr(0, colon));
    candidate += candidate.empty() ? "./" + name : "/" + name;
    const int error = look(candidate);
    if (error == 0) return candidate;
    if (error == EACCES) denied = true;
    if (colon == std::string_view::npos) break;
    path.remove_prefix(colon + 1);
  }
  if (denied) return not_executable("no permission to execute it");
  return not_found();
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (const std::string& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

/// posix_spawn wants its attributes initialised and destroyed.
class SpawnOptions {
 public:
  SpawnOptions() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  SpawnOptions(const SpawnOptions&) = delete;
  SpawnOptions& operator=(const SpawnOptions&) = delete;
  ~SpawnOptions() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

}  // namespace

std::optional<Failure> check(const ExecRequest& request, std::uint64_t most_output) {
  if (request.argv_size() == 0) return Failure("argv is empty: name the command to run").permanent();
  for (const std::string& argument : request.argv()) {
    if (has_zero(argument)) return Failure("argv contains a zero byte: no command can take it").permanent();
  }
  for (const std::string& entry : request.env()) {
    const std::size_t equals = entry.find('=');
    if (equals == 0 || equals == std::string::npos || has_zero(entry)) {
      return Failure("env '" + entry.substr(0, 100) + "' is not of the form NAME=value").permanent();
    }
  }
  if (request.has_cwd() && (request.cwd().empty() || request.cwd().front() != '/' || has_zero(request.cwd()))) {
    return Failure("cwd '" + request.cwd() + "' is no absolute path: the worker runs in a folder of its own")
        .permanent();
  }
  if (request.max_output() > most_output) {
    return Failure("max_output = " + std::to_string(request.max_output()) + " is above the " +
                   std::to_string(most_output) +
                   " that the configuration of exec allows: let the command write to a file, or follow its output live")
        .permanent();
  }
  return std::nullopt;
}

std::vector<std::string> environment(const ExecRequest& request, plugin::Call call) {
  std::vector<std::string> entries;
  std::unordered_map<std::string, std::size_t> at;
  const auto add = [&](std::string entry) {
    const auto [it, added] = at.try_emplace(entry.substr(0, entry.find('=')), entries.size());
    if (added) {
      entries.push_back(std::move(entry));
    } else {
      entries[it->second] = std::move(entry);
    }
  };
  if (!request.clean_env()) {
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) add(*entry);
    if (const std::string id = call.task_id(); !id.empty()) add("FUTURED_TASK_ID=" + id);
    add("FUTURED_TASK_NUMBER=" + std::to_string(call.task_number()));
    add("FUTURED_ATTEMPT=" + std::to_string(call.attempt()));
  }
  for (const std::string& entry : request.env()) add(entry);
  return entries;
}

plugin::Outcome<pid_t> spawn(const ExecRequest& request, const std::vector<std::string>& environment,
                             const ChildPipes& pipes) {
  const std::string& cwd = request.cwd();
  const Folder folder(request.has_cwd() ? cwd.c_str() : ".");
  if (folder.fd() < 0) {
    const int error = errno;
    return Failure("cwd '" + (request.has_cwd() ? cwd : std::string(".")) +
                   "' cannot be entered: " + std::strerror(error))
        .permanent();
  }
  auto found = find_program(request.argv(0), environment, folder.fd());
  if (const auto* failure = std::get_if<Failure>(&found)) return *failure;
  const std::string& program = std::get<std::string>(found);

  SpawnOptions options;
  posix_spawn_file_actions_addfchdir_np(&options.actions, folder.fd());
  if (pipes.in >= 0) {
    posix_spawn_file_actions_adddup2(&options.actions, pipes.in, 0);
  } else {
    posix_spawn_file_actions_addopen(&options.actions, 0, "/dev/null", O_RDONLY, 0);
  }
  posix_spawn_file_actions_adddup2(&options.actions, pipes.out, 1);
  posix_spawn_file_actions_adddup2(&options.actions, pipes.err, 2);
  // Whatever other code of this process opened without close-on-exec stays here too.
  posix_spawn_file_actions_addclosefrom_np(&options.actions, 3);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&options.attributes, &signals);
  // Not sigfillset: it leaves out two signals that glibc then makes the child ignore.
  std::memset(&signals, 0xff, sizeof(signals));
  posix_spawnattr_setsigdefault(&options.attributes, &signals);
  posix_spawnattr_setpgroup(&options.attributes, 0);
  posix_spawnattr_setflags(&options.attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::vector<std::string> arguments(request.argv().begin(), request.argv().end());
  const std::vector<char*> variables = pointers(environment);
  pid_t pid = -1;
  int error = posix_spawn(&pid, program.c_str(), &options.actions, &options.attributes, pointers(arguments).data(),
                          variables.data());
  if (error == ENOEXEC) {  // a script without an interpreter line
    arguments[0] = program;
    arguments.insert(arguments.begin(), "/bin/sh");
    error = posix_spawn(&pid, "/bin/sh", &options.actions, &options.attributes, pointers(arguments).data(),
                        variables.data());
  }
  if (error == 0) return pid;
  const std::string& name = request.argv(0);
  if (error == ENOENT) {
    return cannot_run("command '" + name + "' cannot be run: the interpreter named in its first line was not found",
                      127);
  }
  if (error == E2BIG) return Failure("command '" + name + "': arguments and environment are too long").permanent();
  if (error == EAGAIN || error == ENOMEM) {
    return Failure("command '" + name + "' cannot be started now (" + std::strerror(error) +
                   "): the host is out of processes or memory");
  }
  return cannot_run("command '" + name + "' cannot be run: " + std::strerror(error), 126);
}

}  // namespace futured::plugins::exec
