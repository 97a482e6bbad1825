#pragma once

#include <cstdint>
#include <future>
#include <memory>

#include "futured/executor.hpp"
#include "tests/client/fake_daemon.hpp"

namespace fake {

using futured::Executor;
namespace v1 = futured::v1;

/// A connected executor and the daemon it is connected to.
struct Pair {
  explicit Pair(std::uint64_t window = 1 << 20)
      : daemon(std::make_unique<Daemon>(folder.socket())), ex([&] {
          auto connecting = std::async(std::launch::async, [&] { return Executor::connect(folder.socket()); });
          daemon->greet(false, 0, window);
          return connecting.get();
        }()) {}
  /// Accepts the rest, or leaving would wait for it.
  ~Pair() {
    if (!daemon) return;
    if (end != 0) daemon->accept(0, end);
    while (auto m = daemon->receive(20ms)) {
      note(*m);
      if (m->kind() == v1::KIND_SUBMIT) daemon->accept(0, end);
    }
  }
  fake::Message submitted() {
    auto m = daemon->expect(v1::KIND_SUBMIT);
    note(m);
    return m;
  }
  void note(const fake::Message& m) {
    if (m.kind() != v1::KIND_SUBMIT) return;
    const auto submit = m.as<v1::Submit>();
    end = submit.first_seq() + static_cast<std::uint64_t>(submit.payloads().size_size());
  }
  TempFolder folder;
  std::unique_ptr<Daemon> daemon;
  Executor ex;
  std::uint64_t end = 0;  // of the seqs seen
};

}  // namespace fake
