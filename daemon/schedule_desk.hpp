// The schedules of a daemon as its clients see them, and what each submits: orders come in as messages, firings go to
// the scheduler as tasks of the daemon's own. No clock, no socket: both times are passed in, that of the scheduler and
// that of the wall, which may jump. Loop thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/scheduler/scheduler.hpp"
#include "daemon/schedules/schedule_table.hpp"
#include "daemon/translate.hpp"
#include "futured/v1/client.pb.h"

namespace futured::daemon {

class ScheduleDesk {
 public:
  static constexpr std::size_t kMostSchedules = 10'000;
  /// How long a run may take to stop when the next one replaces it.
  static constexpr scheduler::Time kReplaceGrace = 5'000'000'000;
  /// The wall clock may be set, of which nobody tells: it is looked at again after this time.
  static constexpr scheduler::Time kLongestWait = 60'000'000'000;
  /// Which schedule a task comes from.
  static constexpr const char* kLabel = "schedule";

  /// Invalid: what is wrong with the order, or with each task that it would submit. Refused: there is no room for it.
  Status add(const v1::AddSchedule& order, const Submitter& by, const scheduler::Scheduler& core);
  Status change(const v1::ChangeSchedule& order, schedules::WallTime unix_now);
  /// In order of names.
  void answer(v1::Reply& into) const;

  /// When advance() is wanted; scheduler::kNever if nothing is due until something else happens.
  scheduler::Time next_deadline(const scheduler::Scheduler& core, scheduler::Time now,
                                schedules::WallTime unix_now) const;
  /// Submits what is due. While the scheduler is full or drains nothing is: what comes due then was missed
  /// (schedules/README.md).
  void advance(scheduler::Scheduler& core, scheduler::Time now, schedules::WallTime unix_now,
               scheduler::Actions& actions);

 private:
  struct Run {
    TaskNumber task = 0;
    bool stopping = false;  ///< cancelled for a later run
  };
  /// What a schedule is for; Schedule::target is its key.
  struct Work {
    scheduler::Spec spec;
    Slice input;
    TaskNumber last = 0;                         ///< 0: none yet
    std::map<schedules::RunNumber, Run> runs{};  ///< as far as known they have not ended; none if they may overlap
    std::uint64_t bytes() const { return scheduler::size_of(spec) + input.size(); }
  };

  Result<std::shared_ptr<const schedules::Zone>> zone(const std::string& name);
  Status read_times(const v1::AddSchedule& order, schedules::Schedule& to);
  void find_ended(const schedules::Schedule& schedule, const scheduler::Scheduler& core);
  void fire(const schedules::Fire& fire, scheduler::Scheduler& core, scheduler::Time now, scheduler::Actions& actions);

  schedules::ScheduleTable table_;
  std::map<std::uint64_t, Work> works_;
  std::uint64_t next_work_ = 1;
  std::uint64_t bytes_ = 0;                                              // of works_
  std::map<std::string, std::shared_ptr<const schedules::Zone>> zones_;  // read so far
  std::vector<schedules::Fire> fires_;                                   // of one turn
};

}  // namespace futured::daemon
