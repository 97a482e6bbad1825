// How a task is to run: a builder. Cheap to copy; a default TaskOptions costs nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "futured/future.hpp"
#include "proto/ids.hpp"

namespace futured {

enum class OnDisconnect : std::uint8_t {
  keep,    ///< the task goes on when its client is gone; the result is kept
  cancel,  ///< it is cancelled, after the grace
};

enum class OnFull : std::uint8_t {
  block,  ///< submit() waits until the daemon takes more, or throws QueueFull when its patience ends
  fail,   ///< submit() throws QueueFull as soon as the daemon has said that it is full, or is out of reach
};

/// How a task must have ended for one that waits for it to run.
enum class Condition : std::uint8_t {
  success,
  failure,  ///< failed, cancelled or expired
  any,
};

/// Live output of a task: stream 1 or 2 (standard output, standard error), and the bytes as they came.
/// Called on the callback thread of the executor, in order, and before the future is done. While it blocks, the task's
/// output waits.
using OutputCallback = std::function<void(int stream, std::string_view bytes)>;

/// How far a running task is, as it says: 0..1, below 0: it does not know; and a short text. Called like
/// OutputCallback; a new attempt begins anew.
using ProgressCallback = std::function<void(double fraction, std::string_view text)>;

namespace detail {

struct TaskDependency {
  TaskReference task;
  Condition on = Condition::success;
  bool operator==(const TaskDependency&) const = default;
};
struct GroupDependency {
  std::string group;
  Condition on = Condition::success;
  bool operator==(const GroupDependency&) const = default;
};

/// Plain data of a spec; equal specs are sent once per batch.
struct SpecData {
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  std::string pool, group, limit_key, fair_key, content_type, codec, schema_hash, tenant, key;
  Pairs labels, headers, requirements;
  std::vector<std::pair<std::string, std::int64_t>> demands;  // ten-thousandths
  std::int32_t priority = 0;
  std::uint32_t retries = 0;
  std::int64_t backoff_ns = 0, backoff_max_ns = 0, delay_ns = 0, timeout_ns = 0, deadline_ns = 0, expires_ns = 0;
  std::int64_t keep_ns = 0, at_unix_ns = 0, disconnect_grace_ns = 0;
  std::int32_t crashes = 0;
  OnDisconnect on_disconnect = OnDisconnect::keep;
  bool volatile_task = false, early_start = false, detached = false, live_output = false, live_progress = false;
  std::optional<TaskId> parent;
  TaskNumber parent_number = 0;
  std::vector<TaskDependency> after;
  std::vector<GroupDependency> after_groups;
  std::optional<TaskReference> input_from;  // one of `after`
  bool operator==(const SpecData&) const = default;
};

struct TaskData {
  SpecData spec;
  OnFull on_full = OnFull::block;
  std::int64_t full_timeout_ns = -1;  // block at most this long; below 0: for ever
  OutputCallback output;
  ProgressCallback progress;
};

}  // namespace detail

class TaskOptions {
 public:
  TaskOptions() {}  // NOLINT(modernize-use-equals-default): option types are not aggregates

  TaskOptions& priority(int p);  ///< -100..100, higher first; std::invalid_argument outside
  TaskOptions& pool(std::string name) { return set(&S::pool, std::move(name)); }
  TaskOptions& retries(std::uint32_t n) { return set(&S::retries, n); }
  /// Wait before another attempt: first this long, doubling up to `max` (0: no bound of its own).
  TaskOptions& backoff(std::chrono::nanoseconds first, std::chrono::nanoseconds max = {});
  /// Which crash of its worker ends a task, 1..255: 1 is the first; 0: the daemon's default, the third; below 0: the
  /// first.
  TaskOptions& crashes(int n) { return set(&S::crashes, n); }
  /// It does not start before this time after its submit is over.
  TaskOptions& delay(std::chrono::nanoseconds d) { return set_time(&S::delay_ns, d); }
  /// It does not start before this time, as the daemon's clock says.
  TaskOptions& at(std::chrono::system_clock::time_point t);
  TaskOptions& timeout(std::chrono::nanoseconds d) { return set_time(&S::timeout_ns, d); }    ///< of each attempt
  TaskOptions& deadline(std::chrono::nanoseconds d) { return set_time(&S::deadline_ns, d); }  ///< from submit
  TaskOptions& expires(std::chrono::nanoseconds d) { return set_time(&S::expires_ns, d); }  ///< if not started by then
  TaskOptions& keep(std::chrono::nanoseconds d) { return set_time(&S::keep_ns, d); }        ///< result, after the end
  TaskOptions& is_volatile(bool v = true) { return set(&S::volatile_task, v); }
  TaskOptions& group(std::string g) { return set(&S::group, std::move(g)); }
  TaskOptions& label(std::string name, std::string value) { return add(&S::labels, std::move(name), std::move(value)); }
  TaskOptions& labels(detail::SpecData::Pairs all) { return set(&S::labels, std::move(all)); }
  TaskOptions& header(std::string name, std::string value) {
    return add(&S::headers, std::move(name), std::move(value));
  }
  TaskOptions& require(std::string name, std::string value) {
    return add(&S::requirements, std::move(name), std::move(value));
  }
  /// In ten-thousandths of a unit.
  TaskOptions& resource(std::string name, std::int64_t ten_thousandths);
  TaskOptions& limit(std::string key) { return set(&S::limit_key, std::move(key)); }
  TaskOptions& fair(std::string key) { return set(&S::fair_key, std::move(key)); }
  /// Of one user and task type, one live or succeeded task has this key: the future of a second one is attached to it.
  TaskOptions& key(std::string k) { return set(&S::key, std::move(k)); }
  TaskOptions& tenant(std::string t) { return set(&S::tenant, std::move(t)); }
  TaskOptions& content_type(std::string t) { return set(&S::content_type, std::move(t)); }
  TaskOptions& codec(std::string c) { return set(&S::codec, std::move(c)); }
  TaskOptions& schema_hash(std::string h) { return set(&S::schema_hash, std::move(h)); }
  TaskOptions& parent(TaskId id) { return set(&S::parent, std::optional<TaskId>(id)); }
  TaskOptions& parent(TaskNumber number) { return set(&S::parent_number, number); }
  TaskOptions& early_start(bool v = true) { return set(&S::early_start, v); }
  /// It waits until all tasks and groups named so have ended as the condition says; if one of them never can, it ends
  /// as cancelled, kind dependency. std::invalid_argument for more than kMaxDependencies of them and for a number of 0;
  /// InvalidStateError for a future that is no task of a daemon.
  TaskOptions& after(const TaskId& id, Condition on = Condition::success) { return add_after({{0, id}, on}); }
  TaskOptions& after(TaskNumber number, Condition on = Condition::success);
  template <class T>
  TaskOptions& after(const Future<T>& future, Condition on = Condition::success) {
    return add_after({reference(future), on});
  }
  /// A group has ended when none of its tasks is live any more; the condition holds for each of them.
  TaskOptions& after_group(std::string name, Condition on = Condition::success);
  /// It waits for that task to succeed, too, and its reply is appended to the input. The last one counts.
  TaskOptions& input_from(const TaskId& id) { return set_input_from({0, id}); }
  TaskOptions& input_from(TaskNumber number);
  template <class T>
  TaskOptions& input_from(const Future<T>& future) {
    return set_input_from(reference(future));
  }
  static constexpr std::size_t kMaxDependencies = 1'000'000;
  /// The outcome is not delivered to this executor: the future fails with InvalidStateError once the task is accepted.
  TaskOptions& detached(bool v = true) { return set(&S::detached, v); }
  /// What becomes of the task when this client goes away without it; the default is keep.
  TaskOptions& on_disconnect(OnDisconnect what, std::chrono::nanoseconds grace = {});
  TaskOptions& on_output(OutputCallback callback);
  TaskOptions& on_progress(ProgressCallback callback);
  /// `patience` bounds OnFull::block; below 0: none. Of submit_many() it bounds each wait for room.
  TaskOptions& on_full(OnFull what, std::chrono::nanoseconds patience = std::chrono::nanoseconds(-1));

  /// Null: all defaults.
  const std::shared_ptr<const detail::TaskData>& data() const { return data_; }

 private:
  using S = detail::SpecData;
  detail::TaskData& own();
  template <class M, class V>
  TaskOptions& set(M S::*member, V&& value) {
    own().spec.*member = std::forward<V>(value);
    return *this;
  }
  TaskOptions& add(S::Pairs S::*member, std::string name, std::string value) {
    (own().spec.*member).emplace_back(std::move(name), std::move(value));
    return *this;
  }
  TaskOptions& set_time(std::int64_t S::*member, std::chrono::nanoseconds d);
  template <class T>
  static detail::TaskReference reference(const Future<T>& future) {
    if (!future.valid()) detail::throw_no_future();
    return detail::reference_of(*FutureAccess::cell(future));
  }
  TaskOptions& add_after(const detail::TaskDependency& dependency);
  TaskOptions& set_input_from(const detail::TaskReference& task);

  std::shared_ptr<const detail::TaskData> data_;
};

}  // namespace futured
