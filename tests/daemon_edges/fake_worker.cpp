// A worker program that does what its pool is called, for tests of the supervisor; and a plain --probe, for tests of
// the catalog. It says what it was started with by writing its pid and arguments to SLOTSFILE.args.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "futured/v1/worker.pb.h"
#include "proto/slots_file.hpp"
#include "worker/include/futured/plugin.h"

namespace {

int probe(const char* path) {
  futured::v1::Probe answer;
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  using Entry = const futured_plugin* (*)();
  const auto entry = library != nullptr ? reinterpret_cast<Entry>(dlsym(library, "futured_plugin_v1")) : nullptr;
  if (library == nullptr) {
    answer.set_error(dlerror());
  } else if (entry == nullptr) {
    answer.set_error("is not a plugin: it has no futured_plugin_v1");
  } else {
    const futured_plugin* p = entry();
    answer.set_plugin(p->name);
    answer.set_version(p->version);
    for (std::uint32_t i = 0; i < p->type_count; ++i) answer.add_types()->set_name(p->types[i]->name);
  }
  const std::string bytes = answer.SerializeAsString();
  std::fwrite(bytes.data(), 1, bytes.size(), stdout);
  return answer.error().empty() ? 0 : 1;
}

void write_line(const std::string& path, const std::string& line) {
  const std::string fresh = path + ".new";
  if (FILE* f = std::fopen(fresh.c_str(), "w")) {
    std::fputs(line.c_str(), f);
    std::fclose(f);
    std::rename(fresh.c_str(), path.c_str());
  }
}

[[noreturn]] void wait_for_ever() {
  for (;;) pause();
}

}  // namespace

int main(int argc, char** argv) {
  std::string pool;
  std::string slots;
  std::string all = std::to_string(getpid()) + " " + std::to_string(getsid(0));
  for (int i = 1; i < argc; ++i) {
    all += std::string(" ") + argv[i];
    if (i + 1 == argc) break;
    if (std::strcmp(argv[i], "--probe") == 0) return probe(argv[i + 1]);
    if (std::strcmp(argv[i], "--pool") == 0) pool = argv[i + 1];
    if (std::strcmp(argv[i], "--slots-file") == 0) slots = argv[i + 1];
  }
  // Descriptors beyond the standard ones would be leaks of the parent.
  for (int fd = 3; fd < 256; ++fd) {
    if (fcntl(fd, F_GETFD) != -1) all += " LEAK" + std::to_string(fd);
  }
  sigset_t blocked;
  sigprocmask(SIG_SETMASK, nullptr, &blocked);
  if (sigismember(&blocked, SIGTERM) == 1) all += " BLOCKED";
  struct sigaction action {};
  sigaction(SIGPIPE, nullptr, &action);
  if (action.sa_handler == SIG_IGN) all += " IGNORED";

  futured::SlotsFile file;
  if (pool == "busy" && !file.open(slots, 2, 3).ok()) return 9;
  if (pool == "busy") {
    file.begin(0, {7, 1, 100});
    file.begin(1, {7, 2, 200});
    file.begin(4, {7, 3, 300});
    file.end(1);
  }
  write_line(slots + ".args", all);
  if (pool == "crash") raise(SIGABRT);
  if (pool == "status3") return 3;
  if (pool == "family") {
    // A child, a grandchild whose parent is gone, and one that is stopped; none of them minds SIGTERM.
    std::string pids;
    for (int i = 0; i < 3; ++i) {
      int ends[2];
      if (pipe(ends) != 0) return 9;
      const pid_t child = fork();
      if (child == 0) {
        signal(SIGTERM, SIG_IGN);
        if (i == 1 && fork() != 0) _exit(0);
        if (i == 2) setpgid(0, 0);
        const pid_t self = getpid();
        if (write(ends[1], &self, sizeof self) != static_cast<ssize_t>(sizeof self)) _exit(9);
        if (i == 2) raise(SIGSTOP);
        wait_for_ever();
      }
      pid_t member = 0;
      if (read(ends[0], &member, sizeof member) != static_cast<ssize_t>(sizeof member)) return 9;
      close(ends[0]);
      close(ends[1]);
      pids += std::to_string(member) + " ";
    }
    write_line(slots + ".family", pids);
  }
  wait_for_ever();
}
