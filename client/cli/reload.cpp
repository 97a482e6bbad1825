#include "client/cli/context.hpp"

namespace futured::cli {

int reload_verb(Context& context) {
  context.at_most(0);
  expect(context.daemon.control().reload(kAnswerTime));
  if (context.out.json()) {
    context.out.print(schema::Json::object().add("reloaded", true));
  } else {
    context.out.note("the daemon has read its configuration again");
  }
  return 0;
}

}  // namespace futured::cli
