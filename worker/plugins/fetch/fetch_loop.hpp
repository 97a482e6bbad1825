// The async lane of fetch: one thread, one curl multi handle, any number of transfers.
// Threads: collect, flush and cancel from any thread; all else runs on the loop thread.
#pragma once

#include <curl/curl.h>

#include <futured/plugin.hpp>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "worker/plugins/common/loop.hpp"
#include "worker/plugins/fetch/host_queue.hpp"
#include "worker/plugins/fetch/transfer.hpp"

namespace futured::plugins::fetch {

using FetchCall = plugin::AsyncCall<FetchReply>;

struct Job {
  Job(FetchRequest request, const Limits& limits, FetchCall fetch_call)
      : call(fetch_call), transfer(std::move(request), limits) {}
  FetchCall call;
  Transfer transfer;
  HostQueue::Place place;
  bool started = false;  // taken out of the queue
  CURL* easy = nullptr;  // owned
  bool scout = false;    // its host waits for what this one finds out
};

class FetchLoop {
 public:
  explicit FetchLoop(const Limits& limits) : limits_(limits), queue_(limits.max_transfers, limits.max_per_host) {}
  Status start();
  /// With no call open.
  void stop();

  /// The transfer starts at the next flush.
  void collect(FetchRequest&& request, FetchCall call);
  void flush();
  void cancel(futured_call id);

 private:
  void add(std::unique_ptr<Job> job);
  void start_waiting();
  void start(Job* job);
  void act(curl_socket_t socket, int events);
  void reap();
  void end(Job* job, const plugin::Outcome<FetchReply>& outcome);
  CURL* take_easy();
  void release(Job* job);
  Status open_multi();
  void close_multi();
  void reopen_multi(CURLMcode code);
  void close_when_idle();
  static int on_socket(CURL*, curl_socket_t socket, int what, void* self, void*);
  static int on_timer(CURLM*, long milliseconds, void* self);

  const Limits& limits_;
  Loop loop_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Job>> collected_;  // guarded by mutex_

  CURLM* multi_ = nullptr;
  HostQueue queue_;
  std::unordered_map<futured_call, std::unique_ptr<Job>> jobs_;
  std::vector<CURL*> spare_;
  std::unordered_map<curl_socket_t, int> sockets_;  // watched for curl
  Loop::Timer timer_{};
  Loop::Timer idle_timer_{};
  bool starting_ = false;
};

}  // namespace futured::plugins::fetch
