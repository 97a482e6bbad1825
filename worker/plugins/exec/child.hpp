// One running command: its pipes, its output on the way to the reply and to whoever follows it live, its end.
// Lives on the loop thread only. The owner keeps it until on_done, which is called exactly once after the call was
// ended.
//
//   running --command ends--> lingering (its pipes may be held by children it left) --end of pipes, or linger--> done
//   running --cancel--> TERM to the group --grace--> KILL to the group; done as above
//
// The leader is reaped last: while it is a zombie its group's number cannot be given to another.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <futured/plugin.hpp>
#include <string>

#include "exec/exec.pb.h"
#include "worker/plugins/common/loop.hpp"

namespace futured::plugins::exec {

using ExecCall = plugin::AsyncCall<ExecReply>;

struct Limits {
  std::uint64_t max_output = 64 << 20;  ///< the most a request may ask to keep, of each stream
  double grace = 2;                     ///< seconds from TERM to KILL
};

class Child {
 public:
  Child(Loop& loop, const Limits& limits, ExecRequest request, ExecCall call, std::function<void()> on_done);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void start();
  void cancel();
  /// There is room for live output again.
  void resume();
  /// Ends the group at once, at the end of the process.
  void kill_now();

 private:
  struct Output {
    int fd = -1;
    std::uint32_t stream = 0;
    std::string kept;
    std::string pending;  // read, but not taken by the follower yet: reading stops until it is
    bool ended = false;
  };

  bool make_pipes(int (&child_ends)[3]);
  void read(Output& output);
  /// False if the follower is behind.
  bool pass_on(Output& output, std::string_view chunk);
  void end(Output& output);
  void close_in();
  void write_in();
  void on_exit();
  /// From now on what is in the pipes is all there will be.
  void close_pipes();
  void signal_group(int signal) const;
  void finish_if_ended();
  void finish();
  plugin::Failure failure(const ExecReply& reply) const;

  Loop& loop_;
  const Limits& limits_;
  ExecRequest request_;
  ExecCall call_;
  std::function<void()> on_done_;
  pid_t pid_ = -1;
  int pidfd_ = -1;
  int in_ = -1;
  std::size_t written_ = 0;
  Output out_;
  Output err_;
  Loop::Timer timer_{};
  bool truncated_ = false;
  bool exited_ = false;
  bool cancelled_ = false;
  bool follower_gone_ = false;
  bool killed_ = false;  // the group got SIGKILL
  bool last_ = false;    // reading ends where the pipe is empty
  int status_ = 0;
  int signal_ = 0;
};

}  // namespace futured::plugins::exec
