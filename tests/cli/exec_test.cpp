#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/cli/fut.hpp"

using namespace futured::test;

TEST_CASE("exec gives the command's outputs apart and its exit status") {
  const Said said = Desk::shared().fut({"exec", "sh", "-c", "echo out; echo err >&2; exit 7"});
  CHECK(said.code == 7);
  CHECK(said.out == "out\n");
  CHECK(said.err == "err\n");
}

TEST_CASE("exec knows success, signals, and commands that are not there or cannot run") {
  CHECK(Desk::shared().fut({"exec", "true"}).code == 0);
  CHECK(Desk::shared().fut({"exec", "sh", "-c", "kill -TERM $$"}).code == 143);
  const Said missing = Desk::shared().fut({"exec", "no-such-command-here"});
  CHECK(missing.code == 127);
  CHECK(has(missing.err, "no-such-command-here"));
  CHECK(Desk::shared().fut({"exec", "/etc/passwd"}).code == 126);
  const Said own = Desk::shared().fut({"exec", "sh", "-c", "exit 127"});
  CHECK(own.code == 127);
  CHECK(own.err.empty());
}

TEST_CASE("exec leaves options after the command alone") {
  CHECK(Desk::shared().fut({"exec", "echo", "-j", "--help", "--", "x"}).out == "-j --help -- x\n");
  CHECK(Desk::shared().fut({"exec", "--", "echo", "-n"}).code == 0);
}

TEST_CASE("exec runs in the client's folder and environment") {
  const TempDir folder;
  auto environment = Desk::shared().environment();
  environment.push_back("FUT_TEST_VARIABLE=here and there");
  FutProcess fut({"exec", "sh", "-c", "pwd; echo \"$FUT_TEST_VARIABLE\""}, environment, folder.path().string());
  CHECK(fut.finish().out == std::filesystem::canonical(folder.path()).string() + "\nhere and there\n");
}

TEST_CASE("exec takes another folder, more variables, or no environment at all") {
  CHECK(Desk::shared().fut({"exec", "-C", "/", "pwd"}).out == "/\n");
  CHECK(Desk::shared().fut({"exec", "-C", "/no/such/folder", "pwd"}).code == 2);
  CHECK(Desk::shared().fut({"exec", "-e", "A=1 2", "-e", "B=x=y", "sh", "-c", "echo $A $B"}).out == "1 2 x=y\n");
  const Said clean = Desk::shared().fut({"exec", "--clean-env", "-e", "A=1", "/usr/bin/env"});
  CHECK(has(clean.out, "A=1\n"));
  CHECK(!has(clean.out, "HOME="));
  CHECK(!has(clean.out, "FUTURED_CONNECT="));
}

TEST_CASE("the command's standard input is empty, or fut's with -i, whatever its bytes") {
  CHECK(Desk::shared().fut({"exec", "cat"}, "not for you").out.empty());
  std::string bytes;
  for (int i = 0; i < 300'000; ++i) bytes.push_back(static_cast<char>(i * 31));
  const Said said = Desk::shared().fut({"exec", "-i", "cat"}, bytes);
  CHECK(said.code == 0);
  CHECK(said.out == bytes);
}

TEST_CASE("much output arrives whole and in order") {
  const Said said = Desk::shared().fut({"exec", "sh", "-c", "seq 1 200000; seq 1 20000 >&2"});
  CHECK(said.code == 0);
  CHECK(said.out.size() == 1288895);
  CHECK(said.out.ends_with("199999\n200000\n"));
  CHECK(said.err.ends_with("20000\n"));
}

TEST_CASE("output comes while the command runs") {
  const TempDir folder;
  const std::string fifo = (folder.path() / "go").string();
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  FutProcess fut({"exec", "sh", "-c", "echo before; cat " + fifo + "; echo after"}, Desk::shared().environment());
  CHECK(fut.out_has("before\n"));
  CHECK(fut.so_far().out == "before\n");
  REQUIRE(std::system(("echo go > " + fifo).c_str()) == 0);
  CHECK(fut.finish().out == "before\ngo\nafter\n");
}

TEST_CASE("Ctrl-C tells the command to end, exit code 130") {
  const TempDir folder;
  const std::string fifo = (folder.path() / "told").string();
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  const int told = ::open(fifo.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(told >= 0);
  FutProcess fut(
      {"exec", "sh", "-c", "trap 'echo told > " + fifo + "; exit 5' TERM; echo ready; while :; do sleep 0.1; done"},
      Desk::shared().environment());
  REQUIRE(fut.out_has("ready\n"));
  fut.signal(SIGINT);
  CHECK(fut.finish().code == 130);
  pollfd word{told, POLLIN, 0};
  CHECK(::poll(&word, 1, 30'000) == 1);
  ::close(told);
}

TEST_CASE("a reader that goes away ends the command, as SIGPIPE does") {
  FutProcess fut({"exec", "sh", "-c", "while :; do echo y; done"}, Desk::shared().environment());
  REQUIRE(fut.out_has("y\n"));
  fut.close_out();
  CHECK(fut.finish().code == 128 + SIGPIPE);
}

TEST_CASE("exec -j prints the record with the reply") {
  const Said said = Desk::shared().fut({"-j", "exec", "sh", "-c", "echo out; exit 3"});
  CHECK(said.code == 3);
  const auto task = said.json();
  CHECK(text_of(task, "state") == "failed");
  CHECK(text_of(*task.find("error"), "kind") == "exit");
  CHECK(text_of(*task.find("error"), "status") == "3");
  CHECK(text_of(*task.find("result"), "stdout") == "out\n");
}
