#include "client/cli/context.hpp"
#include "client/cli/duration.hpp"
#include "client/cli/records.hpp"
#include "client/cli/tables.hpp"
#include "client/cli/terminal.hpp"

namespace futured::cli {

int status_verb(Context& context) {
  context.at_most(0);
  Output& out = context.out;
  v1::Request request;
  request.mutable_status();
  const v1::Reply reply = context.daemon.ask(request);
  const v1::DaemonStatus& status = reply.status();
  if (out.json()) {
    out.print(json_of(status));
    return 0;
  }
  std::string text =
      out.paint(Colour::bold, "futured " + harmless(status.version())) + "  pid " + std::to_string(status.pid()) +
      ", up " + show_duration(std::chrono::nanoseconds(status.uptime_ns())) + ", store " + harmless(status.store()) +
      (status.draining() ? ", " + out.paint(Colour::yellow, "draining") : "") + "\n";
  for (const auto& endpoint : status.endpoints()) text += "  " + harmless(endpoint) + "\n";
  const v1::Counts& tasks = status.tasks();
  const auto count = [&](std::uint64_t n, std::string_view what, Colour colour) {
    return out.paint(n > 0 ? colour : Colour::grey, std::to_string(n) + " " + std::string(what));
  };
  text += "tasks    " + count(tasks.running(), "running", Colour::blue) + ", " +
          count(tasks.queued(), "queued", Colour::none) + ", " + count(tasks.waiting(), "waiting", Colour::none) + "\n";
  text += "ended    " + count(tasks.succeeded(), "succeeded", Colour::green) + ", " +
          count(tasks.failed(), "failed", Colour::red) + ", " + count(tasks.cancelled(), "cancelled", Colour::yellow) +
          ", " + count(tasks.expired(), "expired", Colour::yellow) + "\n";
  text += "total    " + std::to_string(status.submitted_total()) + " submitted, " +
          std::to_string(status.completed_total()) + " completed, " + std::to_string(status.clients()) +
          (status.clients() == 1 ? " client, " : " clients, ") + std::to_string(status.workers()) +
          (status.workers() == 1 ? " worker\n" : " workers\n");
  if (status.pools_size() > 0) {
    Table table({{"POOL", false, true},
                 {"READY", true, false},
                 {"THREADS", true, false},
                 {"ASYNC", true, false},
                 {"QUEUED", true, false},
                 {"RUNNING", true, false},
                 {"NOTE", false, true}});
    for (const auto& pool : status.pools()) {
      table.row({harmless(pool.name()),
                 std::to_string(pool.ready()) + "/" + std::to_string(pool.processes()),
                 std::to_string(pool.threads()),
                 std::to_string(pool.async_slots()),
                 std::to_string(pool.queued()),
                 std::to_string(pool.running()),
                 {pool_words(pool), pool.trouble().empty() ? Colour::yellow : Colour::red}});
    }
    text += "\n";
    out.write(text);
    out.table(table);
  } else {
    out.write(text + "no pools: tasks run only on workers that come from elsewhere\n");
  }
  for (const auto& plugin : status.plugins_refused()) {
    out.warn("plugin " + harmless(plugin.path()) + " was refused: " + harmless(plugin.message()));
  }
  return 0;
}

}  // namespace futured::cli
