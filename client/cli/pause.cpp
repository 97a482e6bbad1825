#include "client/cli/context.hpp"
#include "client/cli/terminal.hpp"

namespace futured::cli {
namespace {

int pause_or_resume(Context& context, bool paused) {
  const std::string& word = context.first_word("a pool, or task=TASK");
  context.at_most(1);
  const auto equals = word.find('=');
  const std::string kind = word.substr(0, equals == std::string::npos ? 0 : equals);
  const std::string name = equals == std::string::npos ? word : word.substr(equals + 1);
  if (name.empty() || (!kind.empty() && kind != "task" && kind != "pool")) {
    throw Failure(Exit::usage, "'" + word + "' is neither a pool nor a task: write POOL, pool=POOL or task=TASK");
  }
  Control::PauseWhat what;
  (kind == "task" ? what.task : what.pool) = name;
  expect(context.daemon.control().pause(what, paused, kAnswerTime));
  if (context.out.json()) {
    context.out.print(schema::Json::object().add(kind == "task" ? "task" : "pool", name).add("paused", paused));
  } else {
    context.out.note((kind == "task" ? "task " : "pool ") + harmless(name) +
                     (paused ? " is paused: nothing of it starts until 'fut resume " + word + "'" : " goes on"));
  }
  return 0;
}

}  // namespace

int pause_verb(Context& context) { return pause_or_resume(context, true); }
int resume_verb(Context& context) { return pause_or_resume(context, false); }

}  // namespace futured::cli
