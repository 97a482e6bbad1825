#include "client/cli/context.hpp"
#include "client/cli/records.hpp"
#include "client/cli/tables.hpp"
#include "client/cli/terminal.hpp"

namespace futured::cli {

int pool_list_verb(Context& context) {
  context.at_most(0);
  v1::Request request;
  request.mutable_pools();
  const v1::Reply reply = context.daemon.ask(request);
  schema::Json all = schema::Json::array();
  Table table({{"POOL", false, true},
               {"PROCESSES", true, false},
               {"READY", true, false},
               {"THREADS", true, false},
               {"ASYNC", true, false},
               {"QUEUED", true, false},
               {"RUNNING", true, false},
               {"PLUGINS", false, true},
               {"NOTE", false, true}});
  for (const auto& pool : reply.pools()) {
    all.push(json_of(pool));
    std::string plugins;
    for (const auto& plugin : pool.plugins()) plugins += (plugins.empty() ? "" : " ") + harmless(plugin);
    table.row({harmless(pool.name()),
               std::to_string(pool.processes()),
               std::to_string(pool.ready()),
               std::to_string(pool.threads()),
               std::to_string(pool.async_slots()),
               std::to_string(pool.queued()),
               std::to_string(pool.running()),
               plugins,
               {pool_words(pool), pool.trouble().empty() ? Colour::yellow : Colour::red}});
  }
  if (context.out.json()) {
    context.out.print(all);
  } else if (context.out.quiet()) {
    for (const auto& pool : reply.pools()) context.out.line(harmless(pool.name()));
  } else {
    context.out.table(table);
  }
  return 0;
}

}  // namespace futured::cli
