#include "client/endpoint.hpp"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

namespace futured::client {

namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::string home_folder() {
  std::string home = environment("HOME");
  if (!home.empty()) return home;
  passwd entry{};
  passwd* found = nullptr;
  char buffer[4096];
  if (getpwuid_r(getuid(), &entry, buffer, sizeof buffer, &found) == 0 && found != nullptr) return found->pw_dir;
  return "/";
}

bool exists(const std::string& path) {
  struct stat st {};
  return stat(path.c_str(), &st) == 0;
}

}  // namespace

std::string user_socket_path() {
  const std::string runtime = environment("XDG_RUNTIME_DIR");
  if (!runtime.empty()) return runtime + "/futured/futured.sock";
  return home_folder() + "/.local/state/futured/run/futured.sock";
}

std::string system_socket_path() { return "/run/futured/futured.sock"; }

std::string resolve_endpoint(const std::string& asked) {
  const std::string wanted = asked.empty() ? environment("FUTURED_CONNECT") : asked;
  if (!wanted.empty()) return wanted.find("://") == std::string::npos ? "ipc://" + wanted : wanted;
  const std::string own = user_socket_path();
  if (!exists(own) && exists(system_socket_path())) return "ipc://" + system_socket_path();
  return "ipc://" + own;
}

}  // namespace futured::client
