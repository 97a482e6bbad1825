// The Server answers what clients ask and order beside the way of a task (Request in client.proto).
#include <unistd.h>

#include <algorithm>

#include "daemon/queries.hpp"
#include "daemon/server.hpp"

namespace futured::daemon {

namespace {
constexpr std::uint32_t kMaxProcesses = 1024;
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
    case v1::Request::kScale: {
      const v1::Scale& scale = request.scale();
      if (parts_.supervisor == nullptr || config_.pools.empty()) {
        status = {Code::invalid, "this daemon starts no workers: it has no pools"};
        break;
      }
      if (scale.pool().empty() && config_.pools.size() > 1) {
        status = {Code::invalid, "there are several pools: say which, as in `fut scale " + config_.pools[0].name + "=" +
                                     std::to_string(scale.processes()) + "`"};
        break;
      }
      if (scale.processes() > kMaxProcesses) {
        status = {Code::invalid, "a pool has at most 1024 processes"};
        break;
      }
      if (phase_ != Phase::working) {
        status = {Code::refused, "the daemon is shutting down"};
        break;
      }
      const std::string pool = scale.pool().empty() ? config_.pools[0].name : scale.pool();
      std::vector<SpawnId> leaving;
      if (!parts_.supervisor->scale(pool, scale.processes(), now, leaving)) {
        status = {Code::not_found, "there is no pool '" + pool + "' here; `fut pool list` lists them"};
        break;
      }
      handle(scheduler::event::PoolScaled{pool, scale.processes()}, now);
      std::vector<WorkerId> drain;
      for (const scheduler::Worker& w : core_.workers().workers) {
        if (w.id != 0 && w.spawn != 0 && std::find(leaving.begin(), leaving.end(), w.spawn) != leaving.end()) {
          drain.push_back(w.id);
          std::erase(leaving, w.spawn);
        }
      }
      for (const WorkerId w : drain) drain_worker(w, false, now);
      for (const SpawnId spawn : leaving) parts_.supervisor->kill(spawn);  // not even connected: nothing to drain
      break;
    }
    case v1::Request::kShutdown:
      stop(request.shutdown().now() ? Stop::now : Stop::drain);
      break;
    case v1::Request::kCancel: {
      const v1::CancelSelected& c = request.cancel();
      Result<TaskWalk> walk = TaskWalk::start(context, c.selector(), c.cursor(), false);
      if (!walk) {
        status = walk.status();
        break;
      }
      std::vector<TaskNumber> tasks;
      for (scheduler::TaskSlot slot = walk->next(); slot != scheduler::kNoSlot; slot = walk->next()) {
        if (!scheduler::is_terminal(core_.tasks()[slot].phase)) tasks.push_back(core_.tasks()[slot].number);
      }
      for (const TaskNumber task : tasks) handle(scheduler::event::CancelTask{task, c.grace_ns()}, now);
      reply.set_count(tasks.size());
      if (!walk->done()) {
        reply.set_more(true);
        reply.set_cursor(walk->cursor());
      }
      break;
    }
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

}  // namespace futured::daemon
