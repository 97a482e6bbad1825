// exec: runs commands as tasks. One thread of its own watches all of them.
#include <futured/plugin.hpp>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "exec/exec.pb.h"
#include "exec_schema.hpp"
#include "worker/plugins/common/loop.hpp"
#include "worker/plugins/common/settings.hpp"
#include "worker/plugins/exec/child.hpp"
#include "worker/plugins/exec/command.hpp"

namespace {

using futured::plugins::Loop;
using futured::plugins::exec::Child;
using futured::plugins::exec::ExecCall;
using futured::plugins::exec::ExecRequest;
using futured::plugins::exec::Limits;

/// `children` belongs to the loop thread. Made by init; only another init destroys it.
struct Commands {
  Limits limits;
  std::unordered_map<futured_call, std::unique_ptr<Child>> children;
  Loop loop;

  void start(ExecRequest&& request, ExecCall call) {
    const futured_call id = call.id();
    auto child = std::make_unique<Child>(loop, limits, std::move(request), call, [this, id] {
      // Not at once: the child is still on the stack.
      loop.post([this, id] { children.erase(id); });
    });
    Child* started = child.get();
    children[id] = std::move(child);
    started->start();
  }
  void with(futured_call id, void (Child::*act)()) {
    loop.post([this, id, act] {
      const auto it = children.find(id);
      if (it != children.end()) (it->second.get()->*act)();
    });
  }
};
Commands* commands = nullptr;

void exec(ExecRequest&& request, ExecCall call) {
  if (auto failure = futured::plugins::exec::check(request, commands->limits.max_output)) return call.fail(*failure);
  auto shared = std::make_shared<ExecRequest>(std::move(request));
  commands->loop.post([shared, call] { commands->start(std::move(*shared), call); });
  call.on_writable([id = call.id()] { commands->with(id, &Child::resume); });
  call.on_cancel([id = call.id()] { commands->with(id, &Child::cancel); });
}

std::string start(std::string_view config) {
  delete std::exchange(commands, new Commands);
  futured::plugins::Settings settings(config);
  Limits& limits = commands->limits;
  limits.max_output = static_cast<std::uint64_t>(
      settings.integer("max_output", static_cast<std::int64_t>(limits.max_output), 0, 1 << 30));
  limits.grace = settings.number("grace", limits.grace, 0, 3600);
  if (std::string error = settings.error(); !error.empty()) return error;
  return commands->loop.start("exec").message();
}

void stop() {
  commands->loop.stop();
  for (const auto& [id, child] : commands->children) child->kill_now();
}

}  // namespace

// Each command is a process: the number at once is bounded for the host's sake; more of them wait in the queue.
FUTURED_PLUGIN("exec", "0.1.0", schema(exec_schema), async<exec>("exec", "runs a command").max_concurrency(64),
               on_init(start), on_fini(stop))
