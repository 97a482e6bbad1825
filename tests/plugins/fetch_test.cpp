#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "fetch/fetch.pb.h"
#include "tests/plugins/plugin_files.hpp"
#include "tests/support/http_server.hpp"
#include "tests/support/plugin_harness.hpp"

namespace {

using namespace std::chrono_literals;
using futured::plugins::fetch::FetchReply;
using futured::plugins::fetch::FetchRequest;
using futured::test::CallOptions;
using futured::test::HttpServer;
using futured::test::Outcome;
using futured::test::plugin_file;
using futured::test::PluginHarness;
using futured::test::Running;
using Clock = std::chrono::steady_clock;

/// One plugin for all tests, as in a worker: its state is one per process.
PluginHarness& fetch() {
  static PluginHarness& plugin = *new PluginHarness(plugin_file("fetch"));
  return plugin;
}

FetchRequest get(const std::string& url) {
  FetchRequest request;
  request.set_url(url);
  return request;
}

FetchReply reply_of(const Outcome& outcome) {
  INFO(outcome.message);
  REQUIRE(outcome.ok);
  FetchReply reply;
  REQUIRE(reply.ParseFromString(outcome.reply));
  return reply;
}

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "futured-fetch-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  long entries() const { return std::distance(std::filesystem::directory_iterator(path_), {}); }

 private:
  std::string path_;
};

std::string content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// A port of this host on which nothing listens.
int dead_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  bind(fd, reinterpret_cast<sockaddr*>(&address), size);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  close(fd);
  return ntohs(address.sin_port);
}

const std::vector<std::string> lanes = {"fetch", "fetch.sync"};

bool eventually(const std::function<bool()>& is) {
  const auto until = Clock::now() + 60s;
  while (!is() && Clock::now() < until) std::this_thread::sleep_for(1ms);
  return is();
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("fetch replies with the page and what is known of it") {
  REQUIRE(fetch().error() == "");
  HttpServer server;
  for (const std::string& task : lanes) {
    CAPTURE(task);
    const FetchReply reply = reply_of(fetch().run(task, get(server.url("/bytes/20000")).SerializeAsString()));
    CHECK(reply.url() == server.url("/bytes/20000"));
    CHECK(reply.status() == 200);
    CHECK(reply.content_type() == "text/plain");
    CHECK(reply.size() == 20000);
    CHECK(reply.body() == std::string(20000, 'y'));
    CHECK(reply.elapsed() > 0);
    CHECK(reply.elapsed() < 10);
    CHECK(reply_of(fetch().run(task, get(server.url("/bytes/0")).SerializeAsString())).size() == 0);
    CHECK(reply_of(fetch().run(task, get(server.url("/chunked/10000")).SerializeAsString())).size() == 10000);
  }
}

TEST_CASE("an HTTP error status is a reply") {
  HttpServer server;
  for (const std::string& task : lanes) {
    for (const int status : {404, 500, 503}) {
      const FetchReply reply =
          reply_of(fetch().run(task, get(server.url("/status/" + std::to_string(status))).SerializeAsString()));
      CHECK(reply.status() == status);
      CHECK(reply.body() == "status " + std::to_string(status));
    }
  }
}

TEST_CASE("method, headers and body arrive as given") {
  HttpServer server;
  for (const std::string& task : lanes) {
    CAPTURE(task);
    FetchRequest request = get(server.url("/echo"));
    request.set_body(std::string("a\0b", 3));
    request.add_headers("X-One: 1");
    request.add_headers("X-Two: 2");
    request.add_headers("X-Empty:");
    const std::string posted = reply_of(fetch().run(task, request.SerializeAsString())).body();
    CHECK(posted.starts_with("POST /echo HTTP/1.1\r\n"));
    CHECK(has(posted, "X-One: 1\r\n"));
    CHECK(has(posted, "X-Two: 2\r\n"));
    CHECK(has(posted, "X-Empty:\r\n"));
    CHECK(has(posted, "Content-Type: application/octet-stream\r\n"));
    CHECK(has(posted, "User-Agent: futured/"));
    CHECK_FALSE(has(posted, "Expect:"));
    CHECK(posted.ends_with(std::string("\r\n\r\na\0b", 7)));
    request.set_method("PUT");
    CHECK(reply_of(fetch().run(task, request.SerializeAsString())).body().starts_with("PUT /echo"));
    request = get(server.url("/echo"));
    request.set_method("DELETE");
    CHECK(reply_of(fetch().run(task, request.SerializeAsString())).body().starts_with("DELETE /echo"));
    request.set_method("HEAD");
    const FetchReply head = reply_of(fetch().run(task, request.SerializeAsString()));
    CHECK(head.status() == 200);
    CHECK(head.size() == 0);
  }
}

TEST_CASE("what is wrong with a request is refused for good and by name") {
  struct Case {
    FetchRequest request;
    std::string says;
  };
  std::vector<Case> cases;
  cases.push_back({get("example.org/page"), "https://example.org/page"});
  cases.push_back({get("ftp://example.org/"), "only http and https"});
  cases.push_back({get("file:///etc/passwd"), "only http and https"});
  cases.push_back({get("http://exa mple/"), "no valid URL"});
  cases.push_back({get("http://127.0.0.1:99999/"), "no valid URL"});
  cases.push_back({get("http://user:secret@127.0.0.1/"), "method"});
  cases.back().request.set_method("GE T");
  cases.push_back({get("http://127.0.0.1/"), "header"});
  cases.back().request.add_headers("X-Bad: 1\r\nX-Injected: 2");
  cases.push_back({get("http://127.0.0.1/"), "header"});
  cases.back().request.add_headers("no colon");
  cases.push_back({get("http://127.0.0.1/"), "absolute path"});
  cases.back().request.set_output("page.html");
  cases.push_back({get("http://127.0.0.1/"), "/no/such/folder"});
  cases.back().request.set_output("/no/such/folder/page.html");
  cases.push_back({get("http://127.0.0.1/"), "is a folder"});
  cases.back().request.set_output("/tmp");
  cases.push_back({get("http://127.0.0.1/"), "exclude each other"});
  cases.back().request.set_output("/tmp/x");
  cases.back().request.set_discard(true);
  cases.push_back({get("http://127.0.0.1/"), "follow = 1000"});
  cases.back().request.set_follow(1000);
  for (const std::string& task : lanes) {
    for (const Case& c : cases) {
      const Outcome outcome = fetch().run(task, c.request.SerializeAsString());
      INFO(outcome.message);
      CHECK_FALSE(outcome.ok);
      CHECK(outcome.permanent);
      CHECK(has(outcome.message, c.says));
      CHECK_FALSE(has(outcome.message, "secret"));
    }
    CHECK(has(fetch().run(task, "").message, "lacks a required field of futured.plugins.fetch.FetchRequest"));
  }
}

TEST_CASE("redirects are followed up to the limit; follow=0 gives the redirect itself") {
  HttpServer server;
  for (const std::string& task : lanes) {
    const FetchReply there = reply_of(fetch().run(task, get(server.url("/redirect/10")).SerializeAsString()));
    CHECK(there.body() == "there");
    CHECK(there.url() == server.url("/redirect/0"));
    const Outcome loop = fetch().run(task, get(server.url("/loop")).SerializeAsString());
    CHECK_FALSE(loop.ok);
    CHECK(loop.permanent);
    CHECK(has(loop.message, "redirected more than 10 times"));
    CHECK(has(loop.message, server.url("/loop")));
    FetchRequest request = get(server.url("/loop"));
    request.set_follow(0);
    CHECK(reply_of(fetch().run(task, request.SerializeAsString())).status() == 302);
    const Outcome file = fetch().run(task, get(server.url("/to?file:///etc/passwd")).SerializeAsString());
    CHECK_FALSE(file.ok);
    CHECK(has(file.message, "only http and https"));
  }
}

TEST_CASE("max_bytes ends a page that is longer, whether its length was told or not, kept or not") {
  HttpServer server;
  const Folder folder;
  for (const std::string& task : lanes) {
    for (const std::string path : {"/bytes/1001", "/chunked/1001", "/endless"}) {
      for (const int keep : {0, 1, 2}) {
        CAPTURE(path);
        FetchRequest request = get(server.url(path));
        request.set_max_bytes(1000);
        if (keep == 1) request.set_discard(true);
        if (keep == 2) request.set_output(folder.file("page"));
        const Outcome outcome = fetch().run(task, request.SerializeAsString());
        CHECK_FALSE(outcome.ok);
        CHECK(outcome.permanent);
        CHECK(has(outcome.message, "max_bytes = 1000"));
        CHECK(has(outcome.message, server.url(path)));
      }
    }
    FetchRequest fits = get(server.url("/bytes/1000"));
    fits.set_max_bytes(1000);
    CHECK(reply_of(fetch().run(task, fits.SerializeAsString())).size() == 1000);
    // The default limit ends a page without end.
    CHECK(has(fetch().run(task, get(server.url("/endless")).SerializeAsString()).message, "max_bytes = 16777216"));
  }
  CHECK(folder.entries() == 0);
}

TEST_CASE("output gets the body when it is complete; discard counts it") {
  HttpServer server;
  const Folder folder;
  for (const std::string& task : lanes) {
    FetchRequest request = get(server.url("/bytes/300000"));
    request.set_output(folder.file("page"));
    FetchReply reply = reply_of(fetch().run(task, request.SerializeAsString()));
    CHECK(reply.size() == 300000);
    CHECK(reply.body() == "");
    CHECK(content(folder.file("page")) == std::string(300000, 'y'));
    CHECK(folder.entries() == 1);
    request.clear_output();
    request.set_discard(true);
    reply = reply_of(fetch().run(task, request.SerializeAsString()));
    CHECK(reply.size() == 300000);
    CHECK(reply.body() == "");
  }
}

TEST_CASE("a refused connection fails, names the URL and may be tried again") {
  const std::string url = "http://127.0.0.1:" + std::to_string(dead_port()) + "/x";
  for (const std::string& task : lanes) {
    const Outcome outcome = fetch().run(task, get(url).SerializeAsString());
    CHECK_FALSE(outcome.ok);
    CHECK_FALSE(outcome.permanent);
    CHECK(has(outcome.message, url));
    CHECK(has(outcome.message, "cannot connect"));
  }
}

TEST_CASE("a name that does not exist fails every call that waits for it, with one lookup") {
  const std::string url = "http://no-such-host.invalid/";
  std::vector<Running> calls;
  for (int i = 0; i < 300; ++i) calls.push_back(fetch().start("fetch", get(url).SerializeAsString()));
  fetch().flush();
  for (const Running& call : calls) {
    const Outcome outcome = call.wait();
    CHECK_FALSE(outcome.ok);
    CHECK_FALSE(outcome.permanent);
    CHECK(has(outcome.message, "no-such-host.invalid cannot be found"));
  }
  CHECK(has(fetch().run("fetch.sync", get(url).SerializeAsString()).message, "cannot be found"));
}

TEST_CASE("a silent server is given up at the task's deadline") {
  HttpServer server;
  for (const std::string& task : lanes) {
    for (const std::string path : {"/hang", "/trickle"}) {
      const auto begin = Clock::now();
      CallOptions options;
      options.deadline = 300ms;
      const Outcome outcome = fetch().run(task, get(server.url(path)).SerializeAsString(), options);
      CHECK_FALSE(outcome.ok);
      CHECK(has(outcome.message, "gave up waiting"));
      CHECK(has(outcome.message, server.url(path)));
      CHECK(Clock::now() - begin >= 290ms);
      CHECK(Clock::now() - begin < 40s);
    }
  }
}

TEST_CASE("a cancelled fetch ends at once, in any stage, exactly once") {
  HttpServer server;
  for (const std::string& task : lanes) {
    for (const std::string path : {"/hang", "/trickle", "/delay/50"}) {
      CAPTURE(task);
      CAPTURE(path);
      const int before = server.requests();
      const Running call = fetch().start(task, get(server.url(path)).SerializeAsString());
      fetch().flush();
      REQUIRE(eventually([&] { return server.requests() > before; }));
      call.cancel();
      call.wait();
      CHECK(call.endings() == 1);
    }
  }
  const Running unflushed = fetch().start("fetch", get(server.url("/hang")).SerializeAsString());
  unflushed.cancel();
  CHECK(has(unflushed.wait().message, "cancelled"));
}

TEST_CASE("nothing starts before the flush") {
  HttpServer server;
  const Running call = fetch().start("fetch", get(server.url("/bytes/1")).SerializeAsString());
  CHECK(fetch().start("fetch.sync", get(server.url("/bytes/2")).SerializeAsString()).wait().ok);
  CHECK(server.requests() == 1);
  fetch().flush();
  CHECK(call.wait().ok);
}

TEST_CASE("five hundred fetches are under way at once, and their connections serve the next ones") {
  HttpServer server;
  for (int round = 0; round < 2; ++round) {
    std::vector<Running> calls;
    for (int i = 0; i < 500; ++i) calls.push_back(fetch().start("fetch", get(server.url("/hold")).SerializeAsString()));
    fetch().flush();
    REQUIRE(eventually([&server] { return server.open() == 500; }));
    server.release();
    for (const Running& call : calls) CHECK(call.wait().ok);
  }
  CHECK(server.connections() == 500);
  CHECK(server.requests() == 1000);
}

TEST_CASE("fetch.sync keeps the connection of its thread only while the thread lives") {
  HttpServer server;
  CHECK(fetch().run("fetch.sync", get(server.url("/bytes/1")).SerializeAsString()).ok);
  CHECK(fetch().run("fetch.sync", get(server.url("/bytes/1")).SerializeAsString()).ok);
  CHECK(server.connections() == 2);  // the harness makes a thread for each call
}

TEST_CASE("more headers than anyone needs end the transfer") {
  HttpServer server;
  for (const std::string& task : lanes) {
    const Outcome outcome = fetch().run(task, get(server.url("/headers")).SerializeAsString());
    CHECK_FALSE(outcome.ok);
    CHECK(has(outcome.message, "headers"));
  }
}
