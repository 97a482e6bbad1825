#include "client/cli/outcome.hpp"

#include <doctest/doctest.h>

using namespace futured;
using namespace futured::cli;

TEST_CASE("how a task ended makes the same exit code from its future and from its record") {
  struct Case {
    v1::State state;
    v1::ErrorKind kind;
    bool permanent;
    std::uint32_t attempts;
    Exit code;
  };
  for (const Case& c : {
           Case{v1::STATE_SUCCEEDED, v1::ERROR_KIND_NONE, false, 1, Exit::done},
           Case{v1::STATE_FAILED, v1::ERROR_KIND_ERROR, false, 1, Exit::task_failed},
           Case{v1::STATE_FAILED, v1::ERROR_KIND_REJECTED, true, 0, Exit::input_refused},
           Case{v1::STATE_FAILED, v1::ERROR_KIND_REJECTED, false, 0, Exit::refused_now},
           Case{v1::STATE_FAILED, v1::ERROR_KIND_TOO_LARGE, true, 0, Exit::input_refused},
           Case{v1::STATE_FAILED, v1::ERROR_KIND_TOO_LARGE, true, 1, Exit::task_failed},  // its result
           Case{v1::STATE_CANCELLED, v1::ERROR_KIND_NONE, false, 0, Exit::cancelled},
           Case{v1::STATE_EXPIRED, v1::ERROR_KIND_NONE, false, 0, Exit::cancelled},
       }) {
    CAPTURE(c.state);
    CAPTURE(c.kind);
    cli::Outcome outcome;
    outcome.state = c.state;
    outcome.error.set_kind(c.kind);
    outcome.error.set_permanent(c.permanent);
    outcome.attempts = c.attempts;
    CHECK(exit_of(outcome) == c.code);
    v1::TaskRecord record;
    record.set_state(c.state);
    *record.mutable_error() = outcome.error;
    record.set_attempt_count(c.attempts);
    CHECK(exit_of(record) == c.code);
  }
}
