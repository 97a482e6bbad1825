#include "tests/sim/mixture.hpp"

#include <algorithm>
#include <cstdlib>
#include <type_traits>

namespace futured::sim {

Mixture Mixture::of(Random& r) {
  const auto mostly_not = [&r](double p, double most) {
    return r.chance(p) ? most * static_cast<double>(r.between(5, 100)) / 100 : 0;
  };
  const auto sometimes = [&r](double p, Time least, Time most) { return r.chance(p) ? r.skewed(least, most) : 0; };
  Mixture m;
  m.clients = static_cast<std::uint64_t>(r.between(1, 3));
  m.workers = static_cast<std::uint64_t>(r.between(1, 4));
  m.by_hand = r.chance(0.25) ? static_cast<std::uint64_t>(r.between(1, 2)) : 0;
  m.tasks = static_cast<std::uint64_t>(r.skewed(5, 60));
  m.threads = static_cast<std::uint64_t>(r.skewed(1, 4));
  m.async_slots = static_cast<std::uint64_t>(r.skewed(1, 8));
  m.second_pool = r.chance(0.2) ? 1 : 0;
  m.delay = r.skewed(kMs / 20, 4 * kMs);
  m.turn = r.skewed(0, kMs);
  m.faults_until = r.between(50, 400) * kMs;
  m.session_resume = r.chance(0.2) ? r.skewed(1, 300) * kMs : 60'000 * kMs;
  m.worker_return = r.chance(0.5) ? r.between(1, 100) * kMs : 5'000 * kMs;
  m.stop_grace = r.skewed(kMs / 2, 40 * kMs);
  m.neighbour_time = r.skewed(kMs / 2, 60 * kMs);
  m.payload_bytes = r.chance(0.2) ? static_cast<std::uint64_t>(r.between(100, 8'000)) : 64 << 20;
  m.limit_tasks =
      r.chance(0.2) ? static_cast<std::uint64_t>(r.between(4, 20)) : 1'000'000;  // 1 for each client, and more
  m.window_tasks = r.chance(0.3) ? static_cast<std::uint64_t>(r.between(1, 10)) : 65'536;
  m.result_window_tasks = r.chance(0.3) ? static_cast<std::uint64_t>(r.between(1, 10)) : 65'536;
  m.result_window_bytes = r.chance(0.3) ? static_cast<std::uint64_t>(r.between(100, 5'000)) : 64 << 20;
  m.kept_tasks = r.chance(0.3) ? static_cast<std::uint64_t>(r.between(0, 5)) : 1'000'000;
  m.owed_bytes = r.chance(0.3) ? static_cast<std::uint64_t>(r.between(0, 5'000)) : 1 << 30;
  m.codec = r.chance(0.12) ? 1 : 0;
  m.fails = mostly_not(0.5, 0.7);
  m.crashes = mostly_not(0.3, 0.3);
  m.long_calls = mostly_not(0.5, 0.3);
  m.large_results = mostly_not(0.3, 0.5);
  m.priorities = mostly_not(0.4, 1);
  m.detached = mostly_not(0.2, 0.5);
  m.kept = mostly_not(0.2, 0.7);
  m.cancel_on_disconnect = mostly_not(0.2, 0.7);
  m.unknown = mostly_not(0.1, 0.2);
  m.async = mostly_not(0.5, 1);
  m.break_client = sometimes(0.4, 5 * kMs, 200 * kMs);
  m.break_worker = sometimes(0.4, 5 * kMs, 200 * kMs);
  m.kill_worker = sometimes(0.4, 10 * kMs, 300 * kMs);
  m.kill_client = sometimes(0.1, 50 * kMs, 400 * kMs);
  m.leave_client = sometimes(0.1, 50 * kMs, 400 * kMs);
  m.drain_worker = sometimes(0.2, 20 * kMs, 300 * kMs);
  m.scale = sometimes(0.2, 20 * kMs, 300 * kMs);
  m.cancel = sometimes(0.5, kMs, 50 * kMs);
  m.attach = sometimes(0.3, 2 * kMs, 80 * kMs);
  m.cancel_number = sometimes(0.1, 5 * kMs, 100 * kMs);
  m.restart = sometimes(0.06, 50 * kMs, 400 * kMs);
  m.delays = mostly_not(0.2, 0.6);
  m.timeouts = mostly_not(0.25, 0.8);
  m.deadlines = mostly_not(0.2, 0.6);
  m.expiries = mostly_not(0.2, 0.6);
  m.backoffs = mostly_not(0.25, 1);
  m.retry_afters = mostly_not(0.15, 0.6);
  m.deaf = mostly_not(0.4, 0.8);
  m.after = mostly_not(0.25, 0.7);
  m.groups = mostly_not(0.2, 0.8);
  m.keys = mostly_not(0.2, 0.7);
  m.limits = mostly_not(0.25, 1);
  m.fair = mostly_not(0.2, 1);
  m.pause = sometimes(0.15, 5 * kMs, 100 * kMs);
  m.set_limit = m.limits > 0 ? sometimes(0.9, 2 * kMs, 60 * kMs) : 0;
  m.forget = sometimes(0.1, 2 * kMs, 50 * kMs);
  m.own = sometimes(0.12, 3 * kMs, 60 * kMs);
  m.close_group = m.groups > 0 ? sometimes(0.3, 20 * kMs, 200 * kMs) : 0;
  m.leave = r.chance(0.15) ? r.between(5 * kMs, m.faults_until) : 0;
  if (r.chance(0.004)) {
    // Only what fairness is about, and enough of it for many turns.
    m.flood = 1;
    m.clients = 5;
    m.tasks = 250;
    m.limit_tasks = 1'000'000;
    m.owed_bytes = 1 << 30;
    m.window_tasks = m.result_window_tasks = 65'536;
    m.result_window_bytes = 64 << 20;
    m.fails = m.crashes = m.long_calls = m.large_results = m.async = m.deaf = m.after = m.keys = 0;
    m.limits = r.chance(0.5) ? 1 : 0;
    m.set_limit = m.limits > 0 ? 20 * kMs : 0;
    m.delays = m.backoffs = 0;
    m.second_pool = m.by_hand = 0;
    m.unknown = m.deadlines = m.expiries = m.timeouts = m.cancel_on_disconnect = m.groups = 0;
    m.leave = 0;
    m.cancel = m.cancel_number = m.kill_worker = m.kill_client = m.leave_client = m.restart = m.own = 0;
    m.break_client = m.drain_worker = m.scale = 0;
  }
  return m;
}

std::string Mixture::text() const {
  std::string out;
  Mixture copy = *this;
  copy.each([&](const char* name, auto& value, auto least) {
    if (value == static_cast<std::remove_reference_t<decltype(value)>>(least)) return;
    out += (out.empty() ? "" : ",") + std::string(name) + "=" + std::to_string(value);
  });
  return out;
}

bool Mixture::set(const std::string& text) {
  each([](const char*, auto& value, auto least) {
    value = static_cast<std::remove_reference_t<decltype(value)>>(least);
  });
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string one = text.substr(at, comma - at);
    const std::size_t equals = one.find('=');
    if (equals == std::string::npos) return false;
    bool found = false;
    char* end = nullptr;
    each([&](const char* name, auto& value, auto) {
      if (one.substr(0, equals) != name) return;
      found = true;
      const char* number = one.c_str() + equals + 1;
      using Value = std::remove_reference_t<decltype(value)>;
      if constexpr (std::is_floating_point_v<Value>) {
        value = std::strtod(number, &end);
      } else {
        value = static_cast<Value>(std::strtoll(number, &end, 10));
      }
      found = end != number && *end == '\0';
    });
    if (!found) return false;
    at = comma + 1;
  }
  return true;
}

}  // namespace futured::sim
