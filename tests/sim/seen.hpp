// What a run has seen: what it must see to prove anything, and how much of the scheduler's states it has been through.
#pragma once

#include <array>
#include <cstdint>
#include <set>

namespace futured::sim {

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
  stopped_after_return,
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
  delayed,
  expired_in_queue,
  expired_sent_ahead,
  deadline_before_start,
  deadline_while_running,
  deadline_in_backoff,
  deadline_while_recalled,
  timeout_retried,
  timeout_for_good,
  timeout_was_deaf,
  finished_in_grace,
  backed_off,
  retry_after_kept,
  permanent_with_retries,
  exited,
  cancelled_delayed,
  cancelled_blocked,
  cancelled_in_backoff,
  innocent_neighbour,
  after_success,
  after_failure,
  after_any,
  after_group,
  after_many,
  dependency_unmet,
  dependency_forgotten,
  dependency_same_turn,
  input_taken,
  input_too_large,
  key_live,
  key_ended,
  key_free_again,
  alias_cancelled,
  limit_full,
  limit_lowered,
  rate_full,
  paused,
  paused_recalled,
  group_closed,
  shares_took_turns,
  own_task,
  own_refused,
  refused_leaving,
  lost_with_the_daemon,
  retried_by_order,
  forgotten_by_order,
  count
};
inline constexpr std::size_t kSeen = static_cast<std::size_t>(Seen::count);
const char* name_of(Seen what);
struct Sightings {
  std::array<std::uint64_t, kSeen> times{};
  /// What happened to a task in which state: see Daemon::cover().
  std::set<std::uint32_t> transitions;
};

}  // namespace futured::sim
