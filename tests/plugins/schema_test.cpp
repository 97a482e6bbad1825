// All shipped plugins in one process, beside the full protobuf runtime: their schemas name what their tasks use.
#include <doctest/doctest.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/plugins/plugin_files.hpp"
#include "tests/support/plugin_harness.hpp"

namespace pb = google::protobuf;
using futured::test::plugin_file;
using futured::test::PluginHarness;

TEST_CASE("the schema of every plugin describes the inputs and replies of its tasks") {
  std::vector<std::unique_ptr<PluginHarness>> plugins;
  int described = 0;
  for (const std::string name : {"echo", "exec", "fetch", "primes", "sleep"}) {
    CAPTURE(name);
    plugins.push_back(std::make_unique<PluginHarness>(plugin_file(name)));
    REQUIRE(plugins.back()->error() == "");
    const futured_plugin& plugin = *plugins.back()->description();
    CHECK(plugin.name == name);
    CHECK(plugin.struct_size == sizeof(futured_plugin));
    pb::DescriptorPool pool;
    if (plugin.schema_kind != nullptr) {
      CHECK(std::string(plugin.schema_kind) == "protobuf");
      pb::FileDescriptorSet files;
      REQUIRE(files.ParseFromArray(plugin.schema.data, static_cast<int>(plugin.schema.size)));
      for (const auto& file : files.file()) REQUIRE(pool.BuildFile(file) != nullptr);
      CHECK(files.file(files.file_size() - 1).name() == name + "/" + name + ".proto");
    }
    for (std::uint32_t i = 0; i < plugin.type_count; ++i) {
      for (const char* message : {plugin.types[i]->input_type, plugin.types[i]->reply_type}) {
        if (message == nullptr) continue;
        CHECK(pool.FindMessageTypeByName(message) != nullptr);
        ++described;
      }
    }
  }
  CHECK(described == 9);
}
