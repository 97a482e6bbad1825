// The requests of Control: each a message, and its pages one after the other.
#include <utility>

#include "client/connection.hpp"
#include "client/control.hpp"

namespace futured {

namespace {

/// Asks with `query` (a part of `request`) until there is no more, or `take` says false.
template <class Query, class F>
Status for_each_page(Control& control, v1::Request& request, Query& query, Control::Nanos timeout, F take) {
  for (bool more = true; more;) {
    auto reply = control.request(request, timeout);
    if (!reply.ok()) return reply.status();
    if (!take(*reply)) return {};
    more = reply->more() && !reply->cursor().empty();
    query.set_cursor(reply->cursor());
  }
  return {};
}

template <class T>
std::vector<T> taken(google::protobuf::RepeatedPtrField<T>& from) {
  return {std::make_move_iterator(from.begin()), std::make_move_iterator(from.end())};
}

}  // namespace

Result<v1::Reply> Control::request_lasting(const v1::Request& request, Nanos timeout) {
  const detail::Deadline deadline = detail::deadline_after(timeout);
  for (;;) {
    auto reply = connection_.request(request, deadline);
    const bool lost = !reply.ok() && reply.status().code() == Code::unavailable;
    if (!lost || connection_.ended() || detail::Clock::now() >= deadline) return reply;
  }
}

Status Control::order(const v1::Request& request, Nanos timeout) {
  const auto reply = this->request(request, timeout);
  return reply.ok() ? Status() : reply.status();
}

Result<std::optional<Control::Existing>> Control::existing(const Future<std::string>& future, Nanos timeout) {
  const detail::CellRef& cell = FutureAccess::cell(future);
  const auto* home = future.valid() ? dynamic_cast<const detail::RemoteHome*>(cell.get()->home()) : nullptr;
  if (home == nullptr) return Status(Code::invalid, "this future belongs to no daemon");
  const auto found = connection_.existing(*home, *cell, detail::deadline_after(timeout));
  if (!found.ok()) return found.status();
  if (!found->has_value()) return std::optional<Existing>();
  return std::optional(Existing{(*found)->number, (*found)->input_differs});
}

Result<std::vector<TaskNumber>> Control::retry(const v1::Selector& selector, Nanos timeout) {
  v1::Request request;
  auto& query = *request.mutable_retry();
  *query.mutable_selector() = selector;
  std::vector<TaskNumber> numbers;
  const Status asked = for_each_page(*this, request, query, timeout, [&](const v1::Reply& reply) {
    numbers.insert(numbers.end(), reply.numbers().begin(), reply.numbers().end());
    return true;
  });
  if (!asked.ok()) return asked;
  return numbers;
}

Result<std::uint64_t> Control::forget(const v1::Selector& selector, Nanos timeout) {
  v1::Request request;
  auto& query = *request.mutable_forget();
  *query.mutable_selector() = selector;
  std::uint64_t count = 0;
  const Status asked = for_each_page(*this, request, query, timeout, [&](const v1::Reply& reply) {
    count += reply.count();
    return true;
  });
  if (!asked.ok()) return asked;
  return count;
}

Status Control::explain(const v1::Selector& selector, Nanos timeout,
                        const std::function<bool(v1::Explanation&)>& take) {
  v1::Request request;
  auto& query = *request.mutable_explain();
  *query.mutable_selector() = selector;
  return for_each_page(*this, request, query, timeout, [&](v1::Reply& reply) {
    for (v1::Explanation& e : *reply.mutable_explanations()) {
      if (!take(e)) return false;
    }
    return true;
  });
}

Result<std::vector<v1::LogChunk>> Control::log(const LogPart& part, Nanos timeout) {
  v1::Request request;
  auto& query = *request.mutable_log();
  query.mutable_task()->set_number(part.task);
  query.set_attempt(part.attempt);
  query.set_offset(part.offset);
  query.set_follow(part.follow);
  auto reply = request_lasting(request, timeout);
  if (!reply.ok()) return reply.status();
  return taken(*reply->mutable_log());
}

Result<Control::Changes> Control::changes(const v1::Selector& selector, const std::string& cursor, Nanos timeout) {
  v1::Request request;
  auto& query = *request.mutable_watch();
  *query.mutable_selector() = selector;
  query.set_cursor(cursor);
  auto reply = request_lasting(request, timeout);
  if (!reply.ok()) return reply.status();
  return Changes{taken(*reply->mutable_changes()), std::move(*reply->mutable_cursor())};
}

Status Control::pause(const PauseWhat& what, bool paused, Nanos timeout) {
  v1::Request request;
  auto& order = *request.mutable_pause();
  order.set_pool(what.pool);
  order.set_type(what.task);
  order.set_paused(paused);
  return this->order(request, timeout);
}

Status Control::set_limit(const Limit& limit, Nanos timeout) {
  v1::Request request;
  auto& order = *request.mutable_set_limit();
  order.set_key(limit.key);
  order.set_running(limit.running);
  order.set_starts(limit.starts);
  order.set_per_ns(limit.per.count());
  return this->order(request, timeout);
}

Status Control::remove_limit(const std::string& key, Nanos timeout) {
  v1::Request request;
  request.mutable_set_limit()->set_key(key);
  request.mutable_set_limit()->set_remove(true);
  return order(request, timeout);
}

Result<std::vector<v1::LimitRecord>> Control::limits(Nanos timeout) {
  v1::Request request;
  request.mutable_limits();
  auto reply = this->request(request, timeout);
  if (!reply.ok()) return reply.status();
  return taken(*reply->mutable_limits());
}

Result<std::vector<v1::GroupRecord>> Control::groups(const std::string& name, Nanos timeout) {
  v1::Request request;
  request.mutable_groups()->set_name(name);
  auto reply = this->request(request, timeout);
  if (!reply.ok()) return reply.status();
  return taken(*reply->mutable_groups());
}

Status Control::close_group(const std::string& name, Nanos timeout) {
  v1::Request request;
  request.mutable_close_group()->set_name(name);
  return order(request, timeout);
}

Status Control::add_schedule(const Schedule& schedule, Nanos timeout) {
  static const detail::SpecData defaults;
  const auto& data = schedule.options.data();
  v1::Request request;
  auto& order = *request.mutable_add_schedule();
  order.set_name(schedule.name);
  order.set_cron(schedule.cron);
  order.set_zone(schedule.zone);
  order.set_interval_ns(schedule.interval.count());
  order.set_catch_up(schedule.catch_up);
  order.set_overlap(schedule.overlap);
  *order.mutable_spec() = *client::make_spec(schedule.task, data ? data->spec : defaults);
  order.set_input(schedule.input);
  return this->order(request, timeout);
}

Result<std::vector<v1::ScheduleRecord>> Control::schedules(Nanos timeout) {
  v1::Request request;
  request.mutable_schedules();
  auto reply = this->request(request, timeout);
  if (!reply.ok()) return reply.status();
  return taken(*reply->mutable_schedules());
}

Status Control::change_schedule(const std::string& name, v1::ChangeSchedule::What what, Nanos timeout) {
  v1::Request request;
  request.mutable_change_schedule()->set_name(name);
  request.mutable_change_schedule()->set_what(what);
  return order(request, timeout);
}

Status Control::end_worker(WorkerId worker, bool now, Nanos timeout) {
  v1::Request request;
  request.mutable_end_worker()->set_worker(worker);
  request.mutable_end_worker()->set_now(now);
  return order(request, timeout);
}

Result<std::uint64_t> Control::drain(bool wait, Nanos timeout) {
  v1::Request request;
  request.mutable_drain()->set_wait(wait);
  const auto reply = this->request(request, timeout);
  if (!reply.ok()) return reply.status();
  return reply->count();
}

Result<std::uint64_t> Control::undrain(Nanos timeout) {
  v1::Request request;
  request.mutable_drain()->set_undo(true);
  const auto reply = this->request(request, timeout);
  if (!reply.ok()) return reply.status();
  return reply->count();
}

Result<v1::Reloaded> Control::reload(Nanos timeout) {
  v1::Request request;
  request.mutable_reload();
  auto reply = this->request(request, timeout);
  if (!reply.ok()) return reply.status();
  return std::move(*reply->mutable_reloaded());
}

}  // namespace futured
