// The longest turn of the daemon's loop while things happen to very many tasks at once. Who waits for the loop waits
// that long.
#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/bench/benches.hpp"
#include "tests/bench/loop.hpp"

namespace futured::bench {
namespace {

using Turns = std::vector<double>;  // milliseconds

constexpr std::size_t kMillion = 1'000'000;
constexpr std::size_t kFan = 100'000;
constexpr std::uint32_t kSlots = 16'384;
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kDay = 86'400 * kSecond;
constexpr int kRuns = 3;
constexpr double kTarget = 5;

void keep(std::size_t, v1::Spec& spec) { spec.set_keep_ns(kDay); }

/// A loop with a client, and what its turns took from begin() on.
struct Stage {
  Stage() {
    LoopWorker(loop, 1).leave();  // from now on the daemon knows the task
    loop.settle();
  }
  Loop loop;
  LoopClient client{loop, 'a'};

  void begin() {
    client.settle();
    (void)loop.take_turns();
  }
  Turns end() {
    client.settle();
    return loop.take_turns();
  }
  /// A worker takes all that is queued to its end.
  void finish_all(std::uint64_t tasks) {
    LoopWorker worker(loop, kSlots);
    const std::uint64_t end = client.outcomes() + tasks;
    for (std::uint64_t turns = 0; client.outcomes() < end; ++turns) {
      if (turns > tasks + 1000) throw Failure("the tasks do not end");
      worker.take();
      worker.finish();
      client.turn();
    }
    worker.leave();
    client.settle();
  }
};

v1::Selector all() {
  v1::Selector selector;
  selector.set_all(true);
  return selector;
}

Turns submitting() {
  Stage s;
  s.begin();
  s.client.submit(kMillion, nullptr);
  return s.end();
}

Turns submitting_delayed() {
  Stage s;
  s.begin();
  s.client.submit(kMillion, [](std::size_t, v1::Spec& spec) { spec.set_delay_ns(kDay); });
  return s.end();
}

Turns submitting_with_keys() {
  Stage s;
  s.begin();
  s.client.submit_each(kMillion, [](std::size_t i, v1::Spec& spec) { spec.set_key("task " + std::to_string(i)); });
  return s.end();
}

Turns submitting_nonsense() {
  Stage s;
  s.begin();
  s.client.submit(kMillion, [](std::size_t, v1::Spec& spec) { spec.set_type("no such task"); });
  return s.end();
}

Turns running() {
  Stage s;
  s.client.submit(kMillion, nullptr);
  s.begin();
  s.finish_all(kMillion);
  return s.end();
}

Turns running_kept() {
  Stage s;
  s.client.submit(kMillion, keep);
  s.begin();
  s.finish_all(kMillion);
  return s.end();
}

// ---- looking

Turns listing(const v1::Selector& selector, std::size_t pages, bool detail = false) {
  Stage s;
  s.client.submit(kMillion, nullptr);
  s.begin();
  s.client.ask_all(
      [&](v1::Request& r, const std::string& cursor) {
        *r.mutable_list()->mutable_selector() = selector;
        r.mutable_list()->set_detail(detail);
        r.mutable_list()->set_cursor(cursor);
      },
      pages);
  return s.end();
}

Turns list_all() { return listing(all(), SIZE_MAX); }

Turns list_filtered() {
  v1::Selector running;
  running.add_states(v1::STATE_RUNNING);
  return listing(running, SIZE_MAX);
}

Turns list_by_label() {
  v1::Selector selector;
  for (int i = 0; i < 64; ++i) {
    v1::Header* label = selector.add_labels();
    label->set_name("name");
    label->set_value(std::to_string(i));
  }
  return listing(selector, SIZE_MAX);
}

Turns list_by_ids() {
  v1::Selector selector;
  for (int i = 0; i < 4096; ++i) selector.add_ids(std::string(16, static_cast<char>(i % 7)));
  return listing(selector, 20);
}

Turns explain_all() {
  Stage s;
  s.client.submit(kMillion, nullptr);
  s.begin();
  s.client.ask_all([](v1::Request& r, const std::string& cursor) {
    *r.mutable_explain()->mutable_selector() = all();
    r.mutable_explain()->set_cursor(cursor);
  });
  return s.end();
}

Turns list_limits() {
  Stage s;
  s.client.submit_each(10'000, [](std::size_t i, v1::Spec& spec) { spec.set_limit_key("k" + std::to_string(i)); });
  s.begin();
  v1::Request limits;
  limits.mutable_limits();
  (void)s.client.ask(std::move(limits));
  return s.end();
}

Turns status() {
  Stage s;
  s.client.submit(kMillion, nullptr);
  s.begin();
  for (int i = 0; i < 100; ++i) {
    v1::Request request;
    request.mutable_status();
    (void)s.client.ask(std::move(request));
  }
  return s.end();
}

// ---- cancelling

Turns cancel_selected(Stage& s, const v1::Selector& selector) {
  s.begin();
  s.client.ask_all([&](v1::Request& r, const std::string& cursor) {
    *r.mutable_cancel()->mutable_selector() = selector;
    r.mutable_cancel()->set_cursor(cursor);
  });
  if (s.client.outcomes() != kMillion) throw Failure("not all tasks were cancelled");
  return s.end();
}

Turns cancel_all() {
  Stage s;
  s.client.submit(kMillion, nullptr);
  return cancel_selected(s, all());
}

Turns cancel_group() {
  Stage s;
  s.client.submit(kMillion, [](std::size_t, v1::Spec& spec) { spec.set_group("g"); });
  v1::Selector group;
  group.add_groups("g");
  return cancel_selected(s, group);
}

Turns cancel_all_watched() {
  Stage s;
  LoopClient watcher(s.loop, 'w');
  v1::Request watch;
  *watch.mutable_watch()->mutable_selector() = all();
  (void)watcher.ask(std::move(watch));
  s.client.submit(kMillion, nullptr);
  return cancel_selected(s, all());
}

Turns cancel_handles() {
  Stage s;
  s.client.submit(kMillion, nullptr);
  s.begin();
  s.client.cancel(0, kMillion);
  return s.end();
}

/// By a client that lets any number of them come before it says that it has them.
Turns outcomes_taken_at_once() {
  Stage s;
  LoopClient other(s.loop, 'b', std::uint64_t{1} << 40);
  other.submit(kMillion, nullptr);
  s.begin();
  other.cancel(0, kMillion);
  return s.end();
}

Turns group_ends() {
  Stage s;
  s.client.submit(kFan, [](std::size_t, v1::Spec& spec) { spec.set_group("g"); });
  s.client.submit(kFan, [](std::size_t, v1::Spec& spec) {
    v1::Dependency* on = spec.add_after();
    on->set_group("g");
    on->set_on(v1::Dependency::ANY);
  });
  s.begin();
  s.finish_all(2 * kFan);
  return s.end();
}

// ---- clients and workers that go

Turns client_goes() {
  Stage s;
  LoopClient other(s.loop, 'b');
  other.submit(kMillion, [](std::size_t, v1::Spec& spec) { spec.set_on_disconnect(v1::Spec::CANCEL); });
  s.begin();
  other.leave();
  return s.end();
}

Turns client_goes_with_outcomes() {
  Stage s;
  LoopClient other(s.loop, 'b', 0);
  other.submit(kMillion, nullptr);
  s.client.submit(1, [](std::size_t, v1::Spec& spec) { spec.set_priority(-1); });
  s.finish_all(1);  // the last of all
  s.begin();
  other.leave();
  return s.end();
}

/// A worker with as many calls as one can have.
struct BusyWorker : Stage {
  BusyWorker() {
    client.submit(kMillion, nullptr);
    worker.take();
    loop.settle();
    worker.take();
    if (worker.calls() != kFan) throw Failure("the worker does not have 100,000 calls");
    begin();
  }
  LoopWorker worker{loop, kFan};
};

Turns worker_goes() {
  BusyWorker s;
  s.worker.leave();
  return s.end();
}

Turns worker_returns() {
  BusyWorker s;
  s.worker.come_back();
  return s.end();
}

Turns stopping() {
  Stage s;
  s.client.submit(kMillion, nullptr);
  s.begin();
  s.loop.stop();
  while (!s.client.dismissed()) s.client.settle();
  return s.loop.take_turns();
}

// ---- dependencies

Turns fan_in() {
  Stage s;
  s.client.submit(kFan, nullptr);
  s.begin();
  s.client.submit(1, [](std::size_t, v1::Spec& spec) {
    v1::Dependency* on = spec.add_after();
    on->mutable_task()->set_number(1);
    on->set_count(kFan);
  });
  s.finish_all(kFan + 1);
  return s.end();
}

Turns fan_out() {
  Stage s;
  s.client.submit(1, nullptr);
  s.client.submit(kFan, [](std::size_t, v1::Spec& spec) { spec.add_after()->mutable_task()->set_number(1); });
  s.begin();
  s.finish_all(kFan + 1);
  return s.end();
}

Turns fan_out_cancelled() {
  Stage s;
  s.client.submit(1, nullptr);
  s.client.submit(kFan, [](std::size_t, v1::Spec& spec) { spec.add_after()->mutable_task()->set_number(1); });
  s.begin();
  s.client.cancel(0, 1);
  return s.end();
}

// ---- times

/// The loop gets no turn for so long, so that everything comes due at once.
void hold_for(std::int64_t ns) { std::this_thread::sleep_for(std::chrono::nanoseconds(ns)); }

Turns retention_ends() {
  Stage s;
  s.client.submit(kMillion, [](std::size_t, v1::Spec& spec) { spec.set_keep_ns(6 * kSecond); });
  s.finish_all(kMillion);
  s.begin();
  hold_for(7 * kSecond);
  return s.end();
}

Turns delays_end() {
  Stage s;
  s.client.submit(kMillion, [](std::size_t, v1::Spec& spec) { spec.set_delay_ns(4 * kSecond); });
  s.begin();
  hold_for(5 * kSecond);
  return s.end();
}

Turns all_expire() {
  Stage s;
  s.client.submit(kMillion, [](std::size_t, v1::Spec& spec) { spec.set_expires_ns(4 * kSecond); });
  s.begin();
  hold_for(5 * kSecond);
  return s.end();
}

// ---- orders

Turns forget_all() {
  Stage s;
  s.client.submit(kMillion, keep);
  s.finish_all(kMillion);
  s.begin();
  s.client.ask_all([](v1::Request& r, const std::string& cursor) {
    *r.mutable_forget()->mutable_selector() = all();
    r.mutable_forget()->set_cursor(cursor);
  });
  return s.end();
}

Turns retry_all() {
  Stage s;
  s.client.submit(kFan, keep);
  s.client.cancel(0, kFan);
  s.begin();
  s.client.ask_all([](v1::Request& r, const std::string& cursor) {
    r.mutable_retry()->mutable_selector()->add_states(v1::STATE_CANCELLED);
    r.mutable_retry()->set_cursor(cursor);
  });
  return s.end();
}

v1::Request pause(bool paused) {
  v1::Request request;
  request.mutable_pause()->set_type("t");
  request.mutable_pause()->set_paused(paused);
  return request;
}

Turns pause_lifted() {
  Stage s;
  LoopWorker worker(s.loop, kFan);
  (void)s.client.ask(pause(true));
  s.client.submit(kMillion, nullptr);
  s.begin();
  (void)s.client.ask(pause(false));
  return s.end();
}

v1::Request limit(std::uint32_t running) {
  v1::Request request;
  request.mutable_set_limit()->set_key("k");
  request.mutable_set_limit()->set_running(running);
  return request;
}

Turns limit_lifted(Stage& s) {
  s.begin();
  v1::Request lift = limit(0);
  lift.mutable_set_limit()->set_remove(true);
  (void)s.client.ask(std::move(lift));
  return s.end();
}

Turns limit_of_all_lifted() {
  Stage s;
  LoopWorker worker(s.loop, kFan);
  (void)s.client.ask(limit(1));
  s.client.submit(kMillion, [](std::size_t, v1::Spec& spec) { spec.set_limit_key("k"); });
  return limit_lifted(s);
}

Turns limit_of_many_flows_lifted() {
  Stage s;
  LoopWorker worker(s.loop, kFan);
  (void)s.client.ask(limit(1));
  s.client.submit_each(kFan, [](std::size_t i, v1::Spec& spec) {
    spec.set_limit_key("k");
    spec.set_fair_key(std::to_string(i));
  });
  return limit_lifted(s);
}

struct Scenario {
  const char* name;
  Turns (*turns)();
};

constexpr Scenario kScenarios[] = {
    {"1 M submitted", submitting},
    {"1 M submitted with a delay", submitting_delayed},
    {"1 M submitted, each with a key", submitting_with_keys},
    {"1 M submitted and refused", submitting_nonsense},
    {"1 M run", running},
    {"1 M run and kept", running_kept},
    {"list of 1 M, pages of 500", list_all},
    {"list by state, none of 1 M", list_filtered},
    {"list by 64 labels, none of 1 M", list_by_label},
    {"list by 4096 ids, none of 80,000", list_by_ids},
    {"list of 10,000 limits", list_limits},
    {"explain 1 M", explain_all},
    {"status, 1 M queued", status},
    {"cancel 1 M by selection", cancel_all},
    {"cancel 1 M by group", cancel_group},
    {"cancel 1 M while somebody watches", cancel_all_watched},
    {"cancel 1 M by handle", cancel_handles},
    {"1 M outcomes taken at once", outcomes_taken_at_once},
    {"client goes, 1 M cancelled with it", client_goes},
    {"client goes, 1 M outcomes not taken", client_goes_with_outcomes},
    {"worker with 100,000 calls goes", worker_goes},
    {"worker with 100,000 calls comes back", worker_returns},
    {"told to end with 1 M queued", stopping},
    {"fan-in of 100,000", fan_in},
    {"fan-out of 100,000", fan_out},
    {"fan-out of 100,000 cancelled", fan_out_cancelled},
    {"group of 100,000 ends, 100,000 wait for it", group_ends},
    {"1 M delays end at once", delays_end},
    {"1 M expire at once", all_expire},
    {"retention of 1 M ends at once", retention_ends},
    {"forget 1 M", forget_all},
    {"retry 100,000", retry_all},
    {"pause of 1 M lifted", pause_lifted},
    {"limit of 1 M lifted", limit_of_all_lifted},
    {"limit of 100,000 fair keys lifted", limit_of_many_flows_lifted},
};

}  // namespace

void turns(Report& report, const std::string& only) {
  bool any = false;
  for (const Scenario& scenario : kScenarios) {
    if (std::string_view(scenario.name).find(only) == std::string_view::npos) continue;
    any = true;
    Turns longest, every;
    for (int run = 0; run < kRuns; ++run) {
      const Turns turns = scenario.turns();
      longest.push_back(*std::max_element(turns.begin(), turns.end()));
      every.insert(every.end(), turns.begin(), turns.end());
    }
    Figure figure;
    figure.name = std::string("longest turn, ") + scenario.name;
    figure.value = median(longest);
    figure.unit = "ms";
    figure.median = median(every);
    figure.target = kTarget;
    report.add(figure);
  }
  if (!any) throw Failure("nothing of it has '" + only + "' in its name");
}

}  // namespace futured::bench
