// bad.*: tasks that break the contract of plugin.h while they run. All of the thread lane but bad.silent.
#include <futured/plugin.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

const futured_host* host = nullptr;

futured_bytes text(const char* t) { return {t, std::char_traits<char>::length(t)}; }

void run_abort(void*, futured_call, futured_bytes) { std::abort(); }

/// exit with the status that the input says; 3 without input.
void run_exit(void*, futured_call, futured_bytes input) {
  const std::string status(static_cast<const char*>(input.data), input.size);
  std::exit(status.empty() ? 3 : std::atoi(status.c_str()));
}

void run_throw(void*, futured_call, futured_bytes) { throw std::runtime_error("thrown across the C boundary"); }

void run_twice(void*, futured_call call, futured_bytes) {
  host->complete(call, text("first"));
  host->complete(call, text("second"));
  futured_failure failure{};
  failure.struct_size = sizeof(failure);
  failure.kind = FUTURED_ERROR;
  failure.message = text("third");
  host->fail(call, &failure);
}

/// Ends the call, and uses its handle from another thread long after.
void run_late(void*, futured_call call, futured_bytes input) {
  host->complete(call, input);
  std::thread([call] {
    usleep(50'000);
    host->complete(call, text("late"));
    (void)host->emit(call, 1, text("late output"));
    (void)host->cancelled(call);
    host->progress(call, 0.5, text("late"));
    if (host->result_reserve(call, 10) != nullptr) host->result_commit(call, 10);
  }).detach();
}

/// Never ends, whatever it is told.
void run_hang(void*, futured_call, futured_bytes) {
  while (true) pause();
}
/// The same, keeping a processor busy.
void run_spin(void*, futured_call, futured_bytes) {
  while (true) (void)getppid();
}

/// "N": hears nothing for ever before attempt N, then replies.
void run_deaf(void*, futured_call call, futured_bytes input) {
  const std::string until(static_cast<const char*>(input.data), input.size);
  futured_value attempt{};
  attempt.struct_size = sizeof attempt;
  host->get(call, FUTURED_GET_ATTEMPT, text(""), &attempt);
  if (attempt.integer < std::atoi(until.c_str())) run_hang(nullptr, call, input);
  host->complete(call, text("heard"));
}

void run_segv(void*, futured_call, futured_bytes) {
  std::signal(SIGSEGV, SIG_DFL);
  raise(SIGSEGV);
}

/// Returns without having ended the call.
void run_forget(void*, futured_call, futured_bytes) {}
/// The async lane's way of never ending.
void run_silent(void*, futured_call, futured_bytes) {}

/// Commits more than it reserved, and chunks above 64 KiB.
void run_greedy(void*, futured_call call, futured_bytes) {
  const std::string chunk(1 << 20, 'g');
  (void)host->emit(call, 1, {chunk.data(), chunk.size()});
  if (host->result_reserve(call, 4) != nullptr) host->result_commit(call, 1 << 20);
  host->complete(call, text("greedy"));
}

constexpr futured_task_type task(const char* name, void (*run)(void*, futured_call, futured_bytes),
                                 int lane = FUTURED_LANE_THREAD) {
  futured_task_type t{};
  t.struct_size = sizeof(t);
  t.lane = lane;
  t.name = name;
  t.run = run;
  return t;
}

constexpr futured_task_type all[] = {
    task("bad.abort", run_abort),
    task("bad.exit", run_exit),
    task("bad.throw", run_throw),
    task("bad.twice", run_twice),
    task("bad.late", run_late),
    task("bad.hang", run_hang),
    task("bad.spin", run_spin),
    task("bad.segv", run_segv),
    task("bad.forget", run_forget),
    task("bad.greedy", run_greedy),
    task("bad.silent", run_silent, FUTURED_LANE_ASYNC),
    task("bad.deaf", run_deaf),
};
constexpr const futured_task_type* types[] = {&all[0], &all[1], &all[2], &all[3], &all[4],  &all[5],
                                              &all[6], &all[7], &all[8], &all[9], &all[10], &all[11]};

std::int32_t init(const futured_host* given, futured_bytes, char*, std::uint64_t) {
  host = given;
  return 0;
}

constexpr futured_plugin make() {
  futured_plugin p{};
  p.struct_size = sizeof(p);
  p.abi_version = FUTURED_ABI_VERSION;
  p.name = "bad";
  p.version = "0.1.0";
  p.types = types;
  p.type_count = std::size(types);
  p.init = init;
  return p;
}
constexpr futured_plugin plugin = make();

}  // namespace

const futured_plugin* futured_plugin_v1(void) { return &plugin; }
