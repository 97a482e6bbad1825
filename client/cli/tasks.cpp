#include "client/cli/tasks.hpp"

#include <algorithm>
#include <cstring>

namespace futured::cli {
namespace {

using namespace std::chrono_literals;

/// Not found or forgotten: an attachment knows which.
void explain_missing(Context& context, const v1::TaskRef& task, const std::string& shown, Exit& worst) {
  Exit code = Exit::no_such_task;
  std::string text = "there is no task " + shown;
  try {
    const auto attached = expect(context.daemon.control().attach(std::vector<v1::TaskRef>{task}, 10s));
    if (!attached.empty()) [[maybe_unused]]
      const auto bytes = attached.front().future.bytes();
  } catch (const Forgotten&) {
    code = Exit::forgotten;
    text = "task " + shown + " is forgotten: it is not kept any longer";
  } catch (const std::exception&) {  // not found, or gone meanwhile: the list said so
  }
  context.out.error_bytes("fut: " + text + "\n");
  if (worst == Exit::done) worst = code;
}

}  // namespace

std::vector<v1::TaskRecord> find_tasks(Context& context, const Selection& selection, Exit& worst) {
  std::vector<v1::TaskRecord> found = context.daemon.list(selection.selector, true);
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.number() < b.number(); });
  if (!selection.exact()) return found;  // other words may rightly leave out what was named
  for (const TaskNumber number : selection.numbers) {
    if (std::any_of(found.begin(), found.end(), [&](const auto& task) { return task.number() == number; })) continue;
    v1::TaskRef ref;
    ref.set_number(number);
    explain_missing(context, ref, std::to_string(number), worst);
  }
  for (const TaskId& id : selection.ids) {
    const std::string shown = to_string(id);
    if (std::any_of(found.begin(), found.end(), [&](const auto& task) { return to_hex(task.id()) == shown; })) continue;
    v1::TaskRef ref;
    std::string raw(reinterpret_cast<const char*>(id.stream.bytes.data()), id.stream.bytes.size());
    for (int shift = 32; shift >= 0; shift -= 8) raw.push_back(static_cast<char>((id.seq >> shift) & 0xff));
    ref.set_id(raw);
    explain_missing(context, ref, shown, worst);
  }
  return found;
}

bool is_named(const Selection& selection, const v1::TaskRecord& task) {
  const auto& numbers = selection.numbers;
  if (std::find(numbers.begin(), numbers.end(), task.number()) != numbers.end()) return true;
  const std::string id = to_hex(task.id());
  return std::any_of(selection.ids.begin(), selection.ids.end(), [&](const TaskId& i) { return to_string(i) == id; });
}

const TaskInfo& TaskInfos::of(const std::string& type) {
  for (const TaskInfo& info : known_) {
    if (info.name == type) return info;
  }
  TaskInfo info;
  try {
    info = context_.daemon.task(type);
  } catch (const Failure&) {  // its plugin is gone; its results are bytes now
    info.name = type;
  }
  known_.push_back(std::move(info));
  return known_.back();
}

}  // namespace futured::cli
