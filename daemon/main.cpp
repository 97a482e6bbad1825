#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/config.hpp"
#include "daemon/log.hpp"
#include "daemon/plugins.hpp"
#include "daemon/process.hpp"
#include "daemon/store_tool.hpp"
#include "futured/daemon.hpp"
#include "proto/standard_fds.hpp"

namespace {

constexpr int kUsage = 2;
constexpr int kFailure = 1;
constexpr int kUnavailable = 75;  // another daemon is there: try again when it has gone

int exit_code(const futured::Status& status) {
  if (status.code() == futured::Code::invalid) return kUsage;
  return status.code() == futured::Code::refused ? kUnavailable : kFailure;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace futured::daemon;
  futured::open_standard_fds(futured::StandardFds::silent);
  if (argc > 1 && std::string_view(argv[1]) == "store") return store_tool({argv + 2, argv + argc});
  auto options = parse_options({argv + 1, argv + argc}, environ);
  if (!options) {
    std::fprintf(stderr, "futured: %s\n", options.status().message().c_str());
    return exit_code(options.status());
  }
  if (!options->text.empty()) return std::fputs(options->text.c_str(), stdout) >= 0 ? 0 : kFailure;
  if (options->check_config) {
    if (auto catalog = find_plugins(options->daemon); !catalog) {
      std::fprintf(stderr, "futured: %s\n", catalog.status().message().c_str());
      return exit_code(catalog.status());
    }
    return std::puts("The configuration is right.") >= 0 ? 0 : kFailure;
  }

  // Before the first thread and socket: neither survives going to the background.
  auto background = Background::enter({options->daemonize, options->pidfile, options->log_file});
  if (!background) {
    std::fprintf(stderr, "futured: %s\n", background.status().message().c_str());
    return exit_code(background.status());
  }
  prepare_process();
  log_level(options->daemon.log_level);
  if (options->daemon.listen.empty()) {
    auto endpoint = default_endpoint();
    if (!endpoint) return (*background)->failed(endpoint.status().message(), exit_code(endpoint.status()));
    options->daemon.listen.push_back(std::move(*endpoint));
    options->listens_by_default = true;
  }
  if (!options->config_file.empty()) {
    options->daemon.read_again = [words = std::vector<std::string>{argv + 1, argv + argc},
                                  start = *options](auto& others) { return read_again(words, environ, start, others); };
  }
  auto daemon = futured::Daemon::create(std::move(options->daemon));
  if (!daemon) return (*background)->failed(daemon.status().message(), exit_code(daemon.status()));
  if (const futured::Status ready = (*background)->ready(); !ready.ok()) {
    return (*background)->failed(ready.message(), exit_code(ready));
  }
  const futured::Status end = (*daemon)->run();
  return end.ok() ? 0 : (*background)->failed(end.message(), kFailure);
}
