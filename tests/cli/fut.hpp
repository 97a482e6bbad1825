// Runs `fut` as a user does: words in, exit code and both outputs out.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "proto/schema/json.hpp"
#include "tests/support/daemon_process.hpp"

namespace futured::test {

struct Said {
  int code = -1;  ///< exit code; 128 + signal if one ended it
  std::string out, err;

  schema::Json json() const {
    auto parsed = schema::Json::parse(out);
    REQUIRE_MESSAGE(parsed.ok(), out << err);
    return std::move(*parsed);
  }
  std::vector<schema::Json> json_lines() const {
    std::vector<schema::Json> all;
    for (std::size_t at = 0; at < out.size();) {
      const auto end = std::min(out.find('\n', at), out.size());
      auto parsed = schema::Json::parse(std::string_view(out).substr(at, end - at));
      REQUIRE_MESSAGE(parsed.ok(), out);
      all.push_back(std::move(*parsed));
      at = end + 1;
    }
    return all;
  }
};

inline std::string text_of(const schema::Json& object, std::string_view name) {
  const schema::Json* member = object.find(name);
  if (member == nullptr) return "absent";
  return member->text() != nullptr ? *member->text() : member->dump();
}

inline bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

/// A `fut` that runs: fed, read and signalled while it does.
class FutProcess {
 public:
  FutProcess(std::vector<std::string> words, const std::vector<std::string>& more_environment,
             const std::string& folder = {}) {
    words.insert(words.begin(), bin("fut"));
    if (!folder.empty()) words.insert(words.begin(), {"/usr/bin/env", "-C", folder});
    std::vector<std::string> environment = more_environment;
    for (char** e = environ; *e != nullptr; ++e) environment.emplace_back(*e);
    std::vector<char*> argv;
    std::vector<char*> envp;
    for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    for (const auto& variable : environment) envp.push_back(const_cast<char*>(variable.c_str()));
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    std::array<std::array<int, 2>, 3> pipes{};
    for (auto& p : pipes) REQUIRE(::pipe2(p.data(), O_CLOEXEC) == 0);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, pipes[0][0], 0);
    posix_spawn_file_actions_adddup2(&files, pipes[1][1], 1);
    posix_spawn_file_actions_adddup2(&files, pipes[2][1], 2);
    REQUIRE(posix_spawn(&pid_, argv[0], &files, nullptr, argv.data(), envp.data()) == 0);
    posix_spawn_file_actions_destroy(&files);
    ::close(pipes[0][0]);
    ::close(pipes[1][1]);
    ::close(pipes[2][1]);
    in_ = pipes[0][1];
    out_ = pipes[1][0];
    err_ = pipes[2][0];
  }
  ~FutProcess() {
    close_in();
    close_out();
    if (err_ >= 0) ::close(err_);
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  FutProcess(const FutProcess&) = delete;
  FutProcess& operator=(const FutProcess&) = delete;

  void signal(int number) const { ::kill(pid_, number); }
  bool write(std::string_view text) const {
    return ::write(in_, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  }
  void close_in() { close(in_); }
  void close_out() { close(out_); }

  /// Reads until standard output has `part`; false at its end or after a minute.
  bool out_has(std::string_view part) {
    return read_until([&] { return said_.out.find(part) != std::string::npos; }, {});
  }
  bool err_has(std::string_view part) {
    return read_until([&] { return said_.err.find(part) != std::string::npos; }, {});
  }
  const Said& so_far() const { return said_; }

  /// Feeds `input`, reads to the end, and waits.
  Said finish(std::string_view input = {}) {
    if (input.empty()) close(in_);
    if (in_ >= 0) ::fcntl(in_, F_SETFL, O_NONBLOCK);
    read_until([] { return false; }, input);
    REQUIRE_MESSAGE((out_ < 0 && err_ < 0), "fut did not end: " << said_.out << said_.err);
    int status = 0;
    REQUIRE(::waitpid(pid_, &status, 0) == pid_);
    pid_ = -1;
    said_.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return said_;
  }

 private:
  static void close(int& fd) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }

  template <class F>
  bool read_until(F enough, std::string_view input) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    ::signal(SIGPIPE, SIG_IGN);
    while (!enough()) {
      if (out_ < 0 && err_ < 0) return false;
      std::array<pollfd, 3> fds{{{out_, POLLIN, 0}, {err_, POLLIN, 0}, {input.empty() ? -1 : in_, POLLOUT, 0}}};
      if (std::chrono::steady_clock::now() > limit) return false;
      if (::poll(fds.data(), fds.size(), 1000) <= 0) continue;
      take(fds[0], out_, said_.out);
      take(fds[1], err_, said_.err);
      if (fds[2].revents != 0) {
        const ssize_t n = ::write(in_, input.data(), std::min<std::size_t>(input.size(), 65536));
        if (n > 0) input.remove_prefix(static_cast<std::size_t>(n));
        if (n <= 0 || input.empty()) {
          input = {};
          close(in_);
        }
      }
    }
    return true;
  }

  static void take(const pollfd& ready, int& fd, std::string& into) {
    if (fd < 0 || ready.revents == 0) return;
    std::array<char, 65536> chunk{};
    const ssize_t n = ::read(fd, chunk.data(), chunk.size());
    if (n > 0) {
      into.append(chunk.data(), static_cast<std::size_t>(n));
    } else {
      close(fd);
    }
  }

  pid_t pid_ = -1;
  int in_ = -1, out_ = -1, err_ = -1;
  Said said_;
};

/// A daemon and a user of it: `fut` finds the daemon, and keeps its state in the same folder.
class Desk {
 public:
  explicit Desk(std::vector<std::string> flags = {"--processes", "2"}) : daemon_(std::move(flags)) {}

  std::vector<std::string> environment() const {
    return {"FUTURED_CONNECT=" + daemon_.endpoint(), "XDG_STATE_HOME=" + daemon_.folder().string()};
  }
  Said fut(const std::vector<std::string>& words, std::string_view input = "") const {
    FutProcess process(words, environment());
    return process.finish(input);
  }
  DaemonProcess& daemon() { return daemon_; }

  /// One for all tests of a program that do not harm it.
  static Desk& shared() {
    static Desk desk;
    return desk;
  }

 private:
  DaemonProcess daemon_;
};

}  // namespace futured::test
