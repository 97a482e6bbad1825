#include "client/cli/map_run.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "client/cli/interrupts.hpp"
#include "client/cli/terminal.hpp"

namespace futured::cli {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kHeldBytes = 256U << 20;
constexpr std::size_t kFlushBytes = 64U << 10;
constexpr int kSubmitsInARow = 256;  ///< before completions are looked at again
constexpr auto kPatience = 100ms;    ///< for room in the daemon, before other things are looked at again
constexpr int kAskWhy = 10;          ///< refusals in a row
constexpr auto kTick = 100ms;
constexpr auto kBriefly = 3s;  ///< running tasks may end by themselves after an interrupt
constexpr auto kGrace = 2s;    ///< then they are told to stop

std::uint64_t size_of_stdin() {
  struct stat status {};
  if (::fstat(STDIN_FILENO, &status) != 0 || !S_ISREG(status.st_mode)) return 0;
  const off_t at = ::lseek(STDIN_FILENO, 0, SEEK_CUR);
  return static_cast<std::uint64_t>(std::max<off_t>(0, status.st_size - std::max<off_t>(0, at)));
}

}  // namespace

MapRun::MapRun(Context& context, const TaskInfo& info, const Input& input, MapSettings settings)
    : context_(context),
      info_(info),
      input_(input),
      settings_(std::move(settings)),
      progress_(Clock::now()),
      next_tick_(Clock::now() + kTick),
      file_bytes_(size_of_stdin()),
      typed_(is_terminal(STDIN_FILENO)) {
  if (!settings_.fails_when_full) settings_.options.on_full(OnFull::block, kPatience);
}

bool MapRun::may_submit() const {
  return !stopping_ && !gave_up_ && in_flight_ < settings_.in_flight && items_.size() < settings_.window &&
         (held_bytes_ < kHeldBytes || items_.empty());
}

int MapRun::run() {
  const auto word = word_;
  const auto tell_lines = [word] {
    const std::lock_guard lock(word->mutex);
    word->lines = true;
    word->changed.notify_one();
  };
  const Interrupts interrupts([word](int signal, int count) {
    if (count > 1) std::_Exit(128 + signal);
    const std::lock_guard lock(word->mutex);
    word->signal = signal;
    word->changed.notify_one();
  });
  LineReader::Options lines;
  lines.end = settings_.line_end;
  reader_ = std::make_unique<LineReader>(lines, tell_lines);

  while (true) {
    std::vector<std::uint64_t> done;
    {
      const std::lock_guard lock(word_->mutex);
      done.swap(word_->done);
      word_->lines = false;
      signal_ = word_->signal;
    }
    take_done(std::move(done));
    if (signal_ != 0 && !leave_at_) {
      leave_at_ = Clock::now() + kBriefly;
      if (settings_.goes_on) break;
      stop();
    }
    submit_some();
    flush();
    if (context_.out.closed()) {
      if (!settings_.goes_on) stop();
      break;
    }
    const bool no_more = stopping_ || gave_up_ || (reader_->ended() && !held_);
    if (no_more && items_.empty()) break;
    const auto now = Clock::now();
    if (leave_at_ && now >= *leave_at_) {
      if (running_cancelled_) break;
      cancel_running();
      leave_at_ = Clock::now() + kGrace + 1s;
    }
    tick(now);
    wait_for_word(leave_at_ ? std::min(next_tick_, *leave_at_) : next_tick_);
  }
  return end();
}

/// Until something has changed, or the time has come.
void MapRun::wait_for_word(Progress::Time until) {
  std::unique_lock lock(word_->mutex);
  const bool can_submit = may_submit();
  if (can_submit && (held_ || (reader_->ready() && !reader_->ended()))) return;
  word_->changed.wait_until(
      lock, until, [&] { return !word_->done.empty() || word_->lines || (word_->signal != 0 && signal_ == 0); });
}

void MapRun::submit_some() {
  for (int i = 0; i < kSubmitsInARow && may_submit(); ++i) {
    std::optional<std::string> line;
    if (held_) {
      line.swap(held_);
    } else {
      line = reader_->next();
    }
    if (!line || !submit_line(std::move(*line))) return;
  }
}

/// False: there was no room; the line is held.
bool MapRun::submit_line(std::string line) {
  Item item;
  auto bytes = input_.bytes(line);
  if (!bytes) {
    item.refused.emplace();
    item.refused->state = v1::STATE_FAILED;
    item.refused->error.set_kind(v1::ERROR_KIND_REJECTED);
    item.refused->error.set_message(bytes.status().message());
    item.refused->error.set_permanent(true);
    item.done = true;
  } else {
    item.input_bytes = bytes->size();
    try {
      item.future = context_.daemon.executor().submit(info_.name, std::move(*bytes), settings_.options);
      refusals_ = 0;
      full_since_.reset();
    } catch (const QueueFull&) {
      held_ = std::move(line);
      const auto now = Clock::now();
      if (!full_since_) full_since_ = now;
      gave_up_ = settings_.fails_when_full || (settings_.patience && now - *full_since_ >= *settings_.patience);
      if (gave_up_) return false;
      if (++refusals_ % kAskWhy == 0) context_.daemon.refuse_if_draining();
      return false;
    }
  }
  const std::uint64_t index = next_index_++;
  held_bytes_ += item.input_bytes;
  const bool refused = item.done;
  const Future<std::string> future = item.future;
  items_.emplace(index, std::move(item));
  if (refused) {
    take_done({index});
    return true;
  }
  ++in_flight_;
  future.add_done_callback([word = word_, index](Future<std::string>&) {
    const std::lock_guard lock(word->mutex);
    word->done.push_back(index);
    if (word->done.size() == 1) word->changed.notify_one();
  });
  return true;
}

void MapRun::take_done(const std::vector<std::uint64_t>& done) {
  for (const std::uint64_t index : done) {
    Item& item = items_.at(index);
    item.done = true;
    if (item.future.valid()) --in_flight_;
    if (!settings_.ordered) {
      emit(index, item);
      items_.erase(index);
    } else if (item.future.valid() && !item.future.cancelled()) {
      const Outcome outcome = outcome_of(item.future);
      held_bytes_ += outcome.bytes().size() - item.input_bytes;
      item.input_bytes = outcome.bytes().size();
    }
  }
  if (settings_.ordered) emit_in_order();
}

void MapRun::emit_in_order() {
  for (auto next = items_.find(next_printed_); next != items_.end() && next->second.done;
       next = items_.find(++next_printed_)) {
    emit(next->first, next->second);
    items_.erase(next);
  }
}

void MapRun::emit(std::uint64_t index, Item& item) {
  held_bytes_ -= item.input_bytes;
  const Outcome outcome = item.refused ? *item.refused : outcome_of(item.future);
  const bool cancelled = outcome.state == v1::STATE_CANCELLED || outcome.state == v1::STATE_EXPIRED;
  ++progress_.done;
  if (cancelled) ++progress_.cancelled;
  if (outcome.state == v1::STATE_FAILED) ++progress_.failed;
  if (!(cancelled && stopping_)) {  // what was given up with the rest is only counted
    TaskNumber number = 0;
    if (item.future.valid()) {
      if (const auto known = context_.daemon.control().number(item.future, 0s)) number = *known;
    }
    settings_.print(index, number, outcome, text_);
    if (text_.size() >= kFlushBytes) flush();
  }
  if (settings_.max_fails > 0 && progress_.failed >= settings_.max_fails && !stopping_) {
    stop();
    context_.out.note(counted_tasks(progress_.failed) + (progress_.failed == 1 ? " has" : " have") +
                      " failed: what has not started is cancelled");
  }
}

void MapRun::flush() {
  if (!text_.empty()) context_.out.write(text_);
  text_.clear();
}

/// No more submits, and what has not started is cancelled.
void MapRun::stop() {
  if (std::exchange(stopping_, true)) return;
  held_.reset();
  context_.daemon.executor().shutdown(false, true);
}

void MapRun::cancel_running() {
  running_cancelled_ = true;
  std::vector<Future<std::string>> running;
  for (const auto& [index, item] : items_) {
    if (!item.done) running.push_back(item.future);
  }
  Control::CancelOptions how;
  how.grace = kGrace;
  how.why = "interrupted";
  const auto verdicts = context_.daemon.control().cancel(running, 1s, how);
  if (!verdicts) context_.out.note(verdicts.status().message());
}

void MapRun::tick(Progress::Time now) {
  if (now < next_tick_) return;
  next_tick_ = now + kTick;
  // Where lines are typed it would be written among them.
  if (context_.out.quiet() || !context_.out.err_is_terminal() || typed_) return;
  progress_.running = in_flight_;
  progress_.total = reader_->total();
  progress_.total_is_guess = false;
  if (!progress_.total && file_bytes_ > 0 && reader_->bytes_read() > 0) {
    progress_.total =
        static_cast<std::uint64_t>(static_cast<double>(reader_->lines_read()) * static_cast<double>(file_bytes_) /
                                   static_cast<double>(reader_->bytes_read()));
    progress_.total_is_guess = true;
  }
  context_.out.progress(progress_.line(now, 200));
}

int MapRun::end() {
  flush();
  context_.out.progress({});
  if (context_.out.closed()) context_.out.leave_closed();
  context_.out.note(progress_.summary(Clock::now()));
  if (signal_ != 0) {
    if (in_flight_ > 0) {
      const bool one = in_flight_ == 1;
      context_.out.note(counted_tasks(in_flight_) + (settings_.goes_on
                                                         ? (one ? " goes on" : " go on")
                                                         : (one ? " was left to end" : " were left to end")));
    }
    return 128 + signal_;
  }
  if (const std::string problem = reader_->problem(); !problem.empty()) {
    throw Failure(reader_->too_long() ? Exit::input_refused : Exit::io, problem);
  }
  if (gave_up_) {
    throw Failure(Exit::refused_now, "the daemon is full: line " + std::to_string(next_index_ + 1) +
                                         " and those after it were not submitted; try again when tasks have ended");
  }
  if (progress_.failed > 0) return static_cast<int>(Exit::task_failed);
  return static_cast<int>(progress_.cancelled > 0 ? Exit::cancelled : Exit::done);
}

}  // namespace futured::cli
