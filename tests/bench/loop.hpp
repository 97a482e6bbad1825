// The daemon's loop with nothing around it: a whole Server whose messages come from here instead of from sockets, and
// which takes one turn when it is told to. What a turn takes is measured, in processor time of its thread.
//
// One thread of the caller's; the loop has its own, and only ever one of the two runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "daemon/server.hpp"
#include "futured/v1/client.pb.h"
#include "futured/v1/worker.pb.h"
#include "proto/envelope.hpp"

namespace futured::bench {

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void turn();
  /// It has nothing to do now.
  bool would_sleep() const;
  /// Turns until it would sleep.
  void settle();
  /// Milliseconds of each turn since the last call.
  std::vector<double> take_turns();
  /// Told to end at once; the turns that it takes are the caller's.
  void stop();

  daemon::ConnectionId connect();
  void disconnect(daemon::ConnectionId which);
  void say(daemon::ConnectionId from, v1::Kind kind, const google::protobuf::MessageLite& m, wire::Frames frames = {});
  std::vector<wire::Frames> hear(daemon::ConnectionId by);

 private:
  class Wires;
  Wires* wires_;  // the server's own
  std::unique_ptr<daemon::Server> server_;
  std::thread thread_;
  std::vector<double> turns_;
};

/// A client at a loop: submits, asks, takes its outcomes. Each call takes as many turns as it takes.
class LoopClient {
 public:
  /// `window`: so many outcomes may be on their way to it. It says what it has taken when that is half of them, as
  /// session/session.cpp does, and when there is nothing else to do.
  static constexpr std::uint64_t kWindow = 65'536;
  LoopClient(Loop& loop, char name, std::uint64_t window = kWindow);

  /// `spec(i)`: of the i-th message; each has `batch` tasks.
  using SpecOf = std::function<void(std::size_t i, v1::Spec& spec)>;
  void submit(std::size_t count, const SpecOf& spec, std::size_t batch = wire::kMaxBatchTasks);
  /// Each task with a spec of its own.
  void submit_each(std::size_t count, const SpecOf& spec);
  /// The answer; throws Failure if it is a problem.
  v1::Reply ask(v1::Request request);
  /// Asks until there is no more; `with` puts the cursor into the request. At most so many pages.
  using With = std::function<void(v1::Request& request, const std::string& cursor)>;
  std::uint64_t ask_all(const With& with, std::size_t pages = SIZE_MAX);
  void cancel(std::uint64_t first_handle, std::size_t count);
  void turn();
  void settle();
  void leave();

  std::uint64_t outcomes() const { return processed_; }
  /// The daemon has said that it ends.
  bool dismissed() const { return dismissed_; }

 private:
  void send(v1::Submit& m, std::size_t count);
  void take();
  void credit(const v1::Accepted& accepted);
  void tell_taken();

  Loop& loop_;
  const daemon::ConnectionId connection_;
  const std::uint64_t window_;
  std::uint64_t credit_ = 0;  ///< seqs below it may be sent
  std::uint64_t next_seq_ = 0, next_request_ = 1, processed_ = 0, told_ = 0;
  bool dismissed_ = false;
  std::vector<v1::Reply> replies_;
};

/// A worker at a loop that offers the task `t`.
class LoopWorker {
 public:
  LoopWorker(Loop& loop, std::uint32_t slots);

  /// Takes the calls that have come; `finish`: all that it has end well.
  void take();
  void finish();
  std::size_t calls() const { return tokens_.size() / kTokenBytes; }
  void leave();
  /// Its connection breaks; it makes another and tells what it has.
  void come_back();

 private:
  void say_hello();

  Loop& loop_;
  daemon::ConnectionId connection_;
  const std::uint32_t slots_;
  std::uint64_t reports_ = 0;
  std::string tokens_;
};

}  // namespace futured::bench
