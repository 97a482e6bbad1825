// The real futured-worker with a daemon made by the test.
#include "tests/worker/process.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <thread>

#include "proto/slots_file.hpp"
#include "tests/worker/fake_daemon.hpp"

namespace {

using namespace futured;
using namespace futured::test;
namespace fs = std::filesystem;

AttemptToken token(std::uint64_t n) { return {1, 1, n}; }

std::string test_plugin() { return (fs::path(std::getenv("FUTURED_TEST_PLUGIN"))).string(); }

// A folder for one test case, below the room of the program.
struct Room {
  Room() {
    static int n = 0;
    dir = fs::current_path() / ("case-" + std::to_string(n++));
    fs::remove_all(dir);
    fs::create_directories(dir);
  }
  std::string path(const std::string& name) const { return (dir / name).string(); }
  void touch(const std::string& name) const { std::ofstream(dir / name) << "x"; }
  std::string socket() const {
    // The path of a socket is short: relative to the folder the worker starts in.
    return "ipc://" + fs::relative(dir, fs::current_path()).string() + "/d";
  }
  fs::path dir;
};

struct Setup {
  explicit Setup(std::vector<std::string> more = {}) {
    daemon = std::make_unique<FakeDaemon>(room.socket());
    argv = {in_bin("futured-worker"), "--connect", room.socket(), "--plugin",
            plugin("echo"),           "--plugin",  test_plugin()};
    argv.insert(argv.end(), more.begin(), more.end());
    worker = std::make_unique<Process>(argv);
  }
  v1::Hello welcome(std::int64_t heartbeat = 0) {
    auto hello = daemon->welcome(heartbeat);
    REQUIRE(hello.has_value());
    return *hello;
  }
  // The next RAN with its elements.
  std::vector<Result1> results() {
    last = daemon->next_of(v1::KIND_RAN);
    REQUIRE(last.has_value());
    ran = last->as<v1::Ran>();
    daemon->ack(ran.first_report() + ran.tokens().size() / kTokenBytes);
    return results_of(ran, *last);
  }

  Room room;
  std::vector<std::string> argv;
  std::unique_ptr<FakeDaemon> daemon;
  std::unique_ptr<Process> worker;
  std::optional<Received> last;
  v1::Ran ran;
};

TEST_CASE("HELLO says who the worker is and what it offers") {
  Setup s({"--pool", "io", "--threads", "3", "--async-slots", "7", "--host-label", "gpu=yes", "--spawn-id", "42"});
  const v1::Hello h = s.welcome();
  CHECK(h.role() == v1::Hello::WORKER);
  CHECK(h.version_min() == 1);
  CHECK(h.pool() == "io");
  CHECK(h.threads() == 3);
  CHECK(h.async_slots() == 7);
  CHECK(h.spawn() == 42);
  CHECK(h.pid() == static_cast<std::uint32_t>(s.worker->pid()));
  CHECK(h.start_time() > 0);
  CHECK(h.instance().size() == 16);
  CHECK(h.thread_credit() == 6);
  CHECK(h.async_credit() == 0);  // no type of that lane
  REQUIRE(h.labels_size() == 1);
  CHECK(h.labels(0).name() == "gpu");
  std::set<std::string> names;
  for (const auto& t : h.types()) names.insert(t.name());
  CHECK(names == std::set<std::string>{"echo", "hold", "spew", "crash"});
}

TEST_CASE("calls come back with their replies, small and large") {
  Setup s({"--threads", "2"});
  s.welcome();
  const std::string large(300'000, 'l');
  s.daemon->run({{token(1), "small"}, {token(2), ""}, {token(3), large}});
  std::map<std::uint64_t, std::string> replies;
  while (replies.size() < 3) {
    for (const Result1& r : s.results()) {
      CHECK(r.failure == nullptr);
      replies[r.token.task] = r.reply;
    }
  }
  CHECK(replies[1] == "small");
  CHECK(replies[2].empty());
  CHECK(replies[3] == large);
}

TEST_CASE("a running call is named, can be stopped; a waiting one can be recalled") {
  Setup s;
  s.welcome();
  s.daemon->run({{token(1), s.room.path("go")}, {token(2), s.room.path("go")}}, {.type = "hold"});
  const auto running = s.daemon->next_of(v1::KIND_RUNNING);
  REQUIRE(running.has_value());
  CHECK(tokens_of(running->as<v1::Running>().tokens()) == std::vector<AttemptToken>{token(1)});
  s.daemon->send_tokens<v1::Recall>(v1::KIND_RECALL, {token(1), token(2), token(3)});
  const auto recalled = s.daemon->next_of(v1::KIND_RECALLED);
  REQUIRE(recalled.has_value());
  const auto m = recalled->as<v1::Recalled>();
  CHECK(std::vector<bool>(m.returned().begin(), m.returned().end()) == std::vector<bool>{false, true, false});
  CHECK(m.thread_credit() == 3);
  s.daemon->send_tokens<v1::Stop>(v1::KIND_STOP, {token(1)});
  const auto results = s.results();
  REQUIRE(results.size() == 1);
  REQUIRE(results[0].failure != nullptr);
  CHECK(results[0].failure->cancelled());
  CHECK(results[0].failure->error().message() == "told to stop");
}

TEST_CASE("live output stops at its credit, goes on with more, and comes before the report") {
  Setup s;
  s.welcome();
  s.daemon->run({{token(1), "400000"}}, {.type = "spew", .live_output = true});
  std::uint64_t bytes = 0;
  bool progress = false;
  const auto listen = [&](std::uint64_t until) {
    while (bytes < until) {
      const auto r = s.daemon->next_of(v1::KIND_EMITTED);
      REQUIRE(r.has_value());
      const auto e = r->as<v1::Emitted>();
      REQUIRE((e.has_progress() || e.offset() == bytes));
      bytes += e.data().size();
      progress = progress || e.has_progress();
    }
  };
  listen(262'000);
  CHECK(bytes <= 256 * 1024);
  CHECK_FALSE(s.daemon->next_of(v1::KIND_EMITTED, 50).has_value());
  v1::EmitCredit credit;
  put_token(*credit.mutable_token(), token(1));
  credit.set_bytes(1 << 20);
  s.daemon->send(v1::KIND_EMIT_CREDIT, credit);
  listen(400'000);
  CHECK(bytes == 400'000);
  s.daemon->skipped.clear();
  const auto results = s.results();
  CHECK(results[0].failure == nullptr);
  for (const v1::Kind k : s.daemon->skipped) progress = progress || k == v1::KIND_EMITTED;
  CHECK(progress);
}

TEST_CASE("after a reconnect the worker says how far the output of each call has got") {
  Setup s;
  s.welcome();
  s.daemon->run({{token(1), "400000"}}, {.type = "spew", .live_output = true});
  std::uint64_t bytes = 0;
  while (bytes < 262'000) {
    const auto r = s.daemon->next_of(v1::KIND_EMITTED);
    REQUIRE(r.has_value());
    bytes += r->as<v1::Emitted>().data().size();
  }
  s.daemon->send(v1::KIND_REHELLO, v1::Rehello());
  s.welcome();
  REQUIRE(s.daemon->next_of(v1::KIND_ANNOUNCE).has_value());
  std::optional<Received> r;
  do {
    r = s.daemon->next_of(v1::KIND_EMITTED);
    REQUIRE(r.has_value());
  } while (r->as<v1::Emitted>().has_progress());
  CHECK(r->as<v1::Emitted>().data().empty());
  CHECK(r->as<v1::Emitted>().offset() == bytes);
  CHECK(r->as<v1::Emitted>().token() == [] {
    std::string raw;
    put_token(raw, token(1));
    return raw;
  }());
}

TEST_CASE("nonsense and messages of an old connection are ignored") {
  Setup s;
  s.welcome();
  FakeDaemon& d = *s.daemon;
  d.send_raw(d.peer, {Slice::copy("x")});
  d.send_raw(d.peer, {Slice::copy("not a message of futured at all")});
  d.send_raw(d.peer, {Slice()});
  std::string raw("fd\x01\x32\x00\x05\x01\x00", 8);  // five frames announced, none there
  d.send_raw(d.peer, {Slice::copy(raw)});
  raw = std::string("fd\x01\xfa\x00\x00\x01\x00", 8);  // unknown kind
  d.send_raw(d.peer, {Slice::copy(raw)});
  wire::Frames many(200, Slice::copy("y"));
  many[0] = Slice::copy(std::string("fd\x01\x30\x00\xc7\x01\x00", 8));
  d.send_raw(d.peer, many);
  d.generation = 99;
  d.run({{token(1), "old"}});
  d.generation = 1;
  d.run({{token(2), "new"}});
  const auto results = s.results();
  REQUIRE(results.size() == 1);
  CHECK(results[0].token == token(2));
}

TEST_CASE("a message that makes no sense ends the connection; the worker announces what it has") {
  Setup s({"--threads", "2"});
  s.welcome();
  s.daemon->run({{token(1), s.room.path("go")}}, {.type = "hold"});
  REQUIRE(s.daemon->next_of(v1::KIND_RUNNING).has_value());
  SUBCASE("a RUN without specs") {
    v1::Run broken;
    broken.set_tokens("0123456789abcdef");
    s.daemon->send(v1::KIND_RUN, broken);
  }
  SUBCASE("a STOP with half a token") {
    v1::Stop broken;
    broken.set_tokens("odd");
    s.daemon->send(v1::KIND_STOP, broken);
  }
  SUBCASE("a RECALL of more than 4096 calls") {
    s.daemon->send_tokens<v1::Recall>(v1::KIND_RECALL, std::vector<AttemptToken>(4097, token(1)));
  }
  SUBCASE("a RANACK with a broken body") {
    s.daemon->send_raw(s.daemon->peer, {Slice::copy(std::string("fd\x01\x32\x00\x00\x01\x00\xff\xff\xff\xff", 12))});
  }
  s.welcome();
  CHECK(s.daemon->generation == 2);
  const auto announce = s.daemon->next();
  REQUIRE(announce.has_value());
  REQUIRE(announce->envelope.kind == v1::KIND_ANNOUNCE);
  const auto m = announce->as<v1::Announce>();
  CHECK(tokens_of(m.running()) == std::vector<AttemptToken>{token(1)});
  CHECK(m.end());
}

TEST_CASE("a worker outlives its daemon: it finishes, comes back, announces and reports") {
  Setup s({"--threads", "2"});
  s.welcome();
  s.daemon->run({{token(1), s.room.path("one")}, {token(2), s.room.path("two")}, {token(3), s.room.path("two")}},
                {.type = "hold"});
  REQUIRE(s.daemon->next_of(v1::KIND_RUNNING).has_value());
  s.daemon.reset();
  s.room.touch("one");
  s.daemon = std::make_unique<FakeDaemon>(s.room.socket());
  s.welcome();
  CHECK(s.daemon->generation >= 2);
  const auto first = s.daemon->next();
  REQUIRE(first.has_value());
  REQUIRE(first->envelope.kind == v1::KIND_ANNOUNCE);
  const auto m = first->as<v1::Announce>();
  CHECK(m.end());
  CHECK(tokens_of(m.running()).size() + tokens_of(m.waiting()).size() + tokens_of(m.ended()).size() == 3);
  auto results = s.results();
  REQUIRE(results.size() == 1);
  CHECK(results[0].token == token(1));
  CHECK(s.ran.first_report() == 0);
  s.room.touch("two");
  std::set<std::uint64_t> done;
  while (done.size() < 2) {
    for (const auto& r : s.results()) done.insert(r.token.task);
  }
  CHECK(done == std::set<std::uint64_t>{2, 3});
  // Old news for the new daemon is nothing to the worker.
  s.daemon->ack(1);
  s.daemon->run({{token(4), "after"}});
  CHECK(s.results().at(0).reply == "after");
}

TEST_CASE("reports that were not acknowledged are sent again under the same numbers") {
  Setup s;
  s.welcome();
  s.daemon->run({{token(1), "a"}});
  auto r = s.daemon->next_of(v1::KIND_RAN);
  REQUIRE(r.has_value());
  s.daemon->send(v1::KIND_REHELLO, v1::Rehello());
  s.welcome();
  const auto announce = s.daemon->next_of(v1::KIND_ANNOUNCE);
  REQUIRE(announce.has_value());
  CHECK(tokens_of(announce->as<v1::Announce>().ended()) == std::vector<AttemptToken>{token(1)});
  CHECK(s.results().at(0).reply == "a");
  CHECK(s.ran.first_report() == 0);
}

TEST_CASE("a worker that is answered by nobody keeps saying HELLO") {
  Setup s;
  REQUIRE(s.daemon->next_of(v1::KIND_HELLO).has_value());
  s.welcome();
  CHECK(s.daemon->generation == 2);
  const auto announce = s.daemon->next();
  REQUIRE(announce.has_value());
  CHECK(announce->envelope.kind == v1::KIND_ANNOUNCE);
}

TEST_CASE("PING is answered, and a silent daemon is left") {
  Setup s;
  s.welcome(50'000'000);
  v1::Ping ping;
  ping.set_id(7);
  s.daemon->send(v1::KIND_PING, ping);
  const auto pong = s.daemon->next_of(v1::KIND_PONG);
  REQUIRE(pong.has_value());
  CHECK(pong->as<v1::Ping>().id() == 7);
  REQUIRE(s.daemon->next_of(v1::KIND_PING).has_value());
  s.welcome();
  CHECK(s.daemon->generation == 2);
}

TEST_CASE("a worker that finds no daemon says so once") {
  const Room room;
  const std::string log = room.path("log");
  Process worker({"/bin/sh", "-c", "exec \"$@\" 2>" + log, "sh", in_bin("futured-worker"), "--connect", room.socket(),
                  "--plugin", plugin("echo"), "--orphan-timeout", "700ms"});
  CHECK(WEXITSTATUS(worker.wait()) == 1);
  std::ifstream in(log);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  const std::size_t at = text.find("no daemon answers at " + room.socket() + "; trying again");
  CHECK(at != std::string::npos);
  CHECK(text.find("no daemon", at + 1) == std::string::npos);
}

TEST_CASE("DRAIN: the worker finishes, says GOODBYE and ends well") {
  Setup s;
  s.welcome();
  s.daemon->run({{token(1), "a"}, {token(2), "b"}});
  s.daemon->send(v1::KIND_DRAIN, v1::Drain());
  std::size_t n = 0;
  while (n < 2) n += s.results().size();
  CHECK(s.daemon->next_of(v1::KIND_GOODBYE).has_value());
  CHECK(s.worker->wait() == 0);
}

TEST_CASE("SIGTERM: what has not started goes back, what runs is finished; a second one ends at once") {
  Setup s;
  s.welcome();
  s.daemon->run({{token(1), s.room.path("go")}, {token(2), s.room.path("go")}}, {.type = "hold"});
  REQUIRE(s.daemon->next_of(v1::KIND_RUNNING).has_value());
  s.worker->signal(SIGTERM);
  const auto recalled = s.daemon->next_of(v1::KIND_RECALLED);
  REQUIRE(recalled.has_value());
  CHECK(tokens_of(recalled->as<v1::Recalled>().tokens()) == std::vector<AttemptToken>{token(2)});
  SUBCASE("once") {
    s.room.touch("go");
    CHECK(s.results().at(0).failure == nullptr);
    CHECK(s.daemon->next_of(v1::KIND_GOODBYE).has_value());
    CHECK(s.worker->wait() == 0);
  }
  SUBCASE("twice") {
    s.worker->signal(SIGTERM);
    CHECK(WEXITSTATUS(s.worker->wait()) == 128 + SIGTERM);
  }
}

TEST_CASE("a worker of a daemon ignores the terminal and leaves when the daemon is gone for too long") {
  Setup s({"--spawn-id", "1", "--orphan-timeout", "200ms"});
  s.welcome();
  s.worker->signal(SIGINT);
  s.daemon->run({{token(1), s.room.path("never")}}, {.type = "hold"});
  REQUIRE(s.daemon->next_of(v1::KIND_RUNNING).has_value());
  s.daemon.reset();
  CHECK(WEXITSTATUS(s.worker->wait()) == 1);
}

TEST_CASE("a refused worker says why and ends") {
  Setup s;
  const auto hello = s.daemon->next_of(v1::KIND_HELLO);
  REQUIRE(hello.has_value());
  s.daemon->peer = hello->peer;
  s.daemon->generation = hello->envelope.generation;
  v1::Refused refused;
  refused.mutable_problem()->set_code(v1::CODE_VERSION);
  refused.set_version_min(2);
  refused.set_version_max(3);
  s.daemon->send(v1::KIND_REFUSED, refused);
  CHECK(WEXITSTATUS(s.worker->wait()) == 1);
}

TEST_CASE("after a crash the slots file names the call that ran, and not the one behind it") {
  const Room room;
  Setup s({"--slots-file", room.path("slots")});
  s.welcome();
  s.daemon->run({{token(1), ""}, {token(2), ""}}, {.type = "crash"});
  CHECK(WTERMSIG(s.worker->wait()) == SIGABRT);
  const auto running = read_slots_file(room.path("slots"));
  REQUIRE(running.ok());
  CHECK(*running == std::vector<AttemptToken>{token(1)});
}

v1::Probe probe(const std::string& file) {
  const Room room;
  Process p({in_bin("futured-worker"), "--probe", file}, room.path("out"));
  CHECK(p.wait() == 0);
  std::ifstream in(room.path("out"), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  v1::Probe probe;
  CHECK(probe.ParseFromString(bytes));
  return probe;
}

TEST_CASE("--probe describes a file, whatever the plugin prints") {
  const v1::Probe p = probe(test_plugin());
  CHECK(p.error().empty());
  CHECK(p.plugin() == "hold");
  CHECK(p.version() == "1.2");
  REQUIRE(p.types_size() == 3);
  CHECK(p.types(0).name() == "hold");
  CHECK(p.types(0).summary() == "waits for a file");
}

TEST_CASE("--probe says of a bad file what is wrong with it") {
  const Room room;
  const std::string copy = room.path("copy.so");
  fs::copy_file(test_plugin(), copy);
  ::chmod(copy.c_str(), 0775);
  CHECK(probe(copy).error().find("others than its owner may write it") != std::string::npos);
  CHECK(probe(room.path("none.so")).error().find("none.so") != std::string::npos);
  CHECK(probe(room.path("")).error().find("not a regular file") != std::string::npos);
  room.touch("text.so");
  CHECK(probe(room.path("text.so")).error().find("cannot be loaded") != std::string::npos);
  CHECK(probe(std::getenv("FUTURED_TEST_NO_PLUGIN")).error().find("not a plugin of futured") != std::string::npos);
}

TEST_CASE("a plugin that cannot start is not offered; the others are") {
  Setup s({"--plugin-config", "hold={\"no\":1}"});
  const v1::Hello h = s.welcome();
  REQUIRE(h.types_size() == 1);
  CHECK(h.types(0).name() == "echo");
}

TEST_CASE("the command line is checked") {
  const auto code = [](std::vector<std::string> argv) {
    argv.insert(argv.begin(), in_bin("futured-worker"));
    Process p(argv, "/dev/null");
    return WEXITSTATUS(p.wait());
  };
  CHECK(code({"--help"}) == 0);
  CHECK(code({"--version"}) == 0);
  CHECK(code({}) == 2);
  CHECK(code({"--connect", "ipc://x", "--no-such"}) == 2);
  CHECK(code({"--connect", "ipc://x", "--orphan-timeout", "soon", "--plugin", plugin("echo")}) == 2);
  CHECK(code({"--connect", "ipc://x", "--plugin-config", "nothing"}) == 2);
  CHECK(code({"--connect", "ipc://x"}) == 1);
  CHECK(code({"--connect", "nowhere", "--plugin", plugin("echo")}) == 1);
}

}  // namespace
