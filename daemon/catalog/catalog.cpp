#include "daemon/catalog/catalog.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <limits>
#include <system_error>
#include <thread>
#include <utility>

#include "daemon/supervisor/child.hpp"
#include "futured/v1/worker.pb.h"
#include "proto/nearest.hpp"
#include "proto/process_session.hpp"

namespace futured::daemon {
namespace {

constexpr std::size_t kMaxAnswer = 16u << 20;
constexpr std::size_t kKeptErrorOutput = 2048;
constexpr std::size_t kMaxNameBytes = 64;

std::int64_t monotonic_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

std::string last_line(std::string text) {
  text.erase(text.find_last_not_of(" \r\n") + 1);
  const std::size_t at = text.rfind('\n');
  return at == std::string::npos ? text : text.substr(at + 1);
}

bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= kMaxNameBytes &&
         name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") ==
             std::string::npos;
}

// One file being tried.
struct Trial {
  std::string path;
  Child child;
  int out = -1;
  int err = -1;
  std::int64_t deadline = 0;
  bool running = false;
  std::string answer;
  std::string errors;
  std::string why;  // not empty: refused
  v1::Probe probe;

  void start(const std::string& worker_program, std::int64_t limit_ns) {
    std::array<int, 2> out_ends{-1, -1};
    std::array<int, 2> err_ends{-1, -1};
    if (pipe2(out_ends.data(), O_CLOEXEC) != 0 || pipe2(err_ends.data(), O_CLOEXEC) != 0) {
      why = "cannot be tried: " + std::generic_category().message(errno);
    } else {
      auto started = start_child({worker_program, "--probe", path}, out_ends[1], err_ends[1]);
      if (started) {
        child = *started;
        out = std::exchange(out_ends[0], -1);
        err = std::exchange(err_ends[0], -1);
        for (const int fd : {out, err}) fcntl(fd, F_SETFL, O_NONBLOCK);
        deadline = monotonic_ns() + limit_ns;
        running = true;
      } else {
        why = "cannot be tried: " + started.status().message();
      }
    }
    for (const int fd : {out_ends[0], out_ends[1], err_ends[0], err_ends[1]}) {
      if (fd >= 0) ::close(fd);
    }
  }

  // Takes what is there; an fd at its end is closed and -1.
  static void take(int& fd, std::string& into) {
    std::array<char, 16384> room{};
    while (fd >= 0) {
      const ssize_t n = ::read(fd, room.data(), room.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) {
        ::close(std::exchange(fd, -1));
        return;
      }
      into.append(room.data(), static_cast<std::size_t>(n));
      if (into.size() > kMaxAnswer) return;
    }
  }

  void read() {
    take(out, answer);
    take(err, errors);
    if (errors.size() > kKeptErrorOutput) errors.erase(0, errors.size() - kKeptErrorOutput);
  }

  void advance(std::int64_t now, std::int64_t limit_ns) {
    read();
    Ended how;
    const bool ended = child_ended(child, false, how);
    const bool late = now >= deadline;
    const bool endless = answer.size() > kMaxAnswer;
    if (!ended && !late && !endless) return;
    // Nothing that a file of unknown intent started may stay.
    signal_child(child, SIGKILL);
    for (int i = 0; i < 500; ++i) {
      Ended ignored;
      if (child_ended(child, false, ignored) && kill_session(child.pid) == 0) break;
      poll(nullptr, 0, 2);
    }
    if (ended) read();
    Ended ignored;
    child_ended(child, true, ignored);
    for (int* fd : {&out, &err, &child.pidfd}) {
      if (*fd >= 0) ::close(std::exchange(*fd, -1));
    }
    running = false;
    if (ended) {
      judge(how);
    } else if (endless) {
      why = "writes without end to standard output while it is loaded";
    } else {
      why = "did not answer within " + std::to_string(limit_ns / 1'000'000) + " ms of being loaded: it hangs";
    }
  }

  void judge(const Ended& how) {
    const std::string said = last_line(errors);
    const std::string tail = said.empty() ? "" : "; it said: " + said;
    if (how.signal != 0) {
      why = "crashes when it is loaded, with " + describe(how) + tail;
    } else if (answer.empty() || !probe.ParseFromString(answer)) {
      why = "gave no readable description of itself (the trial ended with " + describe(how) + ")" + tail;
    } else if (!probe.error().empty()) {
      why = probe.error();
    } else if (how.status != 0) {
      why = "was refused by the trial, which ended with " + describe(how) + tail;
    } else if (!is_name(probe.plugin())) {
      why = "calls itself \"" + probe.plugin() + "\"; a name has 1 to 64 of A-Z a-z 0-9 _ . -";
    } else {
      for (const v1::TaskType& type : probe.types()) {
        if (!is_name(type.name())) {
          why = "offers a task type \"" + type.name() + "\"; a name has 1 to 64 of A-Z a-z 0-9 _ . -";
        }
      }
    }
  }
};

void run_all(std::vector<Trial>& trials, const std::string& worker_program, std::int64_t limit_ns) {
  const std::size_t at_once = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 2, 8);
  std::size_t next = 0;
  for (;;) {
    std::vector<struct pollfd> fds;
    std::int64_t deadline = std::numeric_limits<std::int64_t>::max();
    std::size_t running = 0;
    for (std::size_t i = 0; i < next; ++i) running += trials[i].running ? 1 : 0;
    while (running < at_once && next < trials.size()) {
      trials[next].start(worker_program, limit_ns);
      running += trials[next++].running ? 1 : 0;
    }
    if (running == 0) return;
    for (std::size_t i = 0; i < next; ++i) {
      const Trial& t = trials[i];
      if (!t.running) continue;
      fds.push_back({t.child.pidfd, POLLIN, 0});
      if (t.out >= 0) fds.push_back({t.out, POLLIN, 0});
      if (t.err >= 0) fds.push_back({t.err, POLLIN, 0});
      deadline = std::min(deadline, t.deadline);
    }
    const std::int64_t left = std::max<std::int64_t>(deadline - monotonic_ns(), 0);
    poll(fds.data(), fds.size(), static_cast<int>(left / 1'000'000 + 1));
    const std::int64_t now = monotonic_ns();
    for (std::size_t i = 0; i < next; ++i) {
      if (trials[i].running) trials[i].advance(now, limit_ns);
    }
  }
}

}  // namespace

Catalog Catalog::probe(const std::string& worker_program, const std::vector<std::string>& plugin_dirs,
                       const std::vector<std::string>& only, std::int64_t limit_ns) {
  Catalog catalog;
  std::vector<Trial> trials;
  for (const std::string& dir : plugin_dirs) {
    std::vector<std::string> files;
    std::error_code error;
    for (std::filesystem::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
      if (it->path().extension() == ".so") files.push_back(it->path().string());
    }
    if (error) catalog.refusals_.push_back({dir, "cannot be read as a plugin folder: " + error.message()});
    std::sort(files.begin(), files.end());
    for (std::string& file : files) {
      trials.emplace_back();
      trials.back().path = std::move(file);
    }
  }
  run_all(trials, worker_program, limit_ns);

  for (Trial& t : trials) {
    if (t.why.empty()) {
      const std::string name = t.probe.plugin();
      if (!only.empty() && std::find(only.begin(), only.end(), name) == only.end()) continue;
      if (const Plugin* other = catalog.find_plugin(name)) {
        t.why = "is another plugin \"" + name + "\"; the one of " + other->path + " is used";
      } else {
        for (const v1::TaskType& type : t.probe.types()) {
          const auto same = [&](const v1::TaskType& x) { return x.name() == type.name(); };
          const auto taken = std::find_if(catalog.types_.begin(), catalog.types_.end(), same);
          if (taken != catalog.types_.end()) {
            t.why = "offers the task type \"" + type.name() + "\", which the plugin \"" + taken->plugin() + "\" has";
          }
        }
      }
    }
    if (!t.why.empty()) {
      catalog.refusals_.push_back({t.path, t.why});
      continue;
    }
    Plugin plugin{t.probe.plugin(), t.path, t.probe.version(), {}};
    for (v1::TaskType& type : *t.probe.mutable_types()) {
      if (std::find(plugin.types.begin(), plugin.types.end(), type.name()) != plugin.types.end()) continue;
      plugin.types.push_back(type.name());
      type.set_plugin(plugin.name);
      type.set_plugin_version(plugin.version);
      catalog.types_.push_back(std::move(type));
    }
    catalog.plugins_.push_back(std::move(plugin));
  }
  for (const std::string& name : only) {
    if (catalog.find_plugin(name) == nullptr) {
      catalog.refusals_.push_back({name, "is asked for, but no usable file of that name was found"});
    }
  }
  std::sort(catalog.types_.begin(), catalog.types_.end(),
            [](const v1::TaskType& a, const v1::TaskType& b) { return a.name() < b.name(); });
  return catalog;
}

const v1::TaskType* Catalog::find(std::string_view type) const {
  const auto it = std::lower_bound(types_.begin(), types_.end(), type,
                                   [](const v1::TaskType& t, std::string_view name) { return t.name() < name; });
  return it != types_.end() && it->name() == type ? &*it : nullptr;
}

const Catalog::Plugin* Catalog::find_plugin(std::string_view name) const {
  const auto it = std::find_if(plugins_.begin(), plugins_.end(), [&](const Plugin& p) { return p.name == name; });
  return it != plugins_.end() ? &*it : nullptr;
}

std::string Catalog::nearest(std::string_view type) const {
  std::vector<std::string_view> names;
  names.reserve(types_.size());
  for (const v1::TaskType& t : types_) names.push_back(t.name());
  return futured::nearest(type, names);
}

}  // namespace futured::daemon
