#include <limits>

#include "client/cli/exec.hpp"
#include "client/cli/map_run.hpp"
#include "client/cli/records.hpp"
#include "client/cli/run.hpp"
#include "client/cli/terminal.hpp"

namespace futured::cli {
namespace {

using namespace std::chrono_literals;

/// A record of what fut knows of all tasks of this map; the rest is in the daemon.
v1::TaskRecord common_record(const std::string& task, const TaskOptions& options) {
  v1::TaskRecord out;
  out.set_type(task);
  if (options.data() != nullptr) {
    const auto& spec = options.data()->spec;
    out.set_pool(spec.pool);
    out.set_priority(spec.priority);
    out.set_group(spec.group);
    out.set_key(spec.key);
    for (const auto& [name, value] : spec.labels) {
      auto* label = out.add_labels();
      label->set_name(name);
      label->set_value(value);
    }
  }
  return out;
}

schema::Json map_line(v1::TaskRecord record, std::uint64_t index, TaskNumber number, const Outcome& outcome,
                      const TaskInfo& info, const std::optional<Control::Existing>& existing) {
  record.set_number(number);
  record.set_state(outcome.state);
  record.set_attempt_count(outcome.attempts);
  outcome.put_error(record);
  record.set_result_bytes(outcome.bytes().size());
  schema::Json out = schema::Json::object().add("index", index);
  schema::Json task = json_of(record, outcome.result(info));
  if (outcome.future.valid()) task.set("id", to_string(outcome.future.id()));
  if (number == 0) task.set("number", schema::Json());
  mark_existing(task, existing);
  // What only the daemon knows is null: to ask for every task would halve the rate.
  task.set("input_bytes", schema::Json());
  task.set("retries_left", schema::Json());
  if (outcome.attempts == 0) task.set("attempt_count", schema::Json());
  for (auto& [name, value] : *task.members()) out.add(std::move(name), std::move(value));
  return out;
}

std::string bytes_member(const schema::Json& value, std::string_view name) {
  const schema::Json* member = value.find(name);
  if (member == nullptr) return {};
  auto bytes = schema::bytes_of_json(*member);
  return bytes ? std::move(*bytes) : std::string();
}

}  // namespace

int map_verb(Context& context) {
  const Arguments& args = context.args;
  const bool command = args.words.empty() && args.dashes;
  if (command && args.after.empty()) throw Failure(Exit::usage, "a command comes after '--': fut map -- CMD {}");
  Input::Words words = input_words(args);
  if (command) {
    words.base = surroundings(args);
  } else if (args.has("directory") || args.has("env") || args.has("clean-env")) {
    throw Failure(Exit::usage, "-C, -e and --clean-env belong to a command: fut map [OPTIONS] -- CMD {}");
  }
  if (args.has("jsonl") && args.has("null")) throw Failure(Exit::usage, "--jsonl and -0 exclude each other");

  const std::string name = command ? "exec" : context.first_word("a task, or a command after '--'");
  const TaskInfo info = context.daemon.task(name);
  const Input input = expect(Input::parse(info, words, args.has("jsonl") ? Input::Lines::jsonl : Input::Lines::text),
                             Exit::input_refused);

  constexpr std::uint64_t kMost = 1'000'000;
  MapSettings settings;
  settings.in_flight = context.count("parallel", 1, kMost).value_or(settings.in_flight);
  settings.window = context.count("window", 1, kMost).value_or(std::max(settings.window, settings.in_flight));
  settings.max_fails = context.count("max-fails", 1, std::numeric_limits<std::uint64_t>::max()).value_or(0);
  settings.ordered = args.has("ordered");
  settings.goes_on = goes_on(args, Gone::cancel);
  settings.line_end = args.has("null") ? '\0' : '\n';
  settings.options = task_options(context, Gone::cancel);
  const auto& data = *settings.options.data();
  settings.fails_when_full = data.on_full == OnFull::fail;
  if (data.full_timeout_ns >= 0) settings.patience = std::chrono::nanoseconds(data.full_timeout_ns);
  const bool keyed = !data.spec.key.empty();

  const v1::TaskRecord common = common_record(name, settings.options);
  TaskNumber last = 0;
  const bool bare = args.has("bare");
  settings.print = [&](std::uint64_t index, TaskNumber number, const Outcome& outcome, std::string& out) {
    last = std::max(last, number);
    if (!bare) {
      std::optional<Control::Existing> existing;
      if (keyed && outcome.future.valid()) {
        if (const auto known = context.daemon.control().existing(outcome.future, 0s); known.ok()) existing = *known;
      }
      map_line(common, index, number, outcome, info, existing).dump_to(out);
      out.push_back('\n');
      return;
    }
    if (command) {  // as if the command had written here
      const schema::Json reply = outcome.result(info);
      out += bytes_member(reply, "stdout");
      if (const std::string said = bytes_member(reply, "stderr"); !said.empty()) context.out.error_bytes(said);
    } else if (outcome.state == v1::STATE_SUCCEEDED && info.schema != nullptr && !info.reply_type.empty()) {
      outcome.result(info).dump_to(out);
      out.push_back('\n');
    } else if (outcome.state == v1::STATE_SUCCEEDED) {
      out += outcome.bytes();
      out.push_back('\n');
    }
    if (outcome.state != v1::STATE_SUCCEEDED && !context.out.quiet()) {
      context.out.error_bytes("fut: line " + std::to_string(index + 1) + " " + state_word(outcome.state) + ": " +
                              sentence(outcome.error) + "\n");
    }
  };
  MapRun run(context, info, input, std::move(settings));
  const int code = run.run();
  if (last != 0) context.daemon.remember(last);
  return code;
}

}  // namespace futured::cli
