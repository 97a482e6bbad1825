// What must come of every task, known to nobody but this model: it sees what clients submit and get back and what
// workers execute, and says what does not fit. It knows nothing of how the scheduler works.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "daemon/scheduler/spec.hpp"
#include "tests/sim/messages.hpp"

namespace futured::sim {

struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What must have happened at least once in a long run, or the run proves less than it seems to.
enum class Seen : std::uint8_t {
  ran_after_worker_lost,
  soft_cancel_lost_race,
  recall_returned,
  recall_too_late,
  recall_for_neighbour,
  announce_named_running,
  announce_named_stale,
  announce_missed_calls,
  crash_budget_spent,
  innocent_uncharged,
  stale_report,
  report_repeated,
  submit_repeated,
  outcomes_repeated,
  client_resumed,
  client_back_before_gone,
  worker_back_before_gone,
  session_expired,
  session_refused,
  client_died,
  cancelled_before_start,
  stopped_while_running,
  succeeded_though_stopped,
  cancelled_on_disconnect,
  cancelled_by_number,
  attached_to_live,
  attached_to_ended,
  attached_to_forgotten,
  retry_succeeded,
  failed_for_good,
  rejected,
  result_above_credit,
  submit_credit_withheld,
  worker_given_up,
  worker_drained,
  lost_with_pending_cancel,
  kept_and_expired,
  daemon_restarted_and_lost,
  through_the_codec,
  lanes_both_used,
  deaf_worker_replaced,
  count
};
inline constexpr std::size_t kSeen = static_cast<std::size_t>(Seen::count);
const char* name_of(Seen what);
using Sightings = std::array<std::uint64_t, kSeen>;

/// What a task does when it runs. Decided at submission; workers look it up by the key in the input.
struct Behaviour {
  std::uint32_t fails = 0;    ///< its first executions fail
  bool permanent = false;     ///< ... for good
  std::uint32_t crashes = 0;  ///< its first executions take their process with them
  bool stops = true;          ///< ends soon when told to stop
  Time duration = 0;
  std::uint32_t result_bytes = 0;
};

class Oracle {
 public:
  using Key = std::uint32_t;
  explicit Oracle(Sightings& seen) : seen_(seen) {}

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
    bool client_went = false;     ///< and it is to be cancelled then
    bool cancel_granted = false;  ///< a verdict `cancelled` has reached a client
    bool lost = false;            ///< told to its client
    bool resolved = false;
    TaskState state = TaskState::unknown;  ///< as seen by anybody
    std::string result;
    TaskNumber number = 0;  ///< as told by the daemon of `epoch`
    std::uint32_t epoch = 0;
  };

  // ---- what happens
  Key submitted(std::uint32_t client, const scheduler::Spec& spec, const Behaviour& does);
  void accepted(Key key, TaskNumber number, std::uint32_t epoch);
  void cancel_asked(Key key, bool running_too);
  /// `certain`: a crash of this process is told with what really ran.
  void execution_began(Key key, const AttemptToken& token, std::uint64_t process, bool certain);
  enum class End : std::uint8_t { succeeded, failed, failed_for_good, told_to_stop };
  void execution_ended(Key key, const AttemptToken& token, std::uint64_t process, End how);
  /// The process is gone with this call under way. `charged`: the daemon that sent it is told so.
  void execution_crashed(Key key, const AttemptToken& token, std::uint64_t process, bool charged);
  void verdict(Key key, scheduler::Verdict verdict, bool running_too);
  /// `owner`: the submitting client's own future is resolved by this; otherwise somebody attached.
  void outcome(Key key, const msg::Outcomes::Item& item, bool owner);
  void lost(Key key, bool possible);
  void unresolvable(Key key) { tasks_[key].resolved = true; }  ///< its client is no more, or did not wait
  /// A process that the daemon has given up although it lives: its calls may overlap with others.
  void process_given_up(std::uint64_t process) { given_up_[process] = true; }

  // ---- at the end
  void check_all_resolved() const;

  const Task& task(Key key) const { return tasks_[key]; }
  Task& task(Key key) { return tasks_[key]; }
  std::size_t size() const { return tasks_.size(); }
  void saw(Seen what, std::uint64_t n = 1) { seen_[static_cast<std::size_t>(what)] += n; }

  static std::string input_of(Key key);
  static Key key_of(const Slice& input);
  std::string result_of(Key key, const AttemptToken& token) const;

 private:
  [[noreturn]] void violated(Key key, const std::string& what) const;

  std::vector<Task> tasks_;
  std::map<std::pair<std::uint32_t, TaskNumber>, std::pair<AttemptToken, std::uint64_t>> executing_;
  std::map<std::pair<std::uint32_t, TaskNumber>, std::uint32_t> last_attempt_;
  std::map<std::uint64_t, bool> given_up_;
  Sightings& seen_;
};

}  // namespace futured::sim
