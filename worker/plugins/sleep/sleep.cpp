// sleep: does nothing for a while. The example of an async task: one thread and one heap of timers hold any number of
// sleeping calls.
#include <chrono>
#include <cmath>
#include <cstdint>
#include <futured/plugin.hpp>
#include <string>
#include <unordered_map>
#include <utility>

#include "sleep/sleep.pb.h"
#include "sleep_schema.hpp"
#include "worker/plugins/common/loop.hpp"

namespace {

using futured::plugin::AsyncCall;
using futured::plugin::Cancelled;
using futured::plugin::Failure;
using futured::plugins::Loop;
using futured::plugins::sleep::SleepRequest;

/// Loop thread only, but for `loop`. Made by init; only another init destroys it.
struct Sleepers {
  Loop loop;
  std::unordered_map<futured_call, Loop::Timer> timers;

  void start(AsyncCall<void> call, Loop::Time until) {
    timers[call.id()] = loop.at(until, [this, call] {
      timers.erase(call.id());
      call.complete();
    });
  }
  void cancel(AsyncCall<void> call) {
    const auto it = timers.find(call.id());
    if (it == timers.end()) return;
    loop.cancel(it->second);
    timers.erase(it);
    call.fail(Cancelled());
  }
};
Sleepers* sleepers = nullptr;

void sleep_for(const SleepRequest& request, AsyncCall<void> call) {
  const double seconds = request.seconds();
  if (!(seconds >= 0 && seconds <= 1e9)) {
    return call.fail(
        Failure("seconds = " + std::to_string(seconds) + " is no duration: give 0 to 1000000000").permanent());
  }
  if (seconds == 0) return call.complete();
  const auto until = Loop::Clock::now() + std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9));
  sleepers->loop.post([call, until] { sleepers->start(call, until); });
  call.on_cancel([call] { sleepers->loop.post([call] { sleepers->cancel(call); }); });
}

std::string start(std::string_view) {
  delete std::exchange(sleepers, new Sleepers);
  return sleepers->loop.start("sleep").message();
}
void stop() { sleepers->loop.stop(); }

}  // namespace

FUTURED_PLUGIN("sleep", "0.1.0", schema(sleep_schema),
               async<sleep_for>("sleep", "takes a while and does nothing").idempotent(), on_init(start), on_fini(stop))
