#include "daemon/config.hpp"

#include <doctest/doctest.h>
#include <sched.h>

#include "tests/daemon_edges/support.hpp"

using namespace futured;
using namespace futured::daemon;
using namespace futured::test;

namespace {

Result<ProgramOptions> parse(const std::vector<std::string>& arguments, std::vector<const char*> environment = {}) {
  environment.push_back(nullptr);
  return parse_options(arguments, environment.data());
}

ProgramOptions good(const std::vector<std::string>& arguments, std::vector<const char*> environment = {}) {
  auto options = parse(arguments, std::move(environment));
  if (!options) FAIL(options.status().message());
  return *options;
}

std::string wrong(const std::vector<std::string>& arguments, std::vector<const char*> environment = {}) {
  auto options = parse(arguments, std::move(environment));
  if (options) return "accepted";
  CHECK(options.status().code() == Code::invalid);
  return options.status().message();
}

struct File {
  explicit File(const std::string& text) : path(folder / "futured.toml") { write_file(path, text); }
  TempFolder folder;
  std::string path;
};

std::string wrong_file(const std::string& text, const std::vector<std::string>& more = {}) {
  const File file(text);
  std::vector<std::string> arguments{"--config", file.path};
  arguments.insert(arguments.end(), more.begin(), more.end());
  std::string message = wrong(arguments);
  // Without the folder, whose name is random.
  for (std::size_t at; (at = message.find(file.folder.path() + "/")) != std::string::npos;) {
    message.erase(at, file.folder.path().size() + 1);
  }
  return message;
}

}  // namespace

TEST_CASE("without anything said: memory, one pool of a process per usable CPU") {
  const ProgramOptions o = good({});
  CHECK(o.daemon.store == "memory");
  CHECK(o.daemon.listen.empty());
  REQUIRE(o.daemon.pools.size() == 1);
  CHECK(o.daemon.pools[0].name == "default");
  cpu_set_t set;
  REQUIRE(sched_getaffinity(0, sizeof set, &set) == 0);
  CHECK(o.daemon.pools[0].processes == static_cast<std::uint32_t>(CPU_COUNT(&set)));
  CHECK(o.daemon.pools[0].threads == 1);
  CHECK(o.daemon.pools[0].async_slots == 1000);
  CHECK(o.daemon.handle_signals);
  CHECK(o.daemon.drain_timeout_ns == 30'000'000'000);
}

TEST_CASE("flags beat the environment, which beats the file, which beats the default") {
  const File file("threads = 3\nprocesses = 3\nasync_slots = 3\nlog_level = \"error\"\n");
  const ProgramOptions o = good({"--processes", "5", "--config", file.path},
                                {"FUTURED_PROCESSES=4", "FUTURED_THREADS=4", "FUTURED_CONNECT=not ours", "HOME=/"});
  CHECK(o.daemon.pools[0].processes == 5);
  CHECK(o.daemon.pools[0].threads == 4);
  CHECK(o.daemon.pools[0].async_slots == 3);
  CHECK(o.daemon.log_level == "error");
  CHECK(good({}, {("FUTURED_CONFIG=" + file.path).c_str()}).daemon.pools[0].threads == 3);
}

TEST_CASE("a repeated flag is a list, and replaces the list of a lower layer") {
  const File file("listen = [\"ipc:///file\"]\nplugin_dirs = [\"/f\", \"/g\"]\n");
  const ProgramOptions o =
      good({"--config", file.path, "--listen", "ipc:///a", "--listen=tcp://127.0.0.1:0"}, {"FUTURED_LISTEN=ipc:///e"});
  CHECK(o.daemon.listen == std::vector<std::string>{"ipc:///a", "tcp://127.0.0.1:0"});
  CHECK(o.daemon.plugin_dirs == std::vector<std::string>{"/f", "/g"});
  const ProgramOptions e = good({}, {"FUTURED_LISTEN=ipc:///a,ipc:///b", "FUTURED_PLUGIN_DIRS=/x:/y"});
  CHECK(e.daemon.listen == std::vector<std::string>{"ipc:///a", "ipc:///b"});
  CHECK(e.daemon.plugin_dirs == std::vector<std::string>{"/x", "/y"});
  CHECK(good({}, {"FUTURED_PLUGIN_DIR=/z"}).daemon.plugin_dirs == std::vector<std::string>{"/z"});
}

TEST_CASE("paths are absolute, so that going to the background does not move them") {
  const std::string here = std::filesystem::current_path().string();
  const ProgramOptions o = good(
      {"--listen", "ipc://run/s", "--plugin-dir", "plugins", "--pidfile", "p", "--log-file", "../l", "--daemonize"});
  CHECK(o.daemon.listen[0] == "ipc://" + here + "/run/s");
  CHECK(o.daemon.plugin_dirs[0] == here + "/plugins");
  CHECK(o.pidfile == here + "/p");
  CHECK(o.log_file == std::filesystem::path(here + "/../l").lexically_normal().string());
  CHECK(o.daemonize);
}

TEST_CASE("what is read again starts at the same folder, and flags still beat the file") {
  const TempFolder folder;
  write_file(folder / "f.toml", "plugin_dirs = [\"file\"]\nlog_level = \"error\"\nthreads = 2\n");
  const std::vector<std::string> words{"--config", "f.toml", "--threads", "4", "--log-file", "log"};
  const char* const none[] = {nullptr};
  auto start = parse_options(words, none, folder.path());
  REQUIRE(start);
  CHECK(start->config_file == folder / "f.toml");
  CHECK(start->log_file == folder / "log");
  CHECK(start->daemon.plugin_dirs[0] == folder / "file");
  start->daemon.listen = {"ipc:///filled/in"};
  start->listens_by_default = true;
  write_file(folder / "f.toml", "pidfile = \"p\"\nlog_level = \"off\"\nthreads = 3\nlog_file = \"other\"\n");
  std::vector<std::string> others;
  auto again = read_again(words, none, *start, others);
  REQUIRE(again);
  CHECK(again->log_level == "off");
  CHECK(again->pools[0].threads == 4);
  CHECK(again->listen == std::vector<std::string>{"ipc:///filled/in"});
  CHECK(others == std::vector<std::string>{"pidfile"});
  write_file(folder / "f.toml", "\nthreads = 0\n");
  again = read_again(words, none, *start, others);
  REQUIRE_FALSE(again);
  CHECK(again.status().message().rfind(folder / "f.toml:2: ", 0) == 0);
}

TEST_CASE("pools, ranges and plugin settings come from the file") {
  const File file(R"(
listen = ["ipc:///run/futured/futured.sock"]
payload_limit = "1MiB"
max_queued_bytes = "1.5GiB"
drain_timeout = "1m30s"
[[pool]]
name = "cpu"
processes = { min = 2, max = 8 }
threads = 3
plugins = ["primes", "exec"]
[[pool]]
name = "io"
async_slots = 2000
plugins = ["fetch"]
[plugin.fetch]
agent = "me \"quoted\""
nested = { a = [1, 2.5, true] }
)");
  const ProgramOptions o = good({"--config", file.path});
  REQUIRE(o.daemon.pools.size() == 2);
  CHECK(o.daemon.pools[0].name == "cpu");
  CHECK(o.daemon.pools[0].processes == 2);
  CHECK(o.daemon.pools[0].threads == 3);
  CHECK(o.daemon.pools[0].plugins == std::vector<std::string>{"primes", "exec"});
  CHECK(o.daemon.pools[1].name == "io");
  CHECK(o.daemon.pools[1].processes == 1);
  CHECK(o.daemon.pools[1].async_slots == 2000);
  CHECK(o.daemon.payload_limit == 1u << 20);
  CHECK(o.daemon.max_queued_bytes == 3ULL << 29);
  CHECK(o.daemon.drain_timeout_ns == 90'000'000'000);
  REQUIRE(o.daemon.plugin_config.size() == 1);
  CHECK(o.daemon.plugin_config[0].first == "fetch");
  std::string json = o.daemon.plugin_config[0].second;
  std::erase_if(json, [](char c) { return c == ' ' || c == '\n'; });
  CHECK(json == R"({"agent":"me\"quoted\"","nested":{"a":[1,2.5,true]}})");
}

TEST_CASE("what is wrong is named with its place and the nearest right thing") {
  CHECK(wrong_file("store = \"memory\"\nprocceses = 3\n") ==
        "futured.toml:2: there is no key `procceses`; did you mean `processes`?");
  CHECK(wrong_file("[pools]\nname = \"x\"\n") == "futured.toml:2: there is no key `pools`; did you mean `pool`?");
  CHECK(wrong_file("[[pool]]\nname = \"x\"\nthread = 1\n") ==
        "futured.toml:3: a pool has no key `thread`; did you mean `threads`?");
  CHECK(wrong_file("[pool]\nname = \"x\"\n") == "futured.toml:1: a pool is written [[pool]], with two brackets");
  CHECK(wrong_file("[[pool]]\nthreads = 1\n") == "futured.toml:1: this pool has no `name`");
  CHECK(wrong_file("[[pool]]\nname = \"x\"\nprocesses = {min = 3, max = 1}\n") ==
        "futured.toml:1: pool \"x\": processes.min is above processes.max");
  CHECK(wrong_file("[[pool]]\nname = \"x\"\n[[pool]]\nname = \"x\"\n") == "futured.toml:3: there are two pools \"x\"");
  CHECK(wrong_file("threads = 0\n") == "futured.toml:1: `threads` must be a whole number from 1 to 1024, not \"0\"");
  CHECK(wrong_file("threads = [1]\n") == "futured.toml:1: `threads` takes one value, not a list");
  CHECK(wrong_file("daemonize = true\n") == "futured.toml:1: `daemonize` can only be a flag: --daemonize");
  CHECK(
      wrong_file("store = \"sqlite:/var/lib/x\"\n") ==
      "futured.toml:1: `store` must be \"memory\": only memory is available in this build, not \"sqlite:/var/lib/x\"");
  CHECK(wrong_file("listen = 3 3\n").rfind("futured.toml:1: ", 0) == 0);
  CHECK(wrong_file("[[pool]]\nname = \"x\"\n", {"--processes", "3"}) ==
        "--processes describes the one pool of a configuration without [[pool]], but futured.toml:1 has one; set it "
        "there");
  CHECK(wrong({"--config", "/no/such/file"}) == "cannot read the configuration file /no/such/file");
  CHECK(wrong({"--proceses", "3"}) == "there is no flag --proceses; did you mean --processes?");
  CHECK(wrong({"--processes"}) == "--processes needs a value: --processes N");
  CHECK(wrong({"--processes", "many"}) ==
        "--processes: `processes` must be a whole number from 0 to 1024, not \"many\"");
  CHECK(wrong({"start"}) == "what is \"start\"? There are only flags; see futured --help");
  CHECK(wrong({"--listen", "localhost:80"}) ==
        "--listen: `listen` must be ipc:///PATH or tcp://ADDRESS:PORT, not \"localhost:80\"");
  for (const char* port : {"65536", "70000", "http", "", "-1"}) {
    CAPTURE(port);
    CHECK(wrong({"--listen", std::string("tcp://127.0.0.1:") + port}).find("a port from 0 to 65535") !=
          std::string::npos);
  }
  CHECK(wrong({"--listen", "tcp://localhost"}).find("a port from 0 to 65535") != std::string::npos);
  CHECK(good({"--listen", "tcp://[::1]:65535"}).daemon.listen[0] == "tcp://[::1]:65535");
  CHECK(good({"--listen", "tcp://*:*"}).daemon.listen[0] == "tcp://*:*");
  CHECK(wrong({"--config", "/usr"}) == "/usr is a folder; name the configuration file in it");
  CHECK(wrong({"--drain-timeout", "soon"}).find("30s") != std::string::npos);
  CHECK(wrong({"--payload-limit", "1TB"}).find("64MiB") != std::string::npos);
  CHECK(wrong({}, {"FUTURED_LOG_LEVEL=loud"}).rfind("FUTURED_LOG_LEVEL: ", 0) == 0);
}

TEST_CASE("help names every flag with an example per group; version is a line") {
  const std::string help = good({"--help"}).text;
  for (const char* flag :
       {"--config", "--listen", "--store", "--plugin-dir", "--processes", "--threads", "--async-slots", "--log-level",
        "--log-file", "--check-config", "--daemonize", "--pidfile"}) {
    CAPTURE(flag);
    CHECK(help.find(flag) != std::string::npos);
  }
  CHECK(help.find("example: futured ") != std::string::npos);
  CHECK(good({"--version"}).text.rfind("futured ", 0) == 0);
  CHECK(good({"--check-config"}).check_config);
}

TEST_CASE("a program without its worker program says where it looked") {
  setenv("FUTURED_WORKER", "/no/such/worker", 1);
  auto worker = find_worker_program();
  unsetenv("FUTURED_WORKER");
  REQUIRE_FALSE(worker);
  CHECK(worker.status().code() == Code::not_found);
  CHECK(worker.status().message().find("/no/such/worker") != std::string::npos);
  setenv("FUTURED_WORKER", "/bin/sh", 1);
  CHECK(*find_worker_program() == "/bin/sh");
  unsetenv("FUTURED_WORKER");
}

TEST_CASE("the line at the start says what one needs to know") {
  const std::string line = start_line(good({"--processes", "2"}).daemon, {"ipc:///s", "tcp://127.0.0.1:5"}, 7);
  CHECK(line.find("listens on ipc:///s, tcp://127.0.0.1:5; store: memory (tasks and results are lost when it exits)") !=
        std::string::npos);
  CHECK(line.find("default (2 x 1 threads, 1000 async slots); 7 task types") != std::string::npos);
}
