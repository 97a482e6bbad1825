#include "futured/task_options.hpp"

#include <algorithm>
#include <stdexcept>

namespace futured {

namespace {

void check_room(const detail::SpecData& spec) {
  if (spec.after.size() + spec.after_groups.size() < TaskOptions::kMaxDependencies) return;
  throw std::invalid_argument("TaskOptions: a task can wait for " + std::to_string(TaskOptions::kMaxDependencies) +
                              " tasks and groups at most; let some of them wait for others, or use a group");
}

void check_number(TaskNumber number) {
  if (number == 0) throw std::invalid_argument("TaskOptions: task numbers begin with 1");
}

}  // namespace

detail::TaskData& TaskOptions::own() {
  // Copy on write: a copy of these options may be in use elsewhere.
  if (!data_) {
    data_ = std::make_shared<detail::TaskData>();
  } else if (data_.use_count() != 1) {
    data_ = std::make_shared<detail::TaskData>(*data_);
  }
  return const_cast<detail::TaskData&>(*data_);  // made as non-const above or in an earlier call
}

TaskOptions& TaskOptions::set_time(std::int64_t S::*member, std::chrono::nanoseconds d) {
  if (d < std::chrono::nanoseconds::zero()) throw std::invalid_argument("TaskOptions: a duration is negative");
  return set(member, static_cast<std::int64_t>(d.count()));
}

TaskOptions& TaskOptions::priority(int p) {
  if (p < -100 || p > 100) {
    throw std::invalid_argument("TaskOptions: priority " + std::to_string(p) + " is not within -100..100");
  }
  return set(&S::priority, p);
}

TaskOptions& TaskOptions::backoff(std::chrono::nanoseconds first, std::chrono::nanoseconds max) {
  set_time(&S::backoff_ns, first);
  return set_time(&S::backoff_max_ns, max);
}

TaskOptions& TaskOptions::at(std::chrono::system_clock::time_point t) {
  const auto since = std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch());
  return set(&S::at_unix_ns, static_cast<std::int64_t>(since.count()));
}

TaskOptions& TaskOptions::add_after(const detail::TaskDependency& dependency) {
  S& spec = own().spec;
  check_room(spec);
  spec.after.push_back(dependency);
  return *this;
}

TaskOptions& TaskOptions::after(TaskNumber number, Condition on) {
  check_number(number);
  return add_after({{number, {}}, on});
}

TaskOptions& TaskOptions::after_group(std::string name, Condition on) {
  if (name.empty()) throw std::invalid_argument("TaskOptions: a group to wait for has no name");
  S& spec = own().spec;
  check_room(spec);
  spec.after_groups.push_back({std::move(name), on});
  return *this;
}

TaskOptions& TaskOptions::input_from(TaskNumber number) {
  check_number(number);
  return set_input_from({number, {}});
}

TaskOptions& TaskOptions::set_input_from(const detail::TaskReference& task) {
  S& spec = own().spec;
  const bool known =
      std::any_of(spec.after.begin(), spec.after.end(), [&task](const auto& d) { return d.task == task; });
  if (!known) add_after({task, Condition::success});
  spec.input_from = task;
  return *this;
}

TaskOptions& TaskOptions::resource(std::string name, std::int64_t ten_thousandths) {
  own().spec.demands.emplace_back(std::move(name), ten_thousandths);
  return *this;
}

TaskOptions& TaskOptions::on_disconnect(OnDisconnect what, std::chrono::nanoseconds grace) {
  set(&S::on_disconnect, what);
  return set_time(&S::disconnect_grace_ns, grace);
}

TaskOptions& TaskOptions::on_output(OutputCallback callback) {
  detail::TaskData& d = own();
  d.spec.live_output = static_cast<bool>(callback);
  d.output = std::move(callback);
  return *this;
}

TaskOptions& TaskOptions::on_progress(ProgressCallback callback) {
  detail::TaskData& d = own();
  d.spec.live_progress = static_cast<bool>(callback);
  d.progress = std::move(callback);
  return *this;
}

TaskOptions& TaskOptions::on_full(OnFull what, std::chrono::nanoseconds patience) {
  detail::TaskData& d = own();
  d.on_full = what;
  d.full_timeout_ns = patience.count();
  return *this;
}

}  // namespace futured
