#include "daemon/schedule_desk.hpp"

#include <algorithm>
#include <utility>

#include "daemon/schedules/zone_file.hpp"

namespace futured::daemon {

namespace {

using schedules::WallTime;

/// What one task may ask for, but not one that is submitted again and again.
Status fit_for_schedule(const v1::Spec& spec) {
  if (spec.after_size() != 0 || spec.has_input_from()) {
    return {Code::invalid, "a schedule submits tasks that stand alone: `after` and `input_from` are for single tasks"};
  }
  if (!spec.key().empty()) {
    return {Code::invalid,
            "a schedule submits a new task each time, a key is for one task; to have one at a time set its overlap to "
            "skip or replace"};
  }
  if (spec.at_unix_ns() != 0) {
    return {Code::invalid, "a schedule has its own times: `at` is for single tasks; a delay is possible"};
  }
  for (const v1::Header& label : spec.labels()) {
    if (label.name() == ScheduleDesk::kLabel) {
      return {Code::invalid, "the label 'schedule' is set to the name of the schedule; give yours another name"};
    }
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<const schedules::Zone>> ScheduleDesk::zone(const std::string& name) {
  const auto known = zones_.find(name);
  if (known != zones_.end()) return known->second;
  Result<schedules::Zone> read = schedules::read_zone(name);
  if (!read) return read.status();
  return zones_.emplace(name, std::make_shared<const schedules::Zone>(std::move(*read))).first->second;
}

Status ScheduleDesk::read_times(const v1::AddSchedule& order, schedules::Schedule& to) {
  if (order.cron().empty() == (order.interval_ns() == 0)) {
    return {Code::invalid, std::string("a schedule has either a cron expression or an interval, this one has ") +
                               (order.cron().empty() ? "neither" : "both")};
  }
  if (order.cron().empty()) {
    if (!order.zone().empty()) {
      return {Code::invalid, "a time zone goes with a cron expression; an interval counts time, not hours of a day"};
    }
    to.when = schedules::Every{order.interval_ns(), schedules::kNoTime};
    return {};
  }
  Result<schedules::Cron> cron = schedules::Cron::parse(order.cron());
  if (!cron) return cron.status();
  Result<std::shared_ptr<const schedules::Zone>> where = zone(order.zone());
  if (!where) return where.status();
  to.when = schedules::Calendar{std::move(*cron), order.zone(), std::move(*where)};
  return {};
}

Status ScheduleDesk::add(const v1::AddSchedule& order, const Submitter& by, const scheduler::Scheduler& core) {
  if (works_.size() >= kMostSchedules) {
    return {Code::refused, "there are " + std::to_string(kMostSchedules) + " schedules already; remove one first"};
  }
  schedules::Schedule schedule;
  schedule.name = order.name();
  if (Status s = read_times(order, schedule); !s.ok()) return s;
  if (!v1::AddSchedule::CatchUp_IsValid(order.catch_up()) || !v1::AddSchedule::Overlap_IsValid(order.overlap())) {
    return {Code::invalid, "this daemon does not know this catch-up or overlap; it may be older than the client"};
  }
  schedule.catch_up = static_cast<schedules::CatchUp>(order.catch_up());
  schedule.overlap = static_cast<schedules::Overlap>(order.overlap());

  if (Status s = fit_for_schedule(order.spec()); !s.ok()) return s;
  Work work;
  if (Status s = spec_of_wire(order.spec(), by, work.spec); !s.ok()) return s;
  if (std::string why = core.refusal(work.spec); !why.empty()) return {Code::invalid, std::move(why)};
  if (order.input().size() > core.limits().payload_bytes) {
    return {Code::invalid, "input of " + std::to_string(order.input().size()) + " bytes; the limit is " +
                               std::to_string(core.limits().payload_bytes)};
  }
  work.spec.labels.emplace_back(kLabel, schedule.name);
  work.input = Slice::copy(order.input());
  if (bytes_ + work.bytes() > core.limits().bytes) {
    return {Code::refused, "the inputs of all schedules may have " + std::to_string(core.limits().bytes) +
                               " bytes together (max_queued_bytes), with this one they have more"};
  }
  schedule.target = next_work_;
  if (Status s = table_.add(std::move(schedule), by.unix_now); !s.ok()) return s;
  bytes_ += work.bytes();
  works_.emplace(next_work_++, std::move(work));
  return {};
}

Status ScheduleDesk::change(const v1::ChangeSchedule& order, WallTime unix_now) {
  switch (order.what()) {
    case v1::ChangeSchedule::PAUSE:
      return table_.pause(order.name());
    case v1::ChangeSchedule::RESUME:
      return table_.resume(order.name(), unix_now);
    case v1::ChangeSchedule::REMOVE: {
      const schedules::Schedule* schedule = table_.find(order.name());
      if (schedule != nullptr) {
        const auto work = works_.find(schedule->target);
        bytes_ -= work->second.bytes();
        works_.erase(work);
      }
      return table_.remove(order.name());
    }
    default:
      return {Code::invalid, "a schedule is paused, resumed or removed; this order is none of them"};
  }
}

void ScheduleDesk::answer(v1::Reply& into) const {
  for (const auto& [name, schedule] : table_.all()) {
    const Work& work = works_.at(schedule.target);
    v1::ScheduleRecord& r = *into.add_schedules();
    r.set_name(name);
    if (const auto* calendar = std::get_if<schedules::Calendar>(&schedule.when)) {
      r.set_cron(calendar->cron.text());
      r.set_zone(calendar->zone_name);
    } else {
      r.set_interval_ns(std::get<schedules::Every>(schedule.when).interval);
    }
    r.set_catch_up(static_cast<v1::AddSchedule::CatchUp>(schedule.catch_up));
    r.set_overlap(static_cast<v1::AddSchedule::Overlap>(schedule.overlap));
    r.set_type(work.spec.type);
    r.set_paused(schedule.state.paused);
    r.set_next_unix_ns(schedule.next_fire == schedules::kNever ? 0 : schedule.next_fire);
    r.set_last_unix_ns(schedule.state.last_fire == schedules::kNoTime ? 0 : schedule.state.last_fire);
    r.set_fired(schedule.state.fired);
    r.set_skipped(schedule.state.skipped);
    r.set_last_number(work.last);
  }
}

scheduler::Time ScheduleDesk::next_deadline(const scheduler::Scheduler& core, scheduler::Time now,
                                            WallTime unix_now) const {
  const WallTime due = table_.next_deadline();
  // Room comes only with something that happens, and that is a turn; the end of a drain likewise.
  if (due == schedules::kNever || core.full() || core.draining()) return scheduler::kNever;
  if (due <= unix_now) return now;
  return now + (due > unix_now + kLongestWait ? kLongestWait : due - unix_now);
}

void ScheduleDesk::advance(scheduler::Scheduler& core, scheduler::Time now, WallTime unix_now,
                           scheduler::Actions& actions) {
  if (table_.next_deadline() > unix_now || core.full() || core.draining()) return;
  // Whether a run has ended matters when the next one is due, and only then it is looked up.
  for (const std::string_view name : table_.due(unix_now)) find_ended(*table_.find(name), core);
  fires_.clear();
  table_.advance(unix_now, fires_);
  for (const schedules::Fire& f : fires_) fire(f, core, now, actions);
}

void ScheduleDesk::find_ended(const schedules::Schedule& schedule, const scheduler::Scheduler& core) {
  std::map<schedules::RunNumber, Run>& runs = works_.at(schedule.target).runs;
  for (auto it = runs.begin(); it != runs.end();) {
    const scheduler::TaskSlot slot = core.tasks().find(it->second.task);
    if (slot == scheduler::kNoSlot || scheduler::is_terminal(core.tasks()[slot].phase)) {
      table_.ended(schedule.name, it->first);
      it = runs.erase(it);
    } else {
      ++it;
    }
  }
}

void ScheduleDesk::fire(const schedules::Fire& fire, scheduler::Scheduler& core, scheduler::Time now,
                        scheduler::Actions& actions) {
  Work& work = works_.at(fire.target);
  for (const schedules::RunNumber number : fire.replaces) {
    const auto run = work.runs.find(number);
    // Once is enough: to be told again would only cost messages.
    if (run == work.runs.end() || std::exchange(run->second.stopping, true)) continue;
    core.handle(scheduler::event::CancelTask{run->second.task, kReplaceGrace}, now, actions);
  }
  work.last = core.tasks().next_number();
  core.handle(scheduler::event::SubmitOwn{&work.spec, work.input, 0}, now, actions);
  if (table_.find(fire.schedule)->overlap == schedules::Overlap::allow) {
    // Nothing depends on its end, and there may be many.
    table_.ended(fire.schedule, fire.number);
  } else {
    work.runs.emplace(fire.number, Run{work.last, false});
  }
}

}  // namespace futured::daemon
