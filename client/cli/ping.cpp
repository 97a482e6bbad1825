#include <array>
#include <cstdio>

#include "client/cli/context.hpp"
#include "client/cli/duration.hpp"
#include "client/cli/terminal.hpp"

namespace futured::cli {

using namespace std::chrono_literals;

int ping_verb(Context& context) {
  context.at_most(0);
  const auto time = expect(context.daemon.control().ping(5s));
  const v1::Welcome welcome = context.daemon.control().welcome();
  const std::string endpoint = context.daemon.control().endpoint();
  if (context.out.json()) {
    context.out.print(schema::Json::object()
                          .add("software", schema::json_of_bytes(welcome.software()))
                          .add("endpoint", endpoint)
                          .add("epoch", welcome.epoch())
                          .add("version", welcome.version())
                          .add("round_trip", static_cast<double>(time.count()) / 1e9));
  } else if (!context.out.quiet()) {
    context.out.line(harmless(welcome.software()) + " at " + endpoint + " answers in " + show_duration(time));
  }
  return 0;
}

}  // namespace futured::cli
