// fut: the command line of futured.
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "client/cli/context.hpp"
#include "client/cli/embedded.hpp"
#include "client/cli/task_flags.hpp"
#include "client/cli/terminal.hpp"
#include "proto/standard_fds.hpp"

namespace {

using namespace futured;
using namespace futured::cli;

Output::Options output_options(const Arguments& args) {
  Output::Options out;
  if (args.has("json") && args.has("quiet")) throw Failure(Exit::usage, "--json and --quiet exclude each other");
  if (args.has("json")) out.mode = Mode::json;
  if (args.has("quiet")) out.mode = Mode::quiet;
  out.color = args.value("color").value_or("auto");
  return out;
}

int run(const CommandLine& line) {
  Output output(output_options(line.arguments));
  int code = 0;
  if (line.version) {
    output.line("fut 0.1.0");
  } else if (line.help || line.verb == nullptr) {
    output.write(line.verb == nullptr ? help_of_fut(verbs(), global_options()) : help_of(*line.verb, global_options()));
    if (!line.help) code = static_cast<int>(Exit::usage);
  } else {
    Daemon::Options options = daemon_options(*line.verb, line.arguments);
    options.start_embedded = start_embedded;
    options.tell = [&output](const std::string& text) { output.note(text); };
    Daemon daemon(std::move(options));
    Context context(*line.verb, line.arguments, output, daemon);
    code = line.verb->run(context);
  }
  if (output.closed()) output.leave_closed();
  return code;
}

int fail(Exit code, const char* message) {
  if (*message != '\0') std::fprintf(stderr, "fut: %s\n", message);
  return static_cast<int>(code);
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_fds(StandardFds::failing);
  std::signal(SIGPIPE, SIG_IGN);  // a reader that has gone is noticed by the write
  try {
    return run(CommandLine::parse(verbs(), global_options(), {argv + 1, argv + argc}));
  } catch (const Failure& e) {
    return fail(e.code(), e.what());
  } catch (const ConnectError& e) {
    return fail(exit_of(e.code()), e.what());
  } catch (const NotFound& e) {
    return fail(Exit::no_such_task, e.what());
  } catch (const Forgotten& e) {
    return fail(Exit::forgotten, e.what());
  } catch (const TimeoutError& e) {
    return fail(Exit::waited_too_long, e.what());
  } catch (const QueueFull& e) {
    return fail(Exit::refused_now, e.what());
  } catch (const BrokenExecutor& e) {
    return fail(Exit::no_daemon, e.what());
  } catch (const std::invalid_argument& e) {
    return fail(Exit::usage, e.what());
  } catch (const std::exception& e) {
    return fail(Exit::internal, e.what());
  }
}
