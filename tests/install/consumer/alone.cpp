#include <futured/embedded.hpp>
#include <iostream>
#include <string>

// No other process: the daemon, the client and the worker are this one.
int main() {
  auto executor = futured::Executor::embedded(futured::EmbeddedOptions());
  futured::LocalWorker worker(executor);
  worker.add("twice", [](std::string_view input) { return std::string(input) + std::string(input); });
  std::cout << executor.submit("twice", "ab").result() << '\n';
}
