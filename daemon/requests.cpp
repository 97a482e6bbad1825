// The Server answers what clients ask and order beside the way of a task (Request in client.proto).
#include <unistd.h>

#include <algorithm>

#include "daemon/log.hpp"
#include "daemon/queries.hpp"
#include "daemon/reload.hpp"
#include "daemon/server.hpp"

namespace futured::daemon {

namespace {
constexpr std::uint32_t kMaxProcesses = 1024;
constexpr std::size_t kMaxKey = 4096;
constexpr int kMostLimits = 10'000;

/// Calls reached(number) for a portion of the tasks selected; `reply` says where to go on.
template <class Reached>
Status for_selected(const QueryContext& context, const v1::Selector& selector, const std::string& cursor,
                    v1::Reply& reply, Reached reached) {
  Result<TaskWalk> walk = TaskWalk::start(context, selector, cursor, false);
  if (!walk) return walk.status();
  // First all, then what is done to them: it may change the tables that are walked.
  std::vector<TaskNumber> tasks;
  for (scheduler::TaskSlot slot = walk->next(); slot != scheduler::kNoSlot; slot = walk->next()) {
    tasks.push_back(context.core.tasks()[slot].number);
  }
  std::uint64_t count = 0;
  for (const TaskNumber task : tasks) count += reached(task) ? 1 : 0;
  reply.set_count(count);
  if (!walk->done()) {
    reply.set_more(true);
    reply.set_cursor(walk->cursor());
  }
  return {};
}
}  // namespace

void Server::on_request(scheduler::SessionId session, const v1::Request& request, std::int64_t now) {
  v1::Reply reply;
  reply.set_request(request.request());
  Status status;
  const QueryContext context = query_context();
  switch (request.what_case()) {
    case v1::Request::kStatus: {
      v1::DaemonStatus& s = *reply.mutable_status();
      answer_status(context, now, s);
      s.set_version(FUTURED_VERSION);
      s.set_pid(static_cast<std::uint32_t>(getpid()));
      s.set_uptime_ns(now - started_at_);
      s.set_store(config_.store);
      s.set_bad_messages(bad_messages_ + parts_.transport->counters().malformed_multipart);
      for (const std::string& endpoint : endpoints()) s.add_endpoints(endpoint);
      for (const Catalog::Refusal& r : parts_.catalog.refusals()) {
        auto* out = s.add_plugins_refused();
        out->set_path(r.path);
        out->set_message(r.why);
      }
      break;
    }
    case v1::Request::kList:
      status = answer_list(context, request.list(), reply);
      break;
    case v1::Request::kCatalog:
      status = answer_catalog(context, request.catalog(), reply);
      break;
    case v1::Request::kWorkers:
      answer_workers(context, reply);
      break;
    case v1::Request::kPools:
      answer_pools(context, reply);
      break;
    case v1::Request::kScale:
      status = scale(request.scale(), now);
      break;
    case v1::Request::kReload:
      status = reload(*reply.mutable_reloaded(), now);
      break;
    case v1::Request::kShutdown:
      stop(request.shutdown().now() ? Stop::now : Stop::drain);
      break;
    case v1::Request::kDrain:
      status = drain(request.drain(), now);
      if (status.ok() && request.drain().wait() && core_.draining()) {
        status = park(session, request, now);
        if (status.ok()) {
          carry_out(now);
          return;
        }
      }
      reply.set_count(core_.at_workers());
      break;
    case v1::Request::kCancel: {
      const v1::CancelSelected& c = request.cancel();
      status = for_selected(context, c.selector(), c.cursor(), reply, [&](TaskNumber task) {
        if (scheduler::is_terminal(core_.tasks()[core_.tasks().find(task)].phase)) return false;
        handle(scheduler::event::CancelTask{task, c.grace_ns()}, now);
        return true;
      });
      break;
    }
    case v1::Request::kRetry:
      status = core_.draining()
                   ? Status(Code::refused, "the daemon is draining and takes no new tasks; try again later")
                   : for_selected(context, request.retry().selector(), request.retry().cursor(), reply,
                                  [&](TaskNumber task) { return retry(task, reply, now); });
      break;
    case v1::Request::kForget:
      status =
          for_selected(context, request.forget().selector(), request.forget().cursor(), reply, [&](TaskNumber task) {
            const scheduler::TaskSlot slot = core_.tasks().find(task);
            if (!scheduler::is_terminal(core_.tasks()[slot].phase)) return false;
            handle(scheduler::event::Forget{task}, now);
            return true;
          });
      break;
    case v1::Request::kExplain:
      status =
          for_selected(context, request.explain().selector(), request.explain().cursor(), reply, [&](TaskNumber task) {
            const scheduler::TaskSlot slot = core_.tasks().find(task);
            v1::Explanation& e = *reply.add_explanations();
            e.set_number(task);
            e.set_id(raw_id(core_.id(slot)));
            e.set_state(static_cast<v1::State>(state_of(core_.tasks()[slot].phase)));
            e.set_reason(static_cast<v1::Reason>(core_.reason(slot)));
            e.set_text(core_.explain(slot, now));
            return true;
          });
      break;
    case v1::Request::kLog:
    case v1::Request::kWatch:
      status = park(session, request, now);
      if (status.ok()) return;
      break;
    case v1::Request::kPause:
      status = pause(request.pause(), now);
      break;
    case v1::Request::kSetLimit:
      status = set_limit(request.set_limit(), now);
      break;
    case v1::Request::kLimits:
      answer_limits(context, reply);
      break;
    case v1::Request::kGroups:
      status = answer_groups(context, request.groups(), reply);
      break;
    case v1::Request::kCloseGroup:
      if (core_.groups().find(request.close_group().name()) == scheduler::kNoGroup) {
        status = {Code::not_found,
                  "there is no group '" + request.close_group().name() + "'; `fut group list` lists them"};
      } else {
        handle(scheduler::event::CloseGroup{request.close_group().name()}, now);
      }
      break;
    case v1::Request::kEndWorker:
      status = end_worker(request.end_worker(), now);
      break;
    case v1::Request::kAddSchedule:
      status = add_schedule(session, request.add_schedule());
      break;
    case v1::Request::kSchedules:
      schedules_.answer(reply);
      break;
    case v1::Request::kChangeSchedule:
      status = schedules_.change(request.change_schedule(), unix_now());
      break;
    default:
      status = {Code::invalid, "this daemon does not know this request; it may be older than the client"};
      break;
  }
  if (!status.ok()) {
    reply.mutable_problem()->set_code(static_cast<v1::Code>(status.code()));
    reply.mutable_problem()->set_message(status.message());
  }
  carry_out(now);
  to_client(session, v1::KIND_REPLY, reply);
}

Status Server::scale(const v1::Scale& order, std::int64_t now) {
  if (parts_.supervisor == nullptr || config_.pools.empty()) {
    return {Code::invalid, "this daemon starts no workers: it has no pools"};
  }
  if (order.pool().empty() && config_.pools.size() > 1) {
    return {Code::invalid, "there are several pools: say which, as in `fut scale " + config_.pools[0].name + "=" +
                               std::to_string(order.processes()) + "`"};
  }
  if (order.processes() > kMaxProcesses) return {Code::invalid, "a pool has at most 1024 processes"};
  if (phase_ != Phase::working) return {Code::refused, "the daemon is shutting down"};
  const std::string pool = order.pool().empty() ? config_.pools[0].name : order.pool();
  if (std::none_of(config_.pools.begin(), config_.pools.end(), [&](const PoolConfig& p) { return p.name == pool; })) {
    return {Code::not_found, "there is no pool '" + pool + "' here; `fut pool list` lists them"};
  }
  scale(pool, order.processes(), now);
  return {};
}

void Server::scale(const std::string& pool, std::uint32_t processes, std::int64_t now) {
  std::vector<SpawnId> leaving;
  parts_.supervisor->scale(pool, processes, now, leaving);
  handle(scheduler::event::PoolScaled{pool, processes}, now);
  std::vector<WorkerId> drain;
  for (const scheduler::Worker& w : core_.workers().workers) {
    if (w.id != 0 && w.spawn != 0 && std::find(leaving.begin(), leaving.end(), w.spawn) != leaving.end()) {
      drain.push_back(w.id);
      std::erase(leaving, w.spawn);
    }
  }
  for (const WorkerId w : drain) drain_worker(w, false, now);
  for (const SpawnId spawn : leaving) parts_.supervisor->kill(spawn);  // not even connected: nothing to drain
}

Status Server::reload(v1::Reloaded& into, std::int64_t now) {
  const auto refuse_with = [](Status why) {
    log_warning("nothing was reloaded: " + why.message());
    return why;
  };
  if (!written_.read_again) {
    return refuse_with(
        {Code::not_found, "this daemon was started without a configuration file: there is nothing to read again"});
  }
  if (phase_ != Phase::working) return refuse_with({Code::refused, "the daemon is shutting down"});
  std::vector<std::string> others;
  const Result<DaemonConfig> read = written_.read_again(others);
  if (!read) return refuse_with({Code::invalid, read.status().message() + "; the daemon goes on as before"});
  // A pool may have been scaled since; now it is again as the file says.
  for (PoolConfig& pool : written_.pools) pool.processes = parts_.supervisor->view(pool.name).wanted;
  Reload reload = compare(written_, *read);
  written_ = std::move(reload.config);
  if (config_.log_level != written_.log_level) log_level(written_.log_level);
  config_.log_level = written_.log_level;
  config_.drain_timeout_ns = written_.drain_timeout_ns;
  for (std::size_t i = 0; i < config_.pools.size(); ++i) {
    const PoolConfig& pool = written_.pools[i];
    config_.pools[i].processes = pool.processes;
    if (parts_.supervisor->view(pool.name).wanted != pool.processes) scale(pool.name, pool.processes, now);
  }
  reload.needs_restart.insert(reload.needs_restart.end(), others.begin(), others.end());
  std::string said;
  const auto tell = [&](const std::vector<std::string>& list, const char* what, auto* field) {
    for (const std::string& item : list) {
      said += (&item == list.data() ? what : ", ") + item;
      field->Add()->assign(item);
    }
  };
  tell(reload.changed, "; ", into.mutable_changed());
  if (reload.changed.empty()) said = "; nothing has changed";
  tell(reload.needs_restart, "; needs a restart: ", into.mutable_needs_restart());
  log_info("the configuration was read again" + said);
  return {};
}

/// False: it has not ended, or it succeeded, or its input was not kept.
bool Server::retry(TaskNumber task, v1::Reply& reply, std::int64_t now) {
  const scheduler::TaskSlot slot = core_.tasks().find(task);
  const scheduler::Phase phase = core_.tasks()[slot].phase;
  if (!scheduler::is_terminal(phase) || phase == scheduler::Phase::succeeded) return false;
  if (core_.spec(slot).keep_ns == 0) return false;
  const scheduler::SideRecord* side = core_.tasks().side_if(slot);
  scheduler::Spec spec = core_.spec(slot);
  // What it waited for has been; its input is whole.
  spec.after.clear();
  spec.input_from = UINT32_MAX;
  spec.delay_ns = 0;
  reply.add_numbers(core_.tasks().next_number());
  handle(scheduler::event::SubmitOwn{&spec, side == nullptr ? Slice{} : side->input, task}, now);
  return true;
}

/// An operator's: it ends by another order, or with the daemon.
Status Server::drain(const v1::DrainDaemon& order, std::int64_t now) {
  if (phase_ != Phase::working) return {Code::refused, "the daemon is shutting down"};
  if (order.undo() != core_.draining()) return {};
  log_info(order.undo() ? "the drain is undone" : "draining, until that is undone: nothing more starts");
  if (order.undo()) {
    handle(scheduler::event::Undrain{}, now);
  } else {
    handle(scheduler::event::Drain{true}, now);
  }
  return {};
}

Status Server::pause(const v1::Pause& order, std::int64_t now) {
  if (order.pool().empty() == order.type().empty()) return {Code::invalid, "name a pool or a task type"};
  if (!order.pool().empty() && core_.workers().find_pool(order.pool()) == scheduler::WorkerTable::kNoPool) {
    return {Code::not_found, "there is no pool '" + order.pool() + "'; `fut pool list` lists them"};
  }
  if (!order.type().empty() && core_.workers().classes_of(order.type()) == nullptr) {
    return {Code::not_found, "unknown task '" + order.type() + "'; `fut catalog` lists what there is"};
  }
  handle(scheduler::event::SetPaused{order.pool(), order.type(), order.paused()}, now);
  return {};
}

Status Server::set_limit(const v1::SetLimit& order, std::int64_t now) {
  if (order.key().empty() || order.key().size() > kMaxKey) {
    return {Code::invalid, "the name of a limit has 1 to 4096 bytes"};
  }
  if (order.starts() != 0 && order.per_ns() <= 0) return {Code::invalid, "a rate is so many starts in some time"};
  const auto& limits = core_.ready().limits();
  const bool known = limits.find(order.key()) != scheduler::kNoLimit;
  if (order.remove() && (!known || !limits[limits.find(order.key())].set)) {
    return {Code::not_found, "there is no limit '" + order.key() + "'; `fut limit list` lists them"};
  }
  if (!order.remove() && !known && limits.names().size() >= kMostLimits) {
    return {Code::refused, "there are 10000 limits already"};
  }
  handle(scheduler::event::SetLimit{order.key(), order.running(), order.starts(), order.per_ns(), order.remove()}, now);
  return {};
}

Status Server::end_worker(const v1::EndWorker& order, std::int64_t now) {
  const scheduler::Worker* w = core_.worker(order.worker());
  if (w == nullptr) {
    return {Code::not_found, "there is no worker " + std::to_string(order.worker()) + "; `fut worker list` lists them"};
  }
  if (!order.now()) {
    if (w->spawn != 0 && parts_.supervisor != nullptr) parts_.supervisor->retire(w->spawn);
    drain_worker(order.worker(), false, now);
  } else if (w->spawn != 0 && parts_.supervisor != nullptr) {
    parts_.supervisor->kill(w->spawn);
  } else {
    return {Code::refused, "worker " + std::to_string(order.worker()) +
                               " was started by hand: it can be drained, or ended where it runs"};
  }
  return {};
}

Status Server::add_schedule(scheduler::SessionId session, const v1::AddSchedule& order) {
  if (phase_ != Phase::working) return {Code::refused, "the daemon is shutting down"};
  const scheduler::Session* s = core_.session(session);
  const auto from = s == nullptr ? connections_.end() : connections_.find(s->connection);
  if (from == connections_.end()) return {Code::refused, "this session has no connection any more"};
  return schedules_.add(order, {from->second.owner, unix_now()}, core_);
}

}  // namespace futured::daemon
