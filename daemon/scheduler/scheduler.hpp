// Decides everything, touches nothing: no clock, no thread, no socket, no file. The same events at the same times give
// the same actions. Owned and called by one thread.
//
// A turn: handle() each event, then advance() once, then carry the actions out, then clear them. Time stands still
// within a turn. A turn is bounded: what could be long (a million tasks of a client that went away) is done in
// portions, and next_deadline() is `now` while any remain.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/scheduler/action.hpp"
#include "daemon/scheduler/edges.hpp"
#include "daemon/scheduler/event.hpp"
#include "daemon/scheduler/groups.hpp"
#include "daemon/scheduler/key_table.hpp"
#include "daemon/scheduler/mutants.hpp"
#include "daemon/scheduler/ready_queue.hpp"
#include "daemon/scheduler/retention.hpp"
#include "daemon/scheduler/session_table.hpp"
#include "daemon/scheduler/task_table.hpp"
#include "daemon/scheduler/timers.hpp"
#include "daemon/scheduler/worker_table.hpp"

namespace futured::scheduler {

struct Limits {
  std::uint64_t payload_bytes = 64ULL << 20;
  std::uint64_t tasks = 10'000'000;      ///< not ended, and those that clients may still submit: never more
  std::uint64_t bytes = 4ULL << 30;      ///< of inputs, of what is said about tasks, and of results not taken
  std::uint64_t kept_tasks = 1'000'000;  ///< ended and taken, still kept; above, the oldest are forgotten early
  std::uint64_t kept_bytes = 1ULL << 30;
  std::uint64_t owed_bytes = 256ULL << 20;  ///< results that a client may leave lying before its tasks wait
  std::uint64_t window_tasks = 65'536;      ///< a client may submit this far ahead of what was accepted, at most
  std::uint64_t first_window_tasks = 1024;  ///< and so far at first; it doubles as it is used
  std::uint64_t window_bytes = 256ULL << 20;
  Time session_resume = 60'000'000'000;  ///< how long outcomes are held for a client that went away
  Time worker_return =
      5'000'000'000;  ///< how long a disconnected worker is waited for: one started by hand, and with a stop to hear
  Time stop_grace = 5'000'000'000;       ///< how long a call may take to stop when its time is over
  Time neighbour_time = 10'000'000'000;  ///< for the calls beside one that did not stop, before their process goes
  Time own_keep = 86'400'000'000'000;    ///< of tasks that the daemon submits itself, if they do not say
};

struct Counts {
  std::uint64_t waiting = 0, queued = 0, running = 0;                   // now
  std::uint64_t succeeded = 0, failed = 0, cancelled = 0, expired = 0;  // since the start
  std::uint64_t submitted = 0;
  std::uint64_t stale_reports = 0;  ///< completions whose token was not current
  std::uint64_t bytes = 0;          ///< payloads and specs held, but for those of `kept_bytes`
  std::uint64_t kept_tasks = 0;     ///< kept, and nobody waits for them any more
  std::uint64_t kept_bytes = 0;     ///< results that nobody waits for any more
  std::uint64_t completed() const { return succeeded + failed + cancelled + expired; }
};

class Scheduler {
 public:
  /// `epoch` is another one at every start of the daemon. `seed` is of the jitter of retries.
  Scheduler(Limits limits, std::uint32_t epoch, std::uint64_t seed = 1)
      : limits_(limits), epoch_(epoch), random_(seed) {}
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  void handle(const Event& event, Time now, Actions& actions);
  /// The end of a turn: deadlines, portions of long work, dispatch, delivery.
  void advance(Time now, Actions& actions);
  /// When advance() is wanted even if nothing happens; <= now if at once, kNever if not at all.
  Time next_deadline() const;

  // What translation and queries read.
  const TaskTable& tasks() const { return tasks_; }
  /// kNoSlot: it is not known; `issued`: not any more.
  TaskSlot find(const event::TaskRef& ref, bool& issued) const;
  const Spec& spec(TaskSlot slot) const { return specs_[tasks_[slot].spec].spec; }
  /// As placed; what the client asked for if the task was rejected.
  const std::string& pool_of(TaskSlot slot) const {
    const ClassId cls = specs_[tasks_[slot].spec].cls;
    return cls == kNoClass ? spec(slot).pool : table_.pools[table_.classes[cls].pool].name;
  }
  Reason reason(TaskSlot slot) const;
  /// Why it does not run, in a sentence that names what to change; what it does, if it runs or has ended.
  std::string explain(TaskSlot slot, Time now) const;
  std::uint32_t retries_left(TaskSlot slot) const;
  const GroupTable& groups() const { return groups_; }
  const ReadyQueue& ready() const { return ready_; }
  const std::set<std::string>& paused_types() const { return paused_types_; }
  AttemptToken token(TaskSlot slot) const { return {epoch_, tasks_[slot].attempt, tasks_[slot].number}; }
  TaskId id(TaskSlot slot) const { return {sessions_[tasks_.extent_of(slot).session].stream, tasks_.seq_of(slot)}; }
  const WorkerTable& workers() const { return table_; }
  const Worker* worker(WorkerId id) const {
    const WorkerIndex w = table_.find(id);
    return w == kNone ? nullptr : &table_.workers[w];
  }
  std::uint64_t queued_in(std::uint32_t pool) const;
  const Session* session(SessionId id) const {
    return id < sessions_.end() ? const_cast<SessionTable&>(sessions_).find(id) : nullptr;
  }
  std::size_t clients() const { return connected_clients_; }
  const Counts& counts() const { return counts_; }
  std::uint32_t epoch() const { return epoch_; }
  bool draining() const { return draining_; }
  /// It holds as much as it may, or will when clients have used the credit that they have.
  bool full() const { return room() == 0 || counts_.bytes >= limits_.bytes; }
  /// How many tasks more it can promise to take.
  std::uint64_t room() const {
    const std::uint64_t taken = live_tasks() + (FUTURED_MUTANT(promise_forgotten) ? 0 : unused_tasks_);
    return limits_.tasks > taken ? limits_.tasks - taken : 0;
  }
  /// Why a task of this spec would be refused if it were submitted now; empty: it would not.
  std::string refusal(const Spec& spec) const { return place(spec).refusal; }
  /// After Abandon: every task has ended.
  bool abandoned() const { return abandon_next_ != kNotAbandoned && abandon_next_ >= tasks_.next_number(); }
  /// Tasks sent to a worker and not ended.
  std::uint64_t at_workers() const { return counts_.queued + counts_.running - ready_.size(); }
  /// Outcomes that connected clients have not taken yet.
  bool owes_deliveries() const;
  const Limits& limits() const { return limits_; }
  /// The task whose current attempt has this token and is at this worker; kNoSlot if there is none.
  TaskSlot current(WorkerId worker, const AttemptToken& token) const;
  /// The task a session means by a handle; kNoSlot if it is gone or never was.
  TaskSlot by_handle(SessionId session, std::uint64_t handle) const;
  /// Who follows the live output or progress of a task: its session and handle.
  std::optional<std::pair<SessionId, std::uint64_t>> follower(TaskSlot slot) const;

 private:
  friend struct Invariants;

  // sessions.cpp
  void on(const event::ClientHello&, Time, Actions&);
  void on(const event::ClientGone&, Time, Actions&);
  void grant(SessionId id, std::uint64_t most = UINT64_MAX);
  void take_back_credit(SessionId id);
  void feed_starved(Actions& actions);
  void bury_if_free(SessionId id, Actions& actions);
  void sweep_sessions(std::size_t& portion, Time now, Actions& actions);
  TaskSlot find_seq(const Session& session, Seq seq, bool& issued) const;
  TaskNumber number_at(const Session& session, Seq seq, bool& issued) const;

  // submits.cpp
  struct Placement {
    ClassId cls = kNoClass;
    std::string refusal, warning;
  };
  struct Placed {
    SpecId id = UINT32_MAX;
    Placement placement;
  };
  void on(const event::Submit&, Time, Actions&);
  Placement place(const Spec& spec) const;
  SpecId add_spec(const Spec& spec, ClassId cls, SessionId session);
  void drop_spec(SpecId spec);

  // deliveries.cpp
  void on(const event::Delivered&, Time, Actions&);
  void want_delivery(SessionId id);
  void deliver(SessionId id, TaskSlot slot, std::uint64_t handle);
  void flush_deliveries(Actions& actions);
  void take_up_to(SessionId id, std::uint64_t processed);
  void take_portion(SessionId id, std::size_t& portion);
  void owe(SessionId id, std::int64_t bytes);

  // followers.cpp
  void on(const event::Attach&, Time, Actions&);
  void follow(SessionId id, std::uint64_t handle, TaskSlot slot, bool live_output);
  void unfollow(SessionId id, std::uint64_t handle);

  // cancels.cpp
  void on(const event::Cancel&, Time, Actions&);
  void on(const event::CancelTask&, Time, Actions&);
  Verdict cancel(TaskSlot slot, bool running_too, Time grace, Time now, Actions& actions, bool& pending);
  void settle_cancel(TaskSlot slot, Verdict verdict, Actions& actions);

  // forgetting.cpp
  void on(const event::Forget&, Time, Actions&);
  void release(TaskSlot slot);
  void unkeep(TaskSlot slot);
  void forget_if_free(TaskSlot slot);
  void extent_closed(const Extent& extent);

  // orders.cpp
  void on(const event::SubmitOwn&, Time, Actions&);
  void on(const event::HasOutput&, Time, Actions&);
  void on(const event::Watched&, Time, Actions&);
  void on(const event::SetPaused&, Time, Actions&);
  void on(const event::SetLimit&, Time, Actions&);
  void on(const event::CloseGroup&, Time, Actions&);
  void on(const event::Drain&, Time, Actions&);
  void on(const event::Undrain&, Time, Actions&);
  void on(const event::Abandon&, Time, Actions&);
  void apply_pauses(Actions& actions);
  void recall_assigned(bool all, Actions& actions);
  void abandon_portion(Time now, Actions& actions);

  // lifecycle.cpp
  std::uint64_t* bucket(Phase phase);
  void enter(TaskRecord& t, Phase phase);
  void tell_again(TaskSlot slot);
  void admit(TaskSlot slot, Time now);
  void requeue(TaskSlot slot, Time now);
  void requeue_in_front(TaskSlot slot);
  void enqueue(TaskSlot slot, bool front);
  void take_out(TaskSlot slot);
  void wake_if_free(TaskSlot slot, Time now);
  Time next_timer(TaskSlot slot) const;
  void rearm(TaskSlot slot);
  void timer_fired(TaskSlot slot, Time now, Actions& actions);
  void fire_timers(Time now, Actions& actions);
  void stop(TaskSlot slot, Stop why, Time grace, Time now, Actions& actions);
  void suspend_graces(WorkerIndex w);
  void stop_again(TaskSlot slot, Time now, Actions& actions);
  void stopped(TaskSlot slot, std::string message, Time now, Actions& actions);
  void grace_over(TaskSlot slot, Time now, Actions& actions);
  void condemn(WorkerIndex w, Time kill_at, Actions& actions);
  void end_condemned(Time now, Actions& actions);
  void recall(TaskSlot slot, Actions& actions);
  Time backoff(TaskSlot slot, Time retry_after);
  std::uint64_t draw();
  void replace_payload(TaskSlot slot, Slice payload);
  void attempt_failed(TaskSlot slot, Failure failure, Slice reply, Time now, Actions& actions);
  void finish(TaskSlot slot, Phase phase, std::optional<Failure> failure, Slice reply, Time now, Actions& actions);
  void join_group(SpecId spec);
  void group_ended(GroupId group, Phase phase);
  void reject(TaskSlot slot, ErrorKind kind, std::string message, Time now, Actions& actions);
  void refuse_for_now(TaskSlot slot, std::string message, Time now, Actions& actions);

  // dependencies.cpp
  void link_portion(std::size_t& portion, Time now, Actions& actions);
  bool would_wait_for_itself(TaskSlot slot, Time now, Actions& actions);
  bool link(TaskSlot slot, const Dependency& dependency, bool input, Time now, Actions& actions);
  void release_portion(std::size_t& portion, Time now, Actions& actions);
  bool append_input(TaskSlot slot, const Slice& reply, Time now, Actions& actions);

  // keys.cpp
  TaskSlot holder(const Spec& spec) const;
  bool input_differs(TaskSlot holder, const Slice& input) const;
  void take_key(TaskSlot slot);
  void drop_key(TaskSlot slot);
  void drop_aliases(TaskNumber number);
  void tell_existing(Accepted& accepted) const;

  // scheduler.cpp
  void sweep(Time now, Actions& actions);
  std::uint64_t live_tasks() const { return counts_.waiting + counts_.queued + counts_.running; }

  // workers.cpp
  void on(const event::PoolDefined&, Time, Actions&);
  void on(const event::PoolScaled&, Time, Actions&);
  void on(const event::WorkerHello&, Time, Actions&);
  void on(const event::WorkerCredit&, Time, Actions&);
  void on(const event::Running&, Time, Actions&);
  void on(const event::Ran&, Time, Actions&);
  void on(const event::Recalled&, Time, Actions&);
  void on(const event::Announced&, Time, Actions&);
  void on(const event::WorkerDisconnected&, Time, Actions&);
  void on(const event::WorkerLost&, Time, Actions&);
  void on(const event::WorkerDraining&, Time, Actions&);
  ClassId class_named(std::uint32_t pool, const TypeOffer& type);
  void offer(WorkerIndex w, const std::vector<TypeOffer>& types);
  void attach_to_worker(TaskSlot slot, WorkerIndex w);
  void detach_from_worker(TaskSlot slot, Time now);
  void started(TaskSlot slot, Time now, Actions& actions);
  void end_attempt(TaskSlot slot, Attempt::Ending ending, std::string message, Time now);
  void lose(WorkerIndex w, const event::WorkerLost& why, Time now, Actions& actions);

  // dispatch.cpp
  void dispatch(Time now, Actions& actions);
  struct Candidate {
    ClassId cls = kNoClass;
    std::uint64_t share = 0;  ///< of each worker that can take some, this time round
    std::size_t turns = 0;    ///< left until the next time round
  };
  std::size_t dispatch_pool(std::uint32_t pool, bool ahead, std::size_t budget, Time now, Actions& actions);
  void send_to(WorkerIndex w, TaskSlot slot, Time now, Actions& actions);
  void rebalance(std::uint32_t pool, Actions& actions);

  const Class& class_of(TaskSlot slot) const { return table_.classes[specs_[tasks_[slot].spec].cls]; }

  static constexpr std::size_t kSweepPortion = 4096;  ///< tasks touched per turn by long work
  const Limits limits_;
  const std::uint32_t epoch_;
  bool draining_ = false;
  bool more_now_ = false;  ///< a portion of something remains
  static constexpr TaskNumber kNotAbandoned = 0;
  TaskNumber abandon_next_ = kNotAbandoned;  ///< from here on tasks are still to be abandoned

  TaskTable tasks_;
  SpecTable specs_;
  ReadyQueue ready_{tasks_};
  SessionTable sessions_;
  WorkerTable table_;
  Retention retention_;
  Timers timers_;
  EdgeTable edges_;
  GroupTable groups_;
  Counts counts_;
  std::uint64_t random_;
  std::set<std::string> paused_types_;
  WorkerId next_worker_ = 1;
  std::size_t connected_clients_ = 0;

  std::vector<SessionId> delivery_list_;  ///< sessions with something to deliver
  // Used again in each turn, for their memory.
  std::vector<SessionId> delivering_;
  std::vector<Candidate> candidates_;
  std::vector<Placed> placed_;
  std::vector<SessionId> starved_;  ///< sessions whose submit credit waits for room, the first longest
  std::uint64_t unused_tasks_ = 0;  ///< granted to clients and not submitted yet, of all sessions
  std::uint64_t unused_bytes_ = 0;
  std::vector<SessionId> absent_;  ///< disconnected sessions with a deadline
  struct Attachment {
    SessionId session = 0;
    std::uint64_t handle = 0;
    bool live_output = false;
  };
  std::map<TaskNumber, std::vector<Attachment>> attachments_;  ///< of live tasks
  struct Sweep {
    SessionId session = 0;
    enum class What : std::uint8_t { cancel, release, take } what = What::cancel;
    std::uint64_t position = 0;
    TaskNumber number = 0;
  };
  std::deque<Sweep> sweeps_;
  /// Dependencies that are still to be looked up.
  struct Linking {
    TaskNumber task = 0;
    std::uint32_t dependency = 0;
    std::uint64_t offset = 0;  ///< within the range of that dependency
  };
  std::deque<Linking> linkings_;
  /// What waited for a task or a group that has ended, still to be told.
  struct Release {
    EdgeId list = kNone;
    TaskSlot task = kNoSlot;  ///< held until all are told; kNoSlot: it was a group
    std::string group;
    bool all_succeeded = false;  ///< of the group
  };
  std::deque<Release> releases_;
  KeyTable keys_;
  /// Another number of a task, of a submit with its key.
  struct Alias {
    TaskNumber number = 0;
    ExtentId extent = 0;
    bool input_differs = false;
  };
  std::map<TaskNumber, std::vector<Alias>> aliases_;  ///< in order of their numbers
  SessionId own_session_ = kNoSession;
  std::vector<WorkerIndex> condemned_;
  bool watched_ = false;
  std::vector<Change> changes_;  ///< of this turn
  /// While watched, what ends is held until that has been told: ended in this turn, told in the one before.
  std::vector<TaskSlot> ended_, told_;
  std::vector<TaskNumber> forgotten_;
  std::vector<SessionId> burials_;  ///< sessions that may be forgotten now
  static constexpr Time kDisconnectGrace = 5'000'000'000;
  struct PendingCancel {
    CancelReply reply;
    std::size_t open = 0;
  };
  std::map<std::uint64_t, PendingCancel> pending_cancels_;
  std::uint64_t next_pending_ = 1;
  std::map<TaskNumber, std::vector<std::pair<std::uint64_t, std::size_t>>> cancel_waiters_;
};

}  // namespace futured::scheduler
