#include "daemon/catalog/catalog.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "tests/daemon_edges/support.hpp"

using namespace futured::daemon;
using namespace futured::test;

namespace {

constexpr std::int64_t kLimit = 1'000'000'000;

void install(const TempFolder& folder, const std::string& plugin) {
  std::filesystem::create_directories(folder.path());
  std::filesystem::copy_file(std::string(PLUGIN_FOLDER) + "/" + plugin, folder / plugin);
}

std::string why(const Catalog& catalog, const std::string& file) {
  for (const Catalog::Refusal& r : catalog.refusals()) {
    if (r.path.find(file) != std::string::npos) return r.why;
  }
  return {};
}

}  // namespace

TEST_CASE("the catalog has what good plugins offer, whatever the bad ones do") {
  const TempFolder folder;
  for (const char* file : {"edge_alpha.so", "edge_beta.so", "edge_crash.so", "edge_hang.so", "edge_noise.so",
                           "edge_stranger.so", "edge_leaves_child.so"}) {
    install(folder, file);
  }
  write_file(folder / "text.so", "this is not a library");
  write_file(folder / "README.md", "not looked at");
  const std::int64_t begin = now_ns();
  const Catalog catalog = Catalog::probe(FAKE_WORKER, {folder.path(), folder / "missing"}, {}, kLimit);
  CHECK(now_ns() - begin < 10 * kLimit);

  REQUIRE(catalog.plugins().size() == 2);
  CHECK(catalog.plugins()[0].name == "alpha");
  CHECK(catalog.plugins()[0].version == "1.2");
  CHECK(catalog.plugins()[0].path == folder / "edge_alpha.so");
  CHECK(catalog.plugins()[0].types == std::vector<std::string>{"alpha.one", "alpha.two"});
  REQUIRE(catalog.types().size() == 4);
  CHECK(catalog.types()[0].name() == "alpha.one");
  CHECK(catalog.types()[3].name() == "beta.two");
  REQUIRE(catalog.find("beta.one") != nullptr);
  CHECK(catalog.find("beta.one")->plugin() == "beta");
  CHECK(catalog.find("beta.one")->plugin_version() == "1.2");
  CHECK(catalog.find("beta") == nullptr);
  CHECK(catalog.find_plugin("beta") != nullptr);
  CHECK(catalog.nearest("alhpa.one") == "alpha.one");
  CHECK(catalog.nearest("something else").empty());

  CHECK(catalog.refusals().size() == 7);
  CHECK(why(catalog, "edge_crash.so").find("signal 6 (Aborted)") != std::string::npos);
  CHECK(why(catalog, "edge_crash.so").find("about to crash") != std::string::npos);
  CHECK(why(catalog, "edge_hang.so").find("hangs") != std::string::npos);
  CHECK(why(catalog, "edge_noise.so").find("without end") != std::string::npos);
  CHECK(why(catalog, "edge_stranger.so").find("not a plugin") != std::string::npos);
  CHECK(why(catalog, "edge_leaves_child.so").find("not a plugin") != std::string::npos);
  CHECK(why(catalog, "text.so").find("text.so") != std::string::npos);
  CHECK(why(catalog, "missing").find("No such file") != std::string::npos);
}

TEST_CASE("of two plugins with one name, or one task type, the first is used") {
  const TempFolder a;
  const TempFolder b;
  install(a, "edge_alpha.so");
  install(b, "edge_alpha.so");
  install(b, "edge_thief.so");
  const Catalog catalog = Catalog::probe(FAKE_WORKER, {a.path(), b.path()}, {}, kLimit);
  REQUIRE(catalog.plugins().size() == 1);
  CHECK(catalog.plugins()[0].path == a / "edge_alpha.so");
  CHECK(catalog.types().size() == 2);
  CHECK(why(catalog, b / "edge_alpha.so").find(a / "edge_alpha.so") != std::string::npos);
  CHECK(why(catalog, "edge_thief.so").find("\"alpha.two\", which the plugin \"alpha\" has") != std::string::npos);
}

TEST_CASE("only the plugins that are asked for; a missing one is refused by name") {
  const TempFolder folder;
  install(folder, "edge_alpha.so");
  install(folder, "edge_beta.so");
  const Catalog catalog = Catalog::probe(FAKE_WORKER, {folder.path()}, {"beta", "gamma"}, kLimit);
  REQUIRE(catalog.plugins().size() == 1);
  CHECK(catalog.plugins()[0].name == "beta");
  CHECK(catalog.find("alpha.one") == nullptr);
  REQUIRE(catalog.refusals().size() == 1);
  CHECK(catalog.refusals()[0].path == "gamma");
}

TEST_CASE("without a worker program every plugin is refused with the reason") {
  const TempFolder folder;
  install(folder, "edge_alpha.so");
  const Catalog catalog = Catalog::probe("/no/such/worker", {folder.path()}, {}, kLimit);
  CHECK(catalog.types().empty());
  CHECK(why(catalog, "edge_alpha.so").find("/no/such/worker") != std::string::npos);
  CHECK(Catalog::probe(FAKE_WORKER, {}).refusals().empty());
}
