#include "client/cli/arguments.hpp"

#include <doctest/doctest.h>

#include <array>

#include "client/cli/context.hpp"
#include "client/cli/task_flags.hpp"

using namespace futured::cli;

static CommandLine parse(const std::vector<std::string>& words) {
  return CommandLine::parse(verbs(), global_options(), words);
}

static std::string refused(const std::vector<std::string>& words) {
  try {
    parse(words);
  } catch (const Failure& e) {
    CHECK(e.code() == Exit::usage);
    return e.what();
  }
  return "accepted";
}

TEST_CASE("options may stand before and after the verb and its words") {
  const auto line = parse({"-j", "submit", "echo", "-p5", "hello", "--label", "a=1", "-l=b=2", "--pool=io"});
  CHECK(line.verb->name == "submit");
  CHECK(line.arguments.has("json"));
  CHECK(line.arguments.value("priority") == "5");
  CHECK(line.arguments.values("label") == std::vector<std::string_view>{"a=1", "b=2"});
  CHECK(line.arguments.value("pool") == "io");
  CHECK(line.arguments.words == std::vector<std::string>{"echo", "hello"});
  CHECK(!line.arguments.dashes);
}

TEST_CASE("a negative number can be the value of an option") {
  CHECK(parse({"run", "echo", "-p", "-5"}).arguments.value("priority") == "-5");
}

TEST_CASE("words after two dashes are never options") {
  const auto line = parse({"run", "exec", "--", "ls", "-l", "--", "--help"});
  CHECK(line.arguments.dashes);
  CHECK(line.arguments.after == std::vector<std::string>{"ls", "-l", "--", "--help"});
  CHECK(!line.help);
}

TEST_CASE("exec stops reading options at the first word") {
  const auto line = parse({"exec", "-p", "3", "ls", "-l", "--json", "--"});
  CHECK(line.arguments.value("priority") == "3");
  CHECK(!line.arguments.has("json"));
  CHECK(line.arguments.words == std::vector<std::string>{"ls", "-l", "--json", "--"});
}

TEST_CASE("short flags may be written together, a dash alone is a word") {
  const auto line = parse({"map", "-r0P2", "echo", "-"});
  CHECK(line.arguments.has("bare"));
  CHECK(line.arguments.has("null"));
  CHECK(line.arguments.value("parallel") == "2");
  CHECK(line.arguments.words == std::vector<std::string>{"echo", "-"});
}

TEST_CASE("verbs of two words are found") {
  CHECK(parse({"worker", "list"}).verb->name == "worker list");
  CHECK(refused({"worker"}).find("'fut worker list'") != std::string::npos);
  CHECK(refused({"worker", "lsit"}).find("did you mean 'list'?") != std::string::npos);
}

TEST_CASE("an unknown verb or option names the nearest") {
  CHECK(refused({"sumbit"}) == "fut has no command 'sumbit'; did you mean 'submit'?");
  CHECK(refused({"run", "--prioritty", "5"}) == "fut run has no option '--prioritty'; did you mean '--priority'?");
  CHECK(refused({"ping", "-Z"}).find("fut ping has no option '-Z'") == 0);
}

TEST_CASE("a missing, an unwanted, a wrong and a double value are refused") {
  CHECK(refused({"run", "echo", "--pool"}).find("wants a value") != std::string::npos);
  CHECK(refused({"list", "--json=yes"}).find("takes no value") != std::string::npos);
  CHECK(refused({"list", "--color", "alway"}).find("did you mean 'always'?") != std::string::npos);
  CHECK(refused({"run", "echo", "-p1", "-p2"}).find("given twice") != std::string::npos);
}

TEST_CASE("every verb has help with an example") {
  for (const Verb& verb : verbs()) {
    CAPTURE(verb.name);
    const std::string help = help_of(verb, global_options());
    CHECK(help.find("usage: fut " + std::string(verb.name)) == 0);
    CHECK(help.find("\nexample:\n  ") != std::string::npos);
    CHECK(!verb.summary.empty());
    CHECK((verb.run != nullptr));
  }
  CHECK(parse({"map", "--help"}).help);
  CHECK(parse({"--version"}).version);
}

TEST_CASE("no two options of a verb share a name or a letter") {
  for (const Verb& verb : verbs()) {
    std::vector<std::string> seen;
    const auto add = [&](const Option& option) {
      CAPTURE(verb.name);
      CAPTURE(option.name);
      for (const std::string& name :
           {std::string(option.name), std::string(option.letter != 0 ? 1U : 0U, option.letter)}) {
        if (name.empty()) continue;
        CHECK(std::find(seen.begin(), seen.end(), name) == seen.end());
        seen.push_back(name);
      }
    };
    for (const Option& option : global_options()) add(option);
    for (const auto& table : verb.options) {
      for (const Option& option : table) add(option);
    }
  }
}

const LastTask no_last = []() -> futured::TaskNumber { throw Failure(Exit::no_such_task, "no task was submitted"); };

TEST_CASE("task options say what is wrong with a value") {
  const auto refusal = [](const std::vector<std::string>& words) {
    try {
      task_options(parse(words).arguments, Gone::keep, no_last);
    } catch (const Failure& e) {
      return std::string(e.what());
    }
    return std::string("accepted");
  };
  CHECK(refusal({"run", "echo", "-p", "101"}) == "option '--priority' wants a number from -100 to 100, not '101'");
  CHECK(refusal({"run", "echo", "-l", "x"}) == "option '--label' wants name=value, not 'x'");
  CHECK(refusal({"run", "echo", "--keep", "soon"}).find("'soon' is no duration") != std::string::npos);
  CHECK(refusal({"run", "echo", "--crashes", "some"}).find("never") != std::string::npos);
  CHECK(refusal({"run", "echo", "--timeout", "0"}) == "option '--timeout' wants a time above 0, not '0'");
  CHECK(refusal({"run", "echo", "--expires", "later"}).find("'later' is no duration") != std::string::npos);
  CHECK(refusal({"run", "echo", "--at", "noon"}).find("option '--at': 'noon' is no time; write 2026") == 0);
  CHECK(refusal({"run", "echo", "-d", "1", "--at", "17:30"}) == "--delay and --at exclude each other");
  CHECK(refusal({"run", "echo", "--backoff", "5s..1s"}).find("above the first time, as in 1s..5m, not '5s..1s'") !=
        std::string::npos);
  CHECK(refusal({"run", "echo", "-a", "12,"}) ==
        "option '--after': '' names no task: write 12, 12,13:any, a full id, last, or group=G");
  CHECK(refusal({"run", "echo", "-a", "0"}).find("'0' names no task") != std::string::npos);
  CHECK(refusal({"run", "echo", "-a", "12:sucess"}).find("write success, failure or any after the colon") !=
        std::string::npos);
  CHECK(refusal({"run", "echo", "-a", "group="}).find("wants the name of a group") != std::string::npos);
  CHECK(refusal({"run", "echo", "--input-from", "x"}) ==
        "option '--input-from' wants the number or the full id of a task, or last, not 'x'");
  CHECK(refusal({"run", "echo", "--key", ""}) == "option '--key' wants a name, not ''");
  CHECK(refusal({"run", "echo", "--on-full", "wait"}) ==
        "option '--on-full': 'wait' is none of block, fail, and a time like 30s");
  CHECK(refusal({"run", "echo", "--detach", "--on-disconnect", "cancel"}).find("exclude each other") !=
        std::string::npos);
}

TEST_CASE("task options about time, order and keys reach the task") {
  using futured::Condition;
  const std::string id = "000102030405060708090a0b0c0d0e0f";
  const auto line = parse({"submit",       "echo",
                           "-d",           "90",
                           "-a",           "12,13:any",
                           "--after",      id,
                           "-a",           "group=g:x,14",
                           "-a",           "group=nightly:failure",
                           "--input-from", "12",
                           "--backoff",    "1s..5m",
                           "--timeout",    "2s",
                           "--deadline",   "3s",
                           "--expires",    "4s",
                           "--key",        "K",
                           "--limit",      "L",
                           "--fair",       "F",
                           "--volatile",   "--on-full",
                           "30s"});
  const auto options = task_options(line.arguments, Gone::keep, no_last);
  const auto& spec = options.data()->spec;
  CHECK(spec.delay_ns == 90'000'000'000);
  REQUIRE(spec.after.size() == 4);
  CHECK(spec.after[0].task.number == 12);
  CHECK(spec.after[0].on == Condition::any);
  CHECK(spec.after[1].task.number == 13);
  CHECK(spec.after[1].on == Condition::any);
  CHECK(to_string(spec.after[2].task.id) == id);
  CHECK(spec.after[2].on == Condition::success);
  CHECK(spec.after[3].task.number == 14);
  REQUIRE(spec.after_groups.size() == 2);
  CHECK(spec.after_groups[0].group == "g:x");
  CHECK(spec.after_groups[0].on == Condition::success);
  CHECK(spec.after_groups[1].group == "nightly");
  CHECK(spec.after_groups[1].on == Condition::failure);
  REQUIRE(spec.input_from.has_value());
  CHECK(spec.input_from->number == 12);
  CHECK(spec.backoff_ns == 1'000'000'000);
  CHECK(spec.backoff_max_ns == 300'000'000'000);
  CHECK(spec.timeout_ns == 2'000'000'000);
  CHECK(spec.deadline_ns == 3'000'000'000);
  CHECK(spec.expires_ns == 4'000'000'000);
  CHECK(spec.key == "K");
  CHECK(spec.limit_key == "L");
  CHECK(spec.fair_key == "F");
  CHECK(spec.volatile_task);
  CHECK(options.data()->on_full == futured::OnFull::block);
  CHECK(options.data()->full_timeout_ns == 30'000'000'000);
  const auto other = task_options(
      parse({"run", "echo", "--at", "2023-11-14T22:13:20Z", "--on-full", "fail", "--backoff", "2s"}).arguments,
      Gone::cancel, no_last);
  CHECK(other.data()->spec.at_unix_ns == 1'700'000'000'000'000'000);
  CHECK(other.data()->spec.backoff_max_ns == 0);
  CHECK(other.data()->on_full == futured::OnFull::fail);
}

TEST_CASE("last names the task submitted last, where an option names tasks") {
  const LastTask last = [] { return futured::TaskNumber{41}; };
  const auto options =
      task_options(parse({"run", "echo", "-a", "last,12:any", "-a", "group=last", "--input-from", "last"}).arguments,
                   Gone::keep, last);
  const auto& spec = options.data()->spec;
  REQUIRE(spec.after.size() == 2);
  CHECK(spec.after[0].task.number == 41);
  CHECK(spec.after[0].on == futured::Condition::any);
  CHECK(spec.after[1].task.number == 12);
  CHECK(spec.after_groups.at(0).group == "last");
  CHECK(spec.input_from->number == 41);
  CHECK_THROWS_AS(task_options(parse({"run", "echo", "-a", "last"}).arguments, Gone::keep, no_last), Failure);
}

TEST_CASE("task options reach the task") {
  const auto line = parse({"submit", "echo", "-p", "-7", "--pool", "io", "-l", "a=b=c", "-g", "G", "--retries", "2",
                           "--crashes", "never", "--keep", "90"});
  const auto options = task_options(line.arguments, Gone::keep, no_last);
  const auto& spec = options.data()->spec;
  CHECK(spec.priority == -7);
  CHECK(spec.pool == "io");
  REQUIRE(spec.labels.size() == 1);
  CHECK(spec.labels[0].second == "b=c");
  CHECK(spec.group == "G");
  CHECK(spec.retries == 2);
  CHECK(spec.crashes == -1);
  CHECK(spec.keep_ns == 90'000'000'000);
  CHECK(spec.on_disconnect == futured::OnDisconnect::keep);
  const auto defaults = task_options(parse({"run", "echo"}).arguments, Gone::cancel, no_last);
  CHECK(defaults.data()->spec.keep_ns == 86'400'000'000'000);
  CHECK(defaults.data()->spec.on_disconnect == futured::OnDisconnect::cancel);
  CHECK(defaults.data()->spec.disconnect_grace_ns == 10'000'000'000);
}

TEST_CASE("options of a private daemon need --embedded") {
  const auto line = parse({"run", "echo", "x", "--processes", "2"});
  CHECK_THROWS_AS(daemon_options(*line.verb, line.arguments), Failure);
  const auto good = parse({"run", "--embedded", "--processes", "2", "echo", "x"});
  CHECK(daemon_options(*good.verb, good.arguments).processes == 2);
}
