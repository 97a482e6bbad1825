#include "client/cli/outcome.hpp"

#include <algorithm>
#include <cstdlib>

#include "client/cli/interrupts.hpp"
#include "client/cli/records.hpp"
#include "client/cli/terminal.hpp"

namespace futured::cli {

using namespace std::chrono_literals;
using schema::Json;

namespace {

constexpr auto kGrace = 5s;       ///< between TERM and KILL of what runs
constexpr auto kAfterGrace = 3s;  ///< for the outcome to arrive

}  // namespace

Json Outcome::result(const TaskInfo& info) const {
  if (state == v1::STATE_SUCCEEDED) return info.show(bytes());
  return reply.empty() ? Json() : info.show(reply);
}

void Outcome::put_error(v1::TaskRecord& record) const {
  const bool why = state == v1::STATE_FAILED || error.kind() != v1::ERROR_KIND_NONE;
  if (why) {
    *record.mutable_error() = error;
  } else {
    record.clear_error();
  }
}

Outcome outcome_of(const Future<std::string>& future) {
  Outcome out;
  out.future = future;
  try {
    [[maybe_unused]] const auto bytes = future.bytes();
    out.state = v1::STATE_SUCCEEDED;
  } catch (const TaskError& e) {
    out.state = v1::STATE_FAILED;
    out.error.set_kind(static_cast<v1::ErrorKind>(e.kind));
    out.error.set_message(e.what());
    out.error.set_status(e.status);
    out.error.set_signal(e.signal);
    out.error.set_permanent(e.permanent);
    out.attempts = e.attempts;
    out.reply = e.reply();
  } catch (const ExpiredError& e) {
    out.state = v1::STATE_EXPIRED;
    out.error.set_message(e.what());
  } catch (const CancelledError& e) {
    out.state = v1::STATE_CANCELLED;
    out.error.set_kind(static_cast<v1::ErrorKind>(e.kind));
    out.error.set_message(e.what());
  }
  return out;
}

namespace {
Exit exit_of(v1::State state, const v1::Error& error, std::uint32_t attempts) {
  switch (state) {
    case v1::STATE_SUCCEEDED:
      return Exit::done;
    case v1::STATE_CANCELLED:
    case v1::STATE_EXPIRED:
      return Exit::cancelled;
    default:
      break;
  }
  if (error.kind() == v1::ERROR_KIND_REJECTED && !error.permanent()) return Exit::refused_now;
  const bool refused =
      error.kind() == v1::ERROR_KIND_REJECTED || (error.kind() == v1::ERROR_KIND_TOO_LARGE && attempts == 0);
  return refused ? Exit::input_refused : Exit::task_failed;
}
}  // namespace

Exit exit_of(const Outcome& outcome) { return exit_of(outcome.state, outcome.error, outcome.attempts); }
Exit exit_of(const v1::TaskRecord& task) { return exit_of(task.state(), task.error(), task.attempt_count()); }

void Waiting::finished() {
  const std::lock_guard lock(mutex_);
  done_ = true;
  changed_.notify_all();
}

void Waiting::interrupted(int signal) {
  const std::lock_guard lock(mutex_);
  if (signal_ == 0) signal_ = signal;
  changed_.notify_all();
}

int await(Context& context, const Future<std::string>& future, bool goes_on, const std::shared_ptr<Waiting>& waiting) {
  future.add_done_callback([waiting](Future<std::string>&) { waiting->finished(); });
  const Interrupts interrupts([waiting](int signal, int count) {
    if (count > 1) std::_Exit(128 + signal);
    waiting->interrupted(signal);
  });
  std::unique_lock lock(waiting->mutex_);
  waiting->changed_.wait(lock, [&] { return waiting->done_ || waiting->signal_ != 0; });
  const int signal = waiting->signal_;
  if (waiting->done_) return 0;
  if (goes_on) return signal;
  lock.unlock();
  Control::CancelOptions how;
  how.grace = kGrace;
  how.why = "interrupted";
  const auto verdicts = context.daemon.control().cancel({future}, kGrace, how);
  lock.lock();
  if (verdicts.ok()) waiting->changed_.wait_for(lock, kGrace + kAfterGrace, [&] { return waiting->done_; });
  return signal;
}

void print_result(Context& context, const TaskInfo& info, std::string_view bytes, std::string_view field) {
  Output& out = context.out;
  const bool message = info.schema != nullptr && !info.reply_type.empty();
  std::string chosen;
  if (!field.empty()) {
    if (!message) throw Failure(Exit::usage, "task '" + info.name + "' has plain bytes as its result, without fields");
    Json value = expect(info.schema->decode(info.reply_type, bytes), Exit::internal);
    for (std::string_view rest = field; !rest.empty();) {
      const auto dot = std::min(rest.find('.'), rest.size());
      const Json* inner = value.find(rest.substr(0, dot));
      if (inner == nullptr) {
        std::string names;
        if (const auto* members = value.members()) {
          for (const auto& [name, member] : *members) names += (names.empty() ? "" : ", ") + name;
        }
        throw Failure(Exit::usage, "the result has no field '" + std::string(field) +
                                       "'; it has: " + (names.empty() ? "none" : names));
      }
      Json next = *inner;
      value = std::move(next);
      rest.remove_prefix(std::min(dot + 1, rest.size()));
    }
    auto raw = schema::bytes_of_json(value);
    chosen = raw ? std::move(*raw) : value.dump();
    bytes = chosen;
  } else if (message) {
    out.print(expect(info.schema->decode(info.reply_type, bytes), Exit::internal));
    return;
  }
  if (out.out_is_terminal()) {
    const bool text = schema::is_utf8(bytes) && bytes.find('\0') == std::string_view::npos;
    if (!text) {
      throw Failure(Exit::usage, "the result has " + std::to_string(bytes.size()) +
                                     " bytes that are not text: send them to a file with > FILE, or use -j");
    }
    out.write(bytes.empty() || bytes.ends_with('\n') ? std::string(bytes) : std::string(bytes) + "\n");
    return;
  }
  out.write(bytes);
}

void print_output(Context& context, const TaskInfo& info, const Outcome& outcome, std::string_view field) {
  if (outcome.state == v1::STATE_SUCCEEDED) return print_result(context, info, outcome.bytes(), field);
  if (outcome.reply.empty() || !field.empty()) return;
  try {
    print_result(context, info, outcome.reply);
  } catch (const Failure& e) {  // how the task ended is what matters
    context.out.warn(e.what());
  }
}

Json whole_record(Context& context, const TaskInfo& info, TaskNumber number, const Outcome& outcome) {
  auto record = context.daemon.record(number);
  if (!record) {
    record.emplace();
    record->set_number(number);
    record->set_type(info.name);
    record->set_attempt_count(outcome.attempts);
  }
  if (record->state() != outcome.state) {
    record->set_state(outcome.state);
    outcome.put_error(*record);
  }
  return json_of(*record, outcome.result(info));
}

void report(Context& context, TaskNumber number, const std::string& task, const Outcome& outcome) {
  if (outcome.state == v1::STATE_SUCCEEDED) return;
  std::string text = "fut: task " + (number == 0 ? "" : std::to_string(number) + " ") + "(" + task + ") ";
  if (outcome.state == v1::STATE_FAILED) {
    text += context.out.paint_error(Colour::red, "failed") + ": " + sentence(outcome.error);
    if (outcome.attempts > 1) text += " (after " + std::to_string(outcome.attempts) + " attempts)";
  } else {
    text += context.out.paint_error(Colour::yellow, state_word(outcome.state));
    if (outcome.error.kind() != v1::ERROR_KIND_NONE) text += ": " + sentence(outcome.error);
  }
  context.out.error_bytes(text + "\n");
}

}  // namespace futured::cli
