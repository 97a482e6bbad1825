// Connection: the one place where the session (what to say), a link (how it travels) and the cells (who waits) meet.
//
// Two mutexes. `state_` guards the session, the slab and every table. `io_` guards the link and is held by whoever
// moves messages: the I/O thread, or a thread of the user that has just submitted and finds it free (flat combining:
// who holds it also sends what others left; after releasing it he looks again). Order: io_ before state_. Neither is
// held while a user's code runs: done callbacks and live output have a thread of their own. Cells are resolved under
// io_ alone.
//
// Lifetime: held by its executor and by the cells it made. close() ends the threads; what is left is plain data.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "client/callback_thread.hpp"
#include "client/link/link.hpp"
#include "client/messages.hpp"
#include "client/session/session.hpp"
#include "client/slab.hpp"
#include "futured/executor.hpp"
#include "futured/v1/client.pb.h"

namespace futured::detail {

/// Drawn anew for each session.
StreamId fresh_stream();

class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  using Handle = client::Handle;
  using Factory = std::function<Result<std::unique_ptr<client::Link>>(std::function<void()> wake)>;
  struct Options {
    std::string endpoint;  ///< for messages
    std::string software;
    std::chrono::nanoseconds connect_timeout = std::chrono::seconds(5);
    client::SessionOptions session;
    bool one_try = true;  ///< opening fails with the first attempt that finds nobody
  };

  /// Starts the I/O thread and waits for the first WELCOME. Unavailable, version, not_allowed, refused or internal.
  static Result<std::shared_ptr<Connection>> open(Options options, Factory factory);
  Connection(Options options, Factory factory);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  // ---- for executors; these throw what futured/executor.hpp says
  CellRef submit(std::string_view task, Input input, const TaskOptions& options);
  void submit_many(std::string_view task, std::vector<Input> inputs, const TaskOptions& options,
                   std::vector<CellRef>& out);
  CellRef attach(const TaskId& id, TaskNumber number, OutputCallback output);
  void shutdown(bool wait, bool cancel_futures);
  /// `flush`: how long to wait for what was submitted to be accepted.
  void close(std::chrono::nanoseconds flush);
  bool forked() const { return forks_ != fork_generation(); }
  void check_usable() const;

  // ---- for cells
  bool cancel(Cell& cell, Handle handle, std::optional<std::chrono::nanoseconds> grace);
  void cancel_quietly(std::vector<Handle> handles);
  /// See Home: a thread that waits for one result saves the hand-over from the I/O thread.
  void drive(Waiter& waiter, Deadline deadline);
  void about_to_wait() {
    if (stands_down_.load(std::memory_order_seq_cst) && !driven_.load(std::memory_order_seq_cst)) wake_io();
  }
  void post(client::CallbackThread::Job job) { callbacks_.post(std::move(job)); }

  // ---- for Control; nothing is thrown
  Result<v1::Reply> request(v1::Request request, Deadline deadline);
  Result<std::chrono::nanoseconds> ping(Deadline deadline);
  struct AttachResult {
    CellRef cell;
    v1::Attached::Attachment facts;
  };
  using AttachOutput = std::function<void(std::size_t, int, std::string_view)>;
  Result<std::vector<AttachResult>> attach_many(const std::vector<v1::TaskRef>& tasks, Deadline deadline,
                                                const AttachOutput& output);
  Result<std::vector<v1::Cancelled::Verdict>> cancel_many(std::vector<Handle> handles, bool running_too,
                                                          std::int64_t grace_ns, const std::string& why,
                                                          Deadline deadline);
  Result<TaskNumber> number(const RemoteHome& home, const Cell& cell, Deadline deadline);
  /// Waits until the task is accepted. Nothing: it is a task of its own.
  Result<std::optional<Chunk::Existing>> existing(const RemoteHome& home, const Cell& cell, Deadline deadline);
  /// No connection will be there any more: closed, refused for good, or given up.
  bool ended() const;
  std::string warning(Handle handle) const;
  v1::Welcome welcome() const;
  /// Called on the callback thread whenever the connection is lost, and when it is back.
  using Watcher = std::function<void(bool connected)>;
  void watch(Watcher watcher);
  const std::string& endpoint() const { return options_.endpoint; }

 private:
  friend class Chunk;
  friend class AttachedCell;
  using Lock = std::unique_lock<std::mutex>;
  struct CancelWait {
    std::vector<Handle> handles;
    std::vector<v1::Cancelled::Verdict> verdicts;
    bool answered = false;
  };
  struct ReplyWait {
    bool answered = false;
    Status status;
    v1::Reply reply;
  };
  struct AttachWait {
    std::vector<AttachedCell*> cells;  // of handles first, first + 1, ...
    Handle first = 0;
    v1::Attached answer;
    bool answered = false;
  };
  struct Interned {
    std::string task;
    std::shared_ptr<const TaskData> data;
    client::SpecRef spec;
  };
  struct ToResolve {
    Cell* cell;
    std::uint32_t index;
  };

  // connection.cpp; `Lock` is on state_
  const client::SpecRef& intern(std::string_view task, const TaskOptions& options);
  void wait_for_room(Lock& lock, std::size_t size, const TaskData* data);
  CellRef add_task(const client::SpecRef& spec, Input& input, Slice& large, const TaskOptions& options);
  template <class Predicate>
  bool wait_event(Lock& lock, Deadline deadline, Predicate done);
  /// The same for what only the daemon can bring: false too when it never will, because this is over().
  template <class Predicate>
  bool wait_answer(Lock& lock, Deadline deadline, Predicate answered);
  void tell_watcher(bool connected);
  bool over() const { return closed_ || session_.phase() == client::Session::Phase::ended; }
  Status no_answer() const;  // why wait_answer() was false
  void event();              // something that a wait_event() may wait for has happened
  void check_open() const;
  std::shared_ptr<CancelWait> start_cancel(client::order::Cancel cancel);
  std::vector<AttachedCell*> start_attach(std::vector<client::order::AttachItem> tasks,
                                          std::vector<OutputCallback> outputs, std::shared_ptr<AttachWait> wait);
  /// The cell of a handle that the session has just resolved; from now on the connection does not know it.
  Cell* take_cell(Handle handle);
  void fail_pending(const std::exception_ptr& error);

  // connection_drive.cpp
  void pump();
  bool more_to_send() const;  // under state_
  void run_io();
  void wake_io();
  void wake_reader();
  /// Under io_. `look`: something may have arrived. True: call again at once.
  bool service(bool io_thread, bool look);
  void say_goodbye();

  // connection_io.cpp
  bool carry_out_orders();
  void carry_out(const client::Order& order);
  bool receive_some();
  /// `nobody`: there is no point in trying again at once.
  void link_lost(const std::string& why, bool nobody = false);
  void handle(wire::Frames& frames);
  void protocol_error(const Status& what);
  void on_welcome(const wire::Envelope& e);
  void on_refused(const wire::Envelope& e);
  Status take_accepted(v1::Accepted& m);  // under state_ too
  void on_accepted(const wire::Envelope& e);
  void on_outcomes(const wire::Envelope& e);
  void on_started(const wire::Envelope& e);
  void on_output(const wire::Envelope& e);
  void on_cancelled(const wire::Envelope& e);
  void on_attached(const wire::Envelope& e);
  void on_reply(const wire::Envelope& e);
  void on_ping(const wire::Envelope& e, bool pong);
  std::vector<Cell*> take_cells(const std::vector<Handle>& handles);
  void resolve_detached();
  void resolved(std::size_t batches = 1);
  void collect_ended(std::vector<Cell*>& cells);
  void resolve_all(const std::vector<Cell*>& cells, const std::exception_ptr& error);
  void send(wire::Frames frames);

  const Options options_;
  const Factory factory_;
  client::SelfFacts self_;
  const unsigned forks_;
  const int wake_fd_;   // of the I/O thread
  const int drive_fd_;  // of the thread that drives

  // ---- under io_
  std::mutex io_;
  std::unique_ptr<client::Link> link_;
  std::uint16_t generation_ = 0;
  bool left_ = false;  // said goodbye: nothing moves any more
  std::vector<wire::Frames> received_;
  v1::Submit submit_scratch_;
  v1::Outcomes outcomes_scratch_;
  v1::Accepted accepted_scratch_;
  std::vector<Handle> handles_;
  std::vector<std::uint64_t> sizes_;
  std::vector<Slice> slices_;
  std::vector<std::uint32_t> fresh_;
  std::vector<ToResolve> to_resolve_;

  // ---- under state_
  mutable std::mutex state_;
  client::Session session_;
  Slab slab_;
  std::unordered_map<Handle, AttachedCell*> attached_;
  struct Sinks {
    OutputCallback output;
    ProgressCallback progress;
  };
  std::unordered_map<Handle, Sinks> sinks_;  // who is called with what tasks say
  std::deque<Seq> detached_;
  std::vector<Interned> interned_;
  std::size_t intern_next_ = 0, intern_last_ = 0;
  std::map<std::uint64_t, std::shared_ptr<CancelWait>> cancels_;
  std::map<std::uint64_t, std::shared_ptr<AttachWait>> attaches_;
  std::map<std::uint64_t, std::shared_ptr<ReplyWait>> replies_;  // requests and pings
  std::deque<wire::Frames> extra_;                               // requests and pings to be sent
  std::uint64_t next_extra_ = 1;
  std::map<Seq, std::string> warnings_;
  v1::Welcome welcome_;
  std::uint64_t payload_limit_ = wire::kDefaultPayloadLimit;
  bool welcomed_ = false;
  bool connected_ = false;  // as the watcher is told
  std::shared_ptr<const Watcher> watcher_;
  Status first_failure_;  // of opening
  Status refusal_;        // latest, if not for good
  bool shut_ = false;     // no more submits
  bool closed_ = false;
  bool stop_ = false;
  int resolving_ = 0;  // batches whose cells are being resolved
  std::condition_variable event_cv_;
  int event_waiters_ = 0;

  std::atomic<bool> wake_pending_{false};
  // Who watches the link: the I/O thread, or a thread that waits for a result and drives. After that the I/O thread
  // stands down for a moment, because the next such wait tends to come at once.
  std::mutex drive_;
  std::atomic<bool> driven_{false};
  std::atomic<std::uint64_t> drives_{0};
  std::atomic<bool> stands_down_{false};
  std::atomic<bool> arrived_{false};  // a link without a descriptor has something; nobody has looked since
  std::atomic<client::Time> io_until_{0};
  client::CallbackThread callbacks_;
  std::thread io_thread_;
};

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

inline client::Time now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count();
}

}  // namespace futured::detail
