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

template <class Predicate>
bool Connection::wait_event(Lock& lock, Deadline deadline, Predicate done) {
  ++event_waiters_;
  bool met = true;
  while (!done()) {
    about_to_wait();
    if (deadline == Deadline::max()) {
      event_cv_.wait(lock);
    } else if (event_cv_.wait_until(lock, deadline) == std::cv_status::timeout) {
      met = done();
      break;
    }
  }
  --event_waiters_;
  return met;
}

template <class Predicate>
bool Connection::wait_answer(Lock& lock, Deadline deadline, Predicate answered) {
  wait_event(lock, deadline, [&] { return answered() || over(); });
  return answered();
}

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
  Interned fresh{std::string(task), data, client::make_spec(task, data ? data->spec : defaults)};
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
  if (data != nullptr && data->on_full == OnFull::fail) {
    throw QueueFull("the daemon takes no more tasks of this client now; try again later");
  }
  const Deadline deadline = data == nullptr || data->full_timeout_ns < 0
                                ? Deadline::max()
                                : deadline_after(std::chrono::nanoseconds(data->full_timeout_ns));
  const bool room = wait_event(lock, deadline, [&] {
    return shut_ || session_.phase() == client::Session::Phase::ended || session_.has_room(size);
  });
  check_open();
  if (!room) throw QueueFull("the daemon took no more tasks of this client for the given time");
}

CellRef Connection::add_task(std::string_view task, Input& input, Slice& large, const TaskOptions& options) {
  const TaskData* const data = options.data().get();
  const bool detached = data != nullptr && data->spec.detached;
  const client::SpecRef& spec = intern(task, options);
  const Seq seq = large.empty() ? session_.submit(spec, input.view(), !detached)
                                : session_.submit(spec, std::move(large), !detached);
  Cell* const cell = slab_.add(seq, 2, shared_from_this(), session_.stream());
  if (data != nullptr) {
    if (data->output) outputs_.emplace(seq, data->output);
    if (detached) detached_.push_back(seq);
  }
  return CellRef(cell);
}

namespace {
CellRef too_large(std::size_t size, std::uint64_t limit) {
  TaskError::Details d;
  d.kind = ErrorKind::too_large;
  d.permanent = true;
  d.message = "input of " + std::to_string(size) + " bytes; the daemon's limit is " + std::to_string(limit);
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
    if (size > payload_limit_) return too_large(size, payload_limit_);
    wait_for_room(lock, size, options.data().get());
    cell = add_task(task, input, large, options);
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
      for (std::size_t i = begin; i < end; ++i) {
        check_open();
        Slice large = large_of(inputs[i]);
        const std::size_t size = large.empty() ? inputs[i].view().size() : large.size();
        if (size > payload_limit_) {
          out.push_back(too_large(size, payload_limit_));
          continue;
        }
        if (!session_.has_room(size)) {
          lock.unlock();
          pump();  // what was added has to leave before room can come
          lock.lock();
          wait_for_room(lock, size, options.data().get());
        }
        out.push_back(add_task(task, inputs[i], large, options));
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
    if (i < outputs.size() && outputs[i]) outputs_.emplace(cell->task, std::move(outputs[i]));
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

Result<std::vector<Connection::AttachResult>> Connection::attach_many(const std::vector<v1::TaskRef>& tasks,
                                                                      Deadline deadline, const AttachOutput& output) {
  if (forked()) return Status(Code::unavailable, "this executor was made before fork()");
  std::vector<client::order::AttachItem> items;
  std::vector<OutputCallback> outputs;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    items.push_back({tasks[i].number(), tasks[i].number() != 0 ? std::string() : tasks[i].id()});
    if (output) {
      outputs.push_back([output, i](int stream, std::string_view bytes) { output(i, stream, bytes); });
    }
  }
  std::vector<AttachResult> results;
  if (items.empty()) return results;
  if (items.size() > wire::kMaxBatchTasks) {
    return Status(Code::invalid, "attach: " + std::to_string(items.size()) + " tasks at once; at most " +
                                     std::to_string(wire::kMaxBatchTasks));
  }
  auto wait = std::make_shared<AttachWait>();
  {
    const Lock lock(state_);
    if (over()) return no_answer();
    for (AttachedCell* c : start_attach(std::move(items), std::move(outputs), wait)) {
      results.push_back({CellRef(&c->cell), {}});
    }
  }
  pump();
  Lock lock(state_);
  if (!wait_answer(lock, deadline, [&] { return wait->answered; })) return no_answer();
  for (std::size_t i = 0; i < results.size() && i < static_cast<std::size_t>(wait->answer.tasks_size()); ++i) {
    results[i].facts = wait->answer.tasks(static_cast<int>(i));
  }
  return results;
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

Result<std::vector<v1::Cancelled::Verdict>> Connection::cancel_many(std::vector<Handle> handles, bool running_too,
                                                                    std::int64_t grace_ns, const std::string& why,
                                                                    Deadline deadline) {
  if (forked()) return Status(Code::unavailable, "this executor was made before fork()");
  std::vector<std::shared_ptr<CancelWait>> waits;
  {
    const Lock lock(state_);
    if (over()) return no_answer();
    for (std::size_t begin = 0; begin < handles.size(); begin += wire::kMaxBatchTasks) {
      const std::size_t n = std::min(handles.size() - begin, wire::kMaxBatchTasks);
      client::order::Cancel c;
      const auto from = handles.begin() + static_cast<std::ptrdiff_t>(begin);
      c.handles.assign(from, from + static_cast<std::ptrdiff_t>(n));
      c.running_too = running_too;
      c.grace_ns = grace_ns;
      c.why = why;
      waits.push_back(start_cancel(std::move(c)));
    }
  }
  pump();
  std::vector<v1::Cancelled::Verdict> verdicts;
  Lock lock(state_);
  for (const auto& w : waits) {
    if (!wait_answer(lock, deadline, [&] { return w->answered; })) return no_answer();
    verdicts.insert(verdicts.end(), w->verdicts.begin(), w->verdicts.end());
  }
  return verdicts;
}

// ---- questions

Result<v1::Reply> Connection::request(v1::Request request, Deadline deadline) {
  if (forked()) return Status(Code::unavailable, "this executor was made before fork()");
  const auto wait = std::make_shared<ReplyWait>();
  std::uint64_t id = 0;
  {
    Lock lock(state_);
    if (!wait_answer(lock, deadline, [this] { return session_.phase() == client::Session::Phase::up; }) || closed_) {
      return over() ? no_answer() : Status(Code::unavailable, "no connection to " + endpoint());
    }
    id = next_extra_++;
    request.set_request(id);
    replies_.emplace(id, wait);
    extra_.push_back(wire::encode(v1::KIND_REQUEST, session_.generation(), request));
  }
  pump();
  Lock lock(state_);
  const bool answered = wait_answer(lock, deadline, [&] { return wait->answered; });
  replies_.erase(id);
  if (!answered) return no_answer();
  if (!wait->status.ok()) return wait->status;
  if (wait->reply.has_problem() && wait->reply.problem().code() != v1::CODE_OK) {
    return client::status_of(wait->reply.problem(), "the daemon could not do this");
  }
  return std::move(wait->reply);
}

Result<std::chrono::nanoseconds> Connection::ping(Deadline deadline) {
  if (forked()) return Status(Code::unavailable, "this executor was made before fork()");
  const auto wait = std::make_shared<ReplyWait>();
  const auto began = Clock::now();
  std::uint64_t id = 0;
  {
    const Lock lock(state_);
    if (closed_ || session_.phase() != client::Session::Phase::up) {
      return Status(Code::unavailable, "no connection to " + endpoint());
    }
    id = next_extra_++;
    replies_.emplace(id, wait);
    v1::Ping ping;
    ping.set_id(id);
    extra_.push_back(wire::encode(v1::KIND_PING, session_.generation(), ping));
  }
  pump();
  Lock lock(state_);
  const bool answered = wait_answer(lock, deadline, [&] { return wait->answered; });
  replies_.erase(id);
  if (!answered) return no_answer();
  if (!wait->status.ok()) return wait->status;
  return std::chrono::nanoseconds(Clock::now() - began);
}

Result<TaskNumber> Connection::number(const RemoteHome& home, const Cell& cell, Deadline deadline) {
  if (forked()) return Status(Code::unavailable, "this executor was made before fork()");
  Lock lock(state_);
  if (const auto* a = dynamic_cast<const AttachedCell*>(&home)) {
    wait_answer(lock, deadline, [&] { return a->number != 0 || cell.state() >= CellState::cancelled; });
    if (a->number == 0) return Status(Code::not_found, "the daemon does not know this task");
    return a->number;
  }
  const auto& chunk = static_cast<const Chunk&>(home);
  const Seq seq = chunk.seq_of(cell);
  if (!wait_answer(lock, deadline, [&] { return seq < session_.first_unaccepted(); })) {
    return over() ? no_answer() : Status(Code::unavailable, "the daemon has not accepted the task yet");
  }
  for (const Chunk::Extent& x : chunk.extents) {
    if (seq >= x.first && seq - x.first < x.count) return x.number + (seq - x.first);
  }
  return Status(Code::not_found, "the number of this task is not known any more");
}

std::string Connection::warning(Handle handle) const {
  const Lock lock(state_);
  const auto at = warnings_.find(handle);
  return at == warnings_.end() ? std::string() : at->second;
}

void Connection::watch(Watcher watcher) {
  const Lock lock(state_);
  watcher_ = std::make_shared<const Watcher>(std::move(watcher));
}

/// Under state_: only what changes is told.
void Connection::tell_watcher(bool connected) {
  if (std::exchange(connected_, connected) == connected || watcher_ == nullptr || stop_) return;
  post([watcher = watcher_, connected] { (*watcher)(connected); });
}

v1::Welcome Connection::welcome() const {
  const Lock lock(state_);
  return welcome_;
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

// ---- cells

TaskId Chunk::id(const Cell& c) const {
  const std::lock_guard lock(connection().state_);
  return {stream, seq_of(c)};
}

TaskId AttachedCell::id(const Cell&) const {
  const std::lock_guard lock(connection().state_);
  return known_id;
}

bool RemoteHome::cancel(Cell& cell, std::optional<std::chrono::nanoseconds> grace) {
  return connection_->cancel(cell, handle(cell), grace);
}

void RemoteHome::cancel_all(std::span<const CellRef> cells) {
  std::vector<client::Handle> handles;
  handles.reserve(cells.size());
  for (const CellRef& c : cells) handles.push_back(handle(*c));
  connection_->cancel_quietly(std::move(handles));
}

void RemoteHome::run_callbacks(const CellRef& cell, Callbacks callbacks) {
  // A std::function must be copyable: the callbacks are shared with it.
  auto shared = std::make_shared<Callbacks>(std::move(callbacks));
  connection_->post([this, cell, shared] { Home::run_callbacks(cell, std::move(*shared)); });
}

void RemoteHome::check_alive() const { connection_->check_usable(); }
void RemoteHome::about_to_wait() { connection_->about_to_wait(); }
void RemoteHome::drive(Waiter& waiter, Deadline deadline) { connection_->drive(waiter, deadline); }

}  // namespace futured::detail
