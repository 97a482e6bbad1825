// Deliberate bugs, each of which the simulator must find. Only the library that tests/sim builds for itself has them;
// elsewhere the conditions are constant and nothing is left of them.
#pragma once

#ifdef FUTURED_MUTANTS

#include <cstdint>

namespace futured::scheduler {

enum class Mutant : std::uint8_t {
  none,
  lost_requeue,
  double_completion,
  stale_token,
  priority_order,
  forgotten_timer,
  retry_not_counted,
  released_on_failure,
  key_not_freed,
  limit_not_given_back,
  recall_taken_for_returned,
  credit_exceeded,
  deadline_ignored_in_queue,
  neighbour_charged,
  alias_not_delivered,
  delay_ignored,
  pause_ignored,
  share_never_changes,
  input_not_taken,
  cancel_forgotten,
  rate_ignored,
  promise_forgotten,
  limit_knows_no_shares,
  waiting_not_abandoned,
  count
};
/// The one that is active, of the whole process.
inline Mutant active_mutant = Mutant::none;

}  // namespace futured::scheduler

#define FUTURED_MUTANT(name) (::futured::scheduler::active_mutant == ::futured::scheduler::Mutant::name)
#else
#define FUTURED_MUTANT(name) false
#endif
