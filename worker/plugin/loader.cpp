#include "worker/plugin/loader.hpp"

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>

namespace futured::worker {
namespace {

constexpr std::uint32_t kMostTypes = 4096;

// A struct of the ABI may be older and shorter than ours: a field counts only if it lies within its struct_size.
template <class T>
bool has(std::uint32_t struct_size, std::size_t offset) {
  return offset + sizeof(T) <= struct_size;
}
#define FUTURED_FIELD(object, field)                                                                                \
  (has<decltype((object)->field)>((object)->struct_size, offsetof(std::remove_cvref_t<decltype(*(object))>, field)) \
       ? (object)->field                                                                                            \
       : decltype((object)->field){})

std::string text(const char* s) { return s == nullptr ? std::string() : std::string(s); }

}  // namespace

bool is_task_name(std::string_view name) {
  if (name.empty() || name.size() > 64) return false;
  for (const char c : name) {
    const bool good =
        (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
    if (!good) return false;
  }
  return true;
}

Status check_plugin_file(const std::string& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) {
    return {errno == ENOENT ? Code::not_found : Code::internal, "plugin " + file + ": " + std::strerror(errno)};
  }
  if (!S_ISREG(info.st_mode)) return {Code::invalid, "plugin " + file + ": not a regular file"};
  if (info.st_uid != 0 && info.st_uid != ::geteuid()) {
    return {Code::not_allowed, "plugin " + file + ": not loaded, because it belongs to user " +
                                   std::to_string(info.st_uid) + ", neither root nor the user of this process"};
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return {Code::not_allowed,
            "plugin " + file + ": not loaded, because others than its owner may write it; chmod go-w it"};
  }
  return {};
}

Result<LoadedPlugin> load_plugin(const std::string& file) {
  if (Status s = check_plugin_file(file); !s.ok()) return s;
  // Absolute: a name without a slash would be searched for in the library path.
  const std::unique_ptr<char, decltype(&std::free)> path(::realpath(file.c_str(), nullptr), &std::free);
  if (path == nullptr) return Status(Code::internal, "plugin " + file + ": " + std::strerror(errno));
  const auto bad = [&file](const std::string& why) { return Status(Code::invalid, "plugin " + file + ": " + why); };

  void* handle = ::dlopen(path.get(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr) return bad(std::string("cannot be loaded: ") + ::dlerror());
  void* symbol = ::dlsym(handle, "futured_plugin_v1");
  if (symbol == nullptr) return bad("exports no function futured_plugin_v1, so it is not a plugin of futured");
  const auto describe = reinterpret_cast<const futured_plugin* (*)()>(symbol);
  const futured_plugin* d = describe();
  if (d == nullptr) return bad("says that it cannot work here (futured_plugin_v1 returned null)");
  if (d->struct_size < offsetof(futured_plugin, schema_kind)) {
    return bad("its futured_plugin has " + std::to_string(d->struct_size) + " bytes; it is damaged");
  }
  if (d->abi_version != FUTURED_ABI_VERSION) {
    return bad("was built for version " + std::to_string(d->abi_version) + " of the plugin ABI; this program has " +
               std::to_string(FUTURED_ABI_VERSION) + ". Build it again");
  }

  LoadedPlugin loaded;
  Plugin& p = loaded.plugin;
  p.file = path.get();
  p.description = d;
  p.name = text(d->name);
  p.version = text(d->version);
  if (!is_task_name(p.name)) return bad("its name \"" + p.name + "\" is not 1-64 of [A-Za-z0-9_.-]");
  p.schema_kind = text(FUTURED_FIELD(d, schema_kind));
  if (const futured_bytes schema = FUTURED_FIELD(d, schema); !p.schema_kind.empty() && schema.data != nullptr) {
    p.schema = {static_cast<const char*>(schema.data), schema.size};
  }
  p.init = FUTURED_FIELD(d, init);
  p.thread_init = FUTURED_FIELD(d, thread_init);
  p.thread_fini = FUTURED_FIELD(d, thread_fini);
  p.flush = FUTURED_FIELD(d, flush);
  p.fini = FUTURED_FIELD(d, fini);

  const futured_task_type* const* types = FUTURED_FIELD(d, types);
  const std::uint32_t count = FUTURED_FIELD(d, type_count);
  if (count > kMostTypes || (count > 0 && types == nullptr)) return bad("its list of task types is damaged");
  std::set<std::string> names;
  for (std::uint32_t i = 0; i < count; ++i) {
    const futured_task_type* t = types[i];
    if (t == nullptr || t->struct_size < offsetof(futured_task_type, summary)) {
      return bad("its task type " + std::to_string(i) + " is damaged");
    }
    TaskType type;
    type.name = text(t->name);
    if (!is_task_name(type.name)) return bad("the task name \"" + type.name + "\" is not 1-64 of [A-Za-z0-9_.-]");
    if (!names.insert(type.name).second) return bad("it has two task types of the name " + type.name);
    if (t->lane != FUTURED_LANE_THREAD && t->lane != FUTURED_LANE_ASYNC) {
      return bad("task " + type.name + " asks for lane " + std::to_string(t->lane) +
                 ", which this program does not have");
    }
    type.lane = t->lane == FUTURED_LANE_ASYNC ? Lane::async : Lane::thread;
    type.flags = t->flags;
    type.summary = text(FUTURED_FIELD(t, summary));
    type.input_type = text(FUTURED_FIELD(t, input_type));
    type.reply_type = text(FUTURED_FIELD(t, reply_type));
    type.max_concurrency = FUTURED_FIELD(t, max_concurrency);
    type.run = FUTURED_FIELD(t, run);
    type.cancel = FUTURED_FIELD(t, cancel);
    type.on_writable = FUTURED_FIELD(t, on_writable);
    if (type.run == nullptr) return bad("task " + type.name + " has no function to run");
    loaded.types.push_back(std::move(type));
  }
  return loaded;
}

}  // namespace futured::worker
