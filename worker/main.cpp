#include <signal.h>
#include <unistd.h>

#include "proto/standard_fds.hpp"
#include "worker/abandon.hpp"
#include "worker/log.hpp"
#include "worker/options.hpp"
#include "worker/plugin/probe.hpp"
#include "worker/worker.hpp"

namespace {

futured::worker::Worker* running = nullptr;
volatile sig_atomic_t asked = 0;

// The first asks to leave in good order, the second to leave now; a loop that is held up by a plugin hears neither.
void on_signal(int) {
  asked = asked + 1;
  if (asked > 2 || (asked == 2 && running == nullptr)) ::_exit(128 + SIGTERM);
  if (running == nullptr) return;
  if (asked == 1) {
    running->drain();
  } else {
    running->stop();
  }
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace futured::worker;
  futured::open_standard_fds(futured::StandardFds::silent);
  Parsed parsed = parse_options(argc, argv);
  if (parsed.exit_code >= 0) return parsed.exit_code;
  Options& options = parsed.options;
  if (!options.probe.empty()) {
    const int code = probe(options.probe);
    ::_exit(code);  // what the plugin registered for the end of a process has no business here
  }
  const bool spawned = options.worker.spawn != 0;
  if (spawned) options.worker.parent = ::getppid();
  options.worker.problems = spawned;  // the daemon has a log of its own
  // Ctrl-C on the daemon's terminal is the daemon's to handle; by hand it is ours.
  handle(SIGINT, spawned ? SIG_IGN : on_signal);
  handle(SIGTERM, on_signal);
  handle(SIGPIPE, SIG_IGN);
  handle(SIGHUP, SIG_IGN);

  static Registry registry;
  for (const std::string& file : options.plugins) {
    if (const auto s = registry.load(file, options.plugin_configs); !s.ok()) log_line(s.message());
  }
  if (registry.types().empty()) {
    log_line("no task type to offer; name a plugin file with --plugin");
    return 1;
  }
  auto worker = Worker::remote(options.worker, registry, options.connect);
  if (!worker) {
    log_line(worker.status().message());
    return 1;
  }
  running = worker->get();
  if (asked != 0) running->drain();
  const Leaving leaving = running->run();
  if (!spawned || leaving == Leaving::refused) log_line("leaves: " + running->why());
  const int code = leaving == Leaving::drained ? 0 : leaving == Leaving::stopped ? 128 + SIGTERM : 1;
  if (running->calls_open() > 0) abandon_calls(registry, code);
  running = nullptr;
  worker->reset();
  registry.fini();
  return code;
}
