#include <dirent.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "exec/exec.pb.h"
#include "tests/plugins/plugin_files.hpp"
#include "tests/support/plugin_harness.hpp"

namespace {

using namespace std::chrono_literals;
using futured::plugins::exec::ExecReply;
using futured::plugins::exec::ExecRequest;
using futured::test::CallOptions;
using futured::test::Outcome;
using futured::test::plugin_file;
using futured::test::PluginHarness;
using futured::test::Running;
using Clock = std::chrono::steady_clock;

PluginHarness& exec() {
  static PluginHarness& plugin = *new PluginHarness(plugin_file("exec"), R"({"grace": 0.5})");
  return plugin;
}

ExecRequest command(const std::vector<std::string>& argv) {
  ExecRequest request;
  for (const std::string& argument : argv) request.add_argv(argument);
  return request;
}
ExecRequest shell(const std::string& script) { return command({"/bin/sh", "-c", script}); }

Outcome run(const ExecRequest& request, const CallOptions& options = {}) {
  return exec().run("exec", request.SerializeAsString(), options);
}
Running start(const ExecRequest& request, const CallOptions& options = {}) {
  return exec().start("exec", request.SerializeAsString(), options);
}

ExecReply reply_of(const Outcome& outcome) {
  ExecReply reply;
  INFO(outcome.message);
  REQUIRE(reply.ParseFromString(outcome.reply));
  return reply;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// Waits until the process is gone; a zombie that nobody of ours reaps counts as gone.
bool gone(pid_t pid) {
  for (int i = 0; i < 12000; ++i) {
    if (kill(pid, 0) != 0) return true;
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string text{std::istreambuf_iterator<char>(stat), {}};
    const std::size_t paren = text.rfind(')');
    if (text.empty() || (paren != std::string::npos && text.substr(paren + 2, 1) == "Z")) return true;
    std::this_thread::sleep_for(5ms);
  }
  return false;
}

CallOptions live(std::uint64_t room = UINT64_MAX) {
  CallOptions options;
  options.live = true;
  options.room = room;
  return options;
}

/// Waits for a line of live output: the command is where the test wants it.
void wait_output(const Running& call, const std::string& text) {
  for (int i = 0; i < 12000 && !has(call.output(1), text); ++i) std::this_thread::sleep_for(5ms);
  REQUIRE(has(call.output(1), text));
}

long open_descriptors() { return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}); }

}  // namespace

TEST_CASE("exec replies with status and output, stdout and stderr apart") {
  REQUIRE(exec().error() == "");
  const Outcome outcome = run(shell("echo out; echo err >&2"));
  CHECK(outcome.ok);
  const ExecReply reply = reply_of(outcome);
  CHECK(reply.status() == 0);
  CHECK(reply.signal() == 0);
  CHECK(reply.stdout() == "out\n");
  CHECK(reply.stderr() == "err\n");
  CHECK_FALSE(reply.truncated());
}

TEST_CASE("a status other than 0 is a failure that has the status, the reply and the last words of stderr") {
  const Outcome outcome = run(shell("echo partial; echo first >&2; echo 'no such thing' >&2; exit 3"));
  CHECK_FALSE(outcome.ok);
  CHECK(outcome.kind == FUTURED_EXIT);
  CHECK(outcome.status == 3);
  CHECK(outcome.signal == 0);
  CHECK_FALSE(outcome.permanent);
  CHECK(outcome.message == "command '/bin/sh' ended with status 3: no such thing");
  CHECK(reply_of(outcome).status() == 3);
  CHECK(reply_of(outcome).stdout() == "partial\n");
}

TEST_CASE("a signal is a failure that has the signal, and status 128 + signal") {
  const Outcome outcome = run(shell("kill -SEGV $$"));
  CHECK_FALSE(outcome.ok);
  CHECK(outcome.kind == FUTURED_EXIT);
  CHECK(outcome.signal == SIGSEGV);
  CHECK(outcome.status == 128 + SIGSEGV);
  CHECK(has(outcome.message, "SIGSEGV"));
}

TEST_CASE("a command that is not there is 127, one that cannot be executed 126, as in a shell") {
  const std::string folder = std::filesystem::temp_directory_path() / ("futured-exec-" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  const std::string plain = folder + "/plain";
  std::ofstream(plain) << "echo never\n";
  chmod(plain.c_str(), 0644);
  const std::string lost = folder + "/lost";
  std::ofstream(lost) << "#!/no/such/interpreter\n";
  chmod(lost.c_str(), 0755);
  const std::string script = folder + "/script";
  std::ofstream(script) << "echo script $1\n";
  chmod(script.c_str(), 0755);

  for (const std::string name : {"no-such-command-of-futured", "/no/such/command", ""}) {
    const Outcome outcome = run(command({name}));
    CHECK(outcome.kind == FUTURED_EXIT);
    CHECK(outcome.status == 127);
    CHECK(outcome.permanent);
    CHECK(has(outcome.message, "'" + name + "' was not found"));
    CHECK(reply_of(outcome).status() == 127);
  }
  for (const std::string& name : {plain, folder}) {
    const Outcome outcome = run(command({name}));
    CHECK(outcome.kind == FUTURED_EXIT);
    CHECK(outcome.status == 126);
    CHECK(has(outcome.message, "'" + name + "' cannot be run"));
  }
  ExecRequest by_path = command({"plain"});
  by_path.add_env("PATH=/no/such/folder:" + folder);
  CHECK(run(by_path).status == 126);
  CHECK(has(run(command({lost})).message, "interpreter"));
  CHECK(run(command({lost})).status == 127);
  CHECK(reply_of(run(command({script, "runs"}))).stdout() == "script runs\n");
  std::filesystem::remove_all(folder);
}

TEST_CASE("the command is searched in the PATH it is given, relative to its folder") {
  ExecRequest request = command({"env"});
  request.set_clean_env(true);
  request.add_env("PATH=/no/such/folder");
  CHECK(run(request).status == 127);
  request = command({"./sh", "-c", "pwd"});
  request.set_cwd("/bin");
  CHECK(run(request).ok);
}

TEST_CASE("the environment is the worker's with additions, or clean") {
  setenv("FUTURED_TEST_INHERITED", "yes", 1);
  ExecRequest request = command({"/usr/bin/env"});
  request.add_env("EXTRA=1=2");
  request.add_env("EXTRA=last");
  std::string seen = reply_of(run(request)).stdout();
  CHECK(has(seen, "FUTURED_TEST_INHERITED=yes\n"));
  CHECK(has(seen, "EXTRA=last\n"));
  CHECK_FALSE(has(seen, "EXTRA=1"));
  CHECK(has(seen, "FUTURED_TASK_NUMBER=1\n"));
  request.set_clean_env(true);
  CHECK(reply_of(run(request)).stdout() == "EXTRA=last\n");
  request.clear_env();
  CHECK(reply_of(run(request)).stdout() == "");
}

TEST_CASE("cwd is the folder of the command; one that is not there is named") {
  ExecRequest request = command({"pwd"});
  request.set_cwd("/usr");
  CHECK(reply_of(run(request)).stdout() == "/usr\n");
  request.set_cwd("/no/such/folder");
  Outcome outcome = run(request);
  CHECK_FALSE(outcome.ok);
  CHECK(outcome.permanent);
  CHECK(outcome.kind == FUTURED_ERROR);
  CHECK(has(outcome.message, "cwd '/no/such/folder' cannot be entered"));
  request.set_cwd("relative");
  CHECK(has(run(request).message, "no absolute path"));
}

TEST_CASE("what is wrong with a request is refused for good") {
  CHECK(has(run(ExecRequest()).message, "argv is empty"));
  CHECK(has(run(command({std::string("a\0b", 3)})).message, "zero byte"));
  ExecRequest request = command({"true"});
  request.add_env("no equals sign");
  CHECK(has(run(request).message, "NAME=value"));
  request = command({"true"});
  request.set_max_output(1ull << 40);
  const Outcome outcome = run(request);
  CHECK(has(outcome.message, "max_output"));
  CHECK(outcome.permanent);
}

TEST_CASE("stdin is what the request says, or empty") {
  ExecRequest request = command({"cat"});
  CHECK(reply_of(run(request)).stdout() == "");
  const std::string big = std::string(500'000, 's') + std::string("\0end", 4);
  request.set_stdin(big);
  CHECK(reply_of(run(request)).stdout() == big);
  // A command that does not read its input neither fails nor hangs for it.
  ExecRequest deaf = command({"true"});
  deaf.set_stdin(big);
  CHECK(run(deaf).ok);
}

TEST_CASE("output beyond max_output is cut, of each stream, and said so; the command is not held up") {
  ExecRequest request = shell("head -c 3000000 /dev/zero; echo err >&2");
  ExecReply reply = reply_of(run(request));
  CHECK(reply.stdout().size() == 1 << 20);
  CHECK(reply.stderr() == "err\n");
  CHECK(reply.truncated());
  request = shell("printf 12345678");
  request.set_max_output(8);
  CHECK_FALSE(reply_of(run(request)).truncated());
  request.set_max_output(7);
  reply = reply_of(run(request));
  CHECK(reply.truncated());
  CHECK(reply.stdout() == "1234567");
}

TEST_CASE("output is emitted as it comes, and is in the reply too") {
  const Running kept = start(shell("echo out"));
  const Outcome outcome = kept.wait();
  CHECK(outcome.ok);
  CHECK(kept.output(1) == "out\n");
  CHECK(reply_of(outcome).stdout() == "out\n");
  const Running followed = start(shell("echo out; echo err >&2"), live());
  CHECK(followed.wait().ok);
  CHECK(followed.output(1) == "out\n");
  CHECK(followed.output(2) == "err\n");
}

TEST_CASE("a flood of output reaches a slow follower whole and in order, and waits for it meanwhile") {
  ExecRequest request = shell("seq 1 200000");
  const Running call = start(request, live(0));
  call.wait_refused();
  CHECK_FALSE(call.ended());
  while (call.wait_refused_or_ended()) call.grant(65536);
  CHECK(call.wait().ok);
  std::ostringstream expected;
  for (int i = 1; i <= 200000; ++i) expected << i << '\n';
  CHECK(call.output(1) == expected.str());
}

TEST_CASE("a command whose follower is behind can be cancelled, and one whose follower left goes on") {
  const Running stuck = start(shell("seq 1 200000; sleep 60"), live(0));
  stuck.wait_refused();
  stuck.cancel();
  CHECK_FALSE(stuck.wait().ok);
  const Running left = start(shell("seq 1 200000"), live(0));
  left.wait_refused();
  left.stop_listening();
  const Outcome outcome = left.wait();
  CHECK(outcome.ok);
  CHECK(left.output(1) == "");
  CHECK(reply_of(outcome).stdout().size() == 1 << 20);
}

TEST_CASE("cancel ends the command and its children") {
  const Running call = start(shell("sleep 1000 & echo $!; wait"), live());
  wait_output(call, "\n");
  const pid_t child = std::stoi(call.output(1));
  const auto begin = Clock::now();
  call.cancel();
  const Outcome outcome = call.wait();
  CHECK_FALSE(outcome.ok);
  CHECK(outcome.kind == FUTURED_EXIT);
  CHECK(outcome.signal == SIGTERM);
  CHECK(has(outcome.message, "was cancelled"));
  CHECK(gone(child));
  CHECK(Clock::now() - begin < 40s);
  CHECK(call.endings() == 1);
}

TEST_CASE("a command may clean up after TERM") {
  const Running call =
      start(shell("trap 'echo cleaned; exit 0' TERM; echo ready; while :; do sleep 0.05; done"), live());
  wait_output(call, "ready\n");
  call.cancel();
  const Outcome outcome = call.wait();
  CHECK_FALSE(outcome.ok);
  CHECK(outcome.status == 0);
  CHECK(has(reply_of(outcome).stdout(), "cleaned"));
}

TEST_CASE("a command that ignores TERM is killed after the grace, its children too") {
  const Running call =
      start(shell("trap '' TERM; sh -c \"trap '' TERM; echo child \\$\\$; while :; do sleep 0.1; done\" & "
                  "echo ready; while :; do sleep 0.1; done"),
            live());
  wait_output(call, "ready\n");
  wait_output(call, "child ");
  const std::string seen = call.output(1);
  const pid_t child = std::stoi(seen.substr(seen.find("child ") + 6));
  const auto begin = Clock::now();
  call.cancel();
  const Outcome outcome = call.wait();
  CHECK(outcome.signal == SIGKILL);
  CHECK(Clock::now() - begin >= 450ms);
  CHECK(Clock::now() - begin < 40s);
  CHECK(gone(child));
}

TEST_CASE("a stopped command is ended by cancel") {
  const Running call = start(shell("echo ready; kill -STOP $$; sleep 1000"), live());
  wait_output(call, "ready\n");
  call.cancel();
  CHECK_FALSE(call.wait().ok);
}

TEST_CASE("a child left behind with the output open does not hold the call up, and does not outlive it") {
  const auto begin = Clock::now();
  const Outcome outcome = run(shell("sleep 1000 & echo $!"));
  CHECK(outcome.ok);
  CHECK(Clock::now() - begin < 40s);
  CHECK(gone(std::stoi(reply_of(outcome).stdout())));
}

TEST_CASE("a child left behind without the output is ended with the command") {
  const Outcome outcome = run(shell("sleep 1000 >/dev/null 2>&1 & echo $!"));
  CHECK(outcome.ok);
  CHECK(gone(std::stoi(reply_of(outcome).stdout())));
}

TEST_CASE("a child that left the group and floods the output does not hold the call up") {
  const auto begin = Clock::now();
  const Outcome outcome = run(shell("setsid sh -c 'echo $$ >&2; exec yes' & sleep 0.1"));
  CHECK(outcome.ok);
  CHECK(Clock::now() - begin < 40s);
  const pid_t flood = std::stoi(reply_of(outcome).stderr());
  CHECK(gone(flood));  // by SIGPIPE
}

TEST_CASE("the command starts with default signals, no blocked ones, its own group and three descriptors") {
  signal(SIGPIPE, SIG_IGN);
  const int leaked = open("/dev/null", O_RDONLY);  // without close-on-exec
  const ExecReply reply =
      reply_of(run(shell("grep -E 'Sig(Blk|Ign)' /proc/self/status; ls /proc/$$/fd | tr '\\n' ' '; "
                         "test $(ps -o pgid= -p $$ 2>/dev/null || echo $$) -eq $$ && echo own group")));
  close(leaked);
  signal(SIGPIPE, SIG_DFL);
  CHECK(has(reply.stdout(), "SigBlk:\t0000000000000000"));
  CHECK(has(reply.stdout(), "SigIgn:\t0000000000000000"));
  CHECK(has(reply.stdout(), "0 1 2 "));
  CHECK_FALSE(has(reply.stdout(), " 3 "));
  CHECK(has(reply.stdout(), "own group"));
}

TEST_CASE("hundreds of commands leave no descriptor and no zombie behind") {
  run(shell("true"));
  const long before = open_descriptors();
  std::vector<Running> calls;
  for (int i = 0; i < 300; ++i) calls.push_back(start(shell(i % 3 == 0 ? "exit 1" : "echo x")));
  for (int i = 0; i < 300; i += 7) calls[static_cast<std::size_t>(i)].cancel();
  for (const Running& call : calls) {
    call.wait();
    CHECK(call.endings() == 1);
  }
  run(shell("true"));  // the loop has closed what the last ones had open
  CHECK(open_descriptors() <= before + 1);
  siginfo_t info{};
  CHECK(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == -1);
}
