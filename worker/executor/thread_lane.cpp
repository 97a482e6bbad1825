#include "worker/executor/thread_lane.hpp"

#include <algorithm>
#include <exception>
#include <string>

namespace futured::worker {

ThreadLane::ThreadLane(CallTable& table, SlotsFile& slots, std::uint32_t threads) : table_(table), slots_(slots) {
  for (std::uint32_t i = 0; i < threads; ++i) {
    threads_.push_back(std::make_unique<Thread>());
    threads_.back()->number = i;
  }
  for (auto& t : threads_) {
    t->thread = std::thread([this, self = t.get()] { main(*self); });
  }
}

ThreadLane::~ThreadLane() { stop(); }

void ThreadLane::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  for (auto& t : threads_) {
    if (t->thread.joinable()) t->thread.join();
  }
}

// ---- the loop's side

void ThreadLane::push(std::span<const CallId> calls) {
  if (calls.empty()) return;
  std::uint32_t wake = 0;
  {
    const std::lock_guard lock(mutex_);
    queue_.insert(queue_.end(), calls.begin(), calls.end());
    if (queue_.size() > kMostQueued) forget_taken_back();
    wake = std::min(sleeping_, static_cast<std::uint32_t>(calls.size()));
  }
  for (; wake > 0; --wake) work_.notify_one();
}

void ThreadLane::forget_taken_back() {
  std::erase_if(queue_, [this](CallId id) {
    return table_.at(id).state.load(std::memory_order_relaxed) != call_state::make(id, call_state::kReady);
  });
}

void ThreadLane::take_done(std::vector<CallId>& into) {
  for (auto& t : threads_) t->done.take(into);
}

bool ThreadLane::has_done() const {
  return std::ranges::any_of(threads_, [](const auto& t) { return t->done.size() != 0; });
}

void ThreadLane::served(std::uint64_t& calls, Time& busy) {
  calls = 0;
  busy = 0;
  for (auto& t : threads_) {
    const std::uint64_t c = t->calls.load(std::memory_order_acquire);
    const Time b = t->busy.load(std::memory_order_relaxed);
    calls += c - t->calls_seen;
    busy += b - t->busy_seen;
    t->calls_seen = c;
    t->busy_seen = b;
  }
}

void ThreadLane::check(Time now, std::vector<CallId>& running) {
  for (auto& t : threads_) {
    const std::uint64_t number = t->run_number.load(std::memory_order_acquire);
    const CallId current = t->current.load(std::memory_order_acquire);
    if (current != t->last_seen) {
      t->last_seen = current;
      t->last_seen_at = now;
      if (current != 0) running.push_back(current);
      continue;
    }
    const std::uint32_t size = t->run_size.load(std::memory_order_acquire);
    if (current == 0 || size < 2 || now - t->last_seen_at < kStuck) continue;
    if (t->give_up.load(std::memory_order_relaxed) == number) continue;
    // Ids may stand twice in the queue then: whoever claims a call first runs it. The thread puts back the rest too
    // when it sees the order, so a run that ends in this moment loses nothing.
    t->give_up.store(number, std::memory_order_release);
    std::vector<CallId> rest;
    for (std::uint32_t i = t->run_at.load(std::memory_order_acquire) + 1; i < std::min(size, kMostRun); ++i) {
      rest.push_back(t->run[i].load(std::memory_order_relaxed));
    }
    put_back(rest);
  }
}

Time ThreadLane::next_check(Time now) const {
  for (const auto& t : threads_) {
    if (t->run_size.load(std::memory_order_relaxed) > 1 &&
        t->give_up.load(std::memory_order_relaxed) != t->run_number.load(std::memory_order_relaxed)) {
      return now + kLook;
    }
    // A call that has begun since the last look has to be seen once; so has one that is about to.
    const CallId current = t->current.load(std::memory_order_relaxed);
    if (current != t->last_seen || (current == 0 && t->taken.load(std::memory_order_relaxed))) return now + kLook;
  }
  // What a thread took while the others were looked at is in no queue any more: with the lock nothing can move.
  const std::lock_guard lock(mutex_);
  const bool on_its_way = std::ranges::any_of(threads_, [this](const auto& t) {
    if (!t->taken.load(std::memory_order_relaxed)) return !queue_.empty();
    const CallId current = t->current.load(std::memory_order_relaxed);
    return current == 0 || current != t->last_seen;
  });
  return on_its_way ? now + kLook : kNever;
}

void ThreadLane::put_back(std::span<const CallId> calls) {
  if (calls.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    queue_.insert(queue_.begin(), calls.begin(), calls.end());
  }
  work_.notify_one();
}

// ---- a thread's side

void* ThreadLane::state_for(Thread& self, const Plugin& plugin) {
  if (self.plugin_state.size() <= plugin.number) {
    self.plugin_state.resize(plugin.number + 1);
    self.plugin_ready.resize(plugin.number + 1);
  }
  if (!self.plugin_ready[plugin.number]) {
    self.plugin_ready[plugin.number] = true;
    self.plugins.push_back(&plugin);
    if (plugin.thread_init != nullptr) self.plugin_state[plugin.number] = plugin.thread_init();
  }
  return self.plugin_state[plugin.number];
}

void ThreadLane::run_one(Thread& self, CallId id) {
  CallRecord& r = table_.at(id);
  if (!CallTable::claim(r, id)) return;  // taken back, or rescued by another thread
  self.current.store(id, std::memory_order_release);
  slots_.begin(self.number, r.token);
  const TaskType& type = *r.spec->type;
  if (r.spec->timeout > 0 && CallTable::pin(r, id)) {
    r.deadline = clock_now() + r.spec->timeout;
    CallTable::unpin(r);
  }
  if (type.function) {
    std::unique_ptr<Failure> failure;
    Slice reply;
    try {
      reply = Slice::of(type.function(r.input.view()));
    } catch (const std::exception& e) {
      failure = std::make_unique<Failure>();
      failure->message = e.what();
    } catch (...) {
      failure = std::make_unique<Failure>();
      failure->message = "task " + type.name + " threw something that is no std::exception";
    }
    table_.end_with(id, std::move(reply), std::move(failure));
  } else {
    void* state = state_for(self, *type.plugin);
    type.run(state, id, {r.input.data(), r.input.size()});
    // The call has normally ended and its record may belong to another one by now: only its state may be asked.
    const std::uint64_t s = r.state.load(std::memory_order_acquire);
    const std::uint64_t phase = call_state::phase(s);
    if (call_state::generation(s) == generation_of(id) &&
        (phase == call_state::kRunning || phase == call_state::kPinned)) {
      auto failure = std::make_unique<Failure>();
      failure->message = "task " + type.name + " of plugin " + type.plugin->name +
                         " returned without ending its call. This is a fault of the plugin";
      table_.end_with(id, {}, std::move(failure));
    }
  }
  slots_.end(self.number);
}

void ThreadLane::main(Thread& self) {
  CallTable::use_ring(&table_, &self.done);
  std::array<CallId, kMostRun> run;
  double mean = static_cast<double>(kRunFor);
  for (;;) {
    std::uint32_t n = 0;
    {
      std::unique_lock lock(mutex_);
      self.taken.store(false, std::memory_order_relaxed);
      while (queue_.empty() && !stopping_) {
        if (self.done.size() != 0) {
          lock.unlock();
          table_.wakeup().wake();  // nothing left to do: what has ended goes out
          lock.lock();
          if (!queue_.empty() || stopping_) break;
        }
        ++sleeping_;
        work_.wait(lock);
        --sleeping_;
      }
      if (stopping_) break;
      const auto fair = (queue_.size() + threads_.size() - 1) / threads_.size();
      const auto fast = static_cast<std::size_t>(static_cast<double>(kRunFor) / std::max(mean, 1.0));
      n = static_cast<std::uint32_t>(std::clamp<std::size_t>(std::min(fair, fast), 1, kMostRun));
      std::copy_n(queue_.begin(), n, run.begin());
      queue_.erase(queue_.begin(), queue_.begin() + n);
      self.taken.store(true, std::memory_order_relaxed);
    }
    const std::uint64_t number = self.run_number.load(std::memory_order_relaxed) + 1;
    self.run_number.store(number, std::memory_order_release);
    for (std::uint32_t i = 0; i < n; ++i) self.run[i].store(run[i], std::memory_order_relaxed);
    self.run_at.store(0, std::memory_order_relaxed);
    self.run_size.store(n, std::memory_order_release);
    const Time begin = clock_now();
    std::uint32_t i = 0;
    while (i < n) {
      self.run_at.store(i, std::memory_order_release);
      run_one(self, run[i++]);
      if (self.give_up.load(std::memory_order_acquire) == number) {
        put_back(std::span(run).subspan(i, n - i));
        break;
      }
    }
    const Time took = clock_now() - begin;
    self.current.store(0, std::memory_order_release);
    self.run_size.store(0, std::memory_order_release);
    self.busy.store(self.busy.load(std::memory_order_relaxed) + took, std::memory_order_relaxed);
    self.calls.store(self.calls.load(std::memory_order_relaxed) + i, std::memory_order_release);
    const double each = static_cast<double>(took) / static_cast<double>(i);
    mean += (each - mean) * (each > mean ? 0.5 : 0.25);  // quick to believe that calls are long
    if (self.done.size() >= worth_waking_.load(std::memory_order_relaxed)) table_.wakeup().wake();
  }
  CallTable::use_ring(nullptr, nullptr);
  for (const Plugin* p : self.plugins) {
    if (p->thread_fini != nullptr) p->thread_fini(self.plugin_state[p->number]);
  }
}

}  // namespace futured::worker
