#include <charconv>

#include "client/cli/context.hpp"
#include "client/cli/duration.hpp"
#include "client/cli/records.hpp"
#include "client/cli/tables.hpp"
#include "client/cli/terminal.hpp"

namespace futured::cli {

int limit_set_verb(Context& context) {
  Control::Limit limit;
  limit.key = context.first_word("a key and how many tasks of it may run at once");
  context.at_most(2);
  if (limit.key.empty()) throw Failure(Exit::usage, "a limit has a key: fut limit set api 4");
  if (context.args.words.size() < 2) {
    throw Failure(Exit::usage, "'fut limit set' wants how many tasks may run at once: fut limit set " + limit.key +
                                   " 4 (0: as many as like, with --rate)");
  }
  const std::string& count = context.args.words[1];
  const auto end = std::from_chars(count.data(), count.data() + count.size(), limit.running);
  if (count.empty() || end.ec != std::errc{} || end.ptr != count.data() + count.size()) {
    throw Failure(Exit::usage, "'" + count + "' is no number of tasks: fut limit set " + limit.key + " 4");
  }
  if (const auto text = context.args.value("rate")) {
    const Rate rate = expect(parse_rate(*text));
    limit.starts = rate.starts;
    limit.per = rate.per;
  }
  if (limit.running == 0 && limit.starts == 0) {
    throw Failure(Exit::usage, "0 without --rate limits nothing: 'fut limit remove " + limit.key +
                                   "' removes it; 'fut pause' keeps tasks from starting");
  }
  expect(context.daemon.control().set_limit(limit, kAnswerTime));
  if (context.out.json()) {
    v1::LimitRecord record;
    record.set_key(limit.key);
    record.set_running(limit.running);
    record.set_starts(limit.starts);
    record.set_per_ns(limit.per.count());
    schema::Json all = json_of(record);
    schema::Json out = schema::Json::object();
    for (const char* name : {"key", "running", "rate"}) out.add(name, *all.find(name));
    context.out.print(out);
  } else {
    std::string text = "limit " + harmless(limit.key) + ":";
    if (limit.running != 0) text += " " + std::to_string(limit.running) + " at once";
    if (limit.starts != 0) {
      text += (limit.running != 0 ? ", " : " ") + std::string("starts ") + show_rate({limit.starts, limit.per});
    }
    context.out.note(text);
  }
  return 0;
}

int limit_list_verb(Context& context) {
  context.at_most(0);
  const auto limits = expect(context.daemon.control().limits(kAnswerTime));
  if (context.out.json()) {
    schema::Json all = schema::Json::array();
    for (const auto& limit : limits) all.push(json_of(limit));
    context.out.print(all);
  } else if (context.out.quiet()) {
    for (const auto& limit : limits) context.out.line(harmless(limit.key()));
  } else {
    context.out.table(limit_table(limits));
  }
  return 0;
}

int limit_remove_verb(Context& context) {
  const std::string& key = context.first_word("the key of a limit");
  context.at_most(1);
  expect(context.daemon.control().remove_limit(key, kAnswerTime));
  if (context.out.json()) {
    context.out.print(schema::Json::object().add("key", key).add("removed", true));
  } else {
    context.out.note("limit " + harmless(key) + " is removed: its tasks run without it");
  }
  return 0;
}

}  // namespace futured::cli
