// Shows that the simulator finds what it is for: with each of some deliberate bugs in the scheduler, one after the
// other, some history must be wrong. The oracle is alone: the scheduler's own invariants are not looked at.
//
//   sim_mutants [NAME]
#include <cstdio>
#include <cstring>
#include <string>

#include "daemon/scheduler/mutants.hpp"
#include "tests/sim/world.hpp"

namespace {

using namespace futured::sim;
using futured::scheduler::Mutant;

constexpr std::uint64_t kHistories = 4'000;  // in which each has to be found

struct Bug {
  Mutant mutant;
  const char* name;
  const char* what;
};
constexpr Bug kBugs[] = {
    {Mutant::lost_requeue, "lost_requeue", "a call that was asked back and returned is lost"},
    {Mutant::double_completion, "double_completion", "an outcome is delivered twice"},
    {Mutant::stale_token, "stale_token", "a report of an earlier attempt or daemon is accepted"},
    {Mutant::priority_order, "priority_order", "the second highest priority goes first"},
    {Mutant::forgotten_timer, "forgotten_timer", "the timer of a running task is not set"},
    {Mutant::retry_not_counted, "retry_not_counted", "a retry is not counted"},
    {Mutant::released_on_failure, "released_on_failure", "a dependant runs however its predecessor ended"},
    {Mutant::key_not_freed, "key_not_freed", "a failed task keeps its key"},
    {Mutant::limit_not_given_back, "limit_not_given_back", "a place in a limit is not given back"},
    {Mutant::recall_taken_for_returned, "recall_taken_for_returned", "a recall that came too late counts as returned"},
    {Mutant::credit_exceeded, "credit_exceeded", "a worker is sent one call more than its credit"},
    {Mutant::deadline_ignored_in_queue, "deadline_ignored_in_queue",
     "a deadline is overlooked while its task is queued"},
    {Mutant::neighbour_charged, "neighbour_charged", "a call that did not run is charged with the crash beside it"},
    {Mutant::alias_not_delivered, "alias_not_delivered", "who was attached by a key hears nothing"},
    {Mutant::delay_ignored, "delay_ignored", "a delay is overlooked"},
    {Mutant::pause_ignored, "pause_ignored", "a pause is overlooked"},
    {Mutant::share_never_changes, "share_never_changes", "a share keeps its turn for ever"},
    {Mutant::input_not_taken, "input_not_taken", "the reply of the predecessor is not appended"},
    {Mutant::cancel_forgotten, "cancel_forgotten", "a running call is not told to stop"},
    {Mutant::rate_ignored, "rate_ignored", "a rate is overlooked"},
    {Mutant::limit_knows_no_shares, "limit_knows_no_shares", "at a limit flows take turns, not shares"},
    {Mutant::waiting_not_abandoned, "waiting_not_abandoned", "a daemon that leaves forgets those that wait"},
    {Mutant::promise_forgotten, "promise_forgotten", "credit that was granted does not count against the limit"},
};
static_assert(sizeof kBugs / sizeof *kBugs + 1 == static_cast<std::size_t>(Mutant::count), "each has a line");

/// What is wrong in the first history that is; empty: nothing in any.
std::string find(std::uint64_t& histories) {
  for (histories = 1; histories <= kHistories; ++histories) {
    Sightings ignored;
    try {
      World::Options options;
      options.invariants = false;
      World world(histories, options, ignored);
      world.run();
    } catch (const Violation& v) {
      return v.what();
    }
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  bool all = true;
  for (const Bug& bug : kBugs) {
    if (argc > 1 && std::strcmp(argv[1], bug.name) != 0) continue;
    futured::scheduler::active_mutant = bug.mutant;
    std::uint64_t histories = 0;
    const std::string what = find(histories);
    futured::scheduler::active_mutant = Mutant::none;
    if (what.empty()) {
      std::printf("NOT FOUND in %llu histories: %s\n", static_cast<unsigned long long>(kHistories), bug.what);
      all = false;
    } else {
      std::printf("found in %4llu histories: %s\n    %s\n", static_cast<unsigned long long>(histories), bug.what,
                  what.c_str());
    }
    std::fflush(stdout);
  }
  return all ? 0 : 1;
}
