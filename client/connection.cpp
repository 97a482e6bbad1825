#include "client/connection.hpp"

#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "client/kick_fds.hpp"
#include "futured/errors.hpp"

namespace futured::detail {

namespace {

std::string random_bytes(std::size_t n) {
  std::string out(n, '\0');
  std::size_t have = 0;
  while (have < n) {
    const ssize_t got = getrandom(out.data() + have, n - have, 0);
    if (got > 0) have += static_cast<std::size_t>(got);
  }
  return out;
}

std::uint64_t random_seed() {
  const std::string raw = random_bytes(sizeof(std::uint64_t));
  std::uint64_t seed = 0;
  std::memcpy(&seed, raw.data(), sizeof seed);
  return seed;
}

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "";
}

}  // namespace

StreamId fresh_stream() {
  StreamId id;
  const auto tenths = std::chrono::duration_cast<std::chrono::duration<std::uint64_t, std::deci>>(
                          std::chrono::system_clock::now().time_since_epoch())
                          .count();
  for (std::size_t i = 0; i < 5; ++i) id.bytes[i] = static_cast<std::uint8_t>(tenths >> (8 * (4 - i)));
  const std::string raw = random_bytes(6);
  std::memcpy(id.bytes.data() + 5, raw.data(), raw.size());
  return id;
}

Connection::Connection(Options options, Factory factory)
    : options_([&options] {
        options.session.seed = random_seed();
        return std::move(options);
      }()),
      factory_(std::move(factory)),
      self_{options_.software, host_name(), random_bytes(16), static_cast<std::uint32_t>(getpid())},
      forks_(fork_generation()),
      wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      drive_fd_(KickFds::take()),
      session_(fresh_stream(), options_.session, now_ns()) {}

Connection::~Connection() {
  if (forked()) {
    // The sockets and threads are the parent's.
    (void)link_.release();
    if (io_thread_.joinable()) io_thread_.detach();
    return;
  }
  if (wake_fd_ >= 0) ::close(wake_fd_);
  KickFds::give_back(drive_fd_);
}

Result<std::shared_ptr<Connection>> Connection::open(Options options, Factory factory) {
  const Deadline deadline = deadline_after(options.connect_timeout);
  auto c = std::make_shared<Connection>(std::move(options), std::move(factory));
  if (c->wake_fd_ < 0 || c->drive_fd_ < 0)
    return Status(Code::internal, "cannot make an eventfd: too many open files?");
  c->io_thread_ = std::thread([raw = c.get()] { raw->run_io(); });
  Status failed;
  {
    Lock lock(c->state_);
    const bool answered = c->wait_event(lock, deadline, [&c] {
      return c->welcomed_ || c->session_.phase() == client::Session::Phase::ended ||
             (c->options_.one_try && !c->first_failure_.ok());
    });
    if (c->session_.phase() == client::Session::Phase::ended) {
      failed = c->session_.end_reason();
    } else if (c->welcomed_) {
      failed = {};
    } else if (!c->refusal_.ok()) {
      failed = c->refusal_;
    } else if (answered) {
      failed = c->first_failure_;
    } else {
      failed = {Code::unavailable, "no answer from " + c->endpoint() + " in time: is that a futured daemon?"};
    }
  }
  if (failed.ok()) return c;
  c->close(std::chrono::nanoseconds::zero());
  return failed;
}

// ---- waiting for rare events

Status Connection::no_answer() const {
  if (closed_) return {Code::unavailable, "the executor is closed"};
  if (session_.phase() == client::Session::Phase::ended) return session_.end_reason();
  return {Code::unavailable, "the daemon did not answer in time"};
}

void Connection::event() {
  if (event_waiters_ > 0) event_cv_.notify_all();
}

void Connection::check_usable() const {
  if (forked()) {
    throw BrokenExecutor("this executor was made before fork(); connect again in this process");
  }
}

void Connection::check_open() const {
  if (session_.phase() == client::Session::Phase::ended) {
    throw BrokenExecutor("the executor on " + endpoint() + " is broken: " + session_.end_reason().message());
  }
  if (shut_) throw ShutdownError("cannot submit after shutdown()");
}

// ---- submitting

const client::SpecRef& Connection::intern(std::string_view task, const TaskOptions& options) {
  const auto& data = options.data();
  const auto same = [&](const Interned& i) {
    if (i.task != task) return false;
    if (i.data == data) return true;
    static const SpecData defaults;
    return (i.data ? i.data->spec : defaults) == (data ? data->spec : defaults);
  };
  if (!interned_.empty() && same(interned_[intern_last_])) return interned_[intern_last_].spec;
  for (std::size_t i = 0; i < interned_.size(); ++i) {
    if (same(interned_[i])) {
      intern_last_ = i;
      return interned_[i].spec;
    }
  }
  constexpr std::size_t kKept = 8;
  static const SpecData defaults;
  auto spec = client::make_spec(task, data ? data->spec : defaults);
  const std::size_t bytes = spec->ByteSizeLong();
  Interned fresh{std::string(task), data, client::SpecRef(std::move(spec), bytes)};
  if (interned_.size() < kKept) {
    intern_last_ = interned_.size();
    interned_.push_back(std::move(fresh));
  } else {
    intern_last_ = intern_next_;
    interned_[intern_next_] = std::move(fresh);
    intern_next_ = (intern_next_ + 1) % kKept;
  }
  return interned_[intern_last_].spec;
}

void Connection::wait_for_room(Lock& lock, std::size_t size, const TaskData* data) {
  if (session_.has_room(size)) return;
  using Phase = client::Session::Phase;
  const bool fails = data != nullptr && data->on_full == OnFull::fail;
  const bool patient = data == nullptr || fails || data->full_timeout_ns < 0;
  const Deadline deadline = patient ? Deadline::max() : deadline_after(std::chrono::nanoseconds(data->full_timeout_ns));
  // A window that is used up is not a daemon that is full: the answer to what was sent tells which.
  wait_event(lock, deadline, [&] {
    return shut_ || session_.phase() == Phase::ended || session_.has_room(size) || (fails && session_.stays_full());
  });
  check_open();
  if (session_.has_room(size)) return;
  if (session_.phase() != Phase::up) {
    throw QueueFull("no connection to the daemon at " + endpoint() +
                    " now, and as many tasks wait for it as may: try again later");
  }
  throw QueueFull("the daemon at " + endpoint() + " is full, it takes no more tasks" +
                  (fails ? " now" : ", and none ended within the given time") + ": try again when some have ended");
}

CellRef Connection::add_task(const client::SpecRef& spec, Input& input, Slice& large, const TaskOptions& options) {
  const TaskData* const data = options.data().get();
  const bool detached = data != nullptr && data->spec.detached;
  const Seq seq = large.empty() ? session_.submit(spec, input.view(), !detached)
                                : session_.submit(spec, std::move(large), !detached);
  Cell* const cell = slab_.add(seq, 2, shared_from_this(), session_.stream());
  if (data != nullptr) {
    if (data->output || data->progress) sinks_.emplace(seq, Sinks{data->output, data->progress});
    if (detached) detached_.push_back(seq);
  }
  return CellRef(cell);
}

namespace {
// With the largest spec and the small inputs of a batch a message stays below wire::kFrameLimit.
constexpr std::size_t kSpecLimit = 32 << 20;

CellRef too_large(const char* what, std::size_t size, std::uint64_t limit) {
  TaskError::Details d;
  d.kind = ErrorKind::too_large;
  d.permanent = true;
  d.message =
      std::string(what) + " of " + std::to_string(size) + " bytes; the daemon's limit is " + std::to_string(limit);
  CellRef cell = make_local_cell(local_home());
  WakeList none;
  cell.get()->fail(std::make_exception_ptr(RejectedError(std::move(d))), none);
  return cell;
}

/// Large inputs become counted bytes before any lock is taken.
Slice large_of(Input& input) {
  if (input.view().size() < wire::kFramedFrom) return {};
  return Slice::of(input.take());
}

void check_valid(const Input& input) {
  if (!input.valid()) throw std::invalid_argument("submit: the message cannot be serialized");
}
}  // namespace

CellRef Connection::submit(std::string_view task, Input input, const TaskOptions& options) {
  check_usable();
  check_valid(input);
  Slice large = large_of(input);
  const std::size_t size = large.empty() ? input.view().size() : large.size();
  CellRef cell;
  bool due = false;
  {
    Lock lock(state_);
    check_open();
    if (size > payload_limit_) return too_large("input", size, payload_limit_);
    const client::SpecRef spec = intern(task, options);
    if (spec.bytes() > kSpecLimit) return too_large("options", spec.bytes(), kSpecLimit);
    wait_for_room(lock, size, options.data().get());
    cell = add_task(spec, input, large, options);
    due = session_.submit_due();
  }
  if (due) pump();
  return cell;
}

void Connection::submit_many(std::string_view task, std::vector<Input> inputs, const TaskOptions& options,
                             std::vector<CellRef>& out) {
  check_usable();
  for (const Input& i : inputs) check_valid(i);
  out.reserve(out.size() + inputs.size());
  constexpr std::size_t kPortion = 256;  // a batch; others get the mutex in between
  for (std::size_t begin = 0; begin < inputs.size(); begin += kPortion) {
    const std::size_t end = std::min(inputs.size(), begin + kPortion);
    bool due = false;
    {
      Lock lock(state_);
      // A copy: while this waits for room others may take its place among the interned ones.
      const client::SpecRef spec = intern(task, options);
      for (std::size_t i = begin; i < end; ++i) {
        check_open();
        Slice large = large_of(inputs[i]);
        const std::size_t size = large.empty() ? inputs[i].view().size() : large.size();
        if (size > payload_limit_) {
          out.push_back(too_large("input", size, payload_limit_));
          continue;
        }
        if (spec.bytes() > kSpecLimit) {
          out.push_back(too_large("options", spec.bytes(), kSpecLimit));
          continue;
        }
        if (!session_.has_room(size)) {
          lock.unlock();
          pump();  // what was added has to leave before room can come
          lock.lock();
          try {
            wait_for_room(lock, size, options.data().get());
          } catch (const QueueFull& e) {
            throw QueueFull(e.what(), i);
          }
        }
        out.push_back(add_task(spec, inputs[i], large, options));
      }
      due = session_.submit_due();
    }
    if (due) pump();
  }
}

// ---- attaching

std::vector<AttachedCell*> Connection::start_attach(std::vector<client::order::AttachItem> tasks,
                                                    std::vector<OutputCallback> outputs,
                                                    std::shared_ptr<AttachWait> wait) {
  client::order::Attach attach;
  attach.tasks = std::move(tasks);
  attach.live_output = std::any_of(outputs.begin(), outputs.end(), [](const auto& o) { return bool(o); });
  attach = session_.attach(std::move(attach));
  std::vector<AttachedCell*> cells;
  for (std::size_t i = 0; i < attach.tasks.size(); ++i) {
    auto* cell = new AttachedCell(shared_from_this(), 2);
    cell->task = attach.first_handle + i;
    cell->number = attach.tasks[i].number;
    if (!attach.tasks[i].id.empty()) cell->known_id = client::read_id(attach.tasks[i].id);
    attached_.emplace(cell->task, cell);
    if (i < outputs.size() && outputs[i]) sinks_.emplace(cell->task, Sinks{std::move(outputs[i]), nullptr});
    cells.push_back(cell);
  }
  wait->cells = cells;
  wait->first = attach.first_handle;
  attaches_.emplace(attach.request, std::move(wait));
  return cells;
}

CellRef Connection::attach(const TaskId& id, TaskNumber number, OutputCallback output) {
  check_usable();
  CellRef cell;
  {
    const Lock lock(state_);
    check_open();
    if (number == 0 && id.stream == session_.stream() && session_.awaits(id.seq)) {
      if (Cell* own = slab_.find(id.seq); own != nullptr && !output) {
        own->ref();
        return CellRef(own);
      }
    }
    std::vector<OutputCallback> outputs;
    outputs.push_back(std::move(output));
    const auto cells = start_attach({{number, number != 0 ? std::string() : client::raw_id(id)}}, std::move(outputs),
                                    std::make_shared<AttachWait>());
    cell = CellRef(&cells.front()->cell);
  }
  pump();
  return cell;
}

// ---- cancelling

std::shared_ptr<Connection::CancelWait> Connection::start_cancel(client::order::Cancel cancel) {
  auto wait = std::make_shared<CancelWait>();
  wait->handles = cancel.handles;
  cancels_.emplace(session_.cancel(std::move(cancel)), wait);
  return wait;
}

bool Connection::cancel(Cell& cell, Handle handle, std::optional<std::chrono::nanoseconds> grace) {
  check_usable();
  std::shared_ptr<CancelWait> wait;
  {
    const Lock lock(state_);
    if (over() || !session_.awaits(handle)) return false;
    client::order::Cancel c;
    c.handles = {handle};
    c.running_too = grace.has_value();
    if (grace) c.grace_ns = grace->count();
    wait = start_cancel(std::move(c));
  }
  pump();
  Lock lock(state_);
  // The outcome may overtake the answer.
  wait_answer(lock, Deadline::max(), [&] { return wait->answered || cell.state() >= CellState::cancelled; });
  // A verdict of CANCELLED shows in the cell, unless its outcome was here first: then that stands.
  return wait->answered && grace && wait->verdicts.front() == v1::Cancelled::REQUESTED;
}

void Connection::cancel_quietly(std::vector<Handle> handles) {
  if (forked()) return;
  {
    const Lock lock(state_);
    std::erase_if(handles, [this](Handle h) { return !session_.awaits(h); });
    if (over() || handles.empty()) return;
    client::order::Cancel c;
    c.handles = std::move(handles);
    start_cancel(std::move(c));
  }
  pump();
}

// ---- the end

void Connection::shutdown(bool wait, bool cancel_futures) {
  check_usable();
  std::vector<Handle> handles;
  {
    const Lock lock(state_);
    shut_ = true;
    event();
    if (cancel_futures) {
      session_.unresolved().for_each_below(kMaxSeq, [&handles](Seq seq) { handles.push_back(seq); });
    }
  }
  if (cancel_futures && !handles.empty()) {
    const auto answered = cancel_many(std::move(handles), false, 0, "shutdown of the executor",
                                      wait ? Deadline::max() : deadline_after(std::chrono::nanoseconds(0)));
    (void)answered;  // without `wait` the answers come when they come
  }
  if (!wait) return;
  Lock lock(state_);
  // When the session has ended the I/O thread resolves all of them.
  wait_event(lock, Deadline::max(),
             [this] { return closed_ || (session_.awaited() == 0 && detached_.empty() && resolving_ == 0); });
}

void Connection::close(std::chrono::nanoseconds flush) {
  if (forked()) return;
  {
    Lock lock(state_);
    if (closed_) return;
    shut_ = true;
    event();
    wait_event(lock, deadline_after(flush),
               [this] { return session_.unaccepted() == 0 || session_.phase() == client::Session::Phase::ended; });
    stop_ = true;
  }
  wake_io();
  if (io_thread_.joinable()) io_thread_.join();
  fail_pending(std::make_exception_ptr(
      BrokenExecutor("the executor was closed before this future was done; Executor::future(id) asks for it again")));
  callbacks_.finish(std::chrono::seconds(1));
}

void Connection::fail_pending(const std::exception_ptr& error) {
  std::vector<Cell*> cells;
  {
    const Lock lock(state_);
    closed_ = true;
    collect_ended(cells);
    slab_.close();
    for (auto& [id, wait] : replies_) {
      wait->answered = true;
      wait->status = {Code::unavailable, "the executor was closed"};
    }
    event();
  }
  resolve_all(cells, error);
}

}  // namespace futured::detail
