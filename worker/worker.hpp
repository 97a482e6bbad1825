// A worker: the loop between the connection, the session and the lanes. A process of its own (main.cpp), or a part of a
// host program that offers its own functions:
//
//   futured::worker::Registry registry;
//   registry.add("resize", [](std::string_view input) { return std::string(input); });
//   auto worker = Worker::in_process(config, registry, [&] { return daemon.connect(); });
//   std::thread loop([&] { (*worker)->run(); });
//   ...
//   (*worker)->stop(); loop.join();
//
// run() takes one thread; everything marked [any] may be called from any other.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proto/status.hpp"
#include "worker/executor/executor.hpp"
#include "worker/link/link.hpp"
#include "worker/plugin/registry.hpp"
#include "worker/session/session.hpp"

namespace futured::worker {

class Translator;

struct WorkerConfig {
  std::string pool = "default";
  std::uint32_t threads = 1;
  std::uint32_t async_slots = 0;
  std::uint64_t spawn = 0;  ///< the daemon's number of this process; 0: started by hand
  std::int32_t parent = 0;  ///< process id of the daemon that started this one: its end is the end; 0: none did
  Time orphan = 0;          ///< leave when there was no daemon for this long; 0: never
  std::string slots_file;   ///< empty: none
  std::vector<std::pair<std::string, std::string>> labels;
  bool log = true;        ///< lines on standard error about the connection; false: none
  bool problems = false;  ///< ... only about what is wrong
};

enum class Leaving : std::uint8_t { drained, refused, orphaned, stopped };

class Worker {
 public:
  /// A worker that connects to `endpoint`. `registry` must outlive it.
  static Result<std::unique_ptr<Worker>> remote(const WorkerConfig& config, Registry& registry,
                                                const std::string& endpoint);
  /// A worker of a daemon in this process.
  static Result<std::unique_ptr<Worker>> in_process(const WorkerConfig& config, Registry& registry,
                                                    PipeConnector connect);
  /// Tells what runs to stop and waits for the calls of the thread lane to return. run() must have returned.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// The loop. Once.
  Leaving run();
  /// After run(): why, in words.
  const std::string& why() const { return why_; }
  /// After run(): calls that have not ended.
  std::size_t calls_open() const { return session_->in_hand(); }

  /// [any, also a signal handler] Take nothing new, give back what has not started, leave when the rest is done and
  /// reported.
  void drain() { order(kDrain); }
  /// [any, also a signal handler] Leave now; what runs is lost for the daemon and will run elsewhere.
  void stop() { order(kStop); }
  /// [any] The registry has got new types: tell the daemon, over a new connection.
  void refresh() { order(kRefresh); }
  /// [any] True while the daemon has welcomed this worker.
  bool connected() const { return connected_.load(std::memory_order_acquire); }

 private:
  enum : unsigned { kDrain = 1, kStop = 2, kRefresh = 4 };

  Worker(const WorkerConfig& config, Registry& registry, CallTable& table);
  static Result<std::unique_ptr<Worker>> make(const WorkerConfig& config, Registry& registry);
  void order(unsigned what) {
    orders_.fetch_or(what, std::memory_order_acq_rel);
    table_.wakeup().wake_now();
  }
  void take_types();
  void receive(Time now);
  void handle(const wire::Pipe::Frames& frames, Time now);
  void collect(Time now);
  void send_emissions();
  void act(Time now);
  void log(const std::string& text) const;   ///< the ordinary course of things
  void warn(const std::string& text) const;  ///< something is wrong
  void complain(const std::string& text);
  void tell_if_alone();

  WorkerConfig config_;
  Registry& registry_;
  CallTable& table_;
  std::unique_ptr<Link> link_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<Translator> translator_;
  std::atomic<unsigned> orders_{0};
  std::atomic<bool> connected_{false};
  std::string why_;
  std::string endpoint_;  ///< empty: a pipe
  bool told_alone_ = false;
  bool was_connected_ = false;
  std::uint32_t complaints_ = 0;

  // Kept from turn to turn for their capacity.
  std::vector<Link::Frames> inbox_;
  std::vector<Ended> ended_;
  std::vector<Emission> emissions_;
  std::vector<CallId> seen_running_;
  Actions doing_;
};

}  // namespace futured::worker
