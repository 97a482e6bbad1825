#include <algorithm>
#include <limits>
#include <thread>

#include "client/cli/records.hpp"
#include "client/cli/tasks.hpp"
#include "client/cli/terminal.hpp"

namespace futured::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kPause = 200ms;  ///< for an attempt that is to come and has no output to wait for yet

/// Prints what lies behind `part`, which moves on.
void print(Context& context, const v1::LogChunk& chunk, Control::LogPart& part) {
  if (chunk.attempt() != part.attempt) {
    part.attempt = chunk.attempt();
    part.offset = 0;
  }
  if (chunk.offset() > part.offset) {
    context.out.warn(std::to_string(chunk.offset() - part.offset) + " bytes of output were not kept");
    part.offset = chunk.offset();
  }
  const std::uint64_t seen = std::min<std::uint64_t>(part.offset - chunk.offset(), chunk.data().size());
  const std::string_view fresh = std::string_view(chunk.data()).substr(seen);
  if (fresh.empty()) return;
  if (context.out.json()) {
    v1::LogChunk rest = chunk;
    rest.set_offset(part.offset);
    rest.set_data(std::string(fresh));
    context.out.print(json_of(rest, part.task));
  } else if (chunk.stream() == 2) {
    context.out.error_bytes(fresh);
  } else {
    context.out.write(fresh);
  }
  part.offset += fresh.size();
}

/// What the daemon has of the output; with `follow` to the end of the task. `attempt` 0: the last one, and with
/// `follow` those that come after it.
void print_log(Context& context, TaskNumber task, std::uint32_t attempt, bool follow) {
  Control::LogPart part{task, attempt, 0, follow};
  while (!context.out.closed()) {
    const auto chunks = expect(context.daemon.control().log(part, follow ? Control::Nanos::max() : kAnswerTime));
    const std::uint64_t before = part.offset;
    const std::uint32_t of = part.attempt;
    for (const auto& chunk : chunks) print(context, chunk, part);
    if (part.offset != before || part.attempt != of) continue;
    if (!part.follow || attempt != 0) return;
    const auto record = context.daemon.record(task);
    if (!record) return;  // it ended, and was to be kept no longer
    if (part.attempt != 0 && record->attempt_count() > part.attempt) {
      ++part.attempt;
      part.offset = 0;
    } else if (has_ended(*record)) {
      part.follow = false;  // once more: it may have written until it ended
    } else {
      std::this_thread::sleep_for(kPause);
    }
  }
}

}  // namespace

int logs_verb(Context& context) {
  const auto attempt = context.count("attempt", 1, std::numeric_limits<std::uint32_t>::max()).value_or(0);
  const bool follow = context.args.has("follow");
  Exit worst = Exit::done;
  const auto tasks = find_tasks(context, context.selection(), worst);
  for (const auto& task : tasks) {
    if (tasks.size() > 1 && !context.out.json()) {
      context.out.note("output of task " + std::to_string(task.number()) + " (" + harmless(task.type()) + ")");
    }
    print_log(context, task.number(), static_cast<std::uint32_t>(attempt), follow);
    if (context.out.closed()) break;
  }
  return static_cast<int>(worst);
}

}  // namespace futured::cli
