// What must come of every task, known to nobody but this model: it sees what clients submit and get back, what the
// daemon takes, sends and tells, and what workers execute, and says what does not fit. It knows nothing of how the
// scheduler works.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "daemon/scheduler/spec.hpp"
#include "tests/sim/life.hpp"
#include "tests/sim/messages.hpp"
#include "tests/sim/quotas.hpp"
#include "tests/sim/seen.hpp"

namespace futured::sim {

struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// In place of a client: the daemon itself.
inline constexpr std::uint32_t kNobody = UINT32_MAX;

/// What a task does when it runs. Decided at submission; workers look it up by the key in the input.
struct Behaviour {
  std::uint32_t fails = 0;    ///< its first executions fail
  bool permanent = false;     ///< ... for good
  bool exits = false;         ///< ... with an exit status
  Time retry_after = 0;       ///< ... and ask for this time
  std::uint32_t crashes = 0;  ///< its first executions take their process with them
  bool stops = true;          ///< ends soon when told to stop
  Time duration = 0;
  std::uint32_t result_bytes = 0;
};

class Oracle {
 public:
  using Key = sim::Key;
  explicit Oracle(Sightings& seen, const Mixture& mixture) : quotas(seen), seen_(seen), mixture_(mixture) {}

  struct Task {
    scheduler::Spec spec;
    Behaviour does;
    std::uint32_t client = 0;
    std::uint32_t executions = 0;
    std::uint32_t failures = 0;  ///< executions that ended as failed
    bool failed_for_good = false;
    bool unsure = false;                                                    ///< it ran where crashes are guessed
    std::map<std::pair<std::uint32_t, TaskNumber>, std::uint32_t> crashes;  ///< by epoch and number
    std::vector<AttemptToken> successes;
    bool cancel_asked = false;
    bool stop_asked = false;
    bool client_went = false;              ///< and it is to be cancelled then
    bool lost = false;                     ///< told to its client
    bool resolved = false;                 ///< its client has its outcome, or does not wait for it
    TaskState state = TaskState::unknown;  ///< as seen by anybody
    std::string result;
    TaskNumber number = 0;  ///< as told by the daemon of `epoch`
    std::uint32_t epoch = 0;
    TaskNumber last_taken = 0;  ///< by the daemon that took it last
  };

  // ---- what clients see
  Key submitted(std::uint32_t client, const scheduler::Spec& spec, const Behaviour& does);
  void accepted(Key key, TaskNumber number, std::uint32_t epoch);
  void told_existing(Key key, TaskNumber number, std::uint32_t epoch);
  void cancel_asked(Key key, bool running_too);
  void verdict(Key key, scheduler::Verdict verdict, bool running_too);
  /// `owner`: the submitting client's own future is resolved by this; otherwise somebody attached.
  void outcome(Key key, const msg::Outcomes::Item& item, bool owner);
  void lost(Key key, bool possible);
  void unresolvable(Key key) { tasks_[key].resolved = true; }  ///< its client is no more, or did not wait

  // ---- what workers execute
  /// `certain`: a crash of this process is told with what really ran.
  void execution_began(const Slice& input, const AttemptToken& token, std::uint64_t process, bool certain, Time now);
  enum class End : std::uint8_t { succeeded, failed, failed_for_good, told_to_stop };
  void execution_ended(Key key, const AttemptToken& token, std::uint64_t process, End how);
  /// The process is gone with this call under way. `charged`: the daemon that sent it is told so.
  void execution_crashed(Key key, const AttemptToken& token, std::uint64_t process, bool charged);
  /// A process that the daemon has given up although it lives: its calls may overlap with others.
  void process_given_up(std::uint64_t process) { given_up_[process] = true; }

  // ---- what the daemon says
  void new_daemon(std::uint32_t epoch);
  /// It took a task. `stream`, `seq`: its id.
  void taken(Key key, TaskNumber number, const TaskId& id, Time now, std::uint64_t turn);
  /// ... and it is what another task is, because of its key.
  void taken_as(Key key, TaskNumber number, TaskNumber existing, const TaskId& id, Time now);
  void sent(TaskNumber number, std::uint32_t attempt, std::uint64_t worker, const std::string& pool, Time now);
  void returned(TaskNumber number, std::uint32_t attempt, std::uint64_t worker, bool yes);
  void worker_lost(std::uint64_t worker);
  void running(const AttemptToken& token, std::uint64_t worker);
  void stop_ordered(const AttemptToken& token, Time until);
  /// A worker reported how a call ended, and may do so. `failure`: null if it succeeded.
  void reported(const AttemptToken& token, std::uint64_t worker, const scheduler::event::RanFailure* failure, Time now,
                std::uint64_t turn);
  void ended(TaskNumber number, TaskState state, ErrorKind kind, const Slice& result, Time now);
  /// From now on what has not ended ends as lost.
  void abandoned() { abandoned_ = true; }
  void group_closed(const std::string& name) { closed_groups_.insert(name); }
  /// By now a deadline and all that it takes has passed: `live` says whether it has ended.
  void deadline_check(TaskNumber number, bool live) const;
  /// Of a call that began and is timed: whether it may still run; kNever: for ever, else look again then.
  Time may_run_until(TaskNumber number, std::uint32_t attempt) const;
  [[noreturn]] void runs_too_long(TaskNumber number) const;

  // ---- at the end
  void check_all_resolved() const;

  const Task& task(Key key) const { return tasks_[key]; }
  Task& task(Key key) { return tasks_[key]; }
  std::size_t size() const { return tasks_.size(); }
  void saw(Seen what, std::uint64_t n = 1) { seen_.times[static_cast<std::size_t>(what)] += n; }
  const Life* life(std::uint32_t epoch, TaskNumber number) const;
  /// For whoever wants to order something about a task of this daemon.
  Life* life_now(TaskNumber number) { return at(epoch_, number); }

  static std::string input_of(Key key);
  /// Of an input, which may have the reply of another task behind it.
  static Key key_of(const Slice& input);
  std::string result_of(Key key, const AttemptToken& token) const;

  Quotas quotas;

 private:
  using LifeId = std::pair<std::uint32_t, TaskNumber>;
  [[noreturn]] void violated(Key key, const std::string& what) const;
  Life* at(std::uint32_t epoch, TaskNumber number);
  /// The one that a number means: that of the key, if it is another name.
  Life* body(std::uint32_t epoch, TaskNumber number);
  Wanted wanted(const scheduler::Dependency& d, const Life& life) const;
  void check_after(const Life& life);
  void check_over(const Life& before, const Life& life, const char* why);
  bool executes(const Life& life, Time now) const;
  bool may_be_forgotten(const Life& life) const;
  void check_failed(const Life& life, Time now);
  void check_cancelled(const Life& life);
  void check_priority(const Life& life, const std::string& pool);
  void check_input(const Life& life, const Slice& input);
  bool asked_to_cancel(const Life& life) const;
  void see_end(const Life& life);

  std::vector<Task> tasks_;
  std::uint32_t epoch_ = 1;
  bool abandoned_ = false;
  Time now_ = 0;
  std::map<LifeId, Life> lives_;
  std::map<std::pair<std::string, Seq>, TaskNumber> numbers_;  ///< of this daemon, by stream and seq
  std::map<std::string, std::vector<TaskNumber>> groups_;      ///< likewise
  std::map<std::tuple<std::uint32_t, std::string, std::string>, std::vector<TaskNumber>> keyed_;
  std::map<TaskNumber, std::vector<Key>> names_;  ///< of tasks of this daemon: who was attached to them
  std::set<std::string> closed_groups_, awaited_groups_;
  std::map<std::uint64_t, bool> given_up_;
  Sightings& seen_;
  const Mixture& mixture_;
};

}  // namespace futured::sim
