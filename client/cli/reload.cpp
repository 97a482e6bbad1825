#include "client/cli/context.hpp"
#include "client/cli/terminal.hpp"

namespace futured::cli {

int reload_verb(Context& context) {
  context.at_most(0);
  const auto answer = context.daemon.control().reload(kAnswerTime);
  if (!answer) {
    const Code code = answer.status().code();
    const bool no_file = code == Code::not_found;
    throw Failure(code == Code::invalid ? Exit::input_refused
                  : no_file             ? Exit::usage
                                        : exit_of(code),
                  answer.status().message());
  }
  const auto list = [](const auto& items) {
    schema::Json all = schema::Json::array();
    for (const auto& item : items) all.push(schema::json_of_bytes(item));
    return all;
  };
  const auto sentence = [](const auto& items) {
    std::string text;
    for (const auto& item : items) text += (text.empty() ? "" : ", ") + harmless(item);
    return text;
  };
  if (context.out.json()) {
    context.out.print(schema::Json::object()
                          .add("reloaded", true)
                          .add("changed", list(answer->changed()))
                          .add("needs_restart", list(answer->needs_restart())));
    return 0;
  }
  context.out.note("the daemon has read its configuration again: " +
                   (answer->changed().empty() ? std::string("nothing has changed") : sentence(answer->changed())));
  if (!answer->needs_restart().empty()) context.out.warn("needs a restart: " + sentence(answer->needs_restart()));
  return 0;
}

}  // namespace futured::cli
