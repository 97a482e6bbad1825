#include "client/cli/context.hpp"
#include "client/cli/progress.hpp"

namespace futured::cli {

int drain_verb(Context& context) {
  context.at_most(0);
  const bool undo = context.args.has("undo");
  const bool wait = context.args.has("wait");
  if (undo && wait) throw Failure(Exit::usage, "--undo and --wait exclude each other");
  const auto answer = undo   ? context.daemon.control().undrain(kAnswerTime)
                      : wait ? context.daemon.control().drain(true, Control::Nanos::max())
                             : context.daemon.control().drain(false, kAnswerTime);
  const std::uint64_t calls = expect(answer);
  if (context.out.json()) {
    context.out.print(schema::Json::object().add("draining", !undo).add("running", calls));
  } else if (undo) {
    context.out.note("the daemon takes and starts tasks again");
  } else {
    context.out.note("the daemon drains: " +
                     (calls == 0 ? std::string("nothing runs any more")
                                 : counted_tasks(calls) + (calls == 1 ? " still runs" : " still run")) +
                     "; 'fut drain --undo' ends it");
  }
  return 0;
}

}  // namespace futured::cli
