#include "worker/executor/executor.hpp"

#include <algorithm>
#include <exception>
#include <utility>

namespace futured::worker {

Result<std::unique_ptr<Executor>> Executor::make(CallTable& table, const ExecutorOptions& options) {
  std::unique_ptr<Executor> e(new Executor(table, options));
  if (!options.slots_file.empty()) {
    if (Status s = e->slots_.open(options.slots_file, options.threads, options.async_slots); !s.ok()) return s;
  }
  for (std::uint32_t i = options.async_slots; i > 0; --i) e->free_slots_.push_back(i - 1);
  e->threads_ = std::make_unique<ThreadLane>(table, e->slots_, options.threads);
  return e;
}

Executor::~Executor() { threads_.reset(); }

void Executor::start(Lane lane, std::span<const CallId> calls) {
  if (lane == Lane::thread) {
    threads_->push(calls);
    return;
  }
  to_flush_.clear();
  for (const CallId id : calls) {
    CallRecord& r = table_.at(id);
    const TaskType& type = *r.spec->type;
    if (free_slots_.empty()) continue;  // the session does not hand out more than there are
    r.slot = free_slots_.back();
    free_slots_.pop_back();
    if (r.spec->timeout > 0) r.deadline = clock_now() + r.spec->timeout;
    slots_.begin(options_.threads + r.slot, r.token);
    r.state.store(call_state::make(id, call_state::kRunning), std::memory_order_release);
    type.run(nullptr, id, {r.input.data(), r.input.size()});
    if (type.plugin->flush != nullptr && std::ranges::find(to_flush_, type.plugin) == to_flush_.end()) {
      to_flush_.push_back(type.plugin);
    }
  }
  for (const Plugin* p : to_flush_) p->flush();
}

void Executor::collect(Time now, bool connected, std::vector<Ended>& ended, std::vector<Emission>& emissions) {
  connected_ = connected;
  // First the ends, then the output: so the output of every end seen here is seen too.
  done_.clear();
  threads_->take_done(done_);
  ring_.take(done_);
  table_.take_done(done_);
  const bool progress_too = connected && table_.has_progress() && now >= next_progress_;
  if (progress_too) next_progress_ = now + CallTable::kProgressEvery;
  table_.take_emissions(emissions, progress_too);
  ended.reserve(ended.size() + done_.size());
  for (const CallId id : done_) {
    CallRecord& r = table_.at(id);
    if (r.progress != nullptr) {
      Emission e;
      e.token = r.token;
      e.has_progress = true;
      e.fraction = r.progress->first;
      e.text = std::move(r.progress->second);
      emissions.push_back(std::move(e));
    }
    ended.push_back({id, std::move(r.reply), std::move(r.failure)});
    if (r.spec->type->lane == Lane::async) {
      slots_.end(options_.threads + r.slot);
      free_slots_.push_back(r.slot);
    }
    table_.free(r);
  }
}

void Executor::emissions_sent(std::uint64_t bytes) {
  if (bytes > 0) table_.emissions_sent(bytes);
  table_.call_writable();
}

bool Executor::has_news() const {
  return threads_->has_done() || ring_.size() != 0 || table_.has_done() || table_.has_emissions();
}

Time Executor::next_check(Time now) const {
  const Time t = threads_->next_check(now);
  return connected_ && table_.has_progress() ? std::min(t, next_progress_) : t;
}

}  // namespace futured::worker
