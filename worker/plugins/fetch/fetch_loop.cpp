#include "worker/plugins/fetch/fetch_loop.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <utility>

namespace futured::plugins::fetch {
namespace {

using plugin::Failure;

constexpr std::size_t most_spare_handles = 256;
// Connections kept alive are closed once nothing was fetched for this long.
constexpr auto idle_after = std::chrono::seconds(60);

std::uint32_t to_epoll(int what) {
  std::uint32_t events = 0;
  if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) events |= EPOLLIN;
  if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) events |= EPOLLOUT;
  return events;
}

int to_curl(std::uint32_t events) {
  int what = 0;
  if ((events & EPOLLIN) != 0) what |= CURL_CSELECT_IN;
  if ((events & EPOLLOUT) != 0) what |= CURL_CSELECT_OUT;
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) what |= CURL_CSELECT_ERR;
  return what;
}

}  // namespace

Status FetchLoop::start() {
  if (Status status = open_multi(); !status.ok()) return status;
  return loop_.start("fetch");
}

void FetchLoop::stop() {
  loop_.stop();
  for (const auto& [id, job] : jobs_) release(job.get());
  jobs_.clear();
  close_multi();
  for (CURL* easy : spare_) curl_easy_cleanup(easy);
  spare_.clear();
}

void FetchLoop::collect(FetchRequest&& request, FetchCall call) {
  auto job = std::make_unique<Job>(std::move(request), limits_, call);
  if (auto failure = job->transfer.check()) return call.fail(*failure);
  {
    const std::lock_guard lock(mutex_);
    collected_.push_back(std::move(job));
  }
  call.on_cancel([this, id = call.id()] { cancel(id); });
}

void FetchLoop::flush() {
  {
    const std::lock_guard lock(mutex_);
    if (collected_.empty()) return;
  }
  loop_.post([this] {
    std::vector<std::unique_ptr<Job>> jobs;
    {
      const std::lock_guard lock(mutex_);
      jobs.swap(collected_);
    }
    for (auto& job : jobs) add(std::move(job));
    start_waiting();
  });
}

void FetchLoop::cancel(futured_call id) {
  // A call that was collected and not flushed yet is taken in first, so that it is found.
  flush();
  loop_.post([this, id] {
    const auto it = jobs_.find(id);
    if (it == jobs_.end()) return;
    end(it->second.get(), plugin::Cancelled());
    start_waiting();
  });
}

void FetchLoop::add(std::unique_ptr<Job> job) {
  loop_.cancel(idle_timer_);
  Job* added = job.get();
  jobs_[added->call.id()] = std::move(job);
  added->place = queue_.add(added->transfer.site(), added);
}

void FetchLoop::start_waiting() {
  if (starting_) return;  // ending a job that cannot start comes back here
  starting_ = true;
  while (true) {
    const HostQueue::Next next = queue_.next(Loop::Clock::now());
    if (next.job == nullptr) break;
    next.job->started = true;
    next.job->scout = next.scout;
    start(next.job);
  }
  starting_ = false;
}

void FetchLoop::start(Job* job) {
  job->easy = take_easy();
  if (job->easy == nullptr) return end(job, Failure("out of memory for another transfer"));
  if (auto failure = job->transfer.prepare(job->easy, job->call.deadline())) return end(job, *failure);
  if (job->scout) {
    job->transfer.on_resolved = [this, job] {
      if (!job->scout) return;
      job->scout = false;
      queue_.resolved(job->place.host, Loop::Clock::now());
    };
    job->transfer.on_connected = [this, job] {
      if (!job->scout) return;
      job->scout = false;
      queue_.scout_passed(job->place.host);
    };
  }
  curl_easy_setopt(job->easy, CURLOPT_PRIVATE, static_cast<void*>(job));
  if (const CURLMcode code = curl_multi_add_handle(multi_, job->easy); code != CURLM_OK) {
    curl_easy_cleanup(std::exchange(job->easy, nullptr));
    end(job, Failure(std::string("the transfer cannot be started: ") + curl_multi_strerror(code)));
  }
}

void FetchLoop::end(Job* job, const plugin::Outcome<FetchReply>& outcome) {
  const FetchCall call = job->call;
  if (job->started) {
    queue_.done(job->place.host, job->scout);
  } else {
    queue_.remove(job->place);
  }
  release(job);
  jobs_.erase(call.id());
  if (const auto* failure = std::get_if<Failure>(&outcome)) {
    call.fail(*failure);
  } else {
    call.complete(std::get<FetchReply>(outcome));
  }
  if (jobs_.empty()) {
    loop_.cancel(idle_timer_);
    idle_timer_ = loop_.after(idle_after, [this] { close_when_idle(); });
  }
}

CURL* FetchLoop::take_easy() {
  if (spare_.empty()) return curl_easy_init();
  CURL* easy = spare_.back();
  spare_.pop_back();
  return easy;
}

void FetchLoop::release(Job* job) {
  CURL* easy = std::exchange(job->easy, nullptr);
  if (easy == nullptr) return;
  curl_multi_remove_handle(multi_, easy);
  if (spare_.size() < most_spare_handles) {
    curl_easy_reset(easy);
    spare_.push_back(easy);
  } else {
    curl_easy_cleanup(easy);
  }
}

void FetchLoop::act(curl_socket_t socket, int events) {
  int running = 0;
  const CURLMcode code = curl_multi_socket_action(multi_, socket, events, &running);
  if (code != CURLM_OK) reopen_multi(code);
  reap();
  start_waiting();
}

void FetchLoop::reap() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    char* pointer = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &pointer);
    Job* job = static_cast<Job*>(static_cast<void*>(pointer));
    if (job->scout && code == CURLE_COULDNT_RESOLVE_HOST) {
      // What waits for the name has its answer too.
      while (Job* other = HostQueue::first_waiting(job->place.host)) {
        end(other, other->transfer.name_not_found());
      }
    }
    const plugin::Outcome<FetchReply> outcome = job->transfer.finish(job->easy, code);
    end(job, outcome);
  }
}

Status FetchLoop::open_multi() {
  multi_ = curl_multi_init();
  if (multi_ == nullptr) return {Code::internal, "curl cannot be initialised: out of memory"};
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &FetchLoop::on_socket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, static_cast<void*>(this));
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &FetchLoop::on_timer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, static_cast<void*>(this));
  // By default the number of connections kept shrinks with the number of transfers, which closes the warm ones.
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(limits_.max_transfers));
  return {};
}

void FetchLoop::close_multi() {
  loop_.cancel(std::exchange(timer_, {}));
  if (multi_ != nullptr) curl_multi_cleanup(std::exchange(multi_, nullptr));
  for (const auto& [socket, events] : std::exchange(sockets_, {})) loop_.unwatch(socket);
}

void FetchLoop::reopen_multi(CURLMcode code) {
  plugin::log_error(std::string("fetch: curl failed (") + curl_multi_strerror(code) + "), all transfers start anew");
  std::vector<Job*> started;
  for (const auto& [id, job] : jobs_) {
    if (job->started) started.push_back(job.get());
  }
  for (Job* job : started)
    end(job, Failure(std::string("the transfer was lost: curl failed: ") + curl_multi_strerror(code)));
  close_multi();
  if (const Status status = open_multi(); !status.ok()) plugin::log_error(status.message());
}

void FetchLoop::close_when_idle() {
  if (!jobs_.empty()) return;
  close_multi();
  if (const Status status = open_multi(); !status.ok()) plugin::log_error(status.message());
}

int FetchLoop::on_socket(CURL*, curl_socket_t socket, int what, void* self, void*) {
  auto* loop = static_cast<FetchLoop*>(self);
  if (what == CURL_POLL_REMOVE) {
    if (loop->sockets_.erase(socket) > 0) loop->loop_.unwatch(socket);
    return 0;
  }
  const auto [it, added] = loop->sockets_.try_emplace(socket, what);
  if (added) {
    loop->loop_.watch(socket, to_epoll(what),
                      [loop, socket](std::uint32_t events) { loop->act(socket, to_curl(events)); });
  } else if (it->second != what) {
    it->second = what;
    loop->loop_.rewatch(socket, to_epoll(what));
  }
  return 0;
}

int FetchLoop::on_timer(CURLM*, long milliseconds, void* self) {
  auto* loop = static_cast<FetchLoop*>(self);
  loop->loop_.cancel(std::exchange(loop->timer_, {}));
  if (milliseconds >= 0) {
    loop->timer_ =
        loop->loop_.after(std::chrono::milliseconds(milliseconds), [loop] { loop->act(CURL_SOCKET_TIMEOUT, 0); });
  }
  return 0;
}

}  // namespace futured::plugins::fetch
