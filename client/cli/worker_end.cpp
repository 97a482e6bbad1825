#include <charconv>

#include "client/cli/context.hpp"

namespace futured::cli {
namespace {

int end_workers(Context& context, bool now) {
  context.first_word("the id of a worker");
  if (!context.args.after.empty()) context.at_most(context.args.words.size());
  std::vector<WorkerId> workers;
  for (const std::string& word : context.args.words) {
    WorkerId id = 0;
    const auto end = std::from_chars(word.data(), word.data() + word.size(), id);
    if (word.empty() || end.ec != std::errc{} || end.ptr != word.data() + word.size() || id == 0) {
      throw Failure(Exit::usage, "'" + word + "' is no worker: 'fut worker list' shows their ids");
    }
    workers.push_back(id);
  }
  for (const WorkerId id : workers) {
    expect(context.daemon.control().end_worker(id, now, kAnswerTime));
    if (context.out.json()) {
      context.out.print(schema::Json::object().add("id", id).add("now", now));
    } else {
      context.out.note("worker " + std::to_string(id) +
                       (now ? " is killed" : " takes no more tasks and leaves when it has none"));
    }
  }
  return 0;
}

}  // namespace

int worker_drain_verb(Context& context) { return end_workers(context, false); }
int worker_kill_verb(Context& context) { return end_workers(context, true); }

}  // namespace futured::cli
