#include "client/cli/context.hpp"
#include "client/cli/records.hpp"
#include "client/cli/tables.hpp"
#include "client/cli/terminal.hpp"

namespace futured::cli {

int group_list_verb(Context& context) {
  context.at_most(1);
  const std::string name = context.args.words.empty() ? std::string() : context.args.words.front();
  auto asked = context.daemon.control().groups(name, kAnswerTime);
  if (!asked.ok()) expect(asked.status());
  const std::vector<v1::GroupRecord>& groups = *asked;
  if (context.out.json()) {
    schema::Json all = schema::Json::array();
    for (const auto& group : groups) all.push(json_of(group));
    context.out.print(all);
  } else if (context.out.quiet()) {
    for (const auto& group : groups) context.out.line(harmless(group.name()));
  } else {
    context.out.table(group_table(groups));
  }
  return 0;
}

int group_close_verb(Context& context) {
  const std::string& name = context.first_word("a group");
  context.at_most(1);
  expect(context.daemon.control().close_group(name, kAnswerTime));
  if (context.out.json()) {
    context.out.print(schema::Json::object().add("name", name).add("closed", true));
  } else {
    context.out.note("group " + harmless(name) + " is closed: no task is added to it any more");
  }
  return 0;
}

}  // namespace futured::cli
