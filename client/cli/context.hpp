// What a verb works with. Lives on the main thread for the whole command.
#pragma once

#include "client/cli/arguments.hpp"
#include "client/cli/daemon.hpp"
#include "client/cli/failure.hpp"
#include "client/cli/output.hpp"
#include "client/cli/selector.hpp"

namespace futured::cli {

class Context {
 public:
  Context(const Verb& v, const Arguments& a, Output& o, Daemon& d) : verb(v), args(a), out(o), daemon(d) {}
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  const Verb& verb;
  const Arguments& args;
  Output& out;
  Daemon& daemon;

  /// The first word; Failure(usage) without one. `what`: "TASK".
  const std::string& first_word(std::string_view what) const;
  /// Failure(usage) if there are more than `most` words.
  void at_most(std::size_t most) const;
  /// The number of a count option.
  std::optional<std::uint64_t> count(std::string_view option, std::uint64_t least, std::uint64_t most) const;
  /// The words as a selector; Failure(usage) if there are none.
  Selection selection(bool may_be_empty = false);
};

// The verbs, one file for each noun.
int run_verb(Context&);
int submit_verb(Context&);
int map_verb(Context&);
int exec_verb(Context&);
int list_verb(Context&);
int show_verb(Context&);
int result_verb(Context&);
int wait_verb(Context&);
int cancel_verb(Context&);
int status_verb(Context&);
int catalog_verb(Context&);
int worker_list_verb(Context&);
int pool_list_verb(Context&);
int scale_verb(Context&);
int ping_verb(Context&);
int shutdown_verb(Context&);
int completions_verb(Context&);
int retry_verb(Context&);
int forget_verb(Context&);
int explain_verb(Context&);
int logs_verb(Context&);
int watch_verb(Context&);
int top_verb(Context&);
int pause_verb(Context&);
int resume_verb(Context&);
int limit_set_verb(Context&);
int limit_list_verb(Context&);
int limit_remove_verb(Context&);
int group_list_verb(Context&);
int group_close_verb(Context&);
int schedule_add_verb(Context&);
int schedule_list_verb(Context&);
int schedule_pause_verb(Context&);
int schedule_resume_verb(Context&);
int schedule_remove_verb(Context&);
int worker_drain_verb(Context&);
int worker_kill_verb(Context&);
int reload_verb(Context&);
int drain_verb(Context&);

/// All of them with their options, and the options of all.
std::span<const Verb> verbs();
std::span<const Option> global_options();

}  // namespace futured::cli
