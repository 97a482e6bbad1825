#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>

#include "client/cli/duration.hpp"
#include "client/cli/interrupts.hpp"
#include "client/cli/outcome.hpp"
#include "client/cli/progress.hpp"
#include "client/cli/records.hpp"
#include "client/cli/tasks.hpp"

namespace futured::cli {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// Numbers of tasks that have ended; shared with callbacks that may come after the wait.
struct Ended {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::size_t> which;
  int signal = 0;
};

/// `result`: if it is at hand.
void print(Context& context, const v1::TaskRecord& task, const schema::Json& result) {
  if (context.out.json()) {
    context.out.print(json_of(task, result));
  } else if (!context.out.quiet()) {
    std::string line = std::to_string(task.number()) + " " + task.type() + " " +
                       context.out.paint(state_colour(task.state()), state_word(task.state()));
    if (task.state() != v1::STATE_SUCCEEDED && task.has_error()) line += ": " + sentence(task.error());
    context.out.line(line);
  }
}

}  // namespace

int wait_verb(Context& context) {
  std::optional<Clock::time_point> deadline;
  if (const auto text = context.args.value("timeout")) {
    deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(expect(parse_duration(*text)));
  }
  const bool any = context.args.has("any");
  Exit worst = Exit::done;
  auto tasks = find_tasks(context, context.selection(), worst);

  TaskInfos infos(context);
  const auto ended = std::make_shared<Ended>();
  std::vector<v1::TaskRef> refs;
  std::vector<std::size_t> index_of;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    if (has_ended(tasks[i])) {
      ended->which.push_back(i);
      continue;
    }
    v1::TaskRef ref;
    ref.set_number(tasks[i].number());
    refs.push_back(std::move(ref));
    index_of.push_back(i);
  }
  const Interrupts interrupts([ended](int signal, int count) {
    if (count > 1) std::_Exit(128 + signal);
    const std::lock_guard lock(ended->mutex);
    ended->signal = signal;
    ended->changed.notify_one();
  });
  std::vector<Control::Attached> attached;
  if (!refs.empty()) attached = expect(context.daemon.control().attach(refs, 30s));
  for (std::size_t i = 0; i < attached.size(); ++i) {
    attached[i].future.add_done_callback([ended, which = index_of[i]](Future<std::string>&) {
      const std::lock_guard lock(ended->mutex);
      ended->which.push_back(which);
      ended->changed.notify_one();
    });
  }

  for (std::size_t left = tasks.size(); left > 0; --left) {
    std::unique_lock lock(ended->mutex);
    const auto word = [&] { return !ended->which.empty() || ended->signal != 0; };
    if (!deadline) {
      ended->changed.wait(lock, word);
    } else if (!ended->changed.wait_until(lock, *deadline, word)) {
      context.out.note(std::to_string(left) + " of " + counted_tasks(tasks.size()) +
                       (left == 1 ? " has not ended yet" : " have not ended yet"));
      return static_cast<int>(Exit::waited_too_long);
    }
    if (ended->which.empty()) return 128 + ended->signal;
    v1::TaskRecord& task = tasks[ended->which.front()];
    ended->which.pop_front();
    lock.unlock();
    schema::Json result;
    if (!has_ended(task)) {
      for (std::size_t i = 0; i < attached.size(); ++i) {
        if (attached[i].number != task.number()) continue;
        const Outcome outcome = outcome_of(attached[i].future);
        if (auto fresh = context.daemon.record(task.number())) task = std::move(*fresh);
        task.set_state(outcome.state);  // it may have been forgotten as soon as it ended
        outcome.put_error(task);
        if (context.out.json()) result = outcome.result(infos.of(task.type()));
      }
    }
    print(context, task, std::move(result));
    worst = worse(worst, exit_of(task));
    if (any || context.out.closed()) break;
  }
  return static_cast<int>(worst);
}

}  // namespace futured::cli
