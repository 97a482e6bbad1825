#include "client/cli/context.hpp"
#include "client/cli/records.hpp"
#include "client/cli/terminal.hpp"

namespace futured::cli {

int worker_list_verb(Context& context) {
  context.at_most(0);
  v1::Request request;
  request.mutable_workers();
  const v1::Reply reply = context.daemon.ask(request);
  schema::Json all = schema::Json::array();
  Table table({{"WORKER", true, false},
               {"PID", true, false},
               {"HOST", false, true},
               {"POOL", false, true},
               {"STATE", false, false},
               {"RUNNING", true, false},
               {"THREADS", true, false},
               {"ASYNC", true, false},
               {"COMPLETED", true, false},
               {"TASKS", false, true}});
  for (const auto& worker : reply.workers()) {
    all.push(json_of(worker));
    std::string types;
    for (const auto& type : worker.types()) types += (types.empty() ? "" : " ") + harmless(type);
    table.row({std::to_string(worker.id()), std::to_string(worker.pid()), harmless(worker.host()),
               harmless(worker.pool()), harmless(worker.state()), std::to_string(worker.running()),
               std::to_string(worker.threads()), std::to_string(worker.async_slots()),
               std::to_string(worker.completed()), types});
  }
  if (context.out.json()) {
    context.out.print(all);
  } else if (context.out.quiet()) {
    for (const auto& worker : reply.workers()) context.out.line(std::to_string(worker.id()));
  } else {
    context.out.table(table);
  }
  return 0;
}

}  // namespace futured::cli
