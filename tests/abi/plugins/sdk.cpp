// sdk.*: everything that plugin.hpp offers, once.
#include <atomic>
#include <chrono>
#include <futured/plugin.hpp>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <variant>

#include "sdk/sdk.pb.h"
#include "sdk_schema.hpp"

namespace {

using futured::plugin::AsyncCall;
using futured::plugin::Call;
using futured::plugin::Emit;
using futured::plugin::Failure;
using futured::plugin::Outcome;
using futured::test::sdk::Number;

std::string& settings() {
  static std::string& text = *new std::string;
  return text;
}
std::atomic<int> flushes{0};

Number twice(const Number& n) {
  Number reply;
  reply.set_value(2 * n.value());
  return reply;
}
Number incomplete(Number&&, Call) { return {}; }
std::string reverse(std::string_view input) { return {input.rbegin(), input.rend()}; }
std::string config(std::string_view) { return settings() + " " + std::to_string(flushes); }

/// Fails in the way that the input says.
std::string fail(std::string_view how) {
  if (how == "failure") {
    Number reply;
    reply.set_value(7);
    throw Failure("full").exited(9, 2).permanent().retry_after(std::chrono::seconds(3)).reply(reply);
  }
  if (how == "exception") throw std::runtime_error("a standard exception");
  if (how == "memory") throw std::bad_alloc();
  if (how == "int") throw 5;
  return "fine";
}
Outcome<Number> outcome(Number n) {
  if (n.value() < 0) return Failure("negative");
  return n;
}
Outcome<std::monostate> nothing(std::string_view input) {
  if (input.empty()) return Failure("empty");
  return std::monostate();
}

/// From another thread: "fail" fails, "twice" ends it twice, "throw" throws before it is handed over.
void later(std::string_view input, AsyncCall<std::string> call) {
  if (input == "throw") throw std::runtime_error("thrown on the loop thread");
  std::thread([text = std::string(input), call] {
    if (text == "fail") return call.fail("failed later");
    call.complete(text);
    if (text == "twice") call.fail("and again");
  }).detach();
}

/// Ends only when cancelled, in the callback; "throw" throws in it afterwards.
void until_cancelled(std::string_view input, AsyncCall<std::string> call) {
  call.on_cancel([call, text = std::string(input)] {
    call.complete("cancelled");
    if (text == "throw") throw std::runtime_error("thrown in a callback");
  });
}
/// The same on the thread lane.
std::string blocked(std::string_view, Call call) {
  // Shared: the callback may still run when this function has returned.
  const auto told = std::make_shared<std::atomic<bool>>(false);
  call.on_cancel([told] {
    *told = true;
    told->notify_all();
  });
  told->wait(false);
  return "told";
}

/// Emits "chunk"; ends when it was taken.
void emit(std::string_view, AsyncCall<void> call) {
  const auto attempt = [call] {
    if (call.emit(1, "chunk") != Emit::again) call.complete();
  };
  call.on_writable(attempt);
  attempt();
}

std::string values(std::string_view, Call call) {
  return call.type() + " " + call.task_id() + " " + std::to_string(call.task_number()) + " " +
         std::to_string(call.attempt()) + " " + (call.deadline() ? "deadline" : "no deadline") + " " +
         call.header("traceparent").value_or("-") + " " + call.header("other").value_or("-") + " " +
         call.resource("gpu").value_or("-") + (call.live_output() ? " live" : "");
}

std::string start(std::string_view config_text) {
  if (config_text == "refuse") return "refused as asked";
  if (config_text == "throw") throw std::runtime_error("init threw");
  settings() = config_text;
  return {};
}
void flush() { ++flushes; }

}  // namespace

FUTURED_PLUGIN("sdk", "0.1.0", schema(sdk_schema), blocking<twice>("sdk.twice", "message to message").idempotent(),
               blocking<incomplete>("sdk.incomplete", "a reply without its required field"),
               blocking<reverse>("sdk.reverse", "bytes to bytes"), blocking<config>("sdk.config", "what init got"),
               blocking<fail>("sdk.fail", "every way to throw"), blocking<outcome>("sdk.outcome", "without throwing"),
               blocking<nothing>("sdk.nothing", "no reply, or a failure"),
               blocking<[](std::string_view input) { return std::to_string(input.size()); }>("sdk.lambda", "a lambda"),
               async<later>("sdk.later", "ended by another thread").max_concurrency(5),
               async<until_cancelled>("sdk.until_cancelled", "ended by cancel"),
               blocking<blocked>("sdk.blocked", "ended by cancel"), async<emit>("sdk.emit", "waits for room"),
               blocking<values>("sdk.values", "what a call knows"), on_init(start), on_flush(flush))
