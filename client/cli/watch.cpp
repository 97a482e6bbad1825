#include "client/cli/context.hpp"
#include "client/cli/records.hpp"
#include "client/cli/tables.hpp"

namespace futured::cli {

int watch_verb(Context& context) {
  Selection selection = context.selection(true);
  const bool everything = context.args.words.empty();
  if (everything) selection.selector.set_all(true);
  std::string cursor;
  std::uint64_t next = 0;
  while (!context.out.closed()) {
    auto changes = context.daemon.control().changes(selection.selector, cursor, Control::Nanos::max());
    if (!changes && changes.status().code() == Code::forgotten && !cursor.empty()) {
      context.out.warn("the daemon was started again: changes are missing");
      cursor.clear();
      next = 0;
      continue;
    }
    cursor = expect(changes).cursor;
    std::string text;
    for (const auto& change : changes->records) {
      // Only of all tasks the numbers have no gaps of their own.
      if (everything && next != 0 && change.sequence() > next) {
        context.out.warn(std::to_string(change.sequence() - next) + " changes are missing: more came than were kept");
      }
      next = change.sequence() + 1;
      if (context.out.json()) {
        json_of(change).dump_to(text);
      } else if (context.out.quiet()) {
        text += std::to_string(change.task().number());
      } else {
        text += change_line(change);
      }
      text.push_back('\n');
    }
    if (!text.empty()) context.out.write(text);
  }
  return 0;
}

}  // namespace futured::cli
